/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "plugin/execlog.h"
#include "envdriver/host/scope.h"
#include "rpc/stderr_tail.h"
#include "alloc_rig.h"

#define NOTHING UINT64_MAX

enum { CALLS = 4 };

/* A step is a letter and the number of a call: b0 begins, s0 settles (its
 * caller has an answer), e0 ends, t touches; each moves stderr on by 10. What
 * counts is what the call `of` is shown then: stderr from `from` on. */
static const struct place_row {
	const char *name;
	const char *companies[CALLS];
	const char *steps;
	int of;
	uint64_t from;
} place_rows[] = {
	{ "alone",			{ "a" },		"b0",		0, 0 },
	{ "two of one company",		{ "a", "a" },		"b0b1e0",	1, 0 },
	{ "another one now",		{ "a", "b" },		"b0b1",		0, NOTHING },
	{ "another one's call before",	{ "b", "a" },		"b0e0b1",	1, 10 },
	{ "its own calls before",	{ "b", "a", "a" },	"b0e0b1e1b2",	2, 10 },
	{ "two others before",		{ "b", "c", "a" },	"b0e0b1e1b2",	2, 30 },
	{ "own one between others",	{ "b", "a", "c", "a" },	"b0e0b1e1b2e2b3", 3, 50 },
	{ "another timed out, at work",	{ "b", "a" },		"b0s0b1",	1, NOTHING },
	{ "another timed out, answered late", { "b", "a" },	"b0s0b1e0",	1, 30 },
	{ "nameless beside it",		{ "", "a" },		"b0b1",		1, NOTHING },
	{ "nameless before it",		{ "", "a" },		"b0e0b1",	1, 10 },
	{ "two nameless ones",		{ "", "" },		"b0b1",		0, NOTHING },
	{ "nameless after nameless",	{ "", "" },		"b0e0b1",	1, 10 },
	{ "nameless after a company",	{ "a", "" },		"b0e0b1",	1, 10 },
	{ "late stderr of the first",	{ "a", "b" },		"b0e0b1t1",	1, 30 },
};

static void
run_steps(struct scope *s, struct scope_entry *calls, const char *steps)
{
	uint64_t at = 0;

	for (; *steps; steps += 2, at += 10) {
		struct scope_entry *c = &calls[steps[1] - '0'];

		if (*steps == 'b')
			assert_true(scope_begin(s, c));
		else if (*steps == 's')
			scope_settle(s, c);
		else if (*steps == 't')
			scope_touch(s, at);
		else
			scope_end(s, c, at);
	}
}

static void
test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(place_rows); i++) {
		const struct place_row *row = &place_rows[i];
		struct scope_entry calls[CALLS] = { 0 };
		struct scope s = { 0 };
		uint64_t from;

		for (int n = 0; n < CALLS; n++)
			calls[n].company = span_of(row->companies[n]);
		run_steps(&s, calls, row->steps);
		from = scope_from(&s, &calls[row->of]);
		if (from != row->from)
			fail_msg("%s: from %lld", row->name, (long long)from);
		scope_release(&s);
	}
}

static void
test_find(void **state)
{
	struct scope_entry calls[100] = { 0 };
	char ids[100][16];
	struct scope s = { 0 };

	(void)state;
	assert_false(scope_any(&s));
	assert_null(scope_find(&s, SPAN_LIT("id-0")));
	for (int i = 0; i < 100; i++) {
		snprintf(ids[i], sizeof(ids[i]), "id-%d", i);
		calls[i].invocation_id = i == 50 ? NULL : ids[i];
		calls[i].company = SPAN_LIT("a");
		assert_true(scope_begin(&s, &calls[i]));
	}
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(scope_find(&s, span_of(ids[i])), i == 50 ? NULL : &calls[i]);
	scope_settle(&s, &calls[7]);
	assert_null(scope_find(&s, span_of(ids[7])));
	for (int i = 0; i < 100; i++)
		scope_end(&s, &calls[i], 0);
	assert_false(scope_any(&s));
	assert_true(LIST_EMPTY(&s.calls));
	scope_release(&s);
}

