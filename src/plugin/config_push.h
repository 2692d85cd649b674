/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_push: sends a worker the stored config of each company, one after the
 * other (`configChanged`, docs/protocol.md section 2 step 5).
 *
 * Owns a copy of what is still to be sent. Knows nothing of the registry.
 */
#ifndef ENVDRIVER_PLUGIN_CONFIG_PUSH_H
#define ENVDRIVER_PLUGIN_CONFIG_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct rpc_answer;
struct worker;

/* The first three are set by the owner. */
struct config_push {
	int64_t timeout_ms;	/* of each */
	/* What the plugin answered to one company's. */
	void (*on_answer)(void *arg, struct span company, const struct rpc_answer *answer);
	void *arg;

	struct worker *worker;
	struct buf text;
	struct jtext_iter at;
	bool busy;		/* one is sent and not answered */
};

/* Sends `worker` the config of each company of `configs` (companyId ->
 * object). What was still to be sent from before is not sent any more. */
void config_push_begin(struct config_push *p, struct worker *worker, struct jtext configs);
/* The worker is dead: nothing more is sent to it. */
void config_push_end(struct config_push *p);
/* After worker_free. */
void config_push_release(struct config_push *p);

#endif
