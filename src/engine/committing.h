/* SPDX-License-Identifier: Apache-2.0 */
/*
 * committing: answers and offsets become a batch, and its verdict decides what
 * becomes of each (docs/engine.md section 6).
 *
 * Owns the batch in flight, when the next may be sealed, and which topics are
 * parked. Knows nothing of how the events were made.
 */
#ifndef ENVDRIVER_ENGINE_COMMITTING_H
#define ENVDRIVER_ENGINE_COMMITTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/kafka/publisher.h"
#include "envdriver/kafka/topic.h"

struct engine;
struct entry;

/* Open, because large_output submits batches of its own. */
struct committing {
	struct batch *batch;		/* in flight, or NULL */
	bool publisher_ready;
	bool need_assign;		/* no sealing until an assign event was served */
	bool pieces_went;		/* the last batch was of pieces: now others */
	int64_t retry_at;		/* no sealing before, mono ms */
	int failures;			/* of batches, in a row */
	int64_t sealed_at;		/* mono ms */
	size_t sealed_n;		/* records of the last batch */
	int64_t commit_took;		/* ms, of the last one with a verdict */
	int64_t parked_until[TOPIC_COUNT];
	int64_t park_said[TOPIC_COUNT];	/* when to say so again */
};

bool committing_new(struct engine *eng);
/* Accepts that committing_new failed or was not called. */
void committing_free(struct engine *eng);

/* Seals a batch when it is time for one. */
void committing_turn(struct engine *eng);
/* The last batch before partitions go; false when none could be sealed. */
bool committing_last(struct engine *eng);
/* Commands in windows that have no answer yet. */
size_t committing_unanswered(const struct engine *eng);
/* publisher's on_verdict; takes the batch. */
void committing_verdict(struct engine *eng, struct batch *b, enum publish_trouble trouble,
			size_t item, enum topic topic);

#endif
