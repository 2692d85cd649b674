/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>

#include "channel_rig.h"
#include "envdriver/base/clock.h"

static void
expect_sent(struct channel_rig *b, const char *name, const char *text)
{
	char got[4096];
	ssize_t n;

	channel_rig_turn(b);
	n = read(b->from, got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	if (strcmp(got, text) != 0)
		fail_msg("%s: sent %s", name, got);
}

static const struct row {
	const char *name;
	const char *said;	/* while call 1 "m" is pending */
	const char *out;
} rows[] = {
	{ "answer", V ",\"id\":1,\"result\":{\"a\":1}}\n", "end m result {\"a\":1};" },
	{ "2.0 is 2", V ",\"id\":1.0,\"result\":1}\n", "end m result 1;" },
	{ "1e0 too", V ",\"id\":10e-1,\"result\":1}\n", "end m result 1;" },
	{ "error", V ",\"id\":1,\"error\":{\"message\":\"no\"}}\n", "end m error \"no\";" },
	{ "result and error null", V ",\"id\":1,\"result\":1,\"error\":null}\n", "end m bad 1;" },
	{ "method beside a result", V ",\"id\":1,\"method\":\"x\",\"result\":2}\n",
	  "end m result 2;" },
	{ "unterminated", V ",\"id\":1,\"result\":2}", "" },
	{ "string id", V ",\"id\":\"1\",\"result\":1}\n", "bad a response to an unknown request;" },
	{ "null id", V ",\"id\":null,\"result\":1}\n", "bad a response to an unknown request;" },
	{ "negative id", V ",\"id\":-1,\"result\":1}\n", "bad a response to an unknown request;" },
	{ "huge id", V ",\"id\":18446744073709551617,\"result\":1}\n",
	  "bad a response to an unknown request;" },
	{ "unknown id", V ",\"id\":999999,\"result\":1}\n", "bad a response to an unknown "
	  "request;" },
	{ "twice", V ",\"id\":1,\"result\":1}\n" V ",\"id\":1,\"result\":1}\n",
	  "end m result 1;bad a response to an unknown request;" },
	{ "no version", "{\"id\":1,\"result\":1}\n", "bad jsonrpc is not \"2.0\";" },
	{ "noise and the answer", "noise\r[]\n\n" V ",\"id\":1,\"result\":1}\r\n",
	  "bad not JSON;bad not an object;end m result 1;" },
	{ "request with the same id", V ",\"id\":1,\"method\":\"config.get\"}\n"
	  V ",\"id\":1,\"result\":1}\n",
	  "request \"config.get\";end m result 1;" },
	{ "notification", V ",\"method\":\"log\"}\n", "notification \"log\";" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct test_call c = { 0 };
		struct channel_rig b;

		channel_rig_begin(&b, 1 << 20);
		assert_int_equal(channel_rig_call(&b, &c, "m", 10000, NULL), 0);
		expect_sent(&b, rows[i].name, V ",\"id\":1,\"method\":\"m\",\"params\":{}}\n");
		channel_rig_say(&b, rows[i].said);
		channel_rig_expect(&b, rows[i].name, rows[i].out);
		channel_rig_end(&b);
	}
}

/* The whole turn goes out in one write, in order, replies among requests. */
static void
test_one_write(void **state)
{
	struct test_call c[3] = { 0 };
	struct channel_rig b;

	(void)state;
	channel_rig_begin(&b, 1 << 20);
	assert_int_equal(channel_rig_call(&b, &c[0], "a", 10000, NULL), 0);
	assert_true(channel_write(b.channel, SPAN_LIT("reply\n")));
	assert_int_equal(channel_rig_call(&b, &c[1], "b", 10000, NULL), 0);
	expect_sent(&b, "one write", V ",\"id\":1,\"method\":\"a\",\"params\":{}}\nreply\n"
		    V ",\"id\":2,\"method\":\"b\",\"params\":{}}\n");
	assert_int_equal(channel_rig_call(&b, &c[2], "c", 10000, NULL), 0);
	channel_rig_say(&b, V ",\"id\":3,\"result\":3}\n" V ",\"id\":1,\"result\":1}\n");
	channel_rig_expect(&b, "any order", "end c result 3;end a result 1;");
	channel_rig_end(&b);
}

static void
run_for(struct channel_rig *b, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until)
		uv_run(&b->loop, UV_RUN_NOWAIT);
}