static int fail_in;

static void *
failing(void *ptr, size_t size)
{
	return fail_in-- == 0 ? NULL : realloc(ptr, size);
}

/* Without memory for a company's name nobody is shown anything. */
static void
test_blind(void **state)
{
	struct scope_entry calls[3] = { 0 };
	struct scope s = { 0 };

	(void)state;
	calls[0].company = SPAN_LIT("a");
	calls[1].company = SPAN_LIT("b");
	assert_true(scope_begin(&s, &calls[0]));
	fail_in = 0;
	alloc_replace(failing);
	scope_end(&s, &calls[0], 10);
	alloc_replace(NULL);
	assert_true(scope_begin(&s, &calls[1]));
	assert_true(scope_from(&s, &calls[1]) == NOTHING);
	scope_end(&s, &calls[1], 20);
	calls[2].invocation_id = "i";
	fail_in = 0;
	alloc_replace(failing);
	assert_false(scope_begin(&s, &calls[2]));
	alloc_replace(NULL);
	scope_release(&s);
}

/* tail */

static const struct tail_row {
	const char *name;
	const char *lines[4];
	uint64_t from;
	const char *excerpt;
} tail_rows[] = {
	{ "nothing",		{ NULL },			0, "" },
	{ "one line",		{ "fatal: no license" },	0, "fatal: no license" },
	{ "trimmed",		{ "", "  a  ", "b\t", "" },	0, "a  \nb" },
	{ "blank",		{ " ", "" },			0, "" },
	{ "from a line",	{ "abc", "def", "g" },		4, "def\ng" },
	{ "from inside a line",	{ "abc", "def", "g" },		5, "g" },
	{ "from inside the last", { "abc", "def" },		5, "" },
	{ "from the end",	{ "abc" },			4, "" },
	{ "from past the end",	{ "abc" },			UINT64_MAX, "" },
};

static void
test_tail(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(tail_rows); i++) {
		const struct tail_row *row = &tail_rows[i];
		struct stderr_tail t = { 0 };

		for (size_t n = 0; n < 4 && row->lines[n]; n++)
			stderr_tail_add(&t, span_of(row->lines[n]));
		if (!span_is(stderr_tail_excerpt(&t, row->from), row->excerpt))
			fail_msg("%s: %.*s", row->name,
				 SPAN_FMT(stderr_tail_excerpt(&t, row->from)));
		stderr_tail_release(&t);
	}
}

/* The last 8,000 characters as JavaScript counts, however much there was. */
static void
test_tail_long(void **state)
{
	struct stderr_tail t = { 0 };
	struct span got;
	char line[64];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		snprintf(line, sizeof(line), "%06d", i);
		stderr_tail_add(&t, span_of(line));
	}
	got = stderr_tail_excerpt(&t, 0);
	/* 8,000 units end in a line end, which is trimmed; 7 are a line. */
	assert_int_equal(got.len, 8000 - 1);
	assert_memory_equal(got.ptr + got.len - 13, "099998\n099999", 13);
	assert_true(t.kept.cap < 1 << 20);
	assert_true(stderr_tail_end(&t) == 700000);
	assert_true(span_is(stderr_tail_excerpt(&t, 700000 - 7), "099999"));

	for (int i = 0; i < 5000; i++)
		stderr_tail_add(&t, SPAN_LIT("\xf0\x9f\x98\x80"));
	got = stderr_tail_excerpt(&t, 0);
	/* Three units a line, two of them one character: the cut falls on one. */
	assert_int_equal(got.len, 8000 / 3 * 5 + 4 - 1 - 4);
	stderr_tail_release(&t);
}

/* execlog */

