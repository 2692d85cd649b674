/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_impl: what worker's two files share.
 *
 * Private to src/plugin/worker*.c.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_IMPL_H
#define ENVDRIVER_PLUGIN_WORKER_IMPL_H

#include "frame.h"
#include "spawn.h"
#include "stderr_tail.h"
#include "worker.h"

enum { WORKER_STDERR_READ = 16 << 10 };

enum worker_phase {
	WORKER_IN_HELLO,	/* initialize is pending */
	WORKER_IN_UP,
	WORKER_IN_SHUTDOWN,	/* the shutdown request is pending */
	WORKER_IN_LINGER,	/* it was answered; or the pipes broke */
	WORKER_IN_TERM,
	WORKER_IN_KILL,
	WORKER_IN_EXITED,	/* the process is gone, its pipes may not be empty */
	WORKER_IN_DONE,
};

struct worker {
	enum worker_phase phase;
	struct worker_limits limits;
	struct worker_events ev;
	struct spawn *spawn;
	struct channel *channel;
	uv_pipe_t err_pipe;
	uv_timer_t timer;
	unsigned open;		/* of the two above, not yet closed */
	bool closing, up, asked, err_ended;
	uint64_t drained_for;	/* channel_reads of the answers stderr was drained for */
	int code, signal;
	struct frame *err_frame;
	struct stderr_tail tail;
	struct scope scope;
	struct channel_pending hello, bye;
	struct buf methods, failure, text, chunk;
	bool answered;
	char err_buf[WORKER_STDERR_READ];
};

/* Goes to a phase, does what it begins with, and starts its clock. */
void worker_enter(struct worker *w, enum worker_phase phase);
/* Ends the worker if its process is gone and its pipes are empty. */
void worker_end_if_empty(struct worker *w);
/* The process is gone (spawn_exit_fn). */
void worker_exited(void *arg, int code, int signal);
/* Takes what the stderr pipe holds now, before the loop comes to it. */
void worker_drain_stderr(struct worker *w);

#endif
