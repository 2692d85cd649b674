/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/kafka/txn.h"

enum { TIMEOUT = 10000, NEW = 10, HALF = 5000, LATE = 10000 };
enum { R = 1, F = 2, A = 4, START = 8, REPEATED = 16 };

#define E(code) RD_KAFKA_RESP_ERR_##code

/* docs/engine.md section 6, row by row; `age` of the transaction in ms. */
static const struct row {
	const char *name;
	enum txn_state state;
	enum txn_call call;
	rd_kafka_resp_err_t code;
	unsigned flags;
	int64_t age;
	enum txn_state next;
	enum txn_action action;
	enum publish_trouble trouble;
	int exit_code;
} rows[] = {
	{ "init ok", TXN_INIT, TXN_CALL_INIT, E(NO_ERROR), START, 0, TXN_RECONCILE, TXN_GO, 0, 0 },
	{ "init: id denied at start", TXN_INIT, TXN_CALL_INIT,
	  E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), F | START, 0, TXN_INIT, TXN_EXIT, 0, 77 },
	{ "init: id denied later", TXN_INIT, TXN_CALL_INIT,
	  E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), F, 0, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN,
	  0 },
	{ "init: cluster denied at start", TXN_INIT, TXN_CALL_INIT,
	  E(CLUSTER_AUTHORIZATION_FAILED), F | START, 0, TXN_INIT, TXN_EXIT, 0, 77 },
	{ "init: cluster denied later", TXN_INIT, TXN_CALL_INIT, E(CLUSTER_AUTHORIZATION_FAILED), F,
	  0, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "init: time-out refused", TXN_INIT, TXN_CALL_INIT, E(INVALID_TRANSACTION_TIMEOUT), F, 0,
	  TXN_INIT, TXN_EXIT, 0, 78 },
	{ "init: old broker", TXN_INIT, TXN_CALL_INIT, E(_UNSUPPORTED_FEATURE), F | START, 0,
	  TXN_INIT, TXN_EXIT, 0, 78 },
	{ "init: fenced", TXN_INIT, TXN_CALL_INIT, E(_FENCED), F, 0, TXN_RECREATE, TXN_DROP_FENCED,
	  PUBLISH_AGAIN, 0 },
	{ "init: producer fenced", TXN_INIT, TXN_CALL_INIT, E(PRODUCER_FENCED), F, 0, TXN_RECREATE,
	  TXN_DROP_FENCED, PUBLISH_AGAIN, 0 },
	{ "init: producer epoch", TXN_INIT, TXN_CALL_INIT, E(INVALID_PRODUCER_EPOCH), F, 0,
	  TXN_RECREATE, TXN_DROP_FENCED, PUBLISH_AGAIN, 0 },
	{ "init: other fatal", TXN_INIT, TXN_CALL_INIT, E(_FATAL), F, 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },
	{ "init: retriable", TXN_INIT, TXN_CALL_INIT, E(COORDINATOR_NOT_AVAILABLE), R, 0, TXN_INIT,
	  TXN_REPEAT, 0, 0 },
	{ "init: time-out", TXN_INIT, TXN_CALL_INIT, E(_TIMED_OUT), 0, 0, TXN_INIT, TXN_REPEAT, 0,
	  0 },
	{ "init: any other", TXN_INIT, TXN_CALL_INIT, E(UNKNOWN), 0, 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },

	{ "offsets read", TXN_RECONCILE, TXN_CALL_READ, E(NO_ERROR), 0, 0, TXN_IDLE, TXN_GO, 0, 0 },
	{ "offsets not read", TXN_RECONCILE, TXN_CALL_READ, E(_TIMED_OUT), 0, 0, TXN_RECONCILE,
	  TXN_REPEAT, 0, 0 },

	{ "begin ok", TXN_IDLE, TXN_CALL_BEGIN, E(NO_ERROR), 0, 0, TXN_OPEN, TXN_GO, 0, 0 },
	{ "begin: fatal", TXN_IDLE, TXN_CALL_BEGIN, E(_FATAL), F, 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },
	{ "begin out of order", TXN_IDLE, TXN_CALL_BEGIN, E(_STATE), 0, 0, TXN_IDLE, TXN_EXIT, 0,
	  70 },

	{ "produced", TXN_OPEN, TXN_CALL_PRODUCE, E(NO_ERROR), 0, NEW, TXN_OPEN, TXN_GO, 0, 0 },
	{ "produce: queue full", TXN_OPEN, TXN_CALL_PRODUCE, E(_QUEUE_FULL), 0, NEW, TXN_OPEN,
	  TXN_FLUSH, 0, 0 },
	{ "produce: too large (T7)", TXN_OPEN, TXN_CALL_PRODUCE, E(MSG_SIZE_TOO_LARGE), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_ITEM_TOO_LARGE, 0 },
	{ "produce: unknown topic", TXN_OPEN, TXN_CALL_PRODUCE, E(_UNKNOWN_TOPIC), 0, NEW,
	  TXN_ABORT,
	  TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "produce: unknown partition", TXN_OPEN, TXN_CALL_PRODUCE, E(_UNKNOWN_PARTITION), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "produce: broker's unknown topic", TXN_OPEN, TXN_CALL_PRODUCE, E(UNKNOWN_TOPIC_OR_PART),
	  0,
	  NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "produce: topic denied", TXN_OPEN, TXN_CALL_PRODUCE, E(TOPIC_AUTHORIZATION_FAILED), 0,
	  NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "produce: failed in the background", TXN_OPEN, TXN_CALL_PRODUCE, E(_STATE), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "produce: wrong argument", TXN_OPEN, TXN_CALL_PRODUCE, E(_INVALID_ARG), 0, NEW, TXN_OPEN,
	  TXN_EXIT, 0, 70 },
	{ "produce: fenced while young", TXN_OPEN, TXN_CALL_PRODUCE, E(_FENCED), F, NEW,
	  TXN_RECREATE, TXN_DROP_FENCED, PUBLISH_AGAIN, 0 },
	{ "produce: fenced at half the time-out", TXN_OPEN, TXN_CALL_PRODUCE, E(_FENCED), F, HALF,
	  TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },

	{ "delivered", TXN_OPEN, TXN_CALL_DELIVERY, E(NO_ERROR), 0, NEW, TXN_OFFSETS, TXN_GO, 0,
	  0 },
	{ "delivery: too large", TXN_OPEN, TXN_CALL_DELIVERY, E(MSG_SIZE_TOO_LARGE), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_ITEM_TOO_LARGE, 0 },
	{ "delivery: invalid record", TXN_OPEN, TXN_CALL_DELIVERY, E(INVALID_RECORD), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_ITEM_TOO_LARGE, 0 },
	{ "delivery: policy", TXN_OPEN, TXN_CALL_DELIVERY, E(POLICY_VIOLATION), 0, NEW, TXN_ABORT,
	  TXN_GIVE_UP, PUBLISH_ITEM_TOO_LARGE, 0 },
	{ "delivery: topic denied", TXN_OPEN, TXN_CALL_DELIVERY, E(TOPIC_AUTHORIZATION_FAILED), 0,
	  NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "delivery: topic gone (T8)", TXN_OPEN, TXN_CALL_DELIVERY, E(UNKNOWN_TOPIC_OR_PART), 0,
	  NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "delivery: unknown topic", TXN_OPEN, TXN_CALL_DELIVERY, E(_UNKNOWN_TOPIC), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "delivery: unknown partition", TXN_OPEN, TXN_CALL_DELIVERY, E(_UNKNOWN_PARTITION), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_TOPIC_PARKED, 0 },
	{ "delivery: timed out", TXN_OPEN, TXN_CALL_DELIVERY, E(_MSG_TIMED_OUT), 0, LATE, TXN_ABORT,
	  TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "delivery: purged in the queue", TXN_OPEN, TXN_CALL_DELIVERY, E(_PURGE_QUEUE), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "delivery: purged in flight", TXN_OPEN, TXN_CALL_DELIVERY, E(_PURGE_INFLIGHT), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "delivery: any other", TXN_OPEN, TXN_CALL_DELIVERY, E(INVALID_TIMESTAMP), 0, NEW,
	  TXN_ABORT, TXN_GIVE_UP_SUSPECT, PUBLISH_AGAIN, 0 },
	{ "delivery: fatal", TXN_OPEN, TXN_CALL_DELIVERY, E(_FATAL), F, NEW, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },

	{ "offsets sent", TXN_OFFSETS, TXN_CALL_OFFSETS, E(NO_ERROR), 0, NEW, TXN_COMMIT, TXN_GO, 0,
	  0 },
	{ "offsets: generation (T4)", TXN_OFFSETS, TXN_CALL_OFFSETS, E(ILLEGAL_GENERATION), A, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_GENERATION, 0 },
	{ "offsets: member (T4, T5)", TXN_OFFSETS, TXN_CALL_OFFSETS, E(UNKNOWN_MEMBER_ID), A, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_GENERATION, 0 },
	{ "offsets: rebalance", TXN_OFFSETS, TXN_CALL_OFFSETS, E(REBALANCE_IN_PROGRESS), A, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_GENERATION, 0 },
	{ "offsets: instance fenced", TXN_OFFSETS, TXN_CALL_OFFSETS, E(FENCED_INSTANCE_ID), A, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_INSTANCE_FENCED, 0 },
	{ "offsets: metadata too large (F4)", TXN_OFFSETS, TXN_CALL_OFFSETS,
	  E(OFFSET_METADATA_TOO_LARGE), A, NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_METADATA_TOO_LARGE,
	  0 },
	{ "offsets: group denied", TXN_OFFSETS, TXN_CALL_OFFSETS, E(GROUP_AUTHORIZATION_FAILED), A,
	  NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_GROUP_DENIED, 0 },
	{ "offsets: topic denied", TXN_OFFSETS, TXN_CALL_OFFSETS, E(TOPIC_AUTHORIZATION_FAILED), A,
	  NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_GROUP_DENIED, 0 },
	{ "offsets: time-out that asks for an abort", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_TIMED_OUT),
	  A,
	  NEW, TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "offsets: retriable", TXN_OFFSETS, TXN_CALL_OFFSETS, E(COORDINATOR_LOAD_IN_PROGRESS), R,
	  NEW, TXN_OFFSETS, TXN_REPEAT, 0, 0 },
	{ "offsets: time-out", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_TIMED_OUT), 0, NEW, TXN_OFFSETS,
	  TXN_REPEAT, 0, 0 },
	{ "offsets: retriable, too old", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_TRANSPORT), R, LATE,
	  TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "offsets: time-out, too old", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_TIMED_OUT), 0, LATE,
	  TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "offsets: fenced (T3)", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_FENCED), F, NEW, TXN_RECREATE,
	  TXN_DROP_FENCED, PUBLISH_AGAIN, 0 },
	{ "offsets: any other", TXN_OFFSETS, TXN_CALL_OFFSETS, E(INVALID_COMMIT_OFFSET_SIZE), 0,
	  NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "offsets: wrong argument", TXN_OFFSETS, TXN_CALL_OFFSETS, E(_INVALID_ARG), 0, NEW,
	  TXN_OFFSETS, TXN_EXIT, 0, 70 },

	{ "committed", TXN_COMMIT, TXN_CALL_COMMIT, E(NO_ERROR), 0, NEW, TXN_IDLE, TXN_REPORT_DONE,
	  0, 0 },
	{ "committed after a time-out (T1)", TXN_COMMIT, TXN_CALL_COMMIT, E(NO_ERROR), REPEATED,
	  NEW,
	  TXN_RECREATE, TXN_REPORT_DONE, 0, 0 },
	{ "commit: time-out, never abort (T1)", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT), R, NEW,
	  TXN_COMMIT, TXN_REPEAT, 0, 0 },
	{ "commit: time-out, not marked", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT), 0, NEW,
	  TXN_COMMIT, TXN_REPEAT, 0, 0 },
	{ "commit: time-out, too old (T1)", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT),
	  R | REPEATED,
	  LATE, TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: time-out, not marked, too old", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT), 0,
	  LATE, TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: records failed (T8)", TXN_COMMIT, TXN_CALL_COMMIT, E(_INCONSISTENT), A, NEW,
	  TXN_ABORT, TXN_GIVE_UP, PUBLISH_AGAIN, 0 },
	{ "commit: wants abort, may have happened", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT), A,
	  NEW, TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: fenced while young (T3)", TXN_COMMIT, TXN_CALL_COMMIT, E(_FENCED), F, NEW,
	  TXN_RECREATE, TXN_DOUBT_FENCED, 0, 0 },
	{ "commit: fenced by its own time-out (T2)", TXN_COMMIT, TXN_CALL_COMMIT, E(_FENCED), F,
	  LATE,
	  TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: other fatal", TXN_COMMIT, TXN_CALL_COMMIT, E(INVALID_TXN_STATE), F, NEW,
	  TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: fatal and retriable is fatal", TXN_COMMIT, TXN_CALL_COMMIT, E(_TIMED_OUT), F | R,
	  NEW, TXN_RECREATE, TXN_DOUBT, 0, 0 },
	{ "commit: out of order (T10)", TXN_COMMIT, TXN_CALL_COMMIT, E(_STATE), 0, NEW, TXN_COMMIT,
	  TXN_EXIT, 0, 70 },
	{ "commit: any other", TXN_COMMIT, TXN_CALL_COMMIT, E(UNKNOWN), 0, NEW, TXN_RECREATE,
	  TXN_DOUBT, 0, 0 },

	{ "aborted", TXN_ABORT, TXN_CALL_ABORT, E(NO_ERROR), 0, NEW, TXN_IDLE, TXN_REPORT_TROUBLE,
	  0, 0 },
	{ "abort: time-out", TXN_ABORT, TXN_CALL_ABORT, E(_TIMED_OUT), R, NEW, TXN_ABORT,
	  TXN_REPEAT,
	  0, 0 },
	{ "abort: time-out, not marked", TXN_ABORT, TXN_CALL_ABORT, E(_TIMED_OUT), 0, NEW,
	  TXN_ABORT,
	  TXN_REPEAT, 0, 0 },
	{ "abort: too old", TXN_ABORT, TXN_CALL_ABORT, E(_TRANSPORT), R, LATE, TXN_RECREATE,
	  TXN_DROP,
	  PUBLISH_AGAIN, 0 },
	{ "abort: time-out, not marked, too old", TXN_ABORT, TXN_CALL_ABORT, E(_TIMED_OUT), 0, LATE,
	  TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "abort: fatal (T2)", TXN_ABORT, TXN_CALL_ABORT, E(_FENCED), F, LATE, TXN_RECREATE,
	  TXN_DROP,
	  PUBLISH_AGAIN, 0 },
	{ "abort: any other", TXN_ABORT, TXN_CALL_ABORT, E(UNKNOWN), 0, NEW, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },

	{ "fatal while idle", TXN_IDLE, TXN_CALL_EVENT, E(_FATAL), F, 0, TXN_RECREATE, TXN_DROP,
	  PUBLISH_AGAIN, 0 },
	{ "a broker was lost, idle", TXN_IDLE, TXN_CALL_EVENT, E(_TRANSPORT), 0, 0, TXN_RECREATE,
	  TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "a broker was lost, before the offsets", TXN_OFFSETS, TXN_CALL_EVENT, E(_TRANSPORT), 0,
	  NEW, TXN_RECREATE, TXN_DROP, PUBLISH_AGAIN, 0 },
	{ "fenced while idle", TXN_IDLE, TXN_CALL_EVENT, E(_FENCED), F, 0, TXN_RECREATE,
	  TXN_DROP_FENCED, PUBLISH_AGAIN, 0 },
};

