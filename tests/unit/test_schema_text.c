/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <jansson.h>

#include "avro/schema_text.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"

static void
hex(const uint8_t *bytes, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static const struct canonical_row {
	const char *name, *text, *canonical;
	const char *print;	/* wire order; NULL: not looked at */
} canonical_rows[] = {
	{ "null",	"\"null\"",	"\"null\"",	"8a8f25cce724dd63" },
	{ "int",	"\"int\"",	"\"int\"",	"8f5c393f1ad57572" },
	{ "int as an object", "{\"type\":\"int\"}", "\"int\"", "8f5c393f1ad57572" },
	{ "boolean",	"\"boolean\"",	"\"boolean\"",	"64f7d4a478fc429f" },
	{ "string",	"\"string\"",	"\"string\"",	"c70345637248018f" },
	{ "empty union", "[ ]",		"[]",		NULL },
	{ "union",	"[\"int\", \"boolean\"]", "[\"int\",\"boolean\"]", NULL },
	{ "logical type", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "\"long\"",
	  NULL },
	{ "type in a type", "{\"type\":{\"type\":\"int\"}}", "\"int\"", NULL },
	{ "array",	"{\"items\":{\"type\":\"null\"},\"type\":\"array\"}",
	  "{\"type\":\"array\",\"items\":\"null\"}", NULL },
	{ "map",	"{\"values\":\"string\",\"type\":\"map\"}",
	  "{\"type\":\"map\",\"values\":\"string\"}", NULL },
	{ "fixed",	"{\"type\":\"fixed\",\"size\":15,\"name\":\"F\",\"doc\":\"x\"}",
	  "{\"name\":\"F\",\"type\":\"fixed\",\"size\":15}", NULL },
	{ "enum",	"{\"type\":\"enum\",\"symbols\":[\"A\"],\"name\":\"E\","
	  "\"namespace\":\"x.y\"}",
	  "{\"name\":\"x.y.E\",\"type\":\"enum\",\"symbols\":[\"A\"]}", NULL },
	{ "dotted name wins",
	  "{\"type\":\"fixed\",\"size\":1,\"name\":\"a.F\",\"namespace\":\"b\"}",
	  "{\"name\":\"a.F\",\"type\":\"fixed\",\"size\":1}", NULL },
	{ "record",
	  "{\"doc\":\"d\",\"fields\":[{\"default\":1,\"type\":{\"type\":\"int\"},\"name\":\"f\"},"
	  "{\"name\":\"self\",\"type\":[\"null\",\"R\"],\"aliases\":[\"x\"]},"
	  "{\"name\":\"in\",\"type\":{\"type\":\"record\",\"name\":\"z.In\",\"fields\":["
	  "{\"name\":\"o\",\"type\":\"In\"}]}},"
	  "{\"name\":\"back\",\"type\":\"R\"}],"
	  "\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\"}",
	  "{\"name\":\"n.R\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":\"int\"},"
	  "{\"name\":\"self\",\"type\":[\"null\",\"n.R\"]},"
	  "{\"name\":\"in\",\"type\":{\"name\":\"z.In\",\"type\":\"record\",\"fields\":["
	  "{\"name\":\"o\",\"type\":\"z.In\"}]}},"
	  "{\"name\":\"back\",\"type\":\"n.R\"}]}", NULL },
	{ "escapes become characters", "\"\\u006e\\u0075ll\"", "\"null\"", "8a8f25cce724dd63" },
};

static void
test_canonical(void **state)
{
	const struct canonical_row *row;

	(void)state;
	EACH(row, canonical_rows) {
		struct buf out = BUF_INIT;
		struct err err = { 0 };
		uint8_t print[SCHEMA_FINGERPRINT_LEN];
		char text[17];

		if (schema_canonical(span_of(row->text), &out, &err) < 0)
			fail_msg("%s: %s", row->name, err.text);
		if (strcmp(out.data, row->canonical) != 0)
			fail_msg("%s: %s", row->name, out.data);
		schema_crc64(buf_span(&out), print);
		hex(print, sizeof(print), text);
		if (row->print && strcmp(text, row->print) != 0)
			fail_msg("%s: %s", row->name, text);
		buf_release(&out);
	}
}

static const struct bad_row {
	const char *name, *text;
	int code;
	const char *error;
} bad_rows[] = {
	{ "empty",		"",			ERR_INVALID, "schema: expected a value" },
	{ "no JSON",		"{",			ERR_INVALID, "schema: expected" },
	{ "lone surrogate",	"\"\\ud800\"",	ERR_INVALID, "schema: line 1" },
	{ "number",		"1",			ERR_INVALID, "schema: a type that is no" },
	{ "no type",		"{}",			ERR_INVALID, "schema: a type that is no" },
	{ "no fields",		"{\"type\":\"record\",\"name\":\"R\"}", ERR_INVALID,
	  "without fields" },
	{ "no name",		"{\"type\":\"enum\",\"symbols\":[]}", ERR_INVALID,
	  "without a name" },
	{ "field without a name", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{}]}",
	  ERR_INVALID,
	  "a field without a name" },
	{ "no symbols",		"{\"type\":\"enum\",\"name\":\"E\"}", ERR_INVALID,
	  "without symbols" },
	{ "symbol 1",		"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[1]}", ERR_INVALID,
	  "a symbol that is not a string" },
	{ "no size",		"{\"type\":\"fixed\",\"name\":\"F\"}", ERR_INVALID,
	  "without a size" },
	{ "unknown name",
	  "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":\"X\"}]}",
	  ERR_INVALID, "schema: " },
	{ "no record",		"\"int\"",		ERR_INVALID, "expected a record, got int" },
	{ "recursive",		"{\"type\":\"record\",\"name\":\"R\",\"fields\":["
	  "{\"name\":\"f\",\"type\":[\"null\",\"R\"]}]}", ERR_LIMIT, "recursive at 'R'" },
};

