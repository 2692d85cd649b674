/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher: the transaction loop (docs/engine.md section 6): results and consumed
 * offsets in one Kafka transaction, one batch at a time.
 *
 * Owns the transactional producer and the thread that drives it; its
 * decisions are the pure table of txn.h. Knows nothing of commands, windows
 * or claims: batches are sealed on the loop thread by flow, verdicts come
 * back to the loop.
 */
#ifndef ENVDRIVER_KAFKA_PUBLISHER_H
#define ENVDRIVER_KAFKA_PUBLISHER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/kafka/event.h"
#include "envdriver/kafka/txn.h"	/* enum publish_trouble */

struct config;
struct err;
struct group_meta;
struct publisher;

struct publish_item {
	const struct events *events;	/* borrowed until the verdict; NULL: offsets alone */
	int32_t partition;		/* of the command */
	int64_t offset;
	void *tag;			/* flow's */
	bool done;			/* verdict: the commit is certain */
};

struct batch {
	struct publish_item *items;
	size_t n_items;
	rd_kafka_topic_partition_list_t *offsets;	/* offset and metadata each */
	struct group_meta *group;	/* taken at the assign event, sealed with the batch */
	bool ahead;			/* flow's: log records ahead of their result, no offsets */
	void *owner;			/* flow's */
	/* With the verdict: only the committed offsets tell what is done, and
	 * another owner of the partition may have committed it. */
	bool in_doubt;
};

struct publisher_events {
	/* Exactly once a batch, on the loop. items[].done tell what is
	 * certain (all or none but after a reconciliation). */
	void (*on_verdict)(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
			   enum topic topic);
	/* May take a batch again, or no longer, and why (for /readyz). */
	void (*on_ready)(void *arg, bool ready, const char *why);
	/* exit_code 69, 70, 77 or 78, and the text. */
	void (*on_fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* Starts the thread; INIT begins at once. `topics[]` are full names by enum
 * topic, borrowed. */
struct publisher *publisher_new(uv_loop_t *loop, const struct config *config,
				const char *transactional_id, const char *const *topics,
				const struct publisher_events *ev, struct err *reterr);
bool publisher_idle(const struct publisher *p);
/* Only when idle. Takes nothing: flow keeps the batch until its verdict. */
void publisher_submit(struct publisher *p, struct batch *b);
/* Ends the thread after the batch in flight has a verdict, at most
 * `timeout_ms`; then `on_closed`. */
void publisher_close(struct publisher *p, int64_t timeout_ms, void (*on_closed)(void *arg),
		     void *arg);
void publisher_free(struct publisher *p);

#endif
