/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: a command record comes in, its final event goes out, exactly once
 * (docs/engine.md). It joins the stages between the two.
 *
 * Owns every module below it, and the entries between the stages. Runs on the
 * loop thread only.
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
	/* The work cannot go on: exit with this code. At most once. */
	void (*on_exit)(void *arg, int exit_code, const char *text);
	/* Ready for the first time, but for plugins that do not run; they have had
	 * their time. May be NULL. */
	void (*on_open)(void *arg);
	/* Ready for the first time; may be NULL. */
	void (*on_ready)(void *arg);
	/* The shutdown that engine_stop began is through. */
	void (*on_stopped)(void *arg);
	void *arg;
};

/* `config` is borrowed until engine_free. NULL: *reterr says why. */
struct engine *engine_new(uv_loop_t *loop, const struct config *config,
			  const struct engine_events *ev, struct err *reterr);
/* Start-up in the order of docs/engine.md section 9; returns at once. */
void engine_start(struct engine *eng);
/* False: appends why it is not ready, one reason a line. `reasons` may be
 * NULL. */
bool engine_ready(const struct engine *eng, struct buf *reasons);
/* Appends how each plugin of this host is, a line each. */
void engine_plugins(const struct engine *eng, struct buf *out);
/* JSON object for /status. */
void engine_status(const struct engine *eng, struct buf *out);
/* Shutdown in the order of docs/engine.md section 8; returns at once. */
void engine_stop(struct engine *eng);
/* After on_stopped only, or before engine_start. Accepts NULL. The loop must
 * turn once more for its handles to close. */
void engine_free(struct engine *eng);

#endif
