/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's thread against answers that no real broker gives on demand:
 * librdkafka's mock cluster says them (docs/reliability.md T1 to T11). The
 * queue is this file; a batch is one result with its offset. */
#include "unit.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <time.h>

#include "kafka/publisher_thread.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/group_meta.h"

/* Kafka's numbers of requests. */
enum { PRODUCE = 0, INIT_ID = 22, END_TXN = 26, COMMIT_OFFSETS = 28 };
enum { CODES_MAX = 4, PATIENCE_MS = 15000, NOT_YET = -1 };

#define E(code) RD_KAFKA_RESP_ERR_##code

static struct {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	struct config *config;
	const char *topics[TOPIC_COUNT];
} mock;

/* One run of the thread. */
static struct {
	struct publisher_thread thread;
	struct batch batch;
	struct publish_item item;
	struct events events;
	bool given;
	void (*before)(rd_kafka_t *rk);	/* the batch is given */
	int verdict, exit_code;
	bool done, renewed;
	char why[400];
	int64_t give_up_ms;
} now;

/* --- the queue --- */

static struct batch *
queue_next(void *arg, int64_t ms)
{
	(void)arg;
	(void)ms;
	if (now.given)
		return NULL;
	now.given = true;
	if (now.before)
		now.before(now.thread.producer.rk);
	return &now.batch;
}

static void
queue_pause(void *arg, int64_t ms)
{
	const struct timespec t = { 0, (ms < 200 ? ms : 200) * 1000000 };

	(void)arg;
	nanosleep(&t, NULL);
}

static bool
queue_is_over(void *arg, bool at_work)
{
	(void)arg;
	return now.exit_code || (now.verdict != NOT_YET && !at_work) ||
	       clock_mono_ms() > now.give_up_ms;
}

static void
queue_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
	     enum topic topic)
{
	(void)arg;
	(void)item;
	(void)topic;
	now.verdict = (int)trouble;
	now.done = b->items[0].done;
}

static void
queue_ready(void *arg, bool ready, const char *why)
{
	(void)arg;
	(void)ready;
	snprintf(now.why, sizeof(now.why), "%s", why);
}

static void
queue_fatal(void *arg, int exit_code, const char *text)
{
	(void)arg;
	now.exit_code = exit_code;
	snprintf(now.why, sizeof(now.why), "%s", text);
}

/* --- the rig --- */

static int
setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	struct err err = { 0 };
	char pair[300];

	(void)state;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	mock.host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	mock.cluster = rd_kafka_mock_cluster_new(mock.host, 1);
	mock.config = config_new(&err);
	snprintf(pair, sizeof(pair), "kafka.bootstrap.servers=%s",
		 rd_kafka_mock_cluster_bootstraps(mock.cluster));
	assert_int_equal(config_set_pair(mock.config, pair, "-X", &err), 0);
	for (int t = 0; t < TOPIC_COUNT; t++) {
		mock.topics[t] = topic_name((enum topic)t);
		rd_kafka_mock_topic_create(mock.cluster, mock.topics[t], 1, 1);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	client_wait_closed(5000);
	rd_kafka_mock_cluster_destroy(mock.cluster);
	rd_kafka_destroy(mock.host);
	config_free(mock.config);
	return rd_kafka_wait_destroyed(5000);
}

static void
batch_make(const char *name, int64_t offset, bool with_record)
{
	rd_kafka_topic_partition_t *tp;

	now.item = (struct publish_item){ .partition = 0, .offset = offset };
	now.batch = (struct batch){ .items = &now.item, .n_items = 1 };
	now.batch.offsets = rd_kafka_topic_partition_list_new(1);
	if (!with_record)
		return;
	assert_true(events_add(&now.events, TOPIC_PROBE_RESULTS, span_of("key"), NULL, 0,
			       span_of(name)));
	now.item.events = &now.events;
	tp = rd_kafka_topic_partition_list_add(now.batch.offsets, mock.topics[TOPIC_COMMANDS], 0);
	tp->offset = offset + 1;
	now.batch.group = group_meta_new(
		rd_kafka_consumer_group_metadata_new_with_genid("group", 1, "member", NULL));
	assert_non_null(now.batch.group);
}

/* As a commit does whose answer is lost. */
static void
commit_offsets(rd_kafka_t *rk)
{
	struct err err = { 0 };
	rd_kafka_t *reader = client_open(mock.config, CLIENT_CONF_OFFSETS, NULL, NULL, &err);

	(void)rk;
	assert_non_null(reader);
	assert_int_equal(rd_kafka_commit(reader, now.batch.offsets, 0), 0);
	client_free(reader);
}

