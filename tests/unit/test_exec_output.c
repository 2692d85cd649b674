/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/client/exec_output.h"

/* A piece of output, and what of it is new. */
struct piece {
	int stream;
	int64_t offset;
	const char *text, *shown;
};

static const struct row {
	const char *name;
	struct piece pieces[6];
	int64_t shown; /* of stream 0 afterwards */
	bool gap;
} rows[] = {
	{"one after another", {{0, 0, "ab", "ab"}, {0, 2, "cd", "cd"}}, 4, false},
	{"the result again", {{0, 0, "ab", "ab"}, {0, 0, "abcd", "cd"}}, 4, false},
	{"the result alone", {{0, 0, "abcd", "abcd"}}, 4, false},
	{"a piece twice", {{0, 0, "ab", "ab"}, {0, 0, "ab", ""}}, 2, false},
	{"nothing in the result", {{0, 0, "", ""}}, 0, false},
	{"a lost piece is waited for",
	 {{0, 0, "ab", "ab"}, {0, 4, "ef", ""}, {0, 6, "gh", ""}},
	 2,
	 true},
	{"the whole fills the gap",
	 {{0, 0, "ab", "ab"}, {0, 4, "ef", ""}, {0, 0, "abcdef", "cdef"}},
	 6,
	 false},
	{"final pieces fill the gap",
	 {{0, 0, "ab", "ab"}, {0, 4, "ef", ""}, {0, 0, "abc", "c"}, {0, 3, "def", "def"}},
	 6,
	 false},
	{"streams count alone",
	 {{0, 0, "ab", "ab"}, {1, 0, "xyz", "xyz"}, {0, 2, "c", "c"}},
	 3,
	 false},
	{"nonsense of somebody else",
	 {{0, INT64_MIN, "ab", ""}, {0, INT64_MAX, "ab", ""}},
	 0,
	 true},
	{"the result is shorter", {{0, 0, "abcd", "abcd"}, {0, 0, "ab", ""}}, 4, false},
};

static void
test_output(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct exec_output o = {0};

		exec_output_restart(&o, SPAN_LIT("t.1"));
		for (size_t k = 0; k < 6 && rows[i].pieces[k].text; k++) {
			const struct piece *p = &rows[i].pieces[k];
			struct span got =
				exec_output_take(&o, p->stream, p->offset, span_of(p->text));

			if (!span_is(got, p->shown))
				fail_msg("%s: piece %zu shows '%.*s'", rows[i].name, k,
					 SPAN_FMT(got));
		}
		if (o.shown[0] != rows[i].shown || o.gap[0] != rows[i].gap)
			fail_msg("%s: %lld shown", rows[i].name, (long long)o.shown[0]);
	}
}

static void
test_restart(void **state)
{
	struct exec_output o = {0};

	(void)state;
	assert_false(exec_output_restart(&o, SPAN_LIT("t.1")));
	exec_output_take(&o, 0, 0, SPAN_LIT("abc"));
	assert_false(exec_output_restart(&o, SPAN_LIT("t.1")));
	assert_int_equal(o.shown[0], 3);
	assert_true(exec_output_restart(&o, SPAN_LIT("t.2")));
	assert_int_equal(o.shown[0], 0);
	assert_string_equal(o.token, "t.2");
}

static const struct code_row {
	const char *name;
	bool timed_out, has_code;
	int64_t code;
	const char *signal;
	int expected;
} code_rows[] = {
	{"fine", false, true, 0, NULL, 0},
	{"its own code", false, true, 3, NULL, 3},
	{"killed", false, false, 0, "SIGKILL", 137},
	{"terminated", false, false, 0, "SIGTERM", 143},
	{"signal and code", false, true, 0, "SIGINT", 130},
	{"time-out with a signal", true, false, 0, "SIGTERM", 124},
	{"time-out alone", true, false, 0, NULL, 124},
	{"unknown signal, code", false, true, 9, "SIGFOO", 9},
	{"unknown signal", false, false, 0, "SIGFOO", -1},
	{"nothing", false, false, 0, NULL, -1},
	{"signal by number", false, false, 0, "9", 137},
	{"signal without a name", false, false, 0, "SIG35", 163},
	{"signal beyond all", false, false, 0, "SIG999", -1},
	{"empty signal", false, false, 0, "", -1},
	{"too large for 8 bits", false, true, 256, NULL, 1},
	{"negative", false, true, -1, NULL, 255},
};

static void
test_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(code_rows) / sizeof(*code_rows); i++) {
		const struct code_row *r = &code_rows[i];
		int got = exec_output_code(r->timed_out, r->has_code, r->code, span_of(r->signal));

		if (got != r->expected)
			fail_msg("%s: %d", r->name, got);
	}
}

static void
test_failure_code(void **state)
{
	static const struct {
		const char *status, *summary;
		int expected;
	} row[] = {
		{"INTERRUPTED", "INTERRUPTED: not known", 122},
		{"FAILED", "PLUGIN_ERROR: spawn /no/such ENOENT", 127},
		{"FAILED", "PLUGIN_ERROR: spawn /etc EACCES", 126},
		{"FAILED", "PLUGIN_ERROR: spawn x ENOEXEC", 126},
		{"FAILED", "PLUGIN_ERROR: spawn x EMFILE", 125},
		{"FAILED", "PLUGIN_ERROR: open x ENOENT", 125},
		{"FAILED", "TIMEOUT: spawn x ENOENT", 125},
		{"FAILED", "", 125},
		{"EXPIRED", "EXPIRED: expired.", 125},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_int_equal(exec_output_failure_code(span_of(row[i].status),
							  span_of(row[i].summary)),
				 row[i].expected);
}

static void
test_cut(void **state)
{
	int64_t limit = 0;

	(void)state;
	assert_false(exec_output_is_cut(SPAN_NULL, &limit));
	assert_false(exec_output_is_cut(SPAN_LIT("{\"outputCut\":false}"), &limit));
	assert_false(exec_output_is_cut(SPAN_LIT("[true]"), &limit));
	assert_true(exec_output_is_cut(SPAN_LIT("{\"outputCut\":true}"), &limit));
	assert_int_equal(limit, 0);
	assert_true(exec_output_is_cut(
		SPAN_LIT("{\"outputLimitBytes\":64,\"outputCut\":true}"), &limit));
	assert_int_equal(limit, 64);
	assert_true(exec_output_is_cut(SPAN_LIT("{\"endedBy\":\"outputLimit\"}"), &limit));
	assert_false(exec_output_is_cut(SPAN_LIT("{\"endedBy\":1}"), &limit));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_failure_code),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
