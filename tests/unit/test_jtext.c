/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

static const struct check_row {
	const char *name;
	struct span text;
	int code;
	const char *out;	/* the value's bytes, or a piece of the error text */
} check_rows[] = {
	{ "null",		S("null"),		0,	"null" },
	{ "space around",	S(" \t\r\n[1 , 2]\n"),	0,	"[1 , 2]" },
	{ "empty object",	S("{ }"),		0,	"{ }" },
	{ "empty array",	S("[\n]"),		0,	"[\n]" },
	{ "object",		S("{\"a\":1,\"b\" : [true,false,null]}"), 0,
	  "{\"a\":1,\"b\" : [true,false,null]}" },
	{ "nested both ways",	S("[{\"a\":[{}]},[[]],{\"b\":{\"c\":[1]}}]"), 0,
	  "[{\"a\":[{}]},[[]],{\"b\":{\"c\":[1]}}]" },
	{ "zero",		S("0"),			0,	"0" },
	{ "minus zero",		S("-0"),		0,	"-0" },
	{ "full number",	S("-12.034E+05"),	0,	"-12.034E+05" },
	{ "every escape",	S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\uDe00\""), 0,
	  "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\uDe00\"" },
	{ "lone surrogate escape", S("\"\\ud800\""),	0,	"\"\\ud800\"" },
	{ "NUL escape",		S("\"\\u0000\""),	0,	"\"\\u0000\"" },
	{ "DEL as it is",	S("\"\x7f\""),		0,	"\"\x7f\"" },
	{ "UTF-8 of every length", S("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\""), 0,
	  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\"" },
	{ "U+10FFFF",		S("\"\xf4\x8f\xbf\xbf\""), 0,	"\"\xf4\x8f\xbf\xbf\"" },
	{ "long string",	S("\"0123456789abcdef0123456789abcdef0123456789\\n\""), 0,
	  "\"0123456789abcdef0123456789abcdef0123456789\\n\"" },
	{ "repeated key",	S("{\"a\":1,\"a\":2}"),	0,	"{\"a\":1,\"a\":2}" },

	{ "empty",		S(""),			ERR_INVALID,
	  "a value at byte 0, got the end" },
	{ "only space",		S("  "),		ERR_INVALID, "a value at byte 2" },
	{ "two values",		S("1 2"),		ERR_INVALID, "the end at byte 2" },
	{ "byte order mark",	S("\xef\xbb\xbf{}"),	ERR_INVALID, "a value at byte 0" },
	{ "NUL behind",		S("1\0"),		ERR_INVALID, "the end at byte 1" },
	{ "leading zero",	S("01"),		ERR_INVALID, "the end at byte 1" },
	{ "plus sign",		S("+1"),		ERR_INVALID, "a value at byte 0" },
	{ "only minus",		S("-"),			ERR_INVALID,
	  "a digit at byte 1, got the end" },
	{ "minus letter",	S("-a"),		ERR_INVALID, "a digit at byte 1" },
	{ "point without digits", S("1."),		ERR_INVALID, "a digit at byte 2" },
	{ "point first",	S(".5"),		ERR_INVALID, "a value at byte 0" },
	{ "empty exponent",	S("1e"),		ERR_INVALID, "a digit at byte 2" },
	{ "exponent of a sign",	S("1e+"),		ERR_INVALID, "a digit at byte 3" },
	{ "hex number",		S("0x10"),		ERR_INVALID, "the end at byte 1" },
	{ "NaN",		S("NaN"),		ERR_INVALID, "a value at byte 0" },
	{ "cut word",		S("tru"),		ERR_INVALID, "a value at byte 0" },
	{ "word and letter",	S("nulls"),		ERR_INVALID, "the end at byte 4" },
	{ "unclosed string",	S("\"abc"),		ERR_INVALID,
	  "'\"' at byte 4, got the end" },
	{ "only a quote",	S("\""),		ERR_INVALID, "'\"' at byte 1" },
	{ "escaped end",	S("\"abc\\\""),		ERR_INVALID, "'\"' at byte 6" },
	{ "cut escape",		S("\"\\"),		ERR_INVALID,
	  "an escape character at byte 2" },
	{ "unknown escape",	S("\"\\x41\""),		ERR_INVALID,
	  "an escape character at byte 2" },
	{ "escaped NUL byte",	S("\"\\\0\""),		ERR_INVALID,
	  "an escape character at byte 2" },
	{ "short \\u",		S("\"\\u12\""),		ERR_INVALID,
	  "a hexadecimal digit at byte 5" },
	{ "cut \\u",		S("\"\\u1"),		ERR_INVALID,
	  "a hexadecimal digit at byte 4" },
	{ "line break in string", S("\"a\nb\""),	ERR_INVALID,
	  "character 0x0a in a string at byte 2" },
	{ "late control character", S("\"0123456789abcdef012\x1f\""), ERR_INVALID,
	  "character 0x1f in a string at byte 20" },
	{ "lone continuation",	S("\"\x80\""),		ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "overlong slash",	S("\"\xc0\xaf\""),	ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "overlong of 3",	S("\"\xe0\x9f\xbf\""),	ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "surrogate in UTF-8",	S("\"\xed\xa0\x80\""),	ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "above U+10FFFF",	S("\"\xf4\x90\x80\x80\""), ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "UTF-8 cut by end",	S("\"\xe2\x82"),	ERR_INVALID, "invalid UTF-8 at byte 1" },
	{ "UTF-8 cut by quote",	S("\"a\xe2\x82\""),	ERR_INVALID, "invalid UTF-8 at byte 2" },
	{ "UTF-8 outside string", S("[\xc3\xa9]"),	ERR_INVALID, "a value at byte 1" },
	{ "trailing comma",	S("[1,]"),		ERR_INVALID, "a value at byte 3" },
	{ "comma first",	S("[,1]"),		ERR_INVALID, "a value at byte 1" },
	{ "missing comma",	S("[1 2]"),		ERR_INVALID, "',' or ']' at byte 3" },
	{ "wrong bracket",	S("[1}"),		ERR_INVALID, "',' or ']' at byte 2" },
	{ "unclosed array",	S("[[1]"),		ERR_INVALID,
	  "',' or ']' at byte 4, got the end" },
	{ "opened array",	S("["),			ERR_INVALID, "a value at byte 1" },
	{ "opened object",	S("{"),			ERR_INVALID, "'\"' or '}' at byte 1" },
	{ "closed too often",	S("[]]"),		ERR_INVALID, "the end at byte 2" },
	{ "number as key",	S("{1:2}"),		ERR_INVALID, "'\"' or '}' at byte 1" },
	{ "key without value",	S("{\"a\"}"),		ERR_INVALID, "':' at byte 4" },
	{ "comma for colon",	S("{\"a\",1}"),		ERR_INVALID, "':' at byte 4" },
	{ "comma before }",	S("{\"a\":1,}"),	ERR_INVALID, "'\"' at byte 7" },
	{ "wrong brace",	S("{\"a\":1]"),		ERR_INVALID, "',' or '}' at byte 6" },
	{ "comment",		S("[1]// no"),		ERR_INVALID, "the end at byte 3" },
};

