/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <jansson.h>

#include "avro/schema_text.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "alloc_rig.h"

static struct schemas *schemas;

static int
setup(void **state)
{
	(void)state;
	schemas = schemas_new(NULL);
	return schemas ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	schemas_free(schemas);
	return 0;
}

static avro_value_t
new_value(const char *record)
{
	avro_value_t v;

	assert_int_equal(schema_value_new(schemas_find(schemas, record), &v, NULL), 0);
	return v;
}

static avro_value_t
cleared(const char *record)
{
	avro_value_t v = new_value(record);

	assert_true(avro_field_clear(&v));
	return v;
}

static void check_cleared(json_t *type, json_t *def, const char *where, avro_value_t value);

static void
check_cleared_record(json_t *type, avro_value_t value)
{
	const char *name = json_string_value(json_object_get(type, "name"));
	json_t *field;
	size_t i;

	json_array_foreach(json_object_get(type, "fields"), i, field) {
		avro_value_t kid;
		char where[200];

		snprintf(where, sizeof(where), "%s.%s", name,
			 json_string_value(json_object_get(field, "name")));
		assert_int_equal(avro_value_get_by_index(&value, i, &kid, NULL), 0);
		check_cleared(json_object_get(field, "type"), json_object_get(field, "default"),
			      where, kid);
	}
}

/* `def` NULL: the type's zero. Kinds of default that no schema has yet fail,
 * so that whoever adds one sees that avro_field_clear must learn it. */
static void
check_cleared(json_t *type, json_t *def, const char *where, avro_value_t value)
{
	avro_value_t branch;
	const char *text;
	size_t size;
	int64_t i64;
	int i, b;

	switch (avro_value_get_type(&value)) {
	case AVRO_UNION:
		assert_int_equal(avro_value_get_discriminant(&value, &i), 0);
		assert_int_equal(avro_value_get_current_branch(&value, &branch), 0);
		check_cleared(json_array_get(type, 0), def, where, branch);
		return;
	case AVRO_RECORD:
		if (def)
			fail_msg("%s: default", where);
		check_cleared_record(json_is_object(json_object_get(type, "type"))
					     ? json_object_get(type, "type") : type, value);
		return;
	case AVRO_NULL:
		if (!json_is_null(def))
			fail_msg("%s: default", where);
		return;
	case AVRO_STRING:
		assert_int_equal(avro_value_get_string(&value, &text, &size), 0);
		if (size != json_string_length(def) + 1 ||
		    strcmp(text, def ? json_string_value(def) : "") != 0)
			fail_msg("%s: '%s' of %zu", where, text, size);
		return;
	case AVRO_BOOLEAN:
		assert_int_equal(avro_value_get_boolean(&value, &b), 0);
		if (b || (def && !json_is_false(def)))
			fail_msg("%s: %d", where, b);
		return;
	case AVRO_INT32:
		assert_int_equal(avro_value_get_int(&value, &i), 0);
		if (i != json_integer_value(def))
			fail_msg("%s: %d", where, i);
		return;
	case AVRO_INT64:
		assert_int_equal(avro_value_get_long(&value, &i64), 0);
		if (i64 != json_integer_value(def))
			fail_msg("%s: %lld", where, (long long)i64);
		return;
	case AVRO_ARRAY:
		assert_int_equal(avro_value_get_size(&value, &size), 0);
		if (size || json_array_size(def))
			fail_msg("%s: %zu items", where, size);
		return;
	case AVRO_ENUM:
		assert_int_equal(avro_value_get_enum(&value, &i), 0);
		if (def || i != 0)
			fail_msg("%s: symbol %d", where, i);
		return;
	default:
		fail_msg("%s: a type that no schema had", where);
	}
}

static void
test_defaults(void **state)
{
	(void)state;
	for (const struct schema_text *t = schema_texts; t->name; t++) {
		json_t *root = json_loadb(t->text, t->len, 0, NULL);
		avro_value_t v = cleared(t->name);

		check_cleared_record(root, v);
		avro_value_decref(&v);
		json_decref(root);
	}
}

/* Defaults of records that stand behind a union or in an array: cleared when
 * they are entered. */
static void
test_entered_defaults(void **state)
{
	avro_value_t v = cleared("ProbeResult"), list = cleared("DriverListResult");
	avro_value_t outcome, error, drivers, item;

	(void)state;
	assert_true(avro_field_enter(&v, "outcome", NULL, &outcome));
	assert_true(avro_field_enter(&outcome, "error", NULL, &error));
	assert_true(span_is(avro_field_get_span(&error, "details"), "{}"));
	assert_false(avro_field_has(&error, "rpcCode"));
	/* Entered again, it keeps what it has. */
	assert_true(avro_field_set_text(&error, "code", "TIMEOUT"));
	assert_true(avro_field_enter(&outcome, "error", NULL, &error));
	assert_true(span_is(avro_field_get_span(&error, "code"), "TIMEOUT"));

	assert_true(avro_field_enter(&list, "drivers", NULL, &drivers));
	assert_true(avro_field_append(&drivers, &item));
	assert_true(span_is(avro_field_get_span(&item, "capabilities"), "{}"));
	assert_false(avro_field_has(&item, "description"));
	avro_value_decref(&v);
	avro_value_decref(&list);
}

