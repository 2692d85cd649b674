/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher: publishes results and consumed offsets in one Kafka transaction,
 * one batch at a time (docs/engine.md section 6, transactions).
 *
 * Owns the transactional producer and the thread that drives it; its
 * decisions are the pure table of txn.h. Knows nothing of commands, windows
 * or claims: the engine seals batches on the loop's thread, and the verdicts
 * come back to the loop.
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
	void *tag;			/* the engine's */
	bool done;			/* verdict: the commit is certain */
};

struct batch {
	struct publish_item *items;
	size_t n_items;
	rd_kafka_topic_partition_list_t *offsets;	/* offset and metadata each */
	struct group_meta *group;	/* taken at the assign event, sealed with the batch */
	bool ahead;			/* the engine's: log records ahead of their result, no
					 * offsets */
	void *owner;			/* the engine's */
	/* With the verdict: only the committed offsets tell what is done, and
	 * another owner of the partition may have committed it. */
	bool in_doubt;
};

/* All called on the loop. */
struct publisher_events {
	/* Exactly once per batch. items[].done tell what is certain: all or
	 * none, except after a reconciliation. */
	void (*on_verdict)(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
			   enum topic topic);
	/* It may take a batch, or not, and why (for /readyz). */
	void (*on_ready)(void *arg, bool ready, const char *why);
	/* The process must end with that exit code (69, 70, 77 or 78). */
	void (*on_fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* Starts the thread; INIT begins at once. `topics[]` are full names by enum
 * topic, borrowed. */
struct publisher *publisher_new(uv_loop_t *loop, const struct config *config,
				const char *transactional_id, const char *const *topics,
				const struct publisher_events *ev, struct err *reterr);
/* It takes a batch now. */
bool publisher_idle(const struct publisher *p);
/* Only when idle. The batch is borrowed until its verdict. */
void publisher_submit(struct publisher *p, struct batch *b);
/* Ends the thread after the batch in flight has a verdict, at most
 * `timeout_ms`; then `on_closed`. */
void publisher_close(struct publisher *p, int64_t timeout_ms, void (*on_closed)(void *arg),
		     void *arg);
/* Accepts NULL. Without a publisher_close before, it waits for the thread. */
void publisher_free(struct publisher *p);

#endif
