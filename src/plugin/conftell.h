/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conftell: tells a worker the stored config of each company, one after the
 * other (`configChanged`, PROTOCOL section 2 step 5).
 *
 * Owns a copy of what is still to be told. Knows nothing of the registry.
 * Used by: handle. May use: worker, jtext, libuuid.
 */
#ifndef ENVDRIVER_PLUGIN_CONFTELL_H
#define ENVDRIVER_PLUGIN_CONFTELL_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct rpc_answer;
struct worker;

struct conftell {
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
void conftell_begin(struct conftell *t, struct worker *worker, struct jtext config);
/* The worker is dead: nothing more is told to it. */
void conftell_end(struct conftell *t);
/* After worker_free. */
void conftell_release(struct conftell *t);

#endif
