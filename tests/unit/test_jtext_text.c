/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"

static struct jtext
parse(struct span text)
{
	struct jtext value;
	struct err err;

	if (jtext_check(text, JTEXT_DEPTH_MAX, &value, &err) < 0)
		fail_msg("'%.*s': %s", SPAN_FMT(text), err.text);
	return value;
}

static const struct decode_row {
	const char *name, *text;
	struct span out;
	bool replaced;
} decode_rows[] = {
	{ "plain",		"\"abc\"",		S("abc"),	false },
	{ "empty",		"\"\"",			S(""),		false },
	{ "simple escapes",	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", S("\"\\/\b\f\n\r\t"), false },
	{ "NUL in the middle",	"\"a\\u0000b\"",	S("a\0b"),	false },
	{ "hex in both cases",	"\"\\u00e9\\u00E9\"",	S("\xc3\xa9\xc3\xa9"), false },
	{ "three bytes",	"\"\\u20ac\"",		S("\xe2\x82\xac"), false },
	{ "pair",		"\"\\ud83d\\ude00\"",	S("\xf0\x9f\x98\x80"), false },
	{ "last pair",		"\"\\udbff\\udfff\"",	S("\xf4\x8f\xbf\xbf"), false },
	{ "high alone",		"\"x\\ud83dy\"",	S("x\xef\xbf\xbdy"), true },
	{ "high at the end",	"\"\\ud83d\"",		S("\xef\xbf\xbd"), true },
	{ "low alone",		"\"\\ude00\"",		S("\xef\xbf\xbd"), true },
	{ "two lows",		"\"\\ude00\\ude00\"",	S("\xef\xbf\xbd\xef\xbf\xbd"), true },
	{ "two highs and a low", "\"\\ud83d\\ud83d\\ude00\"", S("\xef\xbf\xbd\xf0\x9f\x98\x80"),
	  true },
	{ "high and letter escape", "\"\\ud83d\\u0041\"", S("\xef\xbf\xbd" "A"), true },
	{ "an escaped U+FFFD is no replacement", "\"\\ufffd\"", S("\xef\xbf\xbd"), false },
	{ "UTF-8 stays",	"\"\xe2\x82\xac\\n\xe2\x82\xac\"",
	  S("\xe2\x82\xac\n\xe2\x82\xac"), false },
};

static void
test_decode(void **state)
{
	const struct decode_row *row;

	(void)state;
	EACH(row, decode_rows) {
		struct buf out = BUF_INIT;
		struct span text = exact(span_of(row->text));
		bool replaced = false;

		jtext_decode(parse(text), &out, &replaced);
		if (!span_eq(buf_span(&out), row->out) || replaced != row->replaced)
			fail_msg("%s: '%.*s' %d", row->name, SPAN_FMT(buf_span(&out)), replaced);
		/* It appends, and leaves the flag when there is nothing to say. */
		replaced = true;
		jtext_decode(parse(text), &out, &replaced);
		assert_int_equal(out.len, 2 * row->out.len);
		assert_true(replaced);
		jtext_decode(parse(text), &out, NULL);
		buf_release(&out);
		free((char *)text.ptr);
	}
}

static const struct is_row {
	const char *json, *text;
	bool is;
} is_rows[] = {
	{ "\"abc\"",		"abc",	true },
	{ "\"abc\"",		"abd",	false },
	{ "\"abc\"",		"ab",	false },
	{ "\"ab\"",		"abc",	false },
	{ "\"\"",		"",	true },
	{ "\"\\u0061bc\"",	"abc",	true },
	{ "\"\\u20ac\"",	"\xe2\x82\xac",	true },
	{ "\"\\u20ac\"",	"\xe2\x82",	false },
	{ "\"\\u0000\"",	"",	false },
	{ "1",			"1",	false },
	{ "null",		"null",	false },
};

static void
test_is(void **state)
{
	const struct is_row *row;

	(void)state;
	EACH(row, is_rows)
		if (jtext_is(parse(span_of(row->json)), row->text) != row->is)
			fail_msg("%s is '%s'", row->json, row->text);
}

