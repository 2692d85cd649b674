/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/txn.h"

#include "envdriver/base/exit.h"

/* What else an answer must be for a row to hold. */
enum cond {
	OK = 1 << 0,
	RETRIABLE = 1 << 1,
	FATAL = 1 << 2,
	WANTS_ABORT = 1 << 3,
	YOUNG = 1 << 4,		/* below half the time-out */
	OLD = 1 << 5,		/* at or past the time-out */
	STARTING = 1 << 6,
	REPEATED = 1 << 7,
};

enum { ANY = RD_KAFKA_RESP_ERR__BEGIN, SAME = -1 };

struct row {
	int call;		/* enum txn_call, or SAME: any */
	int code;		/* rd_kafka_resp_err_t, or ANY */
	unsigned conds;		/* all of them */
	int next;		/* enum txn_state, or SAME */
	enum txn_action action;
	enum publish_trouble trouble;
	int exit_code;
	const char *why;
};

#define E(code) RD_KAFKA_RESP_ERR_##code

static const char no_answer[] = "Kafka does not answer the transaction";
static const char fenced[] = "another producer took over the transactional id";
static const char dead[] = "the producer had a fatal error";
static const char lost[] = "a broker went away, and librdkafka may wait for it without end";
static const char bug[] = "a transaction call out of order";
static const char no_topic[] = "a result topic is missing";
static const char no_permit[] = "a result topic may not be written";
static const char id_denied[] =
	"not permitted to use it (ACL Write and Describe on it)";
static const char cluster_denied[] =
	"not permitted to write idempotently (ACL IdempotentWrite on the cluster)";
static const char stale[] = "the consumer group moved on";
static const char slow[] = "the transaction outlived its time-out";
static const char undelivered[] = "a record was not delivered";
static const char refused[] = "the broker refuses a record";
static const char large[] = "a record is larger than its topic takes";

