/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publisher_thread: the publisher's thread: does what txn.h decides, state by
 * state (docs/engine.md section 6, transactions).
 *
 * Owns the transactional producer and the batch while it is at work. Knows
 * nothing of the loop: batches come from a queue and verdicts go back by it.
 */
#ifndef ENVDRIVER_KAFKA_PUBLISHER_THREAD_H
#define ENVDRIVER_KAFKA_PUBLISHER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/kafka/publisher.h"
#include "publisher_producer.h"
#include "publisher_reconcile.h"

/* The queue between the loop and the thread. All called on the thread. */
struct publisher_queue {
	/* The next batch; NULL after `ms`, or at once when the end is wanted. */
	struct batch *(*next)(void *arg, int64_t ms);
	/* Waits `ms`, less when the end is wanted. */
	void (*pause)(void *arg, int64_t ms);
	/* The thread must end now: the end is wanted and, with a batch at
	 * work, its time is up. */
	bool (*is_over)(void *arg, bool at_work);
	void (*verdict)(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
			enum topic topic);
	void (*ready)(void *arg, bool ready, const char *why);
	void (*fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* An item that was refused while it was alone in its batch. */
struct publisher_suspect {
	int32_t partition;
	int64_t offset;
	int times;
};

struct publisher_thread {
	struct publisher_queue queue;
	int64_t timeout_ms;		/* of a transaction */
	struct publisher_producer producer;
	struct publisher_reconcile reconcile;

	enum txn_state state;
	bool started;			/* an init_transactions has succeeded */
	bool ready;
	bool dead;			/* told to exit: nothing is called any more */
	enum txn_call call;		/* the one at hand */
	unsigned tries;			/* of it, for the back-off */
	unsigned recreated;		/* producers lost without a commit in between */
	const char *why_recreated;	/* the last of them; NULL: none was */
	int64_t fenced_ms;		/* when the last true fence was; -1 never */

	struct batch *batch;		/* at work; NULL without one */
	bool doubt;			/* its commit may have happened */
	bool repeated;			/* the commit was asked for before */
	int64_t begun_ms;		/* CLOCK_BOOTTIME */
	enum publish_trouble trouble;	/* to report after the abort */
	struct publisher_suspect suspect;
};

/* Opens the first producer, so that a wrong configuration shows at once. All
 * but the queue is borrowed until the release. */
int publisher_thread_init(struct publisher_thread *t, const struct publisher_queue *queue,
			  const struct config *config, const char *transactional_id,
			  const char *const *topics, struct err *reterr);
/* The thread: returns when the queue says so. A batch at work then gets its
 * verdict (PUBLISH_AGAIN, nothing done) first. */
void publisher_thread_run(struct publisher_thread *t);
/* Closes the clients on threads of their own. */
void publisher_thread_release(struct publisher_thread *t);

#endif
