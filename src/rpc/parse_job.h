/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_job: one long line of a plugin, parsed on a thread of libuv's pool, so
 * that the loop does not stand still (ARCHITECTURE.md, Threads).
 *
 * Owns the line's memory. Knows nothing of pipes or calls.
 */
#ifndef ENVDRIVER_RPC_PARSE_JOB_H
#define ENVDRIVER_RPC_PARSE_JOB_H

#include <stdbool.h>
#include <uv.h>

#include "envdriver/rpc/rpc.h"
#include "message_mask.h"

/* From here on it is worth a thread. */
enum { PARSE_JOB_MIN = 1 << 20 };

struct parse_job {
	char *memory;			/* malloc'ed; a taker leaves NULL here */
	char *spare;			/* of the line, when the answer lies elsewhere */
	bool repaired;			/* for its reader */
	struct rpc_message message;	/* once it is parsed; points into the memory, as does */
	struct rpc_answer answer;	/* what a response says; without its method */

	struct mask_forms *forms;	/* what the line is masked with */
	struct message_mask masked;
	struct span line;
	uv_work_t work;
	void (*on_parsed)(void *arg);
	void *arg;
};

/* NULL when out of memory. */
struct parse_job *parse_job_new(void);
/* Starts; `line` lies in `take_memory`; it is masked with `forms`. `on_parsed` comes from the
 * loop, unless parse_job_free is called before; afterwards the owner frees it. */
void parse_job_start(struct parse_job *j, uv_loop_t *loop, char *take_memory, struct span line,
		     struct mask_forms *forms, void (*on_parsed)(void *arg), void *arg);
/* At any time: one at work ends by itself. Accepts NULL. */
void parse_job_free(struct parse_job *j);

#endif
