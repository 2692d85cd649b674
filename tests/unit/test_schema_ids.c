/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/avro/schema.h"
#include "envdriver/avro/schema_ids.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

static int
setup(void **state)
{
	*state = schemas_new(NULL);
	return *state ? 0 : -1;
}

static int
teardown(void **state)
{
	schemas_free(*state);
	return 0;
}

#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

/* The registry's answer that holds a schema. */
static char *
answer_of(struct span schema, size_t *ret_len)
{
	struct buf out = BUF_INIT;

	buf_adds(&out, "{\"schema\":");
	jtext_add_string(&out, schema);
	buf_adds(&out, "}");
	return buf_take(&out, ret_len);
}

static const struct answer_row {
	const char *name, *body;
	const char *error;	/* NULL: it is a schema */
} answer_rows[] = {
	{ "a record",	"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\","
			"\\\"fields\\\":[]}\"}", NULL },
	{ "with more",	"{\"schemaType\":\"AVRO\",\"references\":[],\"x\":1,\"schema\":"
			"\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\","
			"\\\"fields\\\":[]}\"}", NULL },
	{ "nulls",	"{\"schemaType\":null,\"references\":null,\"schema\":\"{\\\"type\\\":"
			"\\\"record\\\",\\\"name\\\":\\\"R\\\",\\\"fields\\\":[]}\"}", NULL },
	{ "nothing",	"",			"the registry's answer: " },
	{ "HTML",	"<html>",		"the registry's answer: " },
	{ "an array",	"[]",			"the registry's answer holds no \"schema\"" },
	{ "no schema",	"{\"id\":1}",		"the registry's answer holds no \"schema\"" },
	{ "a number",	"{\"schema\":1}",	"the registry's answer holds no \"schema\"" },
	{ "JSON schema", "{\"schema\":\"{}\",\"schemaType\":\"JSON\"}", "it is of another type" },
	{ "type is odd", "{\"schema\":\"{}\",\"schemaType\":{}}", "it is of another type" },
	{ "references",	"{\"schema\":\"{}\",\"references\":[{\"name\":\"x\"}]}",
	  "it refers to other" },
	{ "no JSON",	"{\"schema\":\"{\"}",	"schema: " },
	{ "no type",	"{\"schema\":\"{}\"}",	"schema: a type that is not a string" },
	{ "no record",	"{\"schema\":\"\\\"int\\\"\"}", "schema: expected a record, got int" },
	{ "recursive",	"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\","
			"\\\"fields\\\":[{\\\"name\\\":\\\"n\\\",\\\"type\\\":"
			"[\\\"null\\\",\\\"R\\\"]}]}\"}",
	  "schema is recursive at 'R'" },
	{ "NUL in it",	"{\"schema\":\"{\\\"type\\\":\\\"rec\\u0000ord\\\"}\"}", "schema: " },
};

static void
test_answers(void **state)
{
	const struct answer_row *row;

	(void)state;
	EACH(row, answer_rows) {
		struct span body = exact(span_of(row->body));
		struct err err = { 0 };
		struct schema *s = schema_ids_parse(body, &err);

		if (!s != (row->error != NULL) ||
		    (row->error && strncmp(err.text, row->error, strlen(row->error)) != 0))
			fail_msg("%s: %s '%s'", row->name, s ? "taken" : "refused", err.text);
		schema_free(s);
		free((char *)body.ptr);
	}
}

/* Text whose size is the point: made of a head, a piece again and again, a tail. */
static struct span
repeat(const char *head, const char *piece, size_t times, const char *tail)
{
	struct buf out = BUF_INIT;
	struct span s;

	buf_adds(&out, head);
	for (size_t i = 0; i < times; i++)
		buf_adds(&out, piece);
	buf_adds(&out, tail);
	s.ptr = buf_take(&out, &s.len);
	assert_non_null(s.ptr);
	return s;
}

