/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher_reconcile: finds out what of a batch in doubt is committed: the
 * group's committed offsets tell (docs/engine.md section 6, RECONCILE).
 *
 * Owns a client that reads them, opened at the first use: it is seldom
 * needed, and would cost threads and memory.
 */
#ifndef ENVDRIVER_KAFKA_PUBLISHER_RECONCILE_H
#define ENVDRIVER_KAFKA_PUBLISHER_RECONCILE_H

#include <stdbool.h>

struct batch;
struct config;
struct offsets;
struct offsets_watch;

struct publisher_reconcile {
	const struct config *config;	/* borrowed */
	struct offsets *offsets;	/* NULL: not needed so far */
};

void publisher_reconcile_release(struct publisher_reconcile *r);

/* Marks the items of `b` that are done, by the committed offsets of the
 * partitions in its list. Blocks until they are definite; false when it was
 * stopped, or memory ran out: then nothing is marked. */
bool publisher_reconcile_mark(struct publisher_reconcile *r, struct batch *b,
			      const struct offsets_watch *watch);

#endif
