/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <librdkafka/rdkafka.h>

#include "envdriver/base/metrics.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/kafka/client.h"

/* The clients that it opens, without a configuration: its own calls of the client
 * end here, not in the library. */
static struct {
	struct client_hooks hooks;
	rd_kafka_t *rk;
	int opened, closed;
	bool refuse;
} now;

static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *arg)
{
	char text[256];
	bool fatal = code == RD_KAFKA_RESP_ERR__FATAL;
	rd_kafka_resp_err_t cause = fatal ? rd_kafka_fatal_error(rk, text, sizeof(text)) :
					    (rd_kafka_resp_err_t)code;

	(void)arg;
	now.hooks.on_error(now.hooks.arg, cause, reason, fatal);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	(void)rk;
	(void)arg;
	now.hooks.on_delivery(now.hooks.arg, m);
}

rd_kafka_t *
client_open(const struct config *config, enum client_conf_role role, const char *id,
	    const struct client_hooks *hooks, struct err *reterr)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];

	(void)config;
	(void)id;
	(void)reterr;
	assert_int_equal(role, CLIENT_CONF_BEST_EFFORT);
	if (now.refuse) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	now.hooks = *hooks;
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_log_cb(conf, NULL);
	now.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	assert_non_null(now.rk);
	now.opened++;
	return now.rk;
}

void
client_close(rd_kafka_t *rk)
{
	if (!rk)
		return;
	now.closed++;
	rd_kafka_destroy(rk);
}

void
client_bootstrap(const struct config *config, rd_kafka_t *rk, unsigned tries)
{
	(void)config;
	(void)rk;
	(void)tries;
}

static const char *const topics[TOPIC_COUNT] = {
	[TOPIC_EXECUTION_LOGS] = "logs", [TOPIC_PLUGIN_EVENTS] = "plugin-events",
};

/* Queues a piece of output: there is no broker that could take it. */
static void
send_one(struct best_effort *b)
{
	struct events set = { 0 };

	assert_true(events_add(&set, TOPIC_EXECUTION_LOGS, SPAN_LIT("k"), NULL, 0, SPAN_LIT("v")));
	best_effort_send(b, &set);
	events_release(&set);
}

static void
a_producer_with_a_fatal_error_is_replaced(void **state)
{
	struct best_effort *b = best_effort_new(NULL, topics, NULL);
	int64_t dropped = metrics_get(METRIC_LOG_CHUNKS_DROPPED);

	(void)state;
	assert_int_equal(now.opened, 1);
	send_one(b);
	best_effort_poll(b);
	assert_int_equal(now.opened, 1);
	assert_int_equal(rd_kafka_test_fatal_error(now.rk,
			 RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as a test"), 0);
	/* While no other can be made it tries again, and drops. */
	now.refuse = true;
	best_effort_poll(b);
	assert_int_equal(now.closed, 1);
	assert_int_equal(metrics_get(METRIC_LOG_CHUNKS_DROPPED) - dropped, 1);
	send_one(b);
	assert_int_equal(metrics_get(METRIC_LOG_CHUNKS_DROPPED) - dropped, 2);
	now.refuse = false;
	best_effort_poll(b);
	assert_int_equal(now.opened, 2);
	/* The new one takes what comes. */
	send_one(b);
	best_effort_poll(b);
	assert_int_equal(metrics_get(METRIC_LOG_CHUNKS_DROPPED) - dropped, 2);
	assert_int_equal(rd_kafka_outq_len(now.rk), 1);
	assert_int_equal(now.opened, 2);
	best_effort_free(b, 0);
	assert_int_equal(now.closed, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_producer_with_a_fatal_error_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