static struct txn_step
decide(const struct row *r)
{
	const struct txn_answer answer = {
		.code = r->code,
		.retriable = r->flags & R,
		.fatal = r->flags & F,
		.requires_abort = r->flags & A,
	};
	const struct txn_when when = {
		.age_ms = r->age,
		.timeout_ms = TIMEOUT,
		.starting = r->flags & START,
		.repeated = r->flags & REPEATED,
	};

	return txn_decide(r->state, r->call, &answer, &when);
}

#define CHECK_STEP(r, what) \
	do { \
		if (step.what != (r)->what) \
			fail_msg("%s: " #what " is %d, not %d", (r)->name, (int)step.what, \
				 (int)(r)->what); \
	} while (0)

static void
test_rows(void **state)
{
	bool seen[128] = { false };

	(void)state;
	assert_true(txn_rows() <= sizeof(seen));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct txn_step step = decide(&rows[i]);

		CHECK_STEP(&rows[i], action);
		CHECK_STEP(&rows[i], next);
		CHECK_STEP(&rows[i], exit_code);
		CHECK_STEP(&rows[i], trouble);
		seen[step.row] = true;
	}
	for (size_t i = 0; i < txn_rows(); i++)
		if (!seen[i])
			fail_msg("row %zu of the table is reached by no test", i);
}