static void
test_bad_schemas(void **state)
{
	const struct bad_row *row;

	(void)state;
	EACH(row, bad_rows) {
		struct err err = { 0 };

		if (schema_new(span_of(row->text), &err) || err.code != row->code ||
		    !strstr(err.text, row->error))
			fail_msg("%s: %d '%s'", row->name, err.code, err.text);
	}
}

static void
test_deep_schema(void **state)
{
	struct buf text = BUF_INIT;
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "{\"type\":\"array\",\"items\":");
	buf_adds(&text, "\"int\"");
	for (int i = 0; i < 1000; i++)
		buf_adds(&text, "}");
	assert_null(schema_new(buf_span(&text), &err));
	assert_int_equal(err.code, ERR_LIMIT);
	buf_release(&text);
}

/* Calls `fn` for every record, enum and fixed that `schema` defines. */
static void
each_named(json_t *schema, void (*fn)(json_t *named, void *arg), void *arg)
{
	json_t *kid;
	size_t i;

	json_array_foreach(schema, i, kid)
		each_named(kid, fn, arg);
	if (!json_is_object(schema))
		return;
	if (json_object_get(schema, "name"))
		fn(schema, arg);
	json_array_foreach(json_object_get(schema, "fields"), i, kid)
		each_named(json_object_get(kid, "type"), fn, arg);
	each_named(json_object_get(schema, "type"), fn, arg);
	each_named(json_object_get(schema, "items"), fn, arg);
}

static void
each_of_all(void (*fn)(json_t *named, void *arg), void *arg)
{
	for (const struct schema_text *t = schema_texts; t->name; t++) {
		json_t *root = json_loadb(t->text, t->len, 0, NULL);

		if (!root)
			fail_msg("%s: no JSON", t->name);
		each_named(root, fn, arg);
		json_decref(root);
	}
}

static void
check_docs(json_t *named, void *arg)
{
	const char *name = json_string_value(json_object_get(named, "name"));
	json_t *field;
	size_t i;

	(*(size_t *)arg)++;
	if (strcmp(json_string_value(json_object_get(named, "namespace")), "envdriver") != 0)
		fail_msg("%s: namespace", name);
	if (json_string_length(json_object_get(named, "doc")) == 0)
		fail_msg("%s: no doc", name);
	json_array_foreach(json_object_get(named, "fields"), i, field)
		if (json_string_length(json_object_get(field, "doc")) == 0)
			fail_msg("%s.%s: no doc", name,
				 json_string_value(json_object_get(field, "name")));
}

static void
test_docs(void **state)
{
	size_t count = 0;

	(void)state;
	each_of_all(check_docs, &count);
	assert_in_range(count, 50, 200);
}

static void
check_same(json_t *named, void *arg)
{
	json_t *seen = arg, *first;
	const char *name = json_string_value(json_object_get(named, "name"));

	first = json_object_get(seen, name);
	if (!first)
		assert_int_equal(json_object_set(seen, name, named), 0);
	else if (!json_equal(first, named))
		fail_msg("%s: not word for word the same in all files", name);
}

static void
test_shared_types(void **state)
{
	json_t *seen = json_object();

	(void)state;
	each_of_all(check_same, seen);
	assert_non_null(json_object_get(seen, "CommandRef"));
	assert_non_null(json_object_get(seen, "Trace"));
	json_decref(seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),   cmocka_unit_test(test_bad_schemas),
		cmocka_unit_test(test_deep_schema), cmocka_unit_test(test_docs),
		cmocka_unit_test(test_shared_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
