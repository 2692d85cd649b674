/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

enum { LINES = 30000, FLUSH_MS = 20000, SHORT_MS = 50 };

/* Standard error is a pipe; [0] is the end that is read, [1] the real one. */
static int ends[2] = { -1, -1 };

static int
capture(void **state)
{
	int fds[2];

	(void)state;
	if (pipe(fds) < 0)
		return -1;
	ends[0] = fds[0];
	ends[1] = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static int
let_go(void **state)
{
	(void)state;
	dup2(ends[1], STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* Appends what can be read now. */
static void
read_some(struct buf *out)
{
	ssize_t n = 1;

	while (n > 0) {
		assert_true(buf_reserve(out, 65536));
		n = read(ends[0], out->data + out->len, 65536);
		if (n > 0)
			out->len += (size_t)n;
	}
	if (out->data)
		out->data[out->len] = '\0';
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const struct shown {
	struct span text;
	const char *as_text, *as_json;
} shown[] = {
	{ SPAN_LIT("plain"), "plain", "plain" },
	{ SPAN_LIT("a\"b\\c"), "a\"b\\c", "a\\\"b\\\\c" },
	{ SPAN_LIT("a\nb\tc\rd"), "a\\nb\\tc\\x0dd", "a\\nb\\tc\\u000dd" },
	{ SPAN_LIT("\x1b[31m\x7f"), "\\x1b[31m\\x7f", "\\u001b[31m\\u007f" },
	/* C1: CSI for terminals that take it so */
	{ SPAN_LIT("\xc2\x9b" "31m"), "\\x9b31m", "\\u009b31m" },
	{ SPAN_LIT("\xe2\x80\xae" "gpj.exe"), "\\u202egpj.exe", "\\u202egpj.exe" },
	{ SPAN_LIT("\xe2\x81\xa6" "x\xe2\x81\xa9"), "\\u2066x\\u2069", "\\u2066x\\u2069" },
	{ SPAN_LIT("a\xe2\x80\xa8" "b\xe2\x80\xa9"), "a\\u2028b\\u2029", "a\\u2028b\\u2029" },
	/* a tag character, beyond the 16 bits of one escape of JSON */
	{ SPAN_LIT("a\xf3\xa0\x80\x81" "b"), "a\\ue0001b", "a\\udb40\\udc01b" },
	{ SPAN_LIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
	/* not UTF-8 */
	{ SPAN_LIT("a\xff" "b\xe2\x82"), "a\xef\xbf\xbd" "b\xef\xbf\xbd",
	  "a\xef\xbf\xbd" "b\xef\xbf\xbd" },
};

static void
test_characters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		struct buf line = BUF_INIT, want = BUF_INIT;

		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
		log_info("%s", shown[i].text.ptr);
		read_some(&line);
		buf_addf(&want, " info  %s\n", shown[i].as_text);
		assert_true(line.len > want.len);
		assert_string_equal(line.data + line.len - want.len, want.data);
		buf_reset(&line);
		buf_reset(&want);
		log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
		log_info("%s", shown[i].text.ptr);
		read_some(&line);
		buf_addf(&want, ",\"message\":\"%s\"}\n", shown[i].as_json);
		assert_true(line.len > want.len);
		assert_string_equal(line.data + line.len - want.len, want.data);
		buf_release(&line);
		buf_release(&want);
	}
}

/* Whatever byte the cut would fall on. */
static void
test_cut(void **state)
{
	char text[6000];

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (size_t lead = 0; lead < 4; lead++) {
		struct buf line = BUF_INIT;
		json_t *object;

		memset(text, 'x', lead);
		for (size_t i = lead; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80", 5);
		log_info("%s", text);
		read_some(&line);
		object = json_loads(line.data, 0, NULL);
		assert_non_null(object);
		assert_null(strstr(line.data, "\xef\xbf\xbd"));
		assert_non_null(strstr(line.data, "\xe2\x80\xa6\"}"));
		json_decref(object);
		buf_release(&line);
	}
}

static void
test_fields(void **state)
{
	const struct log_field fields[] = {
		{ .name = "commandId", .text = SPAN_LIT("c 1") },
		{ .name = "status", .text = SPAN_LIT("FAILED") },
		{ .name = "ms", .number = 12 },
		{ .name = "x", .text = SPAN_LIT("\x1b\"") },
		{ .name = NULL },
	};
	struct buf line = BUF_INIT;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_fields(LOG_LEVEL_INFO, "m", fields);
	read_some(&line);
	assert_non_null(strstr(line.data,
			       "\"message\":\"m\",\"commandId\":\"c 1\",\"status\":\"FAILED\","
			       "\"ms\":12,\"x\":\"\\u001b\\\"\"}\n"));
	buf_reset(&line);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_fields(LOG_LEVEL_INFO, "m", fields);
	log_fields(LOG_LEVEL_DEBUG, "not at this level", fields);
	read_some(&line);
	assert_non_null(strstr(line.data, " info  m commandId=\"c 1\" status=FAILED ms=12 "
					  "x=\"\\u001b\\\"\"\n"));
	assert_null(strstr(line.data, "not at"));
	buf_release(&line);
}

/* Nobody reads: no line waits. Then everything is there or counted, in order. */
static void
test_reader_stops(void **state)
{
	struct buf out = BUF_INIT;
	size_t lines = 0;
	int64_t dropped, from;
	char *said;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_start_writer();
	from = now_ms();
	for (int i = 0; i < LINES; i++)
		log_info("line %d of a log that nobody reads, with some more text in it", i);
	log_flush(SHORT_MS);
	assert_true(now_ms() - from < FLUSH_MS);
	dropped = metrics_get(METRIC_LOG_LINES_DROPPED);
	assert_true(dropped > 0 && dropped < LINES);
	from = now_ms();
	do {
		read_some(&out);
		log_flush(/* ms= */ 1);
		assert_true(now_ms() - from < FLUSH_MS);
	} while (!out.data || !strstr(out.data, " log lines:"));
	log_info("after");
	log_flush(FLUSH_MS);
	read_some(&out);
	for (const char *p = strstr(out.data, "line "); p; p = strstr(p + 1, " line "))
		lines++;
	said = strstr(out.data, "warn  dropped ");
	assert_non_null(said);
	assert_int_equal(strtoll(said + strlen("warn  dropped "), NULL, 10), dropped);
	assert_int_equal(lines + (size_t)dropped, LINES);
	assert_non_null(strstr(said, "after\n"));
	buf_release(&out);
}

/* The queue goes on after a pipe whose reader is gone. */
static void
test_reader_gone(void **state)
{
	struct buf out = BUF_INIT;
	int64_t before = metrics_get(METRIC_LOG_LINES_DROPPED);

	let_go(state);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	ends[0] = ends[1];
	ends[1] = dup(STDERR_FILENO);
	dup2(ends[0], STDERR_FILENO);
	close(ends[0]);
	log_info("lost");
	log_flush(FLUSH_MS);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	assert_int_equal(metrics_get(METRIC_LOG_LINES_DROPPED), before + 1);
	assert_int_equal(capture(state), 0);
	log_info("found");
	log_flush(FLUSH_MS);
	read_some(&out);
	assert_non_null(strstr(out.data, "found\n"));
	assert_non_null(strstr(out.data, "dropped 1 log lines"));
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_fields),	   cmocka_unit_test(test_reader_stops),
		cmocka_unit_test(test_reader_gone),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, capture, let_go);
}