/* From the making of a producer to the verdict or the exit. */
static void
play(const char *name, bool with_record, void (*before)(rd_kafka_t *rk))
{
	static int64_t offset;
	const struct publisher_queue queue = {
		queue_next,  queue_pause, queue_is_over, queue_verdict,
		queue_ready, queue_fatal, NULL,
	};
	struct err err = { 0 };
	int64_t renewed;

	memset(&now, 0, sizeof(now));
	now.verdict = NOT_YET;
	now.before = before;
	now.give_up_ms = clock_mono_ms() + PATIENCE_MS;
	batch_make(name, offset++, with_record);
	assert_int_equal(publisher_thread_init(&now.thread, &queue, mock.config, name,
					       mock.topics, &err), 0);
	renewed = metrics_get(METRIC_PRODUCER_RECREATED);
	publisher_thread_run(&now.thread);
	now.renewed = metrics_get(METRIC_PRODUCER_RECREATED) > renewed;
}

static void
play_end(void)
{
	publisher_thread_release(&now.thread);
	rd_kafka_topic_partition_list_destroy(now.batch.offsets);
	group_meta_unref(now.batch.group);
	events_release(&now.events);
}

/* --- answers --- */

enum { SAME_PRODUCER, NEW_PRODUCER };

static const struct row {
	const char *name;
	int api;
	rd_kafka_resp_err_t codes[CODES_MAX];	/* of that request, one after another */
	int verdict, exit_code;
	int producer;
	int happened;		/* what the broker is asked to commit is committed */
} rows[] = {
	{ "all is well", PRODUCE, { 0 }, PUBLISH_FINE, 0, SAME_PRODUCER, 0 },

	{ "T11 init: the old transaction is being ended", INIT_ID,
	  { E(CONCURRENT_TRANSACTIONS), E(CONCURRENT_TRANSACTIONS), E(CONCURRENT_TRANSACTIONS) },
	  PUBLISH_FINE, 0, SAME_PRODUCER, 0 },
	{ "T11 init: the coordinator is loading", INIT_ID,
	  { E(COORDINATOR_LOAD_IN_PROGRESS), E(COORDINATOR_LOAD_IN_PROGRESS) }, PUBLISH_FINE, 0,
	  SAME_PRODUCER, 0 },
	{ "T11 init: the connection breaks", INIT_ID, { E(_TRANSPORT), E(_TRANSPORT) },
	  PUBLISH_FINE, 0, SAME_PRODUCER, 0 },
	{ "T3 init: fenced once", INIT_ID, { E(PRODUCER_FENCED) }, PUBLISH_FINE, 0,
	  NEW_PRODUCER, 0 },
	{ "T3 init: fenced twice within a minute", INIT_ID,
	  { E(PRODUCER_FENCED), E(PRODUCER_FENCED) }, NOT_YET, 69, NEW_PRODUCER, 0 },
	{ "init: denied", INIT_ID, { E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED) }, NOT_YET, 77,
	  SAME_PRODUCER, 0 },
	{ "init: time-out too long", INIT_ID, { E(INVALID_TRANSACTION_TIMEOUT) }, NOT_YET, 78,
	  SAME_PRODUCER, 0 },

	{ "T7 the broker finds it too large", PRODUCE, { E(MSG_SIZE_TOO_LARGE) },
	  PUBLISH_ITEM_TOO_LARGE, 0, SAME_PRODUCER, 0 },
	{ "T7 the broker refuses it", PRODUCE, { E(INVALID_RECORD) }, PUBLISH_ITEM_TOO_LARGE, 0,
	  SAME_PRODUCER, 0 },
	{ "T7 a policy of the broker refuses it", PRODUCE, { E(POLICY_VIOLATION) },
	  PUBLISH_ITEM_TOO_LARGE, 0, SAME_PRODUCER, 0 },
	{ "T8 the topic may not be written", PRODUCE, { E(TOPIC_AUTHORIZATION_FAILED) },
	  PUBLISH_TOPIC_PARKED, 0, SAME_PRODUCER, 0 },
	{ "the partition moved", PRODUCE, { E(NOT_LEADER_FOR_PARTITION) }, PUBLISH_FINE, 0,
	  SAME_PRODUCER, 0 },

	{ "T4 offsets: another generation", COMMIT_OFFSETS, { E(ILLEGAL_GENERATION) },
	  PUBLISH_GENERATION, 0, SAME_PRODUCER, 0 },
	{ "T5 offsets: no member any more", COMMIT_OFFSETS, { E(UNKNOWN_MEMBER_ID) },
	  PUBLISH_GENERATION, 0, SAME_PRODUCER, 0 },
	{ "T4 offsets: a rebalance", COMMIT_OFFSETS, { E(REBALANCE_IN_PROGRESS) },
	  PUBLISH_GENERATION, 0, SAME_PRODUCER, 0 },
	{ "offsets: another has our group.instance.id", COMMIT_OFFSETS, { E(FENCED_INSTANCE_ID) },
	  PUBLISH_INSTANCE_FENCED, 0, SAME_PRODUCER, 0 },
	{ "offsets: metadata too large", COMMIT_OFFSETS, { E(OFFSET_METADATA_TOO_LARGE) },
	  PUBLISH_METADATA_TOO_LARGE, 0, SAME_PRODUCER, 0 },
	{ "offsets: the group is denied", COMMIT_OFFSETS, { E(GROUP_AUTHORIZATION_FAILED) },
	  PUBLISH_GROUP_DENIED, 0, SAME_PRODUCER, 0 },
	{ "offsets: the coordinator is loading", COMMIT_OFFSETS,
	  { E(COORDINATOR_LOAD_IN_PROGRESS), E(COORDINATOR_LOAD_IN_PROGRESS) }, PUBLISH_FINE, 0,
	  SAME_PRODUCER, 0 },

	{ "T1 commit: the coordinator is away", END_TXN,
	  { E(COORDINATOR_NOT_AVAILABLE), E(NOT_COORDINATOR) }, PUBLISH_FINE, 0, SAME_PRODUCER, 0 },
	{ "T1 commit: the connection breaks", END_TXN, { E(_TRANSPORT), E(_TRANSPORT) },
	  PUBLISH_FINE, 0, SAME_PRODUCER, 0 },
	/* librdkafka asks for an abort or is fenced; it may have happened, so the offsets say. */
	{ "T1 commit: the broker forgot the producer", END_TXN, { E(INVALID_PRODUCER_ID_MAPPING) },
	  PUBLISH_AGAIN, 0, NEW_PRODUCER, 0 },
	{ "T1 commit: forgotten, and it happened", END_TXN, { E(INVALID_PRODUCER_ID_MAPPING) },
	  PUBLISH_FINE, 0, NEW_PRODUCER, 1 },
	{ "T2 commit: fenced", END_TXN, { E(PRODUCER_FENCED) }, PUBLISH_AGAIN, 0, NEW_PRODUCER, 0 },
	{ "T2 commit: fenced, and it happened", END_TXN, { E(PRODUCER_FENCED) }, PUBLISH_FINE, 0,
	  NEW_PRODUCER, 1 },
};

