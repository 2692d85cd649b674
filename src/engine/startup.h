/* SPDX-License-Identifier: Apache-2.0 */
/*
 * startup: makes the modules below the engine, wires their callbacks to the
 * stages, and brings the engine from STAGE_REDIS to STAGE_RUNNING
 * (docs/engine.md section 9).
 *
 * Owns what was learnt of the cluster. Knows nothing of commands.
 */
#ifndef ENVDRIVER_ENGINE_STARTUP_H
#define ENVDRIVER_ENGINE_STARTUP_H

struct buf;
struct engine;
struct err;

/* Everything that exists from the beginning; the producer and the consumer
 * follow when their turn comes. Negative: *reterr says why. */
int startup_new(struct engine *eng, struct err *reterr);
/* All modules, also half of them. */
void startup_free(struct engine *eng);

/* The next step, once the one before is through. */
void startup_turn(struct engine *eng);
void startup_tick(struct engine *eng);
/* Appends what it waits for, a line each. */
void startup_why(const struct engine *eng, struct buf *out);

#endif