static void
expect_limit(const char *name, struct span text, const char *error)
{
	struct err err = { 0 };
	struct schema *s = schema_new(text, &err);

	if (s || err.code != ERR_LIMIT || !strstr(err.text, error))
		fail_msg("%s: %s %d '%s'", name, s ? "taken" : "refused", err.code, err.text);
	free((char *)text.ptr);
}

/* Few bytes that would take much memory, time or stack. */
static void
test_limits(void **state)
{
	struct buf bomb = BUF_INIT;
	struct span s;

	(void)state;
	expect_limit("huge", repeat(RECORD("R", ""), " ", SCHEMA_TEXT_MAX, ""), "262144 are taken");
	expect_limit("deep JSON", repeat("{\"a\":", "[", 1000, ""), "nested deeper than 64");
	s = repeat("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":",
		   "{\"type\":\"array\",\"items\":", 62, "");
	buf_addspan(&bomb, s);
	buf_adds(&bomb, "\"int\"");
	for (int i = 0; i < 62; i++)
		buf_addch(&bomb, '}');
	buf_adds(&bomb, "}]}");
	free((char *)s.ptr);
	s.ptr = buf_take(&bomb, &s.len);
	expect_limit("deep types", s, "deeper than 64");
	expect_limit("a large fixed",
		     repeat("", RECORD("R", FIELD("f", "{\"type\":\"fixed\",\"name\":\"F\","
							"\"size\":1099511627776}")), 1, ""),
		     "more than 65536 values");
	expect_limit("an empty fixed",
		     repeat("", RECORD("R", FIELD("f", "{\"type\":\"fixed\",\"name\":\"F\","
							"\"size\":0}")), 1, ""),
		     "a fixed of no bytes");
	/* Each type holds the one before twice; 2^20 values of nothing. */
	bomb = (struct buf)BUF_INIT;
	for (int i = 20; i > 0; i--)
		buf_addf(&bomb, "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\","
			 "\"type\":", i);
	buf_adds(&bomb, RECORD("R0", FIELD("n", "\"null\"")));
	for (int i = 1; i <= 20; i++)
		buf_addf(&bomb, "},{\"name\":\"b\",\"type\":\"R%d\"}]}", i - 1);
	s.ptr = buf_take(&bomb, &s.len);
	expect_limit("doubles", s, "more than 65536 values");
	/* A namespace of 64 kB with each of 1,000 names. */
	s = repeat("{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"", "n", 64 << 10,
		   "\",\"fields\":[" FIELD("e", "{\"type\":\"enum\",\"name\":\"E\","
						"\"symbols\":[\"A\"]}"));
	buf_addspan(&bomb, s);
	free((char *)s.ptr);
	for (int i = 0; i < 1000; i++)
		buf_addf(&bomb, ",{\"name\":\"f%d\",\"type\":\"E\"}", i);
	buf_adds(&bomb, "]}");
	s.ptr = buf_take(&bomb, &s.len);
	expect_limit("long names", s, "with names");
}

static void
take(struct schema_ids *ids, uint32_t id, struct span schema, int64_t now)
{
	struct span body;

	body.ptr = answer_of(schema, &body.len);
	assert_int_equal(schema_ids_take(ids, id, body, now, NULL), 0);
	free((char *)body.ptr);
}

