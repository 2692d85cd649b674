/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sealing: a batch is made of READY entries, and of the offsets to commit with
 * them (docs/engine.md section 6, "Sealing").
 *
 * Owns nothing. Knows nothing of when a batch is due or what becomes of it.
 */
#ifndef ENVDRIVER_ENGINE_SEALING_H
#define ENVDRIVER_ENGINE_SEALING_H

#include <stddef.h>

struct batch;
struct engine;

/* At most `max` entries, which stay in the list of READY ones. Its offsets are
 * empty when there is nothing to commit. NULL when out of memory. */
struct batch *sealing_new(struct engine *eng, size_t max);
/* Accepts NULL. */
void sealing_free(struct batch *b);

#endif