static void
test_check(void **state)
{
	const struct check_row *row;

	(void)state;
	EACH(row, check_rows) {
		struct span text = exact(row->text);
		struct jtext value = { 0 };
		struct err err = { 0 };
		int code = jtext_check(text, JTEXT_DEPTH_MAX, &value, &err);

		if (code != row->code)
			fail_msg("%s: code %d (%s)", row->name, code, err.text);
		if (code == 0 && !span_is(value.raw, row->out))
			fail_msg("%s: value '%.*s'", row->name, SPAN_FMT(value.raw));
		if (code < 0 && (!strstr(err.text, row->out) || value.kind != JTEXT_MISSING))
			fail_msg("%s: error '%s'", row->name, err.text);
		assert_int_equal(jtext_check(text, JTEXT_DEPTH_MAX, NULL, NULL), code);
		free((char *)text.ptr);
	}
	assert_int_equal(jtext_check(SPAN_NULL, 1, NULL, NULL), ERR_INVALID);
}

/* Every prefix of a text with everything in it is refused or accepted without
 * a read past its end. */
static void
test_cut(void **state)
{
	static const char all[] = "{\"k\\u00e9\":[-1.5e+3,true,null,"
				  "\"\xe2\x82\xac\\n\\ud83d\\ude00\","
				  "{\"x\":{}}],\"\":\"0123456789abcdef\xf0\x9f\x98\x80\"}";

	(void)state;
	for (size_t n = 0; n < sizeof(all); n++) {
		struct span text = exact((struct span){ all, n });
		int code = jtext_check(text, JTEXT_DEPTH_MAX, NULL, NULL);

		if (code != (n == sizeof(all) - 1 ? 0 : ERR_INVALID))
			fail_msg("first %zu bytes: code %d", n, code);
		free((char *)text.ptr);
	}
}