static void
test_known(void **state)
{
	struct schema_ids *ids = schema_ids_new(*state, NULL);
	const struct schema *ours = schemas_find(*state, "EnvironmentCommand"), *s = NULL;
	struct err err = { 0 };

	assert_int_equal(schema_ids_find(ids, 1, 0, &s, &err), ERR_NOTFOUND);
	take(ids, 1, schema_text(ours), 0);
	assert_int_equal(schema_ids_find(ids, 1, INT64_MAX, &s, &err), 0);
	assert_ptr_equal(s, ours);	/* the same class and value serve it */
	take(ids, 2, SPAN_LIT(RECORD("Other", FIELD("a", "\"int\""))), 0);
	assert_int_equal(schema_ids_find(ids, 2, 0, &s, &err), 0);
	assert_string_equal(schema_name(s), "Other");
	/* A name of ours whose fields are not. */
	take(ids, 3, SPAN_LIT(RECORD("EnvironmentCommand", FIELD("a", "\"int\""))), 1000);
	assert_int_equal(schema_ids_find(ids, 3, 1000, &s, &err), ERR_INVALID);
	assert_string_equal(err.text, "schema id 3: cannot be read as our EnvironmentCommand: "
				      "commandId: not written, and it has no default");
	assert_int_equal(schema_ids_find(ids, 3, 1000 + SCHEMA_IDS_BAD_MS - 1, &s, &err),
			 ERR_INVALID);
	assert_int_equal(schema_ids_find(ids, 3, 1000 + SCHEMA_IDS_BAD_MS, &s, &err),
			 ERR_NOTFOUND);
	/* What is asked for again may be good by then. */
	assert_int_equal(schema_ids_refuse(ids, 4, 50, "absent", NULL), 0);
	assert_int_equal(schema_ids_find(ids, 4, 49, &s, &err), ERR_INVALID);
	assert_string_equal(err.text, "schema id 4: absent");
	take(ids, 4, schema_text(ours), 0);
	assert_int_equal(schema_ids_find(ids, 4, 49, &s, &err), 0);
	schema_ids_free(ids);
}

/* Full: the one that was looked up longest ago goes; who holds it keeps it. */
static void
test_bounded(void **state)
{
	struct schema_ids *ids = schema_ids_new(*state, NULL);
	const struct schema *s = NULL, *held;
	avro_value_t v;

	for (uint32_t id = 0; id < SCHEMA_IDS_MAX; id++)
		take(ids, id, SPAN_LIT(RECORD("Other", FIELD("a", "\"int\""))), 0);
	assert_int_equal(schema_ids_find(ids, 1, 0, &s, NULL), 0);
	held = schema_ref(s);
	for (uint32_t id = 2; id < SCHEMA_IDS_MAX; id++)
		assert_int_equal(schema_ids_find(ids, id, 0, &s, NULL), 0);
	take(ids, 9000, SPAN_LIT(RECORD("Other", "")), 0);
	assert_int_equal(schema_ids_find(ids, 0, 0, &s, NULL), ERR_NOTFOUND);
	assert_int_equal(schema_ids_find(ids, 1, 0, &s, NULL), 0);
	for (uint32_t id = 9001; id < 9001 + SCHEMA_IDS_MAX; id++)
		take(ids, id, SPAN_LIT(RECORD("Other", "")), 0);
	assert_int_equal(schema_ids_find(ids, 1, 0, &s, NULL), ERR_NOTFOUND);
	assert_int_equal(schema_value_new(held, &v, NULL), 0);
	avro_value_decref(&v);
	schema_unref(held);
	schema_ids_free(ids);
}

/* Ours is {"a": long, "b": ["null", string], "u": [null, P{x: string}, Q]}. */
#define P RECORD("P", FIELD("x", "\"string\""))
#define READER \
	RECORD("R", FIELD("a", "\"long\"") "," \
	       "{\"name\":\"b\",\"type\":[\"null\",\"string\"],\"default\":null}," \
	       "{\"name\":\"u\",\"type\":[\"null\"," P "," RECORD("Q", "") "],\"default\":null}," \
	       "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":\"double\"}," \
	       "\"default\":[]}," \
	       "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}," \
	       "\"default\":\"A\"}")
#define SOME "some"
#define WRITER(field) RECORD("R", FIELD("a", "\"long\"") "," field)

