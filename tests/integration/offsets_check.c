/* SPDX-License-Identifier: Apache-2.0 */
/* Where a log begins and ends, while its leader dies: librdkafka's mock
 * cluster of two brokers. */
#include "unit.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/offsets.h"

enum { LOG_MS = 5000, BUSY_MS = 3000 };

static const char topic[] = "commands";

static struct {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	struct config *config;
	struct offsets *offsets;
} mock;

static int
setup(void **state)
{
	struct err err = { 0 };
	char pair[300];

	(void)state;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	mock.host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
	mock.cluster = rd_kafka_mock_cluster_new(mock.host, 2);
	mock.config = config_new(&err);
	snprintf(pair, sizeof(pair), "kafka.bootstrap.servers=%s",
		 rd_kafka_mock_cluster_bootstraps(mock.cluster));
	assert_int_equal(config_set_pair(mock.config, pair, "-X", &err), 0);
	rd_kafka_mock_topic_create(mock.cluster, topic, 1, 2);
	rd_kafka_mock_partition_set_leader(mock.cluster, topic, 0, 1);
	mock.offsets = offsets_new(mock.config, &err);
	assert_non_null(mock.offsets);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	offsets_unref(mock.offsets);
	client_wait_closed(5000);
	rd_kafka_mock_cluster_destroy(mock.cluster);
	rd_kafka_destroy(mock.host);
	config_free(mock.config);
	return rd_kafka_wait_destroyed(5000);
}

static bool
look(int timeout_ms, int64_t *ret_took_ms)
{
	int64_t begin = clock_mono_ms(), start = -1, end = -1;
	bool ok = offsets_log(mock.offsets, topic, 0, timeout_ms, &start, &end);

	*ret_took_ms = clock_mono_ms() - begin;
	if (ok) {
		assert_int_equal(start, 0);
		assert_int_equal(end, 0);
	}
	return ok;
}

static void
test_the_next_leader_is_asked(void **state)
{
	int64_t took;

	(void)state;
	assert_true(look(LOG_MS, &took));	/* now the client knows the leader */
	rd_kafka_mock_partition_set_leader(mock.cluster, topic, 0, 2);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	assert_true(look(LOG_MS, &took));
}

static void
test_without_a_leader_it_ends_in_time(void **state)
{
	int64_t took;

	(void)state;
	rd_kafka_mock_broker_set_down(mock.cluster, 2);
	assert_false(look(1000, &took));
	assert_in_range(took, 500, 1000 + BUSY_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_next_leader_is_asked),
		cmocka_unit_test(test_without_a_leader_it_ends_in_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
