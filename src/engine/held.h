/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held: partitions that are ours and are not read: Redis is away while they
 * are assigned, or their offset was rewound (docs/engine.md sections 7 and 9).
 */
#ifndef ENVDRIVER_ENGINE_HELD_H
#define ENVDRIVER_ENGINE_HELD_H

struct engine;

/* Held partitions: may they be read by now? */
void held_look(struct engine *eng);
void held_tick(struct engine *eng);

#endif
