/* SPDX-License-Identifier: Apache-2.0 */
/*
 * large_output: output that is too large for its result's transaction goes
 * ahead of it, a set of pieces at a time (docs/engine.md section 6, "Large
 * output").
 *
 * Owns nothing; the sets are the entry's. Knows nothing of offsets.
 */
#ifndef ENVDRIVER_ENGINE_LARGE_OUTPUT_H
#define ENVDRIVER_ENGINE_LARGE_OUTPUT_H

#include <stdbool.h>

struct engine;
struct entry;

/* Submits the next set of pieces, when the publisher is idle. */
void large_output_turn(struct engine *eng);
/* `done`: the commit of its set is certain. */
void large_output_verdict(struct engine *eng, struct entry *e, bool done);
/* DO_HAND_ON: the answer to Redis, once what is too large for it is in Kafka. */
void large_output_hand_over(struct engine *eng, struct entry *e);

#endif
