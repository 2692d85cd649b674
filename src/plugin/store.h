/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: keeps the state of plugins (state.*) in Redis: one hash for each plugin
 * and company, and how many bytes it holds (docs/schemas.md,
 * `state:<pluginId>:<companyId>`).
 *
 * Owns the scripts' numbers and the limits. Knows nothing of workers.
 */
#ifndef ENVDRIVER_PLUGIN_STORE_H
#define ENVDRIVER_PLUGIN_STORE_H

#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/host/host_state.h"

struct redis;

struct store {
	struct redis *redis;
	int script;
	int64_t keys_max, bytes_max;	/* of one plugin and company */
};

/* Before redis_start, which `redis` outlives. */
void store_init(struct store *s, struct redis *redis, int64_t keys_max, int64_t bytes_max);
/* As host_state_ask_fn. */
int store_ask(struct store *s, const char *plugin_id, enum host_state_op op, struct span company,
	      struct span field, struct span value, host_state_fn *done, void *token);

#endif