static int
wrong(const struct row *r)
{
	const bool done = r->verdict == PUBLISH_FINE;
	const bool renewed = r->producer == NEW_PRODUCER;

	if (now.exit_code == r->exit_code && now.verdict == r->verdict && now.done == done &&
	    now.renewed == renewed)
		return 0;
	print_error("%s: verdict %d, done %d, exit %d, new producer %d (%s)\n", r->name,
		    now.verdict, now.done, now.exit_code, now.renewed, now.why);
	return 1;
}

static int
check_row(const struct row *r)
{
	size_t n = 0;
	int ret;

	while (n < CODES_MAX && r->codes[n])
		n++;
	if (n)
		rd_kafka_mock_push_request_errors_array(mock.cluster, (int16_t)r->api, n,
							r->codes);
	play(r->name, true, r->happened ? commit_offsets : NULL);
	ret = wrong(r);
	play_end();
	rd_kafka_mock_clear_request_errors(mock.cluster, (int16_t)r->api);
	return ret;
}

static void
test_answers(void **state)
{
	int n_wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		n_wrong += check_row(&rows[i]);
	assert_int_equal(n_wrong, 0);
}

/* --- T10 --- */

static void
begin_before(rd_kafka_t *rk)
{
	assert_null(rd_kafka_begin_transaction(rk));
}

static void
test_out_of_order_is_a_bug(void **state)
{
	(void)state;
	play("begin twice", true, begin_before);
	assert_int_equal(now.exit_code, 70);
	assert_non_null(strstr(now.why, "out of order"));
	assert_non_null(strstr(now.why, "begin twice"));
	assert_int_equal(now.verdict, PUBLISH_AGAIN);
	assert_false(now.done);
	/* Told to exit, it calls nothing any more. */
	now.exit_code = 0;
	now.given = false;
	now.give_up_ms = clock_mono_ms() + 1000;
	publisher_thread_run(&now.thread);
	assert_false(now.given);
	play_end();
}

static void
test_an_empty_commit(void **state)
{
	(void)state;
	play("nothing in it", false, NULL);
	assert_int_equal(now.exit_code, 0);
	assert_int_equal(now.verdict, PUBLISH_FINE);
	play_end();
}

/* What the rule stands on: _STATE, and not fatal. */
static void
test_librdkafka_says_state(void **state)
{
	rd_kafka_error_t *(*const calls[])(rd_kafka_t *rk, int ms) = {
		rd_kafka_commit_transaction,
		rd_kafka_abort_transaction,
	};
	rd_kafka_t *rk = client_open(mock.config, CLIENT_CONF_PUBLISHER, "facts", NULL, NULL);

	(void)state;
	assert_null(rd_kafka_init_transactions(rk, 10000));
	assert_null(rd_kafka_begin_transaction(rk));
	assert_null(rd_kafka_commit_transaction(rk, 10000));
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		rd_kafka_error_t *e = calls[i](rk, 10000);

		assert_non_null(e);
		assert_int_equal(rd_kafka_error_code(e), RD_KAFKA_RESP_ERR__STATE);
		assert_false(rd_kafka_error_is_fatal(e));
		assert_false(rd_kafka_error_is_retriable(e));
		rd_kafka_error_destroy(e);
	}
	client_free(rk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_out_of_order_is_a_bug),
		cmocka_unit_test(test_an_empty_commit),
		cmocka_unit_test(test_librdkafka_says_state),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
