/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conftell: tells a worker the stored config of each company, one after the
 * other (`configChanged`, docs/protocol.md section 2 step 5).
 *
 * Owns a copy of what is still to be told. Knows nothing of the registry.
 */
#ifndef ENVDRIVER_PLUGIN_CONFIG_PUSH_H
#define ENVDRIVER_PLUGIN_CONFIG_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct rpc_answer;
struct worker;

struct config_push {
	int64_t timeout_ms;
	/* What the plugin said to one company's. */
	void (*on_answer)(void *arg, struct span company, const struct rpc_answer *answer);
	void *arg;

	struct worker *worker;
	struct buf text;
	struct jtext_iter at;
	bool busy;		/* one is told and not answered */
};

/* Tells `worker` each company of `config` (companyId -> object). What was
 * still to be told from before is dropped. */
void config_push_begin(struct config_push *t, struct worker *worker, struct jtext config);
/* The worker is dead: nothing more is told to it. */
void config_push_end(struct config_push *t);
/* After worker_free. */
void config_push_release(struct config_push *t);

#endif
