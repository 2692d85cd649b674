/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/client.h"

static struct config *
config_of(const char *const *pairs)
{
	struct err err = { 0 };
	struct config *c = config_new(&err);

	if (!c)
		fail_msg("%s", err.text);
	for (; *pairs; pairs++)
		if (config_set_pair(c, *pairs, "-X", &err) < 0)
			fail_msg("%s: %s", *pairs, err.text);
	return c;
}

static const char *const none[] = { NULL };
static const char *const some[] = {
	"kafka.bootstrap.servers=b1:1,b2:2",
	"kafka.group.id=g",
	"kafka.client.id=mine",
	"kafka.group.instance.id=static-1",
	"kafka.linger.ms=7",
	"kafka.socket.nagle.disable=false",
	"kafka.session.timeout.ms=6000",
	"transaction.timeout=4s",
	NULL,
};
static const char *const slow[] = { "kafka.session.timeout.ms=400000", NULL };
static const char *const sticky[] = { "assignor=cooperative-sticky", NULL };
static const char *const heartbeat[] = { "kafka.heartbeat.interval.ms=500", NULL };

static const struct row {
	const char *name;
	const char *const *pairs;
	enum client_conf_role role;
	const char *key;
	const char *value;	/* NULL: not set */
} rows[] = {
	{"brokers", some, CLIENT_CONF_ADMIN, "bootstrap.servers", "b1:1,b2:2"},
	{"group", some, CLIENT_CONF_CONSUMER, "group.id", "g"},
	{"offsets: the same group", some, CLIENT_CONF_OFFSETS, "group.id", "g"},
	{"client id", none, CLIENT_CONF_BEST_EFFORT, "client.id", "envdriver"},
	{"client id of the user", some, CLIENT_CONF_BEST_EFFORT, "client.id", "mine"},
	{"nagle", none, CLIENT_CONF_PUBLISHER, "socket.nagle.disable", "true"},
	{"nagle of the user", some, CLIENT_CONF_PUBLISHER, "socket.nagle.disable", "false"},

	{"consumer: isolation", none, CLIENT_CONF_CONSUMER, "isolation.level", "read_committed"},
	{"consumer: no commits", none, CLIENT_CONF_CONSUMER, "enable.auto.commit", "false"},
	{"consumer: no store", none, CLIENT_CONF_CONSUMER, "enable.auto.offset.store", "false"},
	{"consumer: no reset", none, CLIENT_CONF_CONSUMER, "auto.offset.reset", "error"},
	{"consumer: no topics", none, CLIENT_CONF_CONSUMER, "allow.auto.create.topics", "false"},
	{"consumer: range", none, CLIENT_CONF_CONSUMER, "partition.assignment.strategy", "range"},
	{"consumer: sticky", sticky, CLIENT_CONF_CONSUMER, "partition.assignment.strategy",
	 "cooperative-sticky"},
	{"consumer: session", none, CLIENT_CONF_CONSUMER, "session.timeout.ms", "10000"},
	{"consumer: heartbeat", none, CLIENT_CONF_CONSUMER, "heartbeat.interval.ms", "3000"},
	{"consumer: short session", some, CLIENT_CONF_CONSUMER, "heartbeat.interval.ms", "2000"},
	{"consumer: long session", slow, CLIENT_CONF_CONSUMER, "max.poll.interval.ms", "400000"},
	{"consumer: heartbeat of the user", heartbeat, CLIENT_CONF_CONSUMER,
	 "heartbeat.interval.ms", "500"},
	{"consumer: static member", some, CLIENT_CONF_CONSUMER, "group.instance.id", "static-1"},
	{"consumer: fetch error", none, CLIENT_CONF_CONSUMER, "fetch.error.backoff.ms", "50"},

	{"offsets: isolation (F3)", none, CLIENT_CONF_OFFSETS, "isolation.level", "read_committed"},
	{"offsets: no member", some, CLIENT_CONF_OFFSETS, "group.instance.id", NULL},

	{"publisher: id", none, CLIENT_CONF_PUBLISHER, "transactional.id", "g.i"},
	{"publisher: time-out", some, CLIENT_CONF_PUBLISHER, "transaction.timeout.ms", "4000"},
	{"publisher: default time-out", none, CLIENT_CONF_PUBLISHER, "transaction.timeout.ms",
	 "10000"},
	{"publisher: linger", none, CLIENT_CONF_PUBLISHER, "linger.ms", "0"},
	{"publisher: linger of the user", some, CLIENT_CONF_PUBLISHER, "linger.ms", "7"},
	{"publisher: retry", none, CLIENT_CONF_PUBLISHER, "retry.backoff.ms", "1"},
	{"publisher: size", none, CLIENT_CONF_PUBLISHER, "message.max.bytes", "3145728"},
	{"publisher: idempotence", none, CLIENT_CONF_PUBLISHER, "enable.idempotence", "true"},
	{"publisher: partitioner", none, CLIENT_CONF_PUBLISHER, "partitioner", "murmur2_random"},
	{"lossy: no id", none, CLIENT_CONF_BEST_EFFORT, "transactional.id", NULL},
	{"lossy: bounded", none, CLIENT_CONF_BEST_EFFORT, "queue.buffering.max.kbytes", "8192"},
	{"lossy: not idempotent", none, CLIENT_CONF_BEST_EFFORT, "enable.idempotence", "false"},
};

