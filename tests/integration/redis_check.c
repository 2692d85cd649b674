/* SPDX-License-Identifier: Apache-2.0 */
/* The connection against a server that is too old, hostile, or gone: one of
 * our own that answers as it is told. And what a real one does to it. */
#include "unit.h"

#include <signal.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/redis/redis.h"
#include "fake_redis.h"
#include "redis_rig.h"

enum { PATIENCE_MS = 20000 };

/* --- our side --- */

static uv_loop_t loop;
static uv_timer_t pulse;
static struct fake_redis fake;
static struct redis *redis;
static int ups, downs, replies, nulls;
static char why[300];
static bool closed;

static void
on_up(void *arg)
{
	(void)arg;
	ups++;
}

static void
on_down(void *arg, const char *text)
{
	(void)arg;
	downs++;
	assert_false(redis_up(redis));
	snprintf(why, sizeof(why), "%s", text);
}

static void
on_reply(void *arg, const redisReply *reply)
{
	(void)arg;
	replies++;
	nulls += reply == NULL;
	/* Down before anybody is told that an answer is lost. */
	assert_true(reply || redis_send(redis, on_reply, NULL, 0, NULL) == ERR_UNAVAILABLE);
}

static void
on_closed(void *arg)
{
	(void)arg;
	closed = true;
}

static void
on_pulse(uv_timer_t *t)
{
	(void)t;
}

static bool
run_until(const int *count, int more_than)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	while (*count <= more_than && clock_mono_ms() < end)
		uv_run(&loop, UV_RUN_ONCE);
	return *count > more_than;
}

static void
run_for(int ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		uv_run(&loop, UV_RUN_ONCE);
}

static void
get(void)
{
	const struct span argv[] = { SPAN_LIT("GET"), SPAN_LIT("k") };

	assert_int_equal(redis_send(redis, on_reply, NULL, 2, argv), 0);
}

static int
set_up(void **state)
{
	static const struct redis_listener l = { .on_up = on_up, .on_down = on_down };
	struct config *config;
	char url[128];
	struct err err;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	ups = downs = replies = nulls = 0;
	closed = false;
	why[0] = '\0';
	uv_loop_init(&loop);
	uv_timer_init(&loop, &pulse);
	uv_timer_start(&pulse, on_pulse, 5, 5);
	fake_redis_open(&fake, &loop);
	config = config_new(&err);
	snprintf(url, sizeof(url), "unix://%s", fake.path);
	assert_int_equal(config_set(config, "redis.url", url, "test", &err), 0);
	redis = redis_new(&loop, config, &err);
	assert_non_null(redis);
	config_free(config);
	redis_listen(redis, &l);
	(void)redis_script(redis, "return 1");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	redis_close(redis, on_closed, NULL);
	fake_redis_close(&fake);
	uv_close((uv_handle_t *)&pulse, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	redis_free(redis);
	fake_redis_release(&fake);
	return 0;
}

/* --- what it is told to answer to GET --- */

static const struct row {
	const char *name;
	const char *bytes;
	size_t times;
	const char *why;	/* behind "<path>: "; NULL: what hiredis says */
} rows[] = {
	{ "a reply too many", "+OK\r\n", 2, "Redis sent a reply to no command" },
	{ "sixteen GiB of elements", "*2147483647\r\n", 1, "a reply has too many elements" },
	{ "two million elements", "*2000000\r\n", 1, "a reply has too many elements" },
	{ "an endless line", "+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 4096, "a reply is too large" },
	{ "another protocol", "HTTP/1.1 400 Bad Request\r\n", 1, NULL },
	{ "RESP3", "%1\r\n", 1, NULL },
	{ "nesting", "*1\r\n", 20, NULL },
	{ "a length below zero", "$-2\r\n", 1, NULL },
	{ "not a byte", "", 1, "no reply for 5 s" },
};

static void
test_hostile(void **state)
{
	(void)state;
	redis_start(redis);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];

		if (!run_until(&ups, (int)i))
			fail_msg("%s: not up: %s", r->name, redis_why_down(redis));
		buf_reset(&fake.hostile);
		for (size_t k = 0; k < r->times; k++)
			buf_adds(&fake.hostile, r->bytes);
		replies = nulls = 0;
		get();
		if (!run_until(&downs, (int)i))
			fail_msg("%s: the connection stands", r->name);
		if (r->why && strcmp(why + strlen(fake.path) + 2, r->why) != 0)
			fail_msg("%s: '%s'", r->name, why);
		assert_int_equal(replies, 1);
		assert_int_equal(nulls, i > 0);
	}
}

