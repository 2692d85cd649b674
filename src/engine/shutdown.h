/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shutdown: from STAGE_RUNNING to the end, in the order of docs/engine.md
 * section 8.
 *
 * Owns the deadlines of its stages and why the engine ends.
 */
#ifndef ENVDRIVER_ENGINE_SHUTDOWN_H
#define ENVDRIVER_ENGINE_SHUTDOWN_H

#include <stdbool.h>

struct engine;

bool shutdown_new(struct engine *eng);
/* Accepts that shutdown_new failed or was not called. */
void shutdown_free(struct engine *eng);

/* An end that was asked for: calls may end within drain.timeout. */
void shutdown_start(struct engine *eng);
/* The work cannot go on under our name, but what was answered can be handed
 * over: the shutdown without its drain, then on_exit. */
void shutdown_leave(struct engine *eng, int exit_code, const char *text);
/* What comes next, once nothing is owed in this stage, or its time is up. */
void shutdown_turn(struct engine *eng);

#endif
