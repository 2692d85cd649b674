/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher_producer: the transactional producer: the calls of a transaction,
 * each with its answer for txn.h.
 *
 * Owns the client of librdkafka, its topics, and what the delivery reports of
 * one transaction said. Knows nothing of batches or of what follows from an
 * answer.
 */
#ifndef ENVDRIVER_KAFKA_PUBLISHER_PRODUCER_H
#define ENVDRIVER_KAFKA_PUBLISHER_PRODUCER_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "envdriver/kafka/event.h"
#include "envdriver/kafka/txn.h"

struct config;
struct err;
struct group_meta;

/* What the delivery reports of one transaction said. */
struct publisher_delivery {
	rd_kafka_resp_err_t code;	/* the worst; NO_ERROR: none failed so far */
	size_t item;			/* of the first that failed with it */
	enum topic topic;
	bool several;			/* records of other items failed with it too */
};

struct publisher_producer {
	const struct config *config;	/* these are borrowed */
	const char *id;			/* transactional id */
	const char *const *topics;	/* by enum topic */

	rd_kafka_t *rk;			/* NULL: not open */
	rd_kafka_topic_t *rkt[TOPIC_COUNT];
	bool stale[TOPIC_COUNT];	/* was missing: its metadata is asked for again */
	bool lost;			/* a broker went away (publisher_producer_health) */
	char last_error[256];		/* of the client, for texts */

	/* Of the transaction. */
	bool used[TOPIC_COUNT];		/* by its records */
	atomic_uint denied;		/* bits of topics that the broker kept out of it */
	struct publisher_delivery delivery;
	size_t item;			/* what the last answer is about */
	enum topic topic;		/* the same; TOPIC_COUNT: no topic */
};

/* A client with its topics. Does not wait for a broker. */
int publisher_producer_open(struct publisher_producer *p, struct err *reterr);
/* Closes it on a thread of its own, at once. It may be opened again. */
void publisher_producer_close(struct publisher_producer *p);

/* All below block, for seconds at most. */

/* TXN_CALL_INIT, and then the metadata of all topics, so that a first record
 * is not late. `tries`: how often it failed so far. */
struct txn_answer publisher_producer_init(struct publisher_producer *p, unsigned tries);

/* Another transaction: what was said of the last one is over. Looks whether
 * topics that were missing are there by now. */
void publisher_producer_reset(struct publisher_producer *p);
struct txn_answer publisher_producer_begin(struct publisher_producer *p);
/* Queues a copy of one event of an item; for TXN_CALL_PRODUCE. */
struct txn_answer publisher_producer_produce(struct publisher_producer *p, const struct event *ev,
					     size_t item);
/* Waits a moment for the queue to become shorter. */
void publisher_producer_make_room(struct publisher_producer *p);
/* Waits for every delivery report, or until `is_over` says so; for
 * TXN_CALL_DELIVERY. */
struct txn_answer publisher_producer_flush(struct publisher_producer *p,
					   bool (*is_over)(void *arg), void *arg);

/* Offsets that are to be committed with the records, sealed with the metadata
 * of a group; at most `timeout_ms`. */
struct txn_answer publisher_producer_offsets(struct publisher_producer *p,
					     const rd_kafka_topic_partition_list_t *offsets,
					     const struct group_meta *group, int timeout_ms);
struct txn_answer publisher_producer_commit(struct publisher_producer *p);
struct txn_answer publisher_producer_abort(struct publisher_producer *p);

/*
 * Serves the client's events. OK, or the fatal error that the producer is in,
 * or _TRANSPORT: it must not be asked to send offsets any more. From 2.10 on
 * librdkafka drops a broker that an answer does not list, but keeps it as the
 * group's coordinator; send_offsets then waits for its connection without end,
 * whatever its time-out is (librdkafka #5511 and #5456, open with 2.16.0).
 */
struct txn_answer publisher_producer_health(struct publisher_producer *p);

#endif
