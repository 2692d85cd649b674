/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: the sentence that joins the stages. A command record comes in, its
 * final event goes out, exactly once (ENGINE; DESIGN section 1).
 *
 * Owns every stage and the entries between them. Runs on the loop thread
 * only. Knows the stages' headers and nothing of their insides. Used by:
 * worker, dev. May use: everything below.
 */
#ifndef ENVDRIVER_ENGINE_FLOW_H
#define ENVDRIVER_ENGINE_FLOW_H

#include <stdbool.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct flow;

struct flow_events {
	/* The work cannot go on: exit with this code. */
	void (*on_exit)(void *arg, int exit_code, const char *text);
	/* First time ready; for people and for `dev`. */
	void (*on_ready)(void *arg);
	/* flow_stop is through. */
	void (*on_stopped)(void *arg);
	void *arg;
};

struct flow *flow_new(uv_loop_t *loop, const struct config *config, const struct flow_events *ev,
		      struct err *reterr);
/* Start-up in the order of ENGINE section 9; returns at once. */
void flow_start(struct flow *f);
/* Why it is not ready, one reason a line; nothing when it is. */
bool flow_ready(const struct flow *f, struct buf *reasons);
/* JSON object for /status. */
void flow_status(const struct flow *f, struct buf *out);
/* Shutdown in the order of ENGINE section 8. */
void flow_stop(struct flow *f);
/* After on_stopped only, or before flow_start. The loop must turn once more
 * for the last handles to close. */
void flow_free(struct flow *f);

#endif
