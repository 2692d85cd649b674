/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stall: notices that the loop stood still for so long that others may have
 * judged this process dead, and has the own instance record read before
 * anything is claimed or called (docs/engine.md section 3, CLAIMING).
 *
 * Owns when the loop last went to wait. Knows nothing of why it stood still.
 */
#ifndef ENVDRIVER_ENGINE_STALL_H
#define ENVDRIVER_ENGINE_STALL_H

#include <stdbool.h>

struct engine;
struct entry;

bool stall_new(struct engine *eng);
/* Accepts that stall_new failed or was not called. */
void stall_free(struct engine *eng);

/* The turn is over, the loop goes to wait. */
void stall_waiting(struct engine *eng);
/* Nothing may be claimed: the record is being read, or the loop stood still
 * just now, which has it read. */
bool stall_in_doubt(struct engine *eng);
/* DO_VERIFY_AND_CLAIM: NEW was answered before the stall; claimed anew once
 * the record is known to be ours. */
void stall_verify(struct engine *eng, struct entry *e);
/* Reads the record again when it could not be read. */
void stall_tick(struct engine *eng);

#endif