static const struct depth_row {
	const char *name;
	size_t open;		/* brackets or objects inside each other */
	unsigned max;
	bool object;
	int code;
} depth_rows[] = {
	{ "scalar at 0",	0,	0,	false,	0 },
	{ "array at 0",		1,	0,	false,	ERR_LIMIT },
	{ "object at 0",	1,	0,	true,	ERR_LIMIT },
	{ "3 at 3",		3,	3,	false,	0 },
	{ "4 at 3",		4,	3,	true,	ERR_LIMIT },
	{ "64 arrays",		64,	64,	false,	0 },
	{ "64 objects",		64,	64,	true,	0 },
	{ "65 arrays",		65,	64,	false,	ERR_LIMIT },
	{ "65 objects",		65,	64,	true,	ERR_LIMIT },
	{ "1000 objects",	1000,	1000,	true,	0 },
	{ "1001 arrays",	1001,	1000,	false,	ERR_LIMIT },
	{ "as deep as can be",	JTEXT_DEPTH_LIMIT, 100000, true, 0 },
	{ "a larger limit is that", JTEXT_DEPTH_LIMIT + 1, 100000, false, ERR_LIMIT },
	{ "100 kB of brackets",	100000,	64,	false,	ERR_LIMIT },
};

static void
test_depth(void **state)
{
	const struct depth_row *row;

	(void)state;
	EACH(row, depth_rows) {
		struct buf text = BUF_INIT;
		struct jtext value;
		struct err err;
		int code;

		for (size_t n = 0; n < row->open; n++)
			buf_adds(&text, row->object ? "{\"a\":" : "[");
		buf_adds(&text, "1");
		for (size_t n = 0; n < row->open; n++)
			buf_adds(&text, row->object ? "}" : "]");
		code = jtext_check(buf_span(&text), row->max, &value, &err);
		if (code != row->code)
			fail_msg("%s: code %d", row->name, code);
		if (code == 0)
			assert_true(span_eq(value.raw, buf_span(&text)));
		buf_release(&text);
	}
}

static struct jtext
parse(struct span text)
{
	struct jtext value;
	struct err err;

	if (jtext_check(text, JTEXT_DEPTH_MAX, &value, &err) < 0)
		fail_msg("'%.*s': %s", SPAN_FMT(text), err.text);
	return value;
}

static const struct kind_row {
	const char *text;
	enum jtext_kind kind;
	const char *name;
} kind_rows[] = {
	{ "null",	JTEXT_NULL,	"null" },
	{ "true",	JTEXT_TRUE,	"boolean" },
	{ "false",	JTEXT_FALSE,	"boolean" },
	{ "-1",		JTEXT_NUMBER,	"number" },
	{ "0",		JTEXT_NUMBER,	"number" },
	{ "9",		JTEXT_NUMBER,	"number" },
	{ "\"\"",	JTEXT_STRING,	"string" },
	{ "[]",		JTEXT_ARRAY,	"array" },
	{ "{}",		JTEXT_OBJECT,	"object" },
};

static void
test_kinds(void **state)
{
	const struct kind_row *row;

	(void)state;
	EACH(row, kind_rows) {
		struct jtext value = parse(span_of(row->text));

		if (value.kind != row->kind || strcmp(jtext_kind_name(value.kind), row->name) != 0)
			fail_msg("%s: %s", row->text, jtext_kind_name(value.kind));
	}
	assert_string_equal(jtext_kind_name(JTEXT_MISSING), "nothing");
}