static void
fill_result(avro_value_t *v)
{
	avro_value_t part, error, item;

	assert_true(avro_field_enter(v, "command", NULL, &part));
	assert_true(avro_field_set_text(&part, "commandId", "c1"));
	assert_true(avro_field_set_text(&part, "issueId", "i"));
	assert_true(avro_field_enter(v, "outcome", NULL, &part));
	assert_true(avro_field_set_enum(&part, "status", "FAILED"));
	assert_true(avro_field_enter(&part, "error", NULL, &error));
	assert_true(avro_field_set_int(&error, "rpcCode", -32000));
	assert_true(avro_field_set_text(&error, "details", "{\"a\":1}"));
	assert_true(avro_field_enter(v, "trace", NULL, &part));
	assert_true(avro_field_set_int(&part, "sourceOffset", INT64_MAX));
	assert_true(avro_field_enter(&part, "warnings", NULL, &item));
	for (int i = 0; i < 3; i++) {
		avro_value_t warning;

		assert_true(avro_field_append(&item, &warning));
		assert_true(avro_field_put_span(&warning, span_of("careful")));
	}
	assert_true(avro_field_set_int(v, "exitCode", -7));
	assert_true(avro_field_set_bool(v, "timedOut", true));
	assert_true(avro_field_set_span(v, "stdout", SPAN_LIT("a\0b")));
	assert_true(avro_field_set_text(v, "metadata", "null"));
}

static void
test_reuse(void **state)
{
	const struct schema *s = schemas_find(schemas, "ExecutionResult");
	avro_value_t used = cleared("ExecutionResult"), fresh = cleared("ExecutionResult");
	struct buf a = BUF_INIT, b = BUF_INIT;

	(void)state;
	/* avro-c's own setter leaves a buffer behind that a reset does not. */
	assert_int_equal(avro_field_clear(&used), 1);
	for (int i = 0; i < 3; i++) {
		avro_value_t text;

		fill_result(&used);
		assert_int_equal(avro_value_get_by_name(&used, "stderr", &text, NULL), 0);
		assert_int_equal(avro_value_set_string(&text, "noise"), 0);
		assert_true(avro_field_clear(&used));
		buf_reset(&a);
		buf_reset(&b);
		assert_int_equal(schema_write(s, &used, &a, NULL), 0);
		assert_int_equal(schema_write(s, &fresh, &b, NULL), 0);
		assert_true(span_eq(buf_span(&a), buf_span(&b)));
	}
	avro_value_decref(&used);
	avro_value_decref(&fresh);
	buf_release(&a);
	buf_release(&b);
}