static void
test_time_out(void **state)
{
	struct test_call c[3] = { 0 };
	struct channel_rig b;

	(void)state;
	c[2].drop_in_end = true;
	channel_rig_begin(&b, 1 << 20);
	assert_int_equal(channel_rig_call(&b, &c[0], "slow", 80, NULL), 0);
	assert_int_equal(channel_rig_call(&b, &c[1], "slower", 10000, NULL), 0);
	assert_int_equal(channel_rig_call(&b, &c[2], "dropped", 20, NULL), 0);
	run_for(&b, 50);
	channel_rig_expect(&b, "earliest first",
		"end dropped timeout RPC call \"dropped\" timed out after "
		"20ms;");
	run_for(&b, 60);
	channel_rig_expect(&b, "then the other",
		"end slow timeout RPC call \"slow\" timed out after 80ms;");
	/* Neither answer is taken for that of another call. */
	channel_rig_say(&b, V ",\"id\":3,\"result\":3}\n" V ",\"id\":1,\"result\":1}\n"
		V ",\"id\":1,\"result\":1}\n");
	channel_rig_expect(&b, "late", "bad a response to an unknown request;late slow result 1;"
	       "bad a response to an unknown request;");
	channel_rig_say(&b, V ",\"id\":2,\"result\":2}\n");
	channel_rig_expect(&b, "the pending one", "end slower result 2;");
	channel_rig_end(&b);
}

static void
test_late_limit(void **state)
{
	static struct test_call calls[CHANNEL_LATE_MAX + 1];
	struct channel_rig b;

	(void)state;
	channel_rig_begin(&b, 16 << 20);
	for (size_t i = 0; i < COUNT(calls); i++)
		assert_int_equal(channel_rig_call(&b, &calls[i], i ? "m" : "first", 1, NULL), 0);
	run_for(&b, 30);
	/* The oldest is given up, once; the others are waited for. */
	assert_non_null(strstr(b.out.data, "late first timeout"));
	assert_null(strstr(b.out.data, "late m"));
	buf_reset(&b.out);
	channel_rig_say(&b, V ",\"id\":1,\"result\":1}\n" V ",\"id\":2,\"result\":2}\n");
	channel_rig_expect(&b, "then", "bad a response to an unknown request;late m result 2;");
	for (size_t i = 2; i < COUNT(calls); i++)
		channel_cancel(b.channel, &calls[i].rpc);
	channel_rig_end(&b);
}

static const char *
death(void *arg, struct channel_pending *c)
{
	(void)arg;
	(void)c;
	return "it died";
}

static void
test_end(void **state)
{
	struct test_call c[3] = { 0 };
	struct err err = { 0 };
	struct channel_rig b;

	(void)state;
	channel_rig_begin(&b, 1 << 20);
	assert_int_equal(channel_rig_call(&b, &c[0], "last", 10000, NULL), 0);
	assert_int_equal(channel_rig_call(&b, &c[1], "late", 1, NULL), 0);
	run_for(&b, 100);
	buf_reset(&b.out);
	channel_rig_say(&b, V ",\"id\":1,\"result\":\"no newline\"}");
	channel_rig_expect(&b, "not a line yet", "");
	close(b.to);
	b.to = -1;
	channel_rig_turn(&b);
	channel_rig_expect(&b, "ended", "ended;");
	channel_finish(b.channel);
	channel_rig_expect(&b, "a line after all", "end last result \"no newline\";");
	channel_fail(b.channel, death, NULL);
	channel_rig_expect(&b, "the rest died", "late late died it died;");
	assert_int_equal(channel_rig_call(&b, &c[2], "m", 1000, &err), ERR_CLOSED);
	assert_string_equal(err.text, "its pipe is closed");
	channel_rig_end(&b);
}