/* The first row that holds counts: the most specific come first. */
static const struct row rows[] = {
	/* INIT */
	{ TXN_CALL_INIT, ANY, OK, TXN_RECONCILE, TXN_GO, 0, 0, NULL },
	{ TXN_CALL_INIT, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), STARTING, TXN_INIT, TXN_EXIT, 0,
	  EXIT_DENIED, id_denied },
	{ TXN_CALL_INIT, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0, id_denied },
	{ TXN_CALL_INIT, E(CLUSTER_AUTHORIZATION_FAILED), STARTING, TXN_INIT, TXN_EXIT, 0,
	  EXIT_DENIED, cluster_denied },
	{ TXN_CALL_INIT, E(CLUSTER_AUTHORIZATION_FAILED), 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0, cluster_denied },
	{ TXN_CALL_INIT, E(INVALID_TRANSACTION_TIMEOUT), 0, TXN_INIT, TXN_EXIT, 0, EXIT_CONFIG,
	  "transaction.timeout is longer than the broker's transaction.max.timeout.ms" },
	{ TXN_CALL_INIT, E(_UNSUPPORTED_FEATURE), 0, TXN_INIT, TXN_EXIT, 0, EXIT_CONFIG,
	  "the broker is too old for transactions" },
	{ TXN_CALL_INIT, E(_FENCED), 0, TXN_RECREATE, TXN_DROP_FENCED, PUBLISH_AGAIN, 0, fenced },
	{ TXN_CALL_INIT, E(PRODUCER_FENCED), 0, TXN_RECREATE, TXN_DROP_FENCED, PUBLISH_AGAIN, 0,
	  fenced },
	{ TXN_CALL_INIT, E(INVALID_PRODUCER_EPOCH), 0, TXN_RECREATE, TXN_DROP_FENCED,
	  PUBLISH_AGAIN, 0, fenced },
	{ TXN_CALL_INIT, ANY, FATAL, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, dead },
	{ TXN_CALL_INIT, ANY, RETRIABLE, SAME, TXN_REPEAT, 0, 0, no_answer },
	{ TXN_CALL_INIT, E(_TIMED_OUT), 0, SAME, TXN_REPEAT, 0, 0, no_answer },

	/* RECONCILE */
	{ TXN_CALL_READ, ANY, OK, TXN_IDLE, TXN_GO, 0, 0, NULL },
	{ TXN_CALL_READ, ANY, 0, SAME, TXN_REPEAT, 0, 0,
	  "the committed offsets cannot be read" },

	/* Fatal, in a transaction. A young one was ended by somebody else; an
	 * old one by its time-out. At COMMIT nobody knows. */
	{ TXN_CALL_COMMIT, E(_FENCED), FATAL | YOUNG, TXN_RECREATE, TXN_DOUBT_FENCED, 0, 0,
	  fenced },
	{ TXN_CALL_COMMIT, ANY, FATAL, TXN_RECREATE, TXN_DOUBT, 0, 0, dead },
	{ SAME, E(_FENCED), FATAL | YOUNG, TXN_RECREATE, TXN_DROP_FENCED, PUBLISH_AGAIN, 0,
	  fenced },
	{ SAME, ANY, FATAL, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, dead },

	/* IDLE */
	{ TXN_CALL_BEGIN, ANY, OK, TXN_OPEN, TXN_GO, 0, 0, NULL },

	/* OPEN */
	{ TXN_CALL_PRODUCE, ANY, OK, TXN_OPEN, TXN_GO, 0, 0, NULL },
	{ TXN_CALL_PRODUCE, E(_QUEUE_FULL), 0, SAME, TXN_FLUSH, 0, 0, NULL },
	{ TXN_CALL_PRODUCE, E(MSG_SIZE_TOO_LARGE), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_ITEM_TOO_LARGE, 0, large },
	{ TXN_CALL_PRODUCE, E(_UNKNOWN_TOPIC), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0,
	  no_topic },
	{ TXN_CALL_PRODUCE, E(_UNKNOWN_PARTITION), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED,
	  0, no_topic },
	{ TXN_CALL_PRODUCE, E(UNKNOWN_TOPIC_OR_PART), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_TOPIC_PARKED, 0, no_topic },
	{ TXN_CALL_PRODUCE, E(TOPIC_AUTHORIZATION_FAILED), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_TOPIC_PARKED, 0, no_permit },
	{ TXN_CALL_PRODUCE, E(_INVALID_ARG), 0, SAME, TXN_EXIT, 0, EXIT_BUG, bug },
	/* _STATE is no bug here: an earlier record of this transaction failed
	 * in the background, and librdkafka takes no more of them. */
	{ TXN_CALL_PRODUCE, ANY, 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0, undelivered },
	{ TXN_CALL_DELIVERY, ANY, OK, TXN_OFFSETS, TXN_GO, 0, 0, NULL },
	{ TXN_CALL_DELIVERY, E(MSG_SIZE_TOO_LARGE), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_ITEM_TOO_LARGE, 0, large },
	{ TXN_CALL_DELIVERY, E(INVALID_RECORD), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_ITEM_TOO_LARGE,
	  0, refused },
	{ TXN_CALL_DELIVERY, E(POLICY_VIOLATION), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_ITEM_TOO_LARGE, 0, refused },
	{ TXN_CALL_DELIVERY, E(TOPIC_AUTHORIZATION_FAILED), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_TOPIC_PARKED, 0, no_permit },
	{ TXN_CALL_DELIVERY, E(UNKNOWN_TOPIC_OR_PART), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_TOPIC_PARKED, 0, no_topic },
	{ TXN_CALL_DELIVERY, E(_UNKNOWN_TOPIC), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0,
	  no_topic },
	{ TXN_CALL_DELIVERY, E(_UNKNOWN_PARTITION), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_TOPIC_PARKED, 0, no_topic },
	{ TXN_CALL_DELIVERY, E(_MSG_TIMED_OUT), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0,
	  undelivered },
	{ TXN_CALL_DELIVERY, E(_PURGE_QUEUE), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0,
	  undelivered },
	{ TXN_CALL_DELIVERY, E(_PURGE_INFLIGHT), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0,
	  undelivered },
	{ TXN_CALL_DELIVERY, ANY, 0, TXN_ABORT, TXN_GIVE_UP_SUSPECT, PUBLISH_AGAIN, 0, refused },

	/* OFFSETS */
	{ TXN_CALL_OFFSETS, ANY, OK, TXN_COMMIT, TXN_GO, 0, 0, NULL },
	{ TXN_CALL_OFFSETS, E(ILLEGAL_GENERATION), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_GENERATION,
	  0, stale },
	{ TXN_CALL_OFFSETS, E(UNKNOWN_MEMBER_ID), 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_GENERATION, 0,
	  stale },
	{ TXN_CALL_OFFSETS, E(REBALANCE_IN_PROGRESS), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_GENERATION, 0, stale },
	{ TXN_CALL_OFFSETS, E(FENCED_INSTANCE_ID), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_INSTANCE_FENCED, 0, "another member has our group.instance.id" },
	{ TXN_CALL_OFFSETS, E(OFFSET_METADATA_TOO_LARGE), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_METADATA_TOO_LARGE, 0, "the broker's offset.metadata.max.bytes is low" },
	{ TXN_CALL_OFFSETS, E(GROUP_AUTHORIZATION_FAILED), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_GROUP_DENIED, 0, "not permitted to commit offsets (ACL Read on the group)" },
	{ TXN_CALL_OFFSETS, E(TOPIC_AUTHORIZATION_FAILED), 0, TXN_ABORT, TXN_GIVE_UP,
	  PUBLISH_GROUP_DENIED, 0, "not permitted to read the command topic (ACL Read on it)" },
	{ TXN_CALL_OFFSETS, ANY, WANTS_ABORT, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0, no_answer },
	{ TXN_CALL_OFFSETS, ANY, RETRIABLE | OLD, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, slow },
	{ TXN_CALL_OFFSETS, E(_TIMED_OUT), OLD, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, slow },
	{ TXN_CALL_OFFSETS, ANY, RETRIABLE, SAME, TXN_REPEAT, 0, 0, no_answer },
	{ TXN_CALL_OFFSETS, E(_TIMED_OUT), 0, SAME, TXN_REPEAT, 0, 0, no_answer },

	/* COMMIT. T1: a producer whose commit once timed out is not used again. */
	{ TXN_CALL_COMMIT, ANY, OK | REPEATED, TXN_RECREATE, TXN_REPORT_DONE, 0, 0, no_answer },
	{ TXN_CALL_COMMIT, ANY, OK, TXN_IDLE, TXN_REPORT_DONE, 0, 0, NULL },
	{ TXN_CALL_COMMIT, E(_INCONSISTENT), WANTS_ABORT, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0,
	  undelivered },
	{ TXN_CALL_COMMIT, ANY, WANTS_ABORT, TXN_RECREATE, TXN_DOUBT, 0, 0,
	  "the commit failed, and may have happened" },
	{ TXN_CALL_COMMIT, ANY, RETRIABLE | OLD, TXN_RECREATE, TXN_DOUBT, 0, 0, slow },
	{ TXN_CALL_COMMIT, E(_TIMED_OUT), OLD, TXN_RECREATE, TXN_DOUBT, 0, 0, slow },
	{ TXN_CALL_COMMIT, ANY, RETRIABLE, SAME, TXN_REPEAT, 0, 0, no_answer },
	{ TXN_CALL_COMMIT, E(_TIMED_OUT), 0, SAME, TXN_REPEAT, 0, 0, no_answer },

	/* ABORT */
	{ TXN_CALL_ABORT, ANY, OK, TXN_IDLE, TXN_REPORT_TROUBLE, 0, 0, NULL },
	{ TXN_CALL_ABORT, ANY, RETRIABLE | OLD, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, slow },
	{ TXN_CALL_ABORT, E(_TIMED_OUT), OLD, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, slow },
	{ TXN_CALL_ABORT, ANY, RETRIABLE, SAME, TXN_REPEAT, 0, 0, no_answer },
	{ TXN_CALL_ABORT, E(_TIMED_OUT), 0, SAME, TXN_REPEAT, 0, 0, no_answer },

	/* Of librdkafka from 2.10 on, before offsets are sent. */
	{ TXN_CALL_EVENT, E(_TRANSPORT), 0, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, lost },

	/* Any call. */
	{ SAME, E(_STATE), 0, SAME, TXN_EXIT, 0, EXIT_BUG, bug },
	{ SAME, E(_INVALID_ARG), 0, SAME, TXN_EXIT, 0, EXIT_BUG, bug },
	{ TXN_CALL_COMMIT, ANY, 0, TXN_RECREATE, TXN_DOUBT, 0, 0,
	  "the commit failed, and may have happened" },
	{ TXN_CALL_OFFSETS, ANY, 0, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0,
	  "offsets could not be added to the transaction" },
	{ SAME, ANY, 0, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0, dead },
};