/* Whatever librdkafka answers: a step exists, a commit that may have
 * happened is never aborted or reported as not done, and what did not go
 * well says why. */
static void
check(enum txn_call call, rd_kafka_resp_err_t code, unsigned flags)
{
	struct row r = { .state = TXN_OPEN, .call = call, .code = code, .flags = flags,
	  .age = NEW };
	struct txn_step step = decide(&r);

	if (call == TXN_CALL_COMMIT && code != RD_KAFKA_RESP_ERR_NO_ERROR &&
	    step.action != TXN_REPEAT && step.action != TXN_DOUBT &&
	    step.action != TXN_DOUBT_FENCED && step.action != TXN_EXIT &&
	    code != RD_KAFKA_RESP_ERR__INCONSISTENT)
		fail_msg("commit, code %d, flags %u: action %d", code, flags, step.action);
	if (step.action == TXN_EXIT && step.exit_code == 0)
		fail_msg("call %d, code %d: exit without a code", call, code);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && step.action != TXN_FLUSH && !step.why)
		fail_msg("call %d, code %d: no reason", call, code);
	if (flags & F && call != TXN_CALL_READ && step.next != TXN_RECREATE &&
	    step.action != TXN_EXIT)
		fail_msg("call %d, code %d: goes on after a fatal error", call, code);
}

static void
test_total(void **state)
{
	(void)state;
	for (int call = 0; call < TXN_CALL_COUNT; call++)
		for (int code = RD_KAFKA_RESP_ERR__BEGIN + 1; code < RD_KAFKA_RESP_ERR_END_ALL;
		     code++)
			for (unsigned flags = 0; flags <= (R | F | A); flags++)
				check((enum txn_call)call, (rd_kafka_resp_err_t)code, flags);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_total),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