static const struct number_row {
	const char *text;
	bool is_int;
	int64_t i;
	bool is_double;
	double d;
} number_rows[] = {
	{ "0",			true,	0,	true,	0 },
	{ "-0.0e5",		true,	0,	true,	0 },
	{ "2",			true,	2,	true,	2 },
	{ "2.0",		true,	2,	true,	2 },
	{ "2e0",		true,	2,	true,	2 },
	{ "20e-1",		true,	2,	true,	2 },
	{ "0.02E+2",		true,	2,	true,	2 },
	{ "2.5",		false,	0,	true,	2.5 },
	{ "2.5e1",		true,	25,	true,	25 },
	{ "-1.5e-1",		false,	0,	true,	-0.15 },
	{ "1200",		true,	1200,	true,	1200 },
	{ "0e999999999999999999999", true, 0,	true,	0 },
	{ "9223372036854775807", true,	INT64_MAX, true, 9223372036854775807.0 },
	{ "-9223372036854775808", true,	INT64_MIN, true, -9223372036854775808.0 },
	{ "9223372036854775808", false,	0,	true,	9223372036854775808.0 },
	{ "-9223372036854775809", false, 0,	true,	-9223372036854775809.0 },
	{ "922337203685477580700e-2", true, INT64_MAX, true, 9223372036854775807.0 },
	{ "1e18",		true,	INT64_C(1000000000000000000), true, 1e18 },
	{ "1e19",		false,	0,	true,	1e19 },
	{ "1e308",		false,	0,	true,	1e308 },
	{ "1e309",		false,	0,	false,	0 },
	{ "1e99999999999999999999", false, 0,	false,	0 },
	{ "1e-99999999999999999999", false, 0,	true,	0 },
	{ "0.1",		false,	0,	true,	0.1 },
	{ "-32000",		true,	-32000,	true,	-32000 },
	/* Between two doubles; the last digit, far away, decides. */
	{ "9007199254740993",	true,	INT64_C(9007199254740993), true, 9007199254740992.0 },
	{ "9007199254740993.0000000000000000000000000000001", false, 0, true, 9007199254740994.0 },
};

static void
test_numbers(void **state)
{
	const struct number_row *row;

	(void)state;
	EACH(row, number_rows) {
		struct span text = exact(span_of(row->text));
		int64_t v = 7;
		double d = 7;

		if (jtext_int(parse(text), &v) != row->is_int || v != (row->is_int ? row->i : 7))
			fail_msg("%s: integer %lld", row->text, (long long)v);
		if (jtext_double(parse(text), &d) != row->is_double ||
		    d != (row->is_double ? row->d : 7))
			fail_msg("%s: double %.17g", row->text, d);
		free((char *)text.ptr);
	}
	assert_false(jtext_int(parse(span_of("\"2\"")), &(int64_t){ 0 }));
	assert_false(jtext_double(parse(span_of("null")), &(double){ 0 }));
}

/* A number of a megabyte is a number too. */
static void
test_long_numbers(void **state)
{
	enum { ZEROS = 1000000 };
	struct buf text = BUF_INIT;
	int64_t v;
	double d;

	(void)state;
	buf_adds(&text, "0.");
	for (int i = 0; i < ZEROS; i++)
		buf_addch(&text, '0');
	buf_addf(&text, "25e%d", ZEROS + 2);
	assert_true(jtext_int(parse(buf_span(&text)), &v));
	assert_int_equal(v, 25);
	assert_true(jtext_double(parse(buf_span(&text)), &d));
	assert_true(d == 25.0);

	/* 2^53 + 1 exactly in the middle, then 1 behind a million zeros: up. */
	buf_reset(&text);
	buf_adds(&text, "9007199254740993.");
	for (int i = 0; i < ZEROS; i++)
		buf_addch(&text, '0');
	assert_true(jtext_double(parse(buf_span(&text)), &d));
	assert_true(d == 9007199254740992.0);
	buf_addch(&text, '1');
	assert_true(jtext_double(parse(buf_span(&text)), &d));
	assert_true(d == 9007199254740994.0);
	assert_false(jtext_int(parse(buf_span(&text)), &v));
	buf_release(&text);
}