static const struct log_row {
	const char *name;
	const char *notification;	/* params and invocation id */
	const char *out;		/* what is delivered; NULL: nothing */
	const char *why;
} log_rows[] = {
	{ "stdout", "{\"stream\":\"stdout\",\"chunk\":\"one\\n\"},"
	  "\"paperclipInvocationId\":\"i-1\"",
	  "1 one\n", NULL },
	{ "stderr", "{\"stream\":\"stderr\",\"chunk\":\"\\u20ac\"},\"paperclipInvocationId\":\" "
	  "i-1 \"",
	  "2 \xe2\x82\xac", NULL },
	{ "lone surrogate", "{\"stream\":\"stdout\",\"chunk\":\"\\ud800\"},"
	  "\"paperclipInvocationId\":\"i-1\"", "1 \xef\xbf\xbd", NULL },
	{ "stdin", "{\"stream\":\"stdin\",\"chunk\":\"x\"},\"paperclipInvocationId\":\"i-1\"",
	  NULL, "invalid stream" },
	{ "no stream", "{\"chunk\":\"x\"},\"paperclipInvocationId\":\"i-1\"", NULL,
	  "invalid stream" },
	{ "empty", "{\"stream\":\"stdout\",\"chunk\":\"\"},\"paperclipInvocationId\":\"i-1\"",
	  NULL, "invalid chunk" },
	{ "number", "{\"stream\":\"stdout\",\"chunk\":1},\"paperclipInvocationId\":\"i-1\"",
	  NULL, "invalid chunk" },
	{ "no params", "null,\"paperclipInvocationId\":\"i-1\"", NULL, "invalid stream" },
	{ "no id", "{\"stream\":\"stdout\",\"chunk\":\"x\"}", NULL,
	  "no execution has that invocation id" },
	{ "unknown id", "{\"stream\":\"stdout\",\"chunk\":\"x\"},\"paperclipInvocationId\":\"i-9\"",
	  NULL, "no execution has that invocation id" },
	{ "of a call without a log", "{\"stream\":\"stdout\",\"chunk\":\"x\"},"
	  "\"paperclipInvocationId\":\"i-2\"", NULL, "no execution has that invocation id" },
	{ "of a settled call", "{\"stream\":\"stdout\",\"chunk\":\"x\"},"
	  "\"paperclipInvocationId\":\"i-3\"", NULL, "no execution has that invocation id" },
};

static void
take(struct scope *s, const char *name, const char *notification, uint64_t max, const char *out,
     const char *why)
{
	struct buf line = BUF_INIT, text = BUF_INIT, got = BUF_INIT;
	struct execlog_chunk chunk;
	struct rpc_message m;
	const char *refused;

	buf_addf(&line, "{\"jsonrpc\":\"2.0\",\"method\":\"execute.log\",\"params\":%s}",
		notification);
	rpc_parse(buf_span(&line), &m);
	assert_int_equal(m.kind, RPC_NOTIFICATION);
	refused = execlog_take(s, &m, max, &text, &chunk);
	if (!refused)
		buf_addf(&got, "%d %.*s", chunk.is_stderr ? 2 : 1, SPAN_FMT(chunk.output));
	if (!refused != !why || (why && strcmp(why, refused) != 0) ||
	    (out && strcmp(out, got.data ? got.data : "") != 0))
		fail_msg("%s: %s / %s", name, got.data, refused);
	buf_release(&line);
	buf_release(&text);
	buf_release(&got);
}

static void
test_execlog(void **state)
{
	struct scope_entry calls[] = {
		{ .invocation_id = "i-1", .company = SPAN_LIT("a"), .wants_log = true },
		{ .invocation_id = "i-2", .company = SPAN_LIT("b") },
		{ .invocation_id = "i-3", .company = SPAN_LIT("b"), .wants_log = true },
	};
	struct scope s = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++)
		assert_true(scope_begin(&s, &calls[i]));
	scope_settle(&s, &calls[2]);
	for (size_t i = 0; i < COUNT(log_rows); i++)
		take(&s, log_rows[i].name, log_rows[i].notification, 1000, log_rows[i].out,
		     log_rows[i].why);
	for (size_t i = 0; i < COUNT(calls); i++)
		scope_end(&s, &calls[i], 0);
	scope_release(&s);
}