static void
test_get(void **state)
{
	avro_value_t v = cleared("ExecutionResult"), part, error, list, item;
	const char *branch = "";
	int64_t i = 5;
	bool b = false;
	size_t n;

	(void)state;
	fill_result(&v);
	assert_true(avro_field_get_int(&v, "exitCode", &i));
	assert_int_equal(i, -7);
	assert_true(avro_field_get_bool(&v, "timedOut", &b) && b);
	assert_true(span_eq(avro_field_get_span(&v, "stdout"), SPAN_LIT("a\0b")));
	assert_true(span_is(avro_field_get_span(&v, "metadata"), "null"));
	assert_true(avro_field_open(&v, "outcome", &branch, &part));
	assert_string_equal(branch, "Outcome");
	assert_string_equal(avro_field_get_enum(&part, "status"), "FAILED");
	assert_true(avro_field_open(&part, "error", NULL, &error));
	assert_true(avro_field_get_int(&error, "rpcCode", &i));
	assert_int_equal(i, -32000);
	assert_true(avro_field_open(&v, "trace", NULL, &part));
	assert_true(avro_field_get_int(&part, "sourceOffset", &i));
	assert_true(i == INT64_MAX);
	assert_true(avro_field_open(&part, "warnings", &branch, &list));
	assert_null(branch);
	assert_int_equal(avro_value_get_size(&list, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(avro_value_get_by_index(&list, 2, &item, NULL), 0);
	assert_true(span_is(avro_field_span(&item), "careful"));
	avro_value_decref(&v);
}

/* Null, a field that an older schema lacks, a union without a branch, and a
 * type that the reader did not expect read alike. */
static void
test_get_nothing(void **state)
{
	static const char *const fields[] = { "signal", "metadata", "noSuchField", "timedOut" };
	avro_value_t v = cleared("ExecutionResult"), raw = new_value("ExecutionResult"), part;
	int64_t i = 5;
	bool b = true;

	(void)state;
	for (size_t n = 0; n < sizeof(fields) / sizeof(*fields); n++) {
		assert_null(avro_field_get_span(&v, fields[n]).ptr);
		assert_false(avro_field_get_int(&v, fields[n], &i));
		assert_null(avro_field_get_enum(&v, fields[n]));
		assert_false(avro_field_open(&v, fields[n], NULL, &part));
	}
	assert_false(avro_field_get_bool(&v, "stdout", &b));
	assert_false(avro_field_get_bool(&v, "noSuchField", &b));
	assert_int_equal(i, 5);
	assert_true(b);
	assert_null(avro_field_get_span(&raw, "signal").ptr);
	assert_null(avro_field_get_span(&v, "trace").ptr);

	assert_false(avro_field_has(&v, "signal"));
	assert_true(avro_field_has(&v, "stdout"));
	assert_true(avro_field_has(&v, "trace"));
	assert_false(avro_field_has(&v, "noSuchField"));
	assert_true(avro_field_has_field(&v, "signal"));
	assert_false(avro_field_has_field(&v, "noSuchField"));
	/* Empty is not null. */
	assert_true(span_is(avro_field_get_span(&v, "stdout"), ""));
	assert_true(span_is(avro_field_get_span(&raw, "stdout"), ""));
	avro_value_decref(&v);
	avro_value_decref(&raw);
}

static void
test_set_null(void **state)
{
	avro_value_t v = cleared("ExecutionResult");
	struct span text = { "shorter than it is", 7 };

	(void)state;
	assert_true(avro_field_set_span(&v, "signal", text));
	assert_true(span_is(avro_field_get_span(&v, "signal"), "shorter"));
	assert_int_equal(avro_field_get_span(&v, "signal").ptr[7], '\0');
	assert_true(avro_field_set_span(&v, "signal", SPAN_NULL));
	assert_false(avro_field_has(&v, "signal"));
	assert_true(avro_field_set_text(&v, "signal", ""));
	assert_true(span_is(avro_field_get_span(&v, "signal"), ""));
	assert_true(avro_field_set_text(&v, "signal", NULL));
	assert_false(avro_field_has(&v, "signal"));
	avro_value_decref(&v);
}

static void
test_bytes(void **state)
{
	avro_value_t v = cleared("DeadLetter"), headers, header;

	(void)state;
	assert_false(avro_field_has(&v, "value"));
	assert_true(avro_field_set_span(&v, "value", SPAN_LIT("\xff\0x")));
	assert_true(span_eq(avro_field_get_span(&v, "value"), SPAN_LIT("\xff\0x")));
	assert_true(avro_field_set_span(&v, "value", SPAN_LIT("")));
	assert_true(span_is(avro_field_get_span(&v, "value"), ""));
	assert_true(avro_field_enter(&v, "headers", NULL, &headers));
	assert_true(avro_field_append(&headers, &header));
	assert_false(avro_field_has(&header, "value"));
	assert_true(avro_field_set_span(&header, "value", SPAN_LIT("x")));
	assert_true(span_is(avro_field_get_span(&header, "value"), "x"));
	avro_value_decref(&v);
}

static void
test_branches(void **state)
{
	avro_value_t v = cleared("EnvironmentCommand"), target, op;
	const char *branch;

	(void)state;
	assert_false(avro_field_open(&v, "target", &branch, &target));
	assert_true(avro_field_open(&v, "operation", &branch, &op));
	assert_string_equal(branch, "ValidateConfig");
	assert_true(avro_field_enter(&v, "target", "SandboxProvider", &target));
	assert_true(avro_field_set_text(&target, "provider", "docker"));
	assert_true(avro_field_enter(&v, "operation", "Execute", &op));
	assert_true(avro_field_set_text(&op, "lease", "{}"));
	assert_true(avro_field_open(&v, "target", &branch, &target));
	assert_string_equal(branch, "SandboxProvider");
	assert_true(avro_field_open(&v, "operation", &branch, &op));
	assert_string_equal(branch, "Execute");
	assert_false(avro_field_has(&op, "args"));
	/* Another branch, and back: nothing is left of the first. */
	assert_true(avro_field_enter(&v, "operation", "SyncIn", &op));
	assert_true(avro_field_enter(&v, "operation", "Execute", &op));
	assert_true(span_is(avro_field_get_span(&op, "lease"), ""));
	avro_value_decref(&v);
}

static void *
no_realloc(void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return NULL;
}

static void
test_no_memory(void **state)
{
	avro_value_t v = cleared("ExecutionResult");

	(void)state;
	assert_true(avro_field_set_text(&v, "stdout", "old"));
	alloc_replace(no_realloc);
	assert_false(avro_field_set_text(&v, "stdout", "new"));
	alloc_replace(NULL);
	assert_true(span_is(avro_field_get_span(&v, "stdout"), "old"));
	avro_value_decref(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_entered_defaults),
		cmocka_unit_test(test_reuse),	 cmocka_unit_test(test_get),
		cmocka_unit_test(test_get_nothing), cmocka_unit_test(test_set_null),
		cmocka_unit_test(test_bytes),	 cmocka_unit_test(test_branches),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
