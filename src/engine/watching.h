/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watching: while another worker holds the claim of a command, that worker is
 * watched: until its claim changes, it is dead, or its time is over
 * (docs/engine.md section 7, WAITING).
 *
 * Owns no state. Knows nothing of what happens then.
 */
#ifndef ENVDRIVER_ENGINE_WATCHING_H
#define ENVDRIVER_ENGINE_WATCHING_H

#include "envdriver/base/buf.h"

struct engine;
struct entry;

/* DO_WATCH: gives the slot back and looks every second. */
void watching_start(struct engine *eng, struct entry *e);
/* A message of the channel of hand-overs: the id of a command that was handed
 * over or answered, so look now; `arg` is the engine. */
void watching_handover(void *arg, struct span message);
void watching_tick(struct engine *eng);

#endif