static void
test_large_but_whole(void **state)
{
	const size_t len = 20 << 20;
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	char *big = malloc(len + 100);

	(void)state;
	assert_non_null(big);
	redis_start(redis);
	assert_true(run_until(&ups, 0));
	buf_adds(&fake.hostile, "*2\r\n$-1\r\n:5\r\n");
	get();
	assert_true(run_until(&replies, 0));
	assert_int_equal(nulls, 0);
	/* Piece by piece, as a socket takes it. */
	snprintf(big, len, "$%zu\r\n", len);
	memset(big + strlen(big), 'x', len);
	memcpy(big + len + 11, "\r\n", 2);
	buf_reset(&fake.hostile);
	get();
	run_for(50);
	for (size_t at = 0; at < len + 13 && clock_mono_ms() < end;) {
		uv_buf_t bytes = uv_buf_init(big + at, (unsigned)(len + 13 - at));
		int n = -1;

		for (size_t i = 0; n < 0 && i < fake.n_peers; i++)
			if (fake.peers[i].open && i == 0)
				n = uv_try_write((uv_stream_t *)&fake.peers[i].pipe, &bytes, 1);
		at += n > 0 ? (size_t)n : 0;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_true(run_until(&replies, 1));
	assert_int_equal(nulls, 0);
	assert_int_equal(downs, 0);
	free(big);
}

static const struct greeting_row {
	const char *name, *info, *id, *sha, *why;
} greeting_rows[] = {
	{ "too old", "redis_version:6.2.14\r\nrun_id:x\r\n", NULL, NULL,
	  "version 6.2.14 is too old, 7.0 is required" },
	{ "no version", "", NULL, NULL, "the server does not tell its version" },
	{ "a cluster", "redis_version:7.2.0\r\nredis_mode:cluster\r\n", NULL, NULL,
	  "a Redis Cluster is not supported" },
	{ "no id", NULL, "+PONG\r\n", NULL, "CLIENT ID returned no number" },
	{ "no permission", NULL, "-NOPERM no\r\n", NULL, "NOPERM no" },
	{ "no script", NULL, NULL, "-ERR disabled\r\n", "ERR disabled" },
	{ "a digest that is none", NULL, NULL, "$3\r\nabc\r\n", "SCRIPT LOAD returned no digest" },
};

static void
test_greeting(void **state)
{
	const struct greeting_row *r = *state;

	if (r->info)
		fake.info = r->info;
	if (r->id)
		fake.id = r->id;
	if (r->sha)
		fake.sha = r->sha;
	redis_start(redis);
	run_for(400);
	if (strcmp(redis_why_down(redis) + strlen(fake.path) + 2, r->why) != 0)
		fail_msg("%s: '%s'", r->name, redis_why_down(redis));
	assert_int_equal(ups + downs, 0);
	/* It is asked again, and comes up when it has mended its ways. */
	fake.info = FAKE_REDIS_INFO;
	fake.id = FAKE_REDIS_ID;
	fake.sha = FAKE_REDIS_SHA;
	assert_true(run_until(&ups, 0));
}

static void
test_greetings(void **state)
{
	for (size_t i = 0; i < sizeof(greeting_rows) / sizeof(*greeting_rows); i++) {
		void *row = (void *)(uintptr_t)&greeting_rows[i];

		test_greeting(&row);
		tear_down(state);
		set_up(state);
	}
}

/* Nothing that was sent on a lost connection may run late. */
static void
test_predecessor_is_killed(void **state)
{
	(void)state;
	redis_start(redis);
	assert_true(run_until(&ups, 0));
	assert_string_equal(fake.said, "");
	fake.id = ":8\r\n";
	fake_redis_hang_up(&fake);
	assert_true(run_until(&ups, 1));
	assert_string_equal(fake.said, "CLIENT KILL 7;");
	/* Another run of the server: 8 is somebody else there. */
	fake.info = "redis_version:7.0.15\r\nrun_id:def\r\n";
	fake_redis_hang_up(&fake);
	assert_true(run_until(&ups, 2));
	buf_adds(&fake.hostile, "+OK\r\n");
	get();
	assert_true(run_until(&replies, 0));
	assert_string_equal(fake.said, "CLIENT KILL 7;GET k;");
}

static void
test_answering_for(void **state)
{
	(void)state;
	redis_start(redis);
	assert_false(redis_answering_for(redis, 0));
	assert_true(run_until(&ups, 0));
	assert_true(redis_answering_for(redis, 0));
	assert_false(redis_answering_for(redis, 1500));
	run_for(1600);
	assert_true(redis_answering_for(redis, 1500));
	get();		/* no answer */
	run_for(2500);
	assert_true(redis_answering_for(redis, 1500));
	run_for(700);
	assert_false(redis_answering_for(redis, 100));
	buf_adds(&fake.hostile, "+OK\r\n+OK\r\n");
	get();		/* answers both */
	assert_true(run_until(&replies, 1));
	assert_false(redis_answering_for(redis, 100));
	run_for(300);
	assert_true(redis_answering_for(redis, 100));
	assert_int_equal(downs, 0);
}

static void
drop_it(void *arg, const redisReply *reply)
{
	(void)arg;
	replies++;
	if (reply)
		assert_true(redis_is_outage(redis, reply));
	assert_false(redis_up(redis));
}

/* Every code that means "not there": all of them wait, none is an answer. */
static void
test_outages(void **state)
{
	static const char *const codes[] = {
		"OOM", "READONLY", "LOADING", "MASTERDOWN", "MISCONF",
	};
	const struct span argv[] = { SPAN_LIT("GET"), SPAN_LIT("k") };

	(void)state;
	redis_start(redis);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		assert_true(run_until(&ups, (int)i));
		buf_reset(&fake.hostile);
		buf_addf(&fake.hostile, "-%s no\r\n", codes[i]);
		replies = 0;
		assert_int_equal(redis_send(redis, drop_it, NULL, 2, argv), 0);
		assert_int_equal(redis_send(redis, drop_it, NULL, 2, argv), 0);
		assert_true(run_until(&downs, (int)i));
		assert_int_equal(replies, 2);
		assert_non_null(strstr(why, codes[i]));
	}
}