static const size_t n_rows = sizeof(rows) / sizeof(*rows);

static unsigned
conds_of(const struct txn_answer *a, const struct txn_when *w)
{
	unsigned conds = 0;

	conds |= a->code == RD_KAFKA_RESP_ERR_NO_ERROR && !a->fatal ? OK : 0;
	conds |= a->retriable ? RETRIABLE : 0;
	conds |= a->fatal ? FATAL : 0;
	conds |= a->requires_abort ? WANTS_ABORT : 0;
	conds |= w->age_ms < w->timeout_ms / 2 ? YOUNG : 0;
	conds |= w->age_ms >= w->timeout_ms ? OLD : 0;
	conds |= w->starting ? STARTING : 0;
	conds |= w->repeated ? REPEATED : 0;
	return conds;
}

static bool
holds(const struct row *r, enum txn_call call, int code, unsigned conds)
{
	return (r->call == SAME || r->call == (int)call) && (r->code == ANY || r->code == code) &&
	       (r->conds & ~conds) == 0;
}

struct txn_step
txn_decide(enum txn_state state, enum txn_call call, const struct txn_answer *answer,
	   const struct txn_when *when)
{
	unsigned conds = conds_of(answer, when);
	size_t i = 0;

	while (!holds(&rows[i], call, answer->code, conds))
		i++;	/* the last row holds always */
	return (struct txn_step){
		.next = rows[i].next == SAME ? state : (enum txn_state)rows[i].next,
		.action = rows[i].action,
		.trouble = rows[i].trouble,
		.exit_code = rows[i].exit_code,
		.why = rows[i].why,
		.row = i,
	};
}

size_t
txn_rows(void)
{
	return n_rows;
}