static const struct string_row {
	const char *name;
	struct span text;
	const char *out;
} string_rows[] = {
	{ "empty",		S(""),			"\"\"" },
	{ "plain",		S("abc"),		"\"abc\"" },
	{ "named escapes",	S("\"\\\b\f\n\r\t"),	"\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
	{ "a slash stays",	S("/"),			"\"/\"" },
	{ "other controls",	S("\0\x01\x0b\x1f"),	"\"\\u0000\\u0001\\u000b\\u001f\"" },
	{ "DEL stays",		S("\x7f"),		"\"\x7f\"" },
	{ "U+2028 stays",	S("\xe2\x80\xa8"),	"\"\xe2\x80\xa8\"" },
	{ "escape after 16 bytes", S("0123456789abcdef\n0123456789abcdef"),
	  "\"0123456789abcdef\\n0123456789abcdef\"" },
	{ "escape after UTF-8",	S("\xc3\xa9\n\xc3\xa9\""), "\"\xc3\xa9\\n\xc3\xa9\\\"\"" },
};

static void
test_add_string(void **state)
{
	const struct string_row *row;

	(void)state;
	EACH(row, string_rows) {
		struct buf out = BUF_INIT, back = BUF_INIT;
		struct span text = exact(row->text);

		jtext_add_string(&out, text);
		if (!span_is(buf_span(&out), row->out))
			fail_msg("%s: %s", row->name, out.data);
		jtext_decode(parse(buf_span(&out)), &back, NULL);
		if (!span_eq(buf_span(&back), row->text))
			fail_msg("%s: does not come back", row->name);
		buf_release(&out);
		buf_release(&back);
		free((char *)text.ptr);
	}
}

static void
test_add_flat(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	buf_adds(&out, "a\n");
	jtext_add_flat(&out, span_of("{\r\n\t\"a\\n\" : [1,\n2]}"));
	assert_string_equal(out.data, "a\n{   \"a\\n\" : [1, 2]}");
	buf_release(&out);
}

static const struct repair_row {
	const char *name;
	struct span text;
	const char *out;	/* '?' stands for U+FFFD */
} repair_rows[] = {
	{ "nothing to do",	S("a\xc3\xa9\xf0\x9f\x98\x80"), "a\xc3\xa9\xf0\x9f\x98\x80" },
	{ "lone continuation",	S("a\x80z"),		"a?z" },
	{ "overlong: each byte", S("\xc0\xaf"),		"??" },
	{ "surrogate: each byte", S("\xed\xa0\x80"),	"???" },
	{ "cut 3 of 4 is one",	S("\xf0\x9f\x98" "a"),	"?a" },
	{ "cut at the end is one", S("a\xe2\x82"),	"a?" },
	{ "too high: each byte", S("\xf4\x90\x80\x80"),	"????" },
	{ "FE and FF",		S("\xfe\xff"),		"??" },
	{ "Unicode's own example", S("a\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d"),
	  "a???b?c??d" },
	{ "after 8 good ones",	S("01234567\xff" "01234567"), "01234567?01234567" },
};

static void
test_repair(void **state)
{
	const struct repair_row *row;

	(void)state;
	EACH(row, repair_rows) {
		struct buf out = BUF_INIT, want = BUF_INIT;
		struct span text = exact(row->text);

		for (const char *p = row->out; *p; p++)
			buf_adds(&want, *p == '?' ? "\xef\xbf\xbd" : (char[]){ *p, '\0' });
		jtext_add_repaired(&out, text);
		if (!span_eq(buf_span(&out), buf_span(&want)))
			fail_msg("%s: %s", row->name, out.data);
		assert_true(jtext_utf8_ok(buf_span(&out)));
		if (jtext_utf8_ok(text) != span_eq(buf_span(&out), text))
			fail_msg("%s: utf8_ok", row->name);
		buf_release(&out);
		buf_release(&want);
		free((char *)text.ptr);
	}
	assert_true(jtext_utf8_ok(SPAN_NULL));
}

/* Every scalar value, written, is one well-formed character of its length. */
static void
test_every_rune(void **state)
{
	(void)state;
	for (unsigned rune = 0; rune < 0x110000; rune++) {
		char text[UTF8_MAX];
		size_t n;

		if (rune == 0xd800)
			rune = 0xe000;
		n = utf8_put(text, rune);
		if (utf8_step(text, text + n) != (int)n)
			fail_msg("U+%04X", rune);
		if (n > 1 && utf8_step(text, text + n - 1) > 0)
			fail_msg("U+%04X cut", rune);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),	     cmocka_unit_test(test_is),
		cmocka_unit_test(test_numbers),	     cmocka_unit_test(test_long_numbers),
		cmocka_unit_test(test_add_string),   cmocka_unit_test(test_add_flat),
		cmocka_unit_test(test_repair),	     cmocka_unit_test(test_every_rune),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
