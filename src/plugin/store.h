/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: keeps the state of plugins (state.*) in Redis: one hash for each plugin
 * and company (docs/schemas.md, `state:<pluginId>:<companyId>`).
 *
 * Owns nothing but the requests under way.
 */
#ifndef ENVDRIVER_PLUGIN_STORE_H
#define ENVDRIVER_PLUGIN_STORE_H

#include "envdriver/base/buf.h"
#include "host_state.h"

struct redis;

/* As host_state_ask_fn. */
int store_ask(struct redis *redis, const char *plugin_id, enum host_state_op op,
	      struct span company, struct span field, struct span value, host_state_fn *done,
	      void *token);

#endif