static const struct walk_row {
	const char *name, *text, *out;
} walk_rows[] = {
	{ "empty array",	"[ ]",			"" },
	{ "empty object",	"{}",			"" },
	{ "no container",	"\"a\"",		"" },
	{ "numbers",		"[1, -2.5e3 ,3]",	"(1)(-2.5e3)(3)" },
	{ "words",		"[null,true\n,false]",	"(null)(true)(false)" },
	{ "brackets in strings", "[\"]\",\"}{[\",[\"]\"]]", "(\"]\")(\"}{[\")([\"]\"])" },
	{ "escaped quotes",	"[\"\\\"\",\"\\\\\",\"a\\\\\\\"b\"]",
	  "(\"\\\"\")(\"\\\\\")(\"a\\\\\\\"b\")" },
	{ "members",		"{ \"a\" : 1 , \"b\":{\"c\":[{}]},\"\":\"\" }",
	  "\"a\"(1)\"b\"({\"c\":[{}]})\"\"(\"\")" },
	{ "colon and comma in key", "{\"a:,\\\"\":[ 1 , 2 ]}", "\"a:,\\\"\"([ 1 , 2 ])" },
};

static void
test_walk(void **state)
{
	const struct walk_row *row;

	(void)state;
	EACH(row, walk_rows) {
		struct buf out = BUF_INIT;
		struct span text = exact(span_of(row->text)), key = SPAN_NULL;
		struct jtext_iter it;
		struct jtext value;

		jtext_iter_init(&it, parse(text));
		while (jtext_iter_next(&it, &key, &value)) {
			buf_addspan(&out, key);
			buf_addf(&out, "(%.*s)", SPAN_FMT(value.raw));
			assert_int_equal(value.kind, parse(value.raw).kind);
		}
		assert_false(jtext_iter_next(&it, &key, &value));
		if (!span_is(buf_span(&out), row->out))
			fail_msg("%s: %s", row->name, out.data);
		buf_release(&out);
		free((char *)text.ptr);
	}
}

static const struct get_row {
	const char *name, *text, *key, *out;	/* out NULL: missing */
} get_rows[] = {
	{ "first",		"{\"a\":1,\"b\":2}",	"a",	"1" },
	{ "last",		"{\"a\":1,\"b\":2}",	"b",	"2" },
	{ "missing",		"{\"a\":1,\"b\":2}",	"c",	NULL },
	{ "a prefix is not it",	"{\"ab\":1}",		"a",	NULL },
	{ "longer is not it",	"{\"a\":1}",		"ab",	NULL },
	{ "repeated: the last",	"{\"a\":1,\"b\":0,\"a\":[2]}", "a", "[2]" },
	{ "escaped key",	"{\"\\u0061\\n\":3}",	"a\n",	"3" },
	{ "surrogate pair key",	"{\"\\ud83d\\ude00\":3}", "\xf0\x9f\x98\x80", "3" },
	{ "key with NUL",	"{\"a\\u0000\":3}",	"a",	NULL },
	{ "empty key",		"{\"\":4}",		"",	"4" },
	{ "null is there",	"{\"a\":null}",		"a",	"null" },
	{ "only the top level",	"{\"b\":{\"a\":1}}",	"a",	NULL },
	{ "array",		"[\"a\"]",		"a",	NULL },
	{ "string",		"\"a\"",		"a",	NULL },
};

static void
test_get(void **state)
{
	const struct get_row *row;

	(void)state;
	EACH(row, get_rows) {
		struct jtext got = jtext_get(parse(span_of(row->text)), row->key);

		if (row->out ? !span_is(got.raw, row->out) : got.kind != JTEXT_MISSING)
			fail_msg("%s: '%.*s'", row->name, SPAN_FMT(got.raw));
	}
	assert_int_equal(jtext_get((struct jtext){ 0 }, "a").kind, JTEXT_MISSING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_depth), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_walk),  cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