static void
test_fail_many(void **state)
{
	static struct test_call calls[1000];
	struct channel_rig b;
	size_t n = 0;

	(void)state;
	channel_rig_begin(&b, 1 << 20);
	for (size_t i = 0; i < COUNT(calls); i++)
		assert_int_equal(channel_rig_call(&b, &calls[i], "m",
			10000 + (int64_t)(i * 7919 % 1000),
			NULL), 0);
	channel_fail(b.channel, death, NULL);
	for (const char *p = b.out.data; (p = strstr(p, "end m died it died;")); p++)
		n++;
	assert_int_equal(n, COUNT(calls));
	channel_rig_end(&b);
}

/* A plugin that does not read: what it is sent waits, up to the limit, then
 * calls fail; nothing is lost or mixed when it reads again. */
static void
test_queue(void **state)
{
	static struct test_call calls[4000];
	struct err err = { 0 };
	struct buf got = BUF_INIT;
	struct channel_rig b;
	char piece[65536], wanted[100];
	size_t sent = 0, at = 0;
	ssize_t n;

	(void)state;
	channel_rig_begin(&b, 100000);
	while (sent < COUNT(calls) && channel_rig_call(&b, &calls[sent], "m", 60000, &err) == 0) {
		sent++;
		if (sent % 100 == 0)
			channel_rig_turn(&b);
	}
	assert_true(sent < COUNT(calls));
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.text, "more than 100000 bytes wait to be written");
	assert_false(channel_write(b.channel, (struct span){ piece, 60000 }));
	for (int i = 0; i < 100; i++) {
		channel_rig_turn(&b);
		while ((n = read(b.from, piece, sizeof(piece))) > 0)
			buf_add(&got, piece, (size_t)n);
	}
	for (size_t i = 1; i <= sent; i++) {
		int len = snprintf(wanted, sizeof(wanted),
				   V ",\"id\":%zu,\"method\":\"m\",\"params\":{}}\n", i);

		assert_memory_equal(got.data + at, wanted, (size_t)len);
		at += (size_t)len;
	}
	assert_int_equal(at, got.len);
	assert_int_equal(channel_rig_call(&b, &calls[sent], "m", 60000, NULL), 0);
	buf_release(&got);
	channel_rig_end(&b);
}

static void
test_broken(void **state)
{
	struct test_call c = { 0 };
	struct channel_rig b;

	(void)state;
	channel_rig_begin(&b, 1 << 20);
	close(b.from);
	b.from = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(channel_rig_call(&b, &c, "m", 10000, NULL), 0);
	channel_rig_turn(&b);
	channel_rig_expect(&b, "EPIPE", "broken;");
	channel_rig_say(&b, V ",\"id\":1,\"result\":1}\n");
	channel_rig_expect(&b, "still read", "end m result 1;");
	assert_false(channel_write(b.channel, SPAN_LIT("x\n")));
	channel_rig_end(&b);
}

static void
test_dropped_line(void **state)
{
	struct channel_rig b;
	char *line = malloc(CHANNEL_LINE_MAX + 3);

	(void)state;
	assert_non_null(line);
	channel_rig_begin(&b, 1 << 20);
	memset(line, 'x', CHANNEL_LINE_MAX + 1);
	strcpy(line + CHANNEL_LINE_MAX + 1, "\n");
	for (size_t at = 0; at < CHANNEL_LINE_MAX + 2;) {
		size_t n = CHANNEL_LINE_MAX + 2 - at;
		ssize_t w = write(b.to, line + at, n < 32768 ? n : 32768);

		assert_true(w > 0);
		at += (size_t)w;
		channel_rig_turn(&b);
	}
	channel_rig_say(&b, V ",\"method\":\"log\"}\n");
	channel_rig_expect(&b, "dropped",
		"bad longer than plugin.line.max.bytes: dropped;notification "
		"\"log\";");
	free(line);
	channel_rig_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_one_write),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_late_limit),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_fail_many),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_dropped_line),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
