/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher_impl: the publisher's thread: does what txn.h decides, state by
 * state (docs/engine.md section 6).
 *
 * Owns the transactional producer and the batch while it is at work. Knows
 * nothing of the loop: it asks for batches and tells verdicts through
 * `struct publisher_desk`, which publisher.c implements.
 */
#ifndef ENVDRIVER_KAFKA_PUBLISHER_IMPL_H
#define ENVDRIVER_KAFKA_PUBLISHER_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/kafka/publisher.h"

struct offsets;

/* All called on the thread. */
struct publisher_desk {
	/* The next batch; NULL after `ms`, or at once when the end is wanted. */
	struct batch *(*next)(void *arg, int64_t ms);
	/* Waits `ms`, less when the end is wanted. */
	void (*pause)(void *arg, int64_t ms);
	/* The thread must end now: the end is wanted and, with a batch at
	 * work, its time is up. */
	bool (*over)(void *arg, bool at_work);
	void (*verdict)(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
			enum topic topic);
	void (*ready)(void *arg, bool ready, const char *why);
	void (*fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* What the delivery reports of one transaction said. */
struct delivery {
	rd_kafka_resp_err_t code;	/* the worst; NO_ERROR: none failed so far */
	size_t item;			/* of the first that failed with it */
	enum topic topic;
	bool several;			/* records of other items failed with it too */
};

struct publisher_run {
	const struct config *config;
	const char *id;			/* transactional id */
	const char *const *topics;
	struct publisher_desk desk;
	int64_t timeout_ms;		/* of a transaction */

	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt[TOPIC_COUNT];
	bool stale[TOPIC_COUNT];	/* was missing: its metadata is asked for again */
	struct offsets *offsets;

	enum txn_state state;
	bool started;			/* an init_transactions has succeeded */
	bool ready;
	bool lost;			/* a broker went away (publisher_batch_health) */
	bool dead;			/* told to exit: nothing is called any more */
	enum txn_call call;		/* the one at hand */
	int tries;			/* of it, for the back-off */
	int recreated;			/* producers lost without a commit in between */
	const char *why_anew;		/* the last of them; NULL: none was */
	int64_t fenced_ms;		/* when the last true fence was; -1 never */
	char last_error[256];		/* of the client, for texts */

	struct batch *batch;		/* at work; NULL without one */
	bool doubt;			/* its commit may have happened */
	bool repeated;			/* the commit was asked for before */
	int64_t begun_ms;		/* CLOCK_BOOTTIME */
	bool used[TOPIC_COUNT];		/* by its records */
	atomic_uint denied;		/* bits of topics that the broker kept out of it */
	struct delivery delivery;
	enum publish_trouble trouble;	/* to report after the abort */
	size_t item;
	enum topic topic;
	struct {			/* an item that was refused, alone */
		int32_t partition;
		int64_t offset;
		int times;
	} alone;
};

/* Opens the first producer, so that a wrong configuration shows at once. */
int publisher_run_init(struct publisher_run *r, struct err *reterr);
/* The thread: returns when desk.over says so. A batch at work then gets its
 * verdict (PUBLISH_AGAIN, nothing done) first. */
void publisher_run_loop(struct publisher_run *r);
/* Ends the handles on threads of their own. */
void publisher_run_release(struct publisher_run *r);

/* publisher_batch.c: the calls that carry a batch. Each answers for txn. */
/* A producer and its topics. */
int publisher_batch_open(struct publisher_run *r, struct err *reterr);
void publisher_batch_drop(struct publisher_run *r);
/* Fetches the metadata of all topics: a first record is not late. */
void publisher_batch_prewarm(struct publisher_run *r);
/* The same for topics that were found missing: they may be there by now. */
void publisher_batch_refresh(struct publisher_run *r);
/* One event of an item; TXN_CALL_PRODUCE. */
struct txn_answer publisher_batch_produce(struct publisher_run *r, const struct event *ev,
					  size_t item);
/* Waits for every delivery report; TXN_CALL_DELIVERY. */
struct txn_answer publisher_batch_flush(struct publisher_run *r);
/* Marks what is done of a batch in doubt; TXN_CALL_READ. */
struct txn_answer publisher_batch_reconcile(struct publisher_run *r);
/* Takes librdkafka's error apart and destroys it; NULL is OK. `last_error`
 * gets its text. */
struct txn_answer publisher_batch_answer(struct publisher_run *r, rd_kafka_error_t *take_error);
/* OK, or the fatal error that the producer is in, or _TRANSPORT: it must not
 * be asked to send offsets any more. From 2.10 on (seen with 2.16.0)
 * librdkafka drops a broker that an answer does not list, but keeps it as the
 * group's coordinator; send_offsets then waits for its connection, without
 * end and whatever its time-out is. Poll first: it is told by an event. */
struct txn_answer publisher_batch_health(struct publisher_run *r);

#endif