/* --- a real one --- */

static bool
rig_has_many(void *arg)
{
	(void)arg;
	return replies >= 20000;
}

static void
test_pipeline(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	rig_start(&rig);
	replies = nulls = 0;
	for (int i = 0; i < 20000; i++)
		assert_int_equal(redis_sendf(rig.redis, on_reply, NULL, "SET k%d %b", i, "a\0b",
					     (size_t)3), 0);
	rig_until(&rig, rig_has_many, NULL, PATIENCE_MS);
	assert_int_equal(replies, 20000);
	assert_int_equal(nulls, 0);
	assert_string_equal(rig_ask(&rig, "DBSIZE"), "20001");	/* and the probe */
	rig_stop(&rig);
	rig_close(&rig);
}

static void
test_password(void **state)
{
	struct rig rig;
	char url[200];
	struct err err;

	(void)state;
	rig_open(&rig);
	rig_ask(&rig, "CONFIG SET requirepass ge@heim");
	redis_free(rig.redis);
	snprintf(url, sizeof(url), "unix://:falsch@%s", rig.socket);
	rig_set(&rig, "redis.url", url);
	rig.redis = redis_new(&rig.loop, rig.config, &err);
	redis_start(rig.redis);
	rig_run(&rig, 300);
	assert_false(redis_up(rig.redis));
	assert_non_null(strstr(redis_why_down(rig.redis), "WRONGPASS"));
	assert_null(strstr(redis_why_down(rig.redis), "falsch"));
	rig_stop(&rig);
	redis_free(rig.redis);
	snprintf(url, sizeof(url), "unix://default:ge%%40heim@%s?db=3", rig.socket);
	rig_set(&rig, "redis.url", url);
	rig.redis = redis_new(&rig.loop, rig.config, &err);
	rig.closed = false;
	rig_start(&rig);
	assert_string_equal(redis_why_down(rig.redis), "");
	rig_stop(&rig);
	rig_close(&rig);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hostile),
		TEST(test_large_but_whole),
		TEST(test_greetings),
		TEST(test_predecessor_is_killed),
		TEST(test_answering_for),
		TEST(test_outages),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