static const struct resolve_row {
	const char *name, *writer;
	const char *error;	/* NULL: none; SOME: some values cannot be read */
} resolve_rows[] = {
	{ "the same",		READER, NULL },
	{ "only the needed",	RECORD("R", FIELD("a", "\"long\"")), NULL },
	{ "int for long",	RECORD("R", FIELD("a", "\"int\"")), NULL },
	{ "more and reordered",	RECORD("R", FIELD("z", "\"int\"") "," FIELD("a", "\"long\"")),
	  NULL },
	{ "string for a union",	WRITER(FIELD("b", "\"string\"")), NULL },
	{ "bytes for a string",	WRITER(FIELD("b", "[\"bytes\",\"null\"]")), NULL },
	{ "a record of the union", WRITER(FIELD("u", P)), NULL },
	{ "a record that we do not know, in a union",
	  WRITER(FIELD("u", "[\"null\"," RECORD("New", "") "]")), NULL },
	{ "float for double",	WRITER(FIELD("l", "{\"type\":\"array\",\"items\":\"float\"}")),
	  NULL },
	{ "lacks a",		RECORD("R", FIELD("b", "\"string\"")),
	  "a: not written, and it has no default" },
	{ "double for long",	RECORD("R", FIELD("a", "\"double\"")),
	  "a: double is written, long is expected" },
	{ "nullable long",	RECORD("R", FIELD("a", "[\"null\",\"long\"]")), SOME },
	{ "null alone",		RECORD("R", FIELD("a", "[\"null\"]")),
	  "a: null is written, long is expected" },
	{ "null and a string",	RECORD("R", FIELD("a", "[\"null\",\"string\"]")),
	  "a: string is written, long is expected" },
	{ "null for a default",	WRITER(FIELD("l", "[\"null\",{\"type\":\"array\",\"items\":"
						  "\"double\"}]")), NULL },
	{ "int for string",	WRITER(FIELD("b", "\"int\"")),
	  "b: int is written, which the union does not have" },
	{ "one bad branch",	WRITER(FIELD("b", "[\"null\",\"string\",\"int\"]")), SOME },
	{ "a record that we do not know", WRITER(FIELD("u", RECORD("New", ""))),
	  "u: New is written, which the union does not have" },
	{ "inside a branch",	WRITER(FIELD("u", "[\"null\"," RECORD("P", "") "]")),
	  "u.P.x: not written, and it has no default" },
	{ "nullable items",	WRITER(FIELD("l", "{\"type\":\"array\",\"items\":[\"null\","
						  "\"double\"]}")), SOME },
	{ "a decimal",		WRITER(FIELD("b", "{\"type\":\"bytes\",\"logicalType\":\"decimal\","
						  "\"precision\":4}")),
	  "b: decimal is written, which has no text" },
	{ "items",		WRITER(FIELD("l", "{\"type\":\"array\",\"items\":\"string\"}")),
	  "l[0]: string is written, double is expected" },
	{ "a symbol",		WRITER(FIELD("e", "{\"type\":\"enum\",\"name\":\"E\","
						  "\"symbols\":[\"A\",\"B\"]}")), SOME },
	{ "no known symbol",	WRITER(FIELD("e", "{\"type\":\"enum\",\"name\":\"E\","
						  "\"symbols\":[\"C\",\"B\"]}")),
	  "e: symbol 'C' is not known" },
	{ "another name",	RECORD("S", FIELD("a", "\"long\"")), NULL },
};

static void
test_resolve(void **state)
{
	struct schema *reader = schema_new(SPAN_LIT(READER), NULL);
	const struct resolve_row *row;

	(void)state;
	assert_non_null(reader);
	EACH(row, resolve_rows) {
		struct err err = { 0 };
		struct schema *writer = schema_new(span_of(row->writer), &err);
		int code;

		if (!writer)
			fail_msg("%s: %s", row->name, err.text);
		code = schema_resolve(reader, writer, &err);
		if (code == 1 ? !row->error || strcmp(row->error, SOME) != 0
			      : code != (row->error ? ERR_INVALID : 0) ||
				    (row->error && strcmp(err.text, row->error) != 0))
			fail_msg("%s: %d '%s'", row->name, code, err.text);
		schema_free(writer);
	}
	schema_free(reader);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_answers),	  cmocka_unit_test(test_limits),
		cmocka_unit_test(test_known),	  cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_resolve),
	};

	return cmocka_run_group_tests(all, setup, teardown);
}
