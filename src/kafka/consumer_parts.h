/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_parts: the partitions of the command topic, as we and as
 * librdkafka see them: which are assigned, which are read, which are paused.
 *
 * Owns what is known of each partition, and its records that wait. Knows
 * nothing of the owner of the consumer or of the order of rebalance events.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_PARTS_H
#define ENVDRIVER_KAFKA_CONSUMER_PARTS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumer_backlog.h"

struct consumer_part {
	int32_t number;
	bool assigned;		/* librdkafka has it in its assignment */
	bool told;		/* our owner knows it from on_assign */
	bool open;		/* its records are delivered */
	bool held;		/* assigned, but not read */
	bool full;		/* our owner takes none of its records for now */
	bool stopped;		/* paused for the others' sake, until its backlog is empty */
	bool paused;		/* librdkafka's view, which survives an assignment (F6) */
	bool gap;		/* the log does not have `next`: being looked at */
	bool gap_again;		/* the look failed, or came before what is in the backlog */
	int64_t next;		/* offset of the next record */
	struct consumer_backlog_queue backlog;	/* read, and not delivered: it is full */
};

struct consumer_parts {
	/* Borrowed: set when the client is opened, NULL again when it closes. */
	rd_kafka_t *rk;
	rd_kafka_queue_t *records;	/* of all our partitions */
	const char *topic;		/* borrowed */
	bool cooperative;		/* the assignor is incremental */

	struct consumer_part **at;	/* by number; none is NULL */
	size_t n;
	bool any_full;			/* a partition is full and not paused (yet) */
	struct consumer_backlog backlog;
};

void consumer_parts_init(struct consumer_parts *ps, const char *topic, bool cooperative,
			 size_t backlog_limit);
/* The client closes: destroys the records that wait, and lets go of it. */
void consumer_parts_stop(struct consumer_parts *ps);
void consumer_parts_release(struct consumer_parts *ps);

/* NULL for numbers that are not a partition of ours. */
struct consumer_part *consumer_parts_find(struct consumer_parts *ps, int32_t number);
/* Makes room for it; false when out of memory or the number is absurd. */
bool consumer_parts_make(struct consumer_parts *ps, int32_t number);

/* Another record may be read: should it be of a full partition, the backlog
 * takes it. */
bool consumer_parts_room(struct consumer_parts *ps);
/* Brings librdkafka's pauses in line with ours. */
void consumer_parts_align_pauses(struct consumer_parts *ps);

/* All in the list must have been made. */
void consumer_parts_assign(struct consumer_parts *ps, const rd_kafka_topic_partition_list_t *list);
/* librdkafka's assignment alone; ours is reset by consumer_parts_reset. With
 * an eager assignor it gives up all partitions. */
void consumer_parts_unassign(struct consumer_parts *ps,
			     const rd_kafka_topic_partition_list_t *list);
/* What is known of partitions that are gone; with an eager assignor, of all. */
void consumer_parts_reset(struct consumer_parts *ps, const rd_kafka_topic_partition_list_t *list);
/* Reads a partition again from its `next` on, after librdkafka stopped. */
void consumer_parts_restart(struct consumer_parts *ps, int32_t number);

/*
 * Makes the records of what is assigned go into `records` again; to be called
 * once a second. Where an assignment is replaced by another, librdkafka stops
 * the partition later, on its own thread, which takes the redirection away
 * and does not set the group's queue in its place (source of 2.0.2 and 2.15:
 * rd_kafka_toppar_fetch_stop, rd_kafka_toppar_op_fetch_start): nothing would
 * come any more. What waits in the queue goes along.
 */
void consumer_parts_redirect(struct consumer_parts *ps);

#endif
