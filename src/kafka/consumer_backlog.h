/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_backlog: records that were read and cannot be delivered yet.
 * librdkafka gives the records of all partitions in one queue, a whole fetch
 * of one partition after a whole fetch of the next. When a partition is full,
 * its records would hold up those behind them: they wait here, in their
 * order, until it has room.
 *
 * Owns the records that wait. Knows nothing of partitions: each has a queue
 * of its own, and says when it goes on.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_BACKLOG_H
#define ENVDRIVER_KAFKA_CONSUMER_BACKLOG_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct consumer_backlog_record;
/* The records of one partition. */
STAILQ_HEAD(consumer_backlog_queue, consumer_backlog_record);

struct consumer_backlog {
	struct consumer_backlog_queue spare;	/* memory for more records */
	size_t n_spare;
	size_t n, bytes;	/* of all queues */
	size_t limit;		/* of bytes */
};

void consumer_backlog_init(struct consumer_backlog *b, size_t limit);
/* Every queue must have been cleared. */
void consumer_backlog_release(struct consumer_backlog *b);

/* Makes sure of memory for one more record; false when there is none. */
bool consumer_backlog_reserve(struct consumer_backlog *b);
/* Its limit is reached. It grows beyond that only by records that librdkafka
 * still had of partitions that are paused. */
bool consumer_backlog_full(const struct consumer_backlog *b);
/* It was full, and is not far from it. */
bool consumer_backlog_heavy(const struct consumer_backlog *b);

/* Only after consumer_backlog_reserve. `now_ms` is uv_now's. */
void consumer_backlog_put(struct consumer_backlog *b, struct consumer_backlog_queue *q,
			  rd_kafka_message_t *take_m, uint64_t now_ms);
/* The first record, which is the caller's from then on; NULL when the queue
 * is empty. */
rd_kafka_message_t *consumer_backlog_take(struct consumer_backlog *b,
					  struct consumer_backlog_queue *q);
/* Destroys the records of a queue: its partition is closed, or read again. */
void consumer_backlog_clear(struct consumer_backlog *b, struct consumer_backlog_queue *q);
/* The first record has waited for seconds. A record keeps the whole fetch
 * alive that it came in, with records of other partitions: not for long. */
bool consumer_backlog_stale(const struct consumer_backlog_queue *q, uint64_t now_ms);

#endif