/* librdkafka prints some numbers with decimals ("7" as "7", "0" as "0"). */
static void
test_settings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		struct config *c = config_of(r->pairs);
		struct err err = { 0 };
		char value[256] = "";
		size_t size = sizeof(value);
		bool publisher = r->role == CLIENT_CONF_PUBLISHER;
		rd_kafka_conf_t *conf = client_conf_new(c, r->role, publisher ? "g.i" : NULL, &err);

		if (!conf)
			fail_msg("%s: %s", r->name, err.text);
		if (rd_kafka_conf_get(conf, r->key, value, &size) != RD_KAFKA_CONF_OK)
			value[0] = '\0';
		if (strcmp(value, r->value ? r->value : "") != 0)
			fail_msg("%s: %s is '%s'", r->name, r->key, value);
		rd_kafka_conf_destroy(conf);
		config_free(c);
	}
}

static const struct wrong_row {
	const char *name;
	const char *pair;
	const char *has;	/* in the text */
	const char *has_not;
} wrong_rows[] = {
	{ "unknown key", "kafka.no.such.key=1", "kafka.no.such.key", NULL },
	{ "bad value", "kafka.linger.ms=many", "kafka.linger.ms", NULL },
	{ "no such file", "kafka.ssl.ca.location=/no/such.pem",
	  "kafka.ssl.ca.location: cannot read '/no/such.pem': No such file or directory", NULL },
	{ "secret in the text", "kafka.ssl.key.pem=hunter2-is-no-key", "kafka", "hunter2" },
};

static void
test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong_rows) / sizeof(*wrong_rows); i++) {
		const struct wrong_row *r = &wrong_rows[i];
		const char *const pairs[] = { r->pair, "kafka.security.protocol=ssl", NULL };
		struct config *c = config_of(pairs);
		struct err err = { 0 };
		rd_kafka_t *rk = client_open(c, CLIENT_CONF_BEST_EFFORT, NULL, NULL, &err);

		if (rk || err.code != ERR_CONFIG || !strstr(err.text, r->has) ||
		    (r->has_not && strstr(err.text, r->has_not)))
			fail_msg("%s: code %d, '%s'", r->name, err.code, err.text);
		config_free(c);
	}
}

static void
test_roles_open(void **state)
{
	struct config *c = config_of(none);

	(void)state;
	for (int role = 0; role < CLIENT_CONF_ROLES; role++) {
		struct err err = { 0 };
		rd_kafka_t *rk = client_open(c, (enum client_conf_role)role,
					     role == CLIENT_CONF_PUBLISHER ? "t" : NULL, NULL,
					     &err);

		if (!rk)
			fail_msg("role %d: %s", role, err.text);
		client_free(rk);
	}
	client_free(NULL);
	client_close(NULL);
	config_free(c);
}

static const struct mask_row {
	const char *name;
	struct span secrets;
	const char *text, *masked;
} mask_rows[] = {
	{ "none", SPAN_LIT(""), "as it is", "as it is" },
	{ "one", SPAN_LIT("hunter2\0"), "pw=hunter2;", "pw=***;" },
	{ "twice", SPAN_LIT("abc\0"), "abcabc", "******" },
	{ "the longer wins", SPAN_LIT("abc\0abcdef\0"), "xabcdefx", "x***x" },
	{ "part of it", SPAN_LIT("abcdef\0"), "abcde", "abcde" },
	{ "empty text", SPAN_LIT("abc\0"), "", "" },
};

static void
test_mask(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mask_rows) / sizeof(*mask_rows); i++) {
		const struct mask_row *r = &mask_rows[i];
		struct buf out = BUF_INIT;

		client_conf_mask(r->secrets, r->text, &out);
		if (strcmp(out.data ? out.data : "", r->masked) != 0)
			fail_msg("%s: '%s'", r->name, out.data);
		buf_release(&out);
	}
}

static void
test_assignor(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(client_conf_assignor(0x020002ff, "range", &err), 0);
	assert_int_equal(client_conf_assignor(0x020a00ff, "cooperative-sticky", &err), 0);
	assert_int_equal(client_conf_assignor(0x020902ff, "cooperative-sticky", &err), ERR_CONFIG);
	assert_non_null(strstr(err.text, "assignor: cooperative-sticky needs librdkafka 2.10"));
}

/* By the librdkafka at run time, not the one that we were compiled with. */
static void
test_by_version(void **state)
{
	const bool newer = rd_kafka_version() >= 0x02020000;
	const struct {
		const char *key, *value;
	} keys[] = {
		{ "queued.max.messages.kbytes", newer ? "2048" : "65536" },
		{ "fetch.queue.backoff.ms", newer ? "2" : "" },
	};
	struct config *c = config_of(none);
	rd_kafka_conf_t *conf = client_conf_new(c, CLIENT_CONF_CONSUMER, NULL, NULL);

	(void)state;
	assert_non_null(conf);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		char value[64] = "";
		size_t size = sizeof(value);

		if (rd_kafka_conf_get(conf, keys[i].key, value, &size) != RD_KAFKA_CONF_OK)
			value[0] = '\0';
		assert_string_equal(value, keys[i].value);
	}
	rd_kafka_conf_destroy(conf);
	config_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_roles_open),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_assignor),
		cmocka_unit_test(test_by_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
