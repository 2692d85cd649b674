/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn: what follows from each answer of librdkafka's transaction calls, as a
 * table (docs/engine.md section 6 (transactions), docs/reliability.md T1 to T11).
 *
 * Owns nothing. Pure: knows the codes of librdkafka, but calls nothing.
 *
 * Three rows are stricter than docs/engine.md section 6, because librdkafka can say
 * "requires abort" of a commit that the broker carried out (source of 2.0.2
 * and 2.15, rd_kafka_txn_handle_EndTxn: "the transaction will have failed
 * locally but the EndTxn(commit) may have succeeded"), and because a
 * transaction that outlived its time-out cannot be ended by its producer:
 * only _INCONSISTENT (no EndTxn was sent) aborts a commit, every other
 * error leaves the batch in doubt; and sending offsets or aborting stops
 * with a new producer once the time-out has passed.
 */
#ifndef ENVDRIVER_KAFKA_TXN_H
#define ENVDRIVER_KAFKA_TXN_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What went wrong with an aborted batch, for the engine to act on. */
enum publish_trouble {
	PUBLISH_FINE,
	PUBLISH_AGAIN,			/* nothing to repair: the same batch again, with back-off */
	PUBLISH_ITEM_TOO_LARGE,		/* `item` must be made smaller */
	PUBLISH_ITEM_REFUSED,		/* `item`: found to be the culprit, alone, three times */
	PUBLISH_TOPIC_PARKED,		/* `topic` is missing or not permitted: its entries wait */
	PUBLISH_GENERATION,		/* no sealing until an assign event was served */
	PUBLISH_METADATA_TOO_LARGE,	/* offset metadata: publish only from the lower edge */
	PUBLISH_GROUP_DENIED,		/* back-off, not ready */
	PUBLISH_INSTANCE_FENCED,	/* hand over, exit 69 */
};

enum txn_state {
	TXN_INIT,
	TXN_RECONCILE,
	TXN_IDLE,
	TXN_OPEN,
	TXN_OFFSETS,
	TXN_COMMIT,
	TXN_ABORT,
	TXN_RECREATE,
};

enum txn_call {
	TXN_CALL_INIT,		/* init_transactions */
	TXN_CALL_READ,		/* the committed offsets of a batch in doubt */
	TXN_CALL_BEGIN,
	TXN_CALL_PRODUCE,	/* producev */
	TXN_CALL_DELIVERY,	/* flush, and what the delivery reports said */
	TXN_CALL_OFFSETS,	/* send_offsets_to_transaction */
	TXN_CALL_COMMIT,
	TXN_CALL_ABORT,
	TXN_CALL_EVENT,		/* no call: the producer turned out to be dead */
	TXN_CALL_COUNT
};

/* librdkafka's three questions, kept as they are. */
struct txn_answer {
	rd_kafka_resp_err_t code;
	bool retriable, fatal, requires_abort;
};

struct txn_when {
	int64_t age_ms;		/* since begin; 0 without a transaction */
	int64_t timeout_ms;	/* the transaction time-out */
	bool starting;		/* no init_transactions has succeeded yet */
	bool repeated;		/* an earlier try of this commit ended without an answer */
};

enum txn_action {
	TXN_GO,			/* into the next state */
	TXN_REPEAT,		/* the same call again, after a back-off */
	TXN_FLUSH,		/* make room, then the same call again */
	TXN_GIVE_UP,		/* into ABORT, then report the trouble */
	TXN_GIVE_UP_SUSPECT,	/* the same; alone, the third time, the entry is the culprit */
	TXN_REPORT_DONE,	/* the commit is certain */
	TXN_REPORT_TROUBLE,	/* what was given up is aborted */
	TXN_DROP,		/* a new producer; the batch is certainly not committed */
	TXN_DROP_FENCED,	/* the same, and it counts as a true fence */
	TXN_DOUBT,		/* a new producer; the committed offsets will tell */
	TXN_DOUBT_FENCED,
	TXN_EXIT,		/* exit_code */
};

struct txn_step {
	enum txn_state next;
	enum txn_action action;
	enum publish_trouble trouble;	/* of GIVE_UP and DROP */
	int exit_code;
	const char *why;		/* for /readyz and the log; NULL when all is well */
	size_t row;			/* of the table */
};

/* Total: every answer has a step. `state` is where the machine stands
 * (the call says nearly everything; REPEAT stays in it). */
struct txn_step txn_decide(enum txn_state state, enum txn_call call,
			   const struct txn_answer *answer, const struct txn_when *when);

/* The number of rows, for the test that walks them. */
size_t txn_rows(void);

#endif
