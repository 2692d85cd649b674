/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: the sentence that joins the stages. A command record comes in, its
 * final event goes out, exactly once (docs/engine.md; ARCHITECTURE.md).
 *
 * Owns every stage and the entries between them. Runs on the loop thread
 * only. Knows the stages' headers and nothing of their insides.
 */
#ifndef ENVDRIVER_ENGINE_ENGINE_H
#define ENVDRIVER_ENGINE_ENGINE_H

#include <stdbool.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct engine;

struct engine_events {
	/* The work cannot go on: exit with this code. */
	void (*on_exit)(void *arg, int exit_code, const char *text);
	/* First time ready; for people and for `dev`. */
	void (*on_ready)(void *arg);
	/* engine_stop is through. */
	void (*on_stopped)(void *arg);
	void *arg;
};

struct engine *engine_new(uv_loop_t *loop, const struct config *config,
			  const struct engine_events *ev, struct err *reterr);
/* Start-up in the order of docs/engine.md section 9; returns at once. */
void engine_start(struct engine *f);
/* Why it is not ready, one reason a line; nothing when it is. */
bool engine_ready(const struct engine *f, struct buf *reasons);
/* JSON object for /status. */
void engine_status(const struct engine *f, struct buf *out);
/* Shutdown in the order of docs/engine.md section 8. */
void engine_stop(struct engine *f);
/* After on_stopped only, or before engine_start. The loop must turn once more
 * for the last handles to close. */
void engine_free(struct engine *f);

#endif
