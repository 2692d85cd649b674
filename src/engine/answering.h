/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answering: makes events of a long answer on a thread of libuv's pool.
 *
 * Owns the answers that wait for it. Knows nothing of entries' states, of
 * calls or of leases: the caller is told when the events are there.
 */
#ifndef ENVDRIVER_ENGINE_ANSWERING_H
#define ENVDRIVER_ENGINE_ANSWERING_H

#include <stdbool.h>

#include "envdriver/kafka/event.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"

struct command;
struct engine;

/* What came of it, once for each answering_start that took an answer: `events`
 * and `brought` may be emptied by the callee (result_answered). `ret` is negative when
 * memory was short; both are NULL when answering_free ended it undone. */
typedef void answering_fn(void *arg, int ret, struct events *events,
			  struct result_brought *brought);

struct answering_job {
	const struct command *command;	/* borrowed until `fn` */
	struct chosen chosen;		/* borrowed likewise */
	struct trace trace;		/* likewise */
	const struct rpc_answer *answer;
	answering_fn *fn;
	void *arg;
};

bool answering_new(struct engine *eng);
/* Waits for the one at work, at the very end only. Accepts that answering_new
 * failed or was not called. */
void answering_free(struct engine *eng);

/* False: it is no long answer, or memory is short; nothing was done. Else it
 * takes the answer's line, and `fn` comes, never before this returns. */
bool answering_start(struct engine *eng, const struct answering_job *job);

#endif