#define CHUNK(id, text) "{\"stream\":\"stdout\",\"chunk\":\"" text "\"}," \
	"\"paperclipInvocationId\":\"" id "\""

static void
test_execlog_total(void **state)
{
	struct scope_entry call = { .invocation_id = "i", .company = SPAN_LIT("a"),
		.wants_log = true };
	struct scope s = { 0 };

	(void)state;
	assert_true(scope_begin(&s, &call));
	take(&s, "first", CHUNK("i", "12345"), 11, "1 12345", NULL);
	take(&s, "second", CHUNK("i", "67890"), 11, "1 67890", NULL);
	take(&s, "too long", CHUNK("i", "toolong"), 11, NULL, "the call's limit is reached");
	take(&s, "a smaller one passes", CHUNK("i", "x"), 11, "1 x", NULL);
	take(&s, "full", CHUNK("i", "y"), 11, NULL, "the call's limit is reached");
	scope_end(&s, &call, 0);
	scope_release(&s);
}

static void
test_execlog_chunk_max(void **state)
{
	struct scope_entry call = { .invocation_id = "i", .company = SPAN_LIT("a"),
		.wants_log = true };
	struct scope s = { 0 };

	(void)state;
	assert_true(scope_begin(&s, &call));
	for (size_t n = EXECLOG_CHUNK_MAX; n <= EXECLOG_CHUNK_MAX + 1; n++) {
		struct buf b = BUF_INIT;

		buf_adds(&b, "{\"stream\":\"stdout\",\"chunk\":\"");
		for (size_t i = 0; i < n; i++)
			buf_adds(&b, "\xc3\xa9");
		buf_adds(&b, "\"},\"paperclipInvocationId\":\"i\"");
		take(&s, "chunk", b.data, UINT64_MAX, NULL,
		     n > EXECLOG_CHUNK_MAX ? "invalid chunk" : NULL);
		buf_release(&b);
	}
	assert_true(call.log_bytes == 2 * EXECLOG_CHUNK_MAX);
	scope_end(&s, &call, 0);
	scope_release(&s);
}

/* A second company's execution closes the first one's route for good, once a
 * chunk shows both at work. */
static void
test_execlog_latch(void **state)
{
	struct scope_entry a = { .invocation_id = "a", .company = SPAN_LIT("co-1"),
		.wants_log = true };
	struct scope_entry b = { .invocation_id = "b", .company = SPAN_LIT("co-2"),
		.wants_log = true };
	struct scope_entry c = { .invocation_id = "c", .company = SPAN_LIT("co-1"),
		.wants_log = true };
	struct scope s = { 0 };

	(void)state;
	assert_true(scope_begin(&s, &a));
	take(&s, "alone", CHUNK("a", "1"), 100, "1 1", NULL);
	assert_true(scope_begin(&s, &b));
	take(&s, "two companies", CHUNK("b", "2"), 100, NULL, "executions of two companies run");
	scope_end(&s, &b, 0);
	take(&s, "latched", CHUNK("a", "3"), 100, NULL, "executions of two companies run");
	assert_true(scope_begin(&s, &c));
	take(&s, "a new one of the same company", CHUNK("c", "4"), 100, "1 4", NULL);
	scope_end(&s, &a, 0);
	scope_end(&s, &c, 0);
	scope_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_tail_long),
		cmocka_unit_test(test_execlog),
		cmocka_unit_test(test_execlog_total),
		cmocka_unit_test(test_execlog_chunk_max),
		cmocka_unit_test(test_execlog_latch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
