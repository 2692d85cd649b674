/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "avro/prescan.h"
#include "envdriver/base/err.h"
#include "alloc_rig.h"

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define MAP(values) "{\"type\":\"map\",\"values\":" values "}"

#define ENUM RECORD(FIELD("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}"))
#define FIXED RECORD(FIELD("f", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}"))
#define UNION RECORD(FIELD("u", "[\"null\",\"string\"]"))
#define SEVERAL RECORD(FIELD("op", "[\"null\"," \
	"{\"type\":\"record\",\"name\":\"X\",\"fields\":[" FIELD("s", "\"string\"") "]}," \
	"{\"type\":\"record\",\"name\":\"Y\",\"fields\":[" FIELD("b", "\"boolean\"") "]}]"))
/* The second use of a named type is a link. */
#define SHARED RECORD(FIELD("a", "{\"type\":\"record\",\"name\":\"P\",\"fields\":[" \
	FIELD("n", "\"int\"") "]}") "," FIELD("b", ARRAY("\"P\"")))

static const struct row {
	const char *name, *schema;
	struct span datum;
	int code;
	const char *text;	/* the whole error */
} rows[] = {
	{ "null",		"\"null\"",	S(""),		0, NULL },
	{ "left over",		"\"null\"",	S("xyz"),	ERR_INVALID,
	  "3 bytes are left over" },
	{ "empty record",	RECORD(""),	S(""),		0, NULL },
	{ "true",		"\"boolean\"",	S("\1"),	0, NULL },
	{ "boolean 7",		"\"boolean\"",	S("\7"),	ERR_INVALID,
	  "boolean of byte 0x07" },
	{ "no boolean",		"\"boolean\"",	S(""),		ERR_INVALID,
	  "boolean of 1 bytes, 0 are left" },
	{ "float",		"\"float\"",	S("1234"),	0, NULL },
	{ "short float",	"\"float\"",	S("123"),	ERR_INVALID,
	  "float of 4 bytes, 3 are left" },
	{ "double",		"\"double\"",	S("12345678"),	0, NULL },
	{ "short double",	"\"double\"",	S("1234567"),	ERR_INVALID,
	  "double of 8 bytes, 7 are left" },

	{ "int min",		"\"int\"",	S("\xff\xff\xff\xff\x0f"), 0, NULL },
	{ "int max",		"\"int\"",	S("\xfe\xff\xff\xff\x0f"), 0, NULL },
	{ "int max + 1",	"\"int\"",	S("\x80\x80\x80\x80\x10"), ERR_INVALID,
	  "int of more than 32 bits" },
	{ "int min - 1",	"\"int\"",	S("\x81\x80\x80\x80\x10"), ERR_INVALID,
	  "int of more than 32 bits" },
	{ "long of that",	"\"long\"",	S("\x81\x80\x80\x80\x10"), 0, NULL },
	{ "overlong zero",	"\"int\"",	S("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 0,
	  NULL },
	{ "64 bits",		"\"long\"",	S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0,
	  NULL },
	{ "65 bits",		"\"long\"",	S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
	  ERR_INVALID,
	  "a number of more than 64 bits" },
	{ "11 bytes",		"\"long\"",	S("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
	  ERR_INVALID,
	  "a number of more than 64 bits" },
	{ "cut number",		"\"long\"",	S("\x80\x80"),	ERR_INVALID,
	  "the datum ends inside a number" },

	{ "string",		"\"string\"",	S("\6abc"),	0, NULL },
	{ "string with NUL",	"\"string\"",	S("\6a\0c"),	0, NULL },
	{ "string too long",	"\"string\"",	S("\6ab"),	ERR_INVALID,
	  "string of 3 bytes, 2 are left" },
	{ "string of 1 GiB",	"\"string\"",	S("\x80\x80\x80\x80\x08" "abcdefghijkl"),
	  ERR_INVALID,
	  "string of 1073741824 bytes, 12 are left" },
	{ "string of -1",	"\"string\"",	S("\1"),	ERR_INVALID,
	  "string of -1 bytes, 0 are left" },
	{ "string of 2^62",	"\"string\"",	S("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
	  ERR_INVALID,
	  "string of 4611686018427387904 bytes, 0 are left" },
	{ "string not UTF-8",	"\"string\"",	S("\6a\xff" "b"), ERR_INVALID,
	  "invalid UTF-8 at byte 1 of the string" },
	{ "UTF-8 cut by the length", "\"string\"", S("\4\xe2\x82\xac"), ERR_INVALID,
	  "invalid UTF-8 at byte 0 of the string" },
	{ "bytes of anything",	"\"bytes\"",	S("\4\xff\0"),	0, NULL },
	{ "bytes too long",	"\"bytes\"",	S("\4\xff"),	ERR_INVALID,
	  "bytes of 2 bytes, 1 are left" },
	{ "fixed",		FIXED,		S("abc"),	0, NULL },
	{ "short fixed",	FIXED,		S("ab"),	ERR_INVALID,
	  "f: fixed of 3 bytes, 2 are left" },

	{ "symbol 1",		ENUM,		S("\2"),	0, NULL },
	{ "symbol 2 of 2",	ENUM,		S("\4"),	ERR_INVALID, "e: symbol 2 of 2" },
	{ "symbol -1",		ENUM,		S("\1"),	ERR_INVALID, "e: symbol -1 of 2" },
	{ "union null",		UNION,		S("\0"),	0, NULL },
	{ "union string",	UNION,		S("\2\2a"),	0, NULL },
	{ "union 2 of 2",	UNION,		S("\4"),	ERR_INVALID,
	  "u: union branch 2 of 2" },
	{ "union -1",		UNION,		S("\1"),	ERR_INVALID,
	  "u: union branch -1 of 2" },
	{ "one branch: not in the path", UNION,	S("\2\2"),	ERR_INVALID,
	  "u: string of 1 bytes, 0 are left" },
	{ "several branches: in the path", SEVERAL, S("\4\2"),	ERR_INVALID,
	  "op.Y.b: boolean of byte 0x02" },
	{ "several branches: good", SEVERAL,	S("\2\2a"),	0, NULL },

	{ "empty array",	ARRAY("\"int\""), S("\0"),	0, NULL },
	{ "two blocks",		ARRAY("\"int\""), S("\2\1\4\1\1\0"), 0, NULL },
	{ "block with size",	ARRAY("\"int\""), S("\3\4\1\1\0"), 0, NULL },
	{ "block size too small", ARRAY("\"int\""), S("\3\2\1\1\0"), ERR_INVALID,
	  "block of 1 bytes holds 2" },
	{ "block size too large", ARRAY("\"int\""), S("\3\x10\1\1\0"), ERR_INVALID,
	  "block of 8 bytes, 3 are left" },
	{ "block size -1",	ARRAY("\"int\""), S("\3\1\1\1\0"), ERR_INVALID,
	  "block of -1 bytes, 3 are left" },
	{ "count of -2^63",	ARRAY("\"int\""),
	  S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0"), ERR_INVALID,
	  "block of 0 bytes, 1 are left" },
	{ "no end mark",	ARRAY("\"int\""), S("\2\1"),	ERR_INVALID,
	  "the datum ends inside a number" },
	{ "50 M items in 4 bytes", ARRAY("\"int\""), S("\x80\xc2\xd7\x2f"), ERR_INVALID,
	  "50000000 items, 0 bytes are left" },
	{ "3 doubles in 16 bytes", ARRAY("\"double\""), S("\6" "1234567812345678"), ERR_INVALID,
	  "3 items, 16 bytes are left" },
	{ "unions that cannot fit", ARRAY("[\"int\",\"double\"]"), S("\6\0\1\0\1"), ERR_INVALID,
	  "3 items, 4 bytes are left" },
	{ "50 M nulls",		ARRAY("\"null\""), S("\x80\xc2\xd7\x2f\0"), ERR_LIMIT,
	  "more than 10000 items of no bytes" },
	{ "10,000 nulls",	ARRAY("\"null\""), S("\xa0\x9c\x01\0"), 0, NULL },
	{ "10,001 nulls in two blocks", ARRAY("\"null\""), S("\xa0\x9c\x01\2\0"), ERR_LIMIT,
	  "more than 10000 items of no bytes" },
	{ "items are numbered",	RECORD(FIELD("a", ARRAY(ARRAY("\"boolean\"")))),
	  S("\4\0\4\1\2"), ERR_INVALID, "a[1][1]: boolean of byte 0x02" },
	{ "a link's items",	SHARED,		S("\2\4\1\1\0"), 0, NULL },
	{ "a link's path",	SHARED,		S("\2\4\1\x80\x80\x80\x80\x10\0"), ERR_INVALID,
	  "b[1].n: int of more than 32 bits" },
	{ "map",		MAP("\"int\""),	S("\2\2k\6\0"),	0, NULL },
	{ "map key not UTF-8",	MAP("\"int\""),	S("\2\2\xff\6\0"), ERR_INVALID,
	  "[0]: invalid UTF-8 at byte 0 of the string" },
	{ "map of nulls",	MAP("\"null\""), S("\x80\xc2\xd7\x2f\0"), ERR_INVALID,
	  "50000000 items, 1 bytes are left" },
};

static avro_schema_t
parse(const char *json)
{
	avro_schema_t schema;

	if (avro_schema_from_json_length(json, strlen(json), &schema) != 0)
		fail_msg("%s: %s", json, avro_strerror());
	return schema;
}

static void
test_rows(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct err err = { 0 };
		avro_schema_t schema = parse(row->schema);
		struct prescan *p = prescan_new(schema, &err);
		/* Exactly its size, so that a read past its end shows. */
		char *copy = malloc(row->datum.len ? row->datum.len : 1);
		int code;

		if (!p)
			fail_msg("%s: %s", row->name, err.text);
		avro_schema_decref(schema);
		memcpy(copy, row->datum.ptr, row->datum.len);
		code = prescan_check(p, (struct span){ copy, row->datum.len }, &err);
		if (code != row->code || (code < 0 && strcmp(err.text, row->text) != 0))
			fail_msg("%s: %d '%s'", row->name, code, err.text);
		assert_int_equal(prescan_check(p, (struct span){ copy, row->datum.len }, NULL),
				 row->code);
		free(copy);
		prescan_free(p);
	}
	prescan_free(NULL);
}

static const struct schema_row {
	const char *name, *schema;
	const char *text;	/* the error; NULL: accepted */
} schema_rows[] = {
	{ "recursive list",	RECORD(FIELD("next", "[\"null\",\"R\"]")),
	  "schema is recursive at 'R'" },
	{ "recursive tree",	RECORD(FIELD("kids", ARRAY("\"R\""))),
	  "schema is recursive at 'R'" },
	{ "recursive map",	RECORD(FIELD("kids", MAP("\"R\""))), "schema is recursive at 'R'" },
	{ "used twice",		SHARED, NULL },
};

static void
test_schemas(void **state)
{
	const struct schema_row *row;

	(void)state;
	EACH(row, schema_rows) {
		struct err err = { 0 };
		avro_schema_t schema = parse(row->schema);
		struct prescan *p = prescan_new(schema, &err);

		if (!p != !!row->text || (!p && strcmp(err.text, row->text) != 0))
			fail_msg("%s: '%s'", row->name, err.text);
		prescan_free(p);
		avro_schema_decref(schema);
	}
}

/* Arrays in each other: `levels` of them. */
static struct prescan *
nested(unsigned levels, struct err *reterr)
{
	avro_schema_t schema = avro_schema_null();
	struct prescan *p;

	for (; levels > 0; levels--) {
		avro_schema_t outer = avro_schema_array(schema);

		avro_schema_decref(schema);
		schema = outer;
	}
	p = prescan_new(schema, reterr);
	avro_schema_decref(schema);
	return p;
}

static void
test_depth(void **state)
{
	struct err err;
	struct prescan *p = nested(PRESCAN_DEPTH_MAX - 1, &err);

	(void)state;
	assert_non_null(p);
	prescan_free(p);
	assert_null(nested(PRESCAN_DEPTH_MAX, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	assert_string_equal(err.text, "schema deeper than 64 levels");
}

/* Each record's only field is a link to the one before: flat as text. */
static struct prescan *
chain(unsigned levels, struct err *reterr)
{
	struct buf json = BUF_INIT;
	avro_schema_t schema;
	struct prescan *p;

	buf_adds(&json, "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
			"{\"name\":\"f0\",\"type\":\"int\"}");
	for (unsigned i = 1; i < levels; i++)
		buf_addf(&json, ",{\"name\":\"f%u\",\"type\":{\"type\":\"record\",\"name\":\"R%u\","
			 "\"fields\":[{\"name\":\"x\",\"type\":\"%s%.0u\"}]}}",
			 i, i, i == 1 ? "int" : "R", i - 1);
	buf_adds(&json, "]}");
	schema = parse(json.data);
	p = prescan_new(schema, reterr);
	avro_schema_decref(schema);
	buf_release(&json);
	return p;
}

static void
test_chain(void **state)
{
	struct err err;
	struct prescan *p = chain(PRESCAN_DEPTH_MAX - 1, &err);

	(void)state;
	assert_non_null(p);
	prescan_free(p);
	assert_null(chain(PRESCAN_DEPTH_MAX, &err));
	assert_string_equal(err.text, "schema deeper than 64 levels");
}

/* Each record holds the one before it twice: few types, 2^n values of no
 * bytes. */
static avro_schema_t
doubling(unsigned levels)
{
	struct buf json = BUF_INIT, inner = BUF_INIT;
	avro_schema_t schema;

	buf_adds(&inner, "{\"type\":\"record\",\"name\":\"R0\",\"fields\":[]}");
	for (unsigned i = 1; i <= levels; i++) {
		buf_reset(&json);
		buf_addf(&json, "{\"type\":\"record\",\"name\":\"R%u\",\"fields\":["
			 "{\"name\":\"a\",\"type\":%s},{\"name\":\"b\",\"type\":\"R%u\"}]}",
			 i, inner.data, i - 1);
		buf_reset(&inner);
		buf_addspan(&inner, buf_span(&json));
	}
	schema = parse(inner.data);
	buf_release(&json);
	buf_release(&inner);
	return schema;
}

static void
test_doubling(void **state)
{
	avro_schema_t most = doubling(15), over = doubling(16), array = avro_schema_array(most);
	struct err err = { 0 };
	struct prescan *p = prescan_new(array, &err);

	(void)state;
	assert_non_null(p);
	assert_int_equal(prescan_check(p, SPAN_LIT("\2\0"), &err), 0);
	assert_int_equal(prescan_check(p, SPAN_LIT("\4\0"), &err), ERR_LIMIT);
	assert_non_null(strstr(err.text, ": too many values for so few bytes"));
	prescan_free(p);
	/* avro-c would make them all for a record that holds nothing yet. */
	assert_null(prescan_new(over, &err));
	assert_string_equal(err.text, "schema of more than 65536 values");
	avro_schema_decref(array);
	avro_schema_decref(most);
	avro_schema_decref(over);
}

static void
test_too_large(void **state)
{
	avro_schema_t schema = avro_schema_record("R", NULL), type = avro_schema_int();
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < PRESCAN_NODES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(avro_schema_record_field_append(schema, name, type), 0);
	}
	assert_null(prescan_new(schema, &err));
	assert_int_equal(err.code, ERR_LIMIT);
	avro_schema_decref(schema);
}

static unsigned calls_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return calls_left-- == 0 ? NULL : realloc(ptr, size);
}

static void
test_no_memory(void **state)
{
	avro_schema_t schema = parse(SEVERAL);
	struct prescan *p = NULL;
	unsigned n;

	(void)state;
	alloc_replace(failing_realloc);
	for (n = 0; !p && n < 20; n++) {
		struct err err = { 0 };

		calls_left = n;
		p = prescan_new(schema, &err);
		assert_int_equal(p ? 0 : ERR_NOMEM, err.code);
	}
	alloc_replace(NULL);
	assert_in_range(n, 2, 19);
	prescan_free(p);
	avro_schema_decref(schema);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	  cmocka_unit_test(test_schemas),
		cmocka_unit_test(test_depth),	  cmocka_unit_test(test_chain),
		cmocka_unit_test(test_doubling),  cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
