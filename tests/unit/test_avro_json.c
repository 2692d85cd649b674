/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <jansson.h>

#include "avro/schema_text.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"

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

/* Small schemas for what the project's own do not have. */
#define RECORD(type) \
	"{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"f\",\"type\":" type "}]}"

/* A command with every field given, as avro_json_write writes it. */
#define COMMAND(operation) \
	"{\"commandId\":\"c1\",\"issuedAt\":\"2026-11-23T05:17:57.000Z\",\"issuedBy\":null," \
	"\"companyId\":\"co\",\"environmentId\":\"env\",\"issueId\":null,\"orderingKey\":\"\"," \
	"\"expiresAt\":\"2026-11-23T05:18:57.250Z\",\"rerunIfInterrupted\":false," \
	"\"traceparent\":null,\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"docker\"," \
	"\"pluginId\":null},\"config\":{\"a\":1.50},\"operation\":" operation "}"
#define EXECUTE "{\"type\":\"Execute\",\"lease\":{\"providerLeaseId\":\"l\"},\"command\":\"sh\"," \
	"\"args\":[\"-c\",\"\\u0000\\n\xe2\x82\xac\"],\"cwd\":null," \
	"\"env\":{\"B\":\"2\",\"A\":\"1\"},\"stdin\":null,\"timeoutMs\":9007199254740993," \
	"\"bypassSession\":true}"

/* What is written reads back as the same bytes. */
static const struct same_row {
	const char *name, *schema, *text;
} same_rows[] = {
	{ "execute",		"EnvironmentCommand", COMMAND(EXECUTE) },
	{ "probe",		"EnvironmentCommand", COMMAND("{\"type\":\"Probe\"}") },
	{ "sync: an array",	"EnvironmentCommand", COMMAND(
	  "{\"type\":\"SyncIn\",\"lease\":{},\"operations\":[{\"type\":\"x\"}]}") },
	{ "enum, array, int",	"ExecutionLog",
	  "{\"command\":{\"commandId\":\"c\",\"operation\":\"Execute\",\"companyId\":\"\","
	  "\"environmentId\":\"e\",\"issueId\":null,\"pluginId\":\"p\",\"pluginKey\":null,"
	  "\"driverKey\":null,\"providerLeaseId\":null},\"origin\":\"FINAL\",\"stream\":\"STDERR\","
	  "\"attempt\":-2147483648,\"callToken\":\"t\",\"sequence\":-9223372036854775808,"
	  "\"byteOffset\":0,\"text\":\"\\u001b[1m\\\"x\\\"\",\"last\":true,\"instanceId\":\"i\","
	  "\"recordedAt\":\"1969-12-31T23:59:59.999Z\",\"raw\":\"/wA=\"}" },
	{ "nested times, JSON of every kind", "PluginEvent",
	  "{\"eventId\":\"e\",\"type\":\"ACTIVITY\",\"occurredAt\":\"2026-11-23T05:17:57.001Z\","
	  "\"pluginId\":\"p\",\"pluginKey\":\"k\",\"instanceId\":\"i\",\"pid\":1,\"exitCode\":null,"
	  "\"signal\":null,\"willRestart\":false,\"nextRestartAt\":\"2026-11-23T05:17:58.000Z\","
	  "\"consecutiveCrashes\":null,\"totalCrashes\":null,\"message\":null,\"companyId\":null,"
	  "\"commandId\":null,\"name\":null,\"details\":[1,\"two\",null]}" },
	{ "bytes",		"DeadLetter",
	  "{\"reason\":\"INVALID_COMMAND\",\"message\":\"m\",\"field\":\"operation.lease\","
	  "\"commandId\":null,\"companyId\":null,\"environmentId\":null,\"operation\":null,"
	  "\"sourceTopic\":\"t\",\"sourcePartition\":0,\"sourceOffset\":17,"
	  "\"sourceTimestamp\":null,"
	  "\"firstTopic\":null,\"firstPartition\":null,\"firstOffset\":null,\"key\":\"\","
	  "\"value\":\"/wA+Pw==\",\"headers\":[{\"name\":\"a\",\"value\":\"eA==\"},"
	  "{\"name\":\"b\",\"value\":null}],\"valueBytes\":4,\"valueSha256\":null,"
	  "\"valueTruncated\":false,\"redriveCount\":0,\"instanceId\":\"i\","
	  "\"deadLetteredAt\":\"2026-11-23T05:17:57.000Z\"}" },
};

static void
test_same(void **state)
{
	const struct same_row *row;

	(void)state;
	EACH(row, same_rows) {
		const struct schema *s = schemas_find(schemas, row->schema);
		struct buf out = BUF_INIT, avro = BUF_INIT;
		struct err err = { 0 };
		avro_value_t v;

		assert_int_equal(schema_value_new(s, &v, &err), 0);
		if (avro_json_read(s, span_of(row->text), &v, &err) < 0)
			fail_msg("%s: %s", row->name, err.text);
		assert_int_equal(schema_write(s, &v, &avro, &err), 0);
		assert_int_equal(schema_read(s, (struct span){ avro.data + SCHEMA_FRAME_LEN,
							       avro.len - SCHEMA_FRAME_LEN },
					     &v, &err), 0);
		buf_adds(&out, "kept");
		assert_int_equal(avro_json_write(s, &v, &out, &err), 0);
		if (strcmp(out.data + 4, row->text) != 0)
			fail_msg("%s: %s", row->name, out.data);
		avro_value_decref(&v);
		buf_release(&out);
		buf_release(&avro);
	}
}

#define BASE "\"commandId\":\"c\",\"issuedAt\":1,\"companyId\":\"\",\"environmentId\":\"\""
#define PROBE ",\"operation\":{\"type\":\"Probe\"}"
#define OF(operation) "{" BASE ",\"operation\":" operation "}"
#define WITH(members) "{" BASE PROBE "," members "}"

static const struct read_row {
	const char *name, *text, *has;	/* a piece of what is written again */
} read_rows[] = {
	{ "defaults",		"{" BASE PROBE "}",		"\"target\":null,\"config\":{}," },
	{ "defaults of an operation", OF("{\"type\":\"Execute\",\"lease\":{},\"command\":\"x\"}"),
	  "\"args\":null,\"cwd\":null,\"env\":null,\"stdin\":null" },
	{ "type behind the fields", OF("{\"lease\":{},\"command\":\"x\",\"type\":\"Execute\"}"),
	  "{\"type\":\"Execute\",\"lease\":{}," },
	{ "integer time",	"{" BASE PROBE "}",
	  "\"issuedAt\":\"1970-01-01T00:00:00.001Z\"" },
	{ "time with an offset", WITH("\"expiresAt\":\"2026-11-23T07:17:57+02:00\""),
	  "\"expiresAt\":\"2026-11-23T05:17:57.000Z\"" },
	{ "integer as a float",	WITH("\"expiresAt\":1.5e3"),
	  "\"expiresAt\":\"1970-01-01T00:00:01.500Z\"" },
	{ "a year that has no text", WITH("\"expiresAt\":9223372036854775807"),
	  "\"expiresAt\":9223372036854775807," },
	{ "JSON text stays",	WITH("\"config\": { \"n\" : 1.10e+05 ,\n\t\"x\":\"\\u00e9\" } "),
	  "\"config\":{ \"n\" : 1.10e+05 ,  \"x\":\"\\u00e9\" }," },
	{ "JSON text may be null", WITH("\"config\":null"),	"\"config\":null," },
	{ "the last of two",	WITH("\"commandId\":\"d\""),	"{\"commandId\":\"d\"," },
	{ "the last of two records", WITH(
	  "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"a\","
	  "\"driverKey\":\"b\",\"pluginId\":\"c\"},"
	  "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"d\",\"driverKey\":\"e\"}"),
	  "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"d\",\"driverKey\":\"e\","
	  "\"pluginId\":null}" },
	{ "the last of two arrays", OF("{\"type\":\"Execute\",\"lease\":{},\"command\":\"x\","
	  "\"args\":[\"a\"],\"args\":[\"b\"]}"), "\"args\":[\"b\"]" },
	{ "escaped name",	WITH("\"\\u0069ssuedBy\":\"me\""), "\"issuedBy\":\"me\"" },
	{ "lone surrogate",	WITH("\"issuedBy\":\"\\ud800\""), "\"issuedBy\":\"\xef\xbf\xbd\"" },
};

static void
test_read(void **state)
{
	const struct schema *s = schemas_find(schemas, "EnvironmentCommand");
	const struct read_row *row;
	avro_value_t v;

	(void)state;
	assert_int_equal(schema_value_new(s, &v, NULL), 0);
	EACH(row, read_rows) {
		struct buf out = BUF_INIT;
		struct err err = { 0 };

		if (avro_json_read(s, span_of(row->text), &v, &err) < 0)
			fail_msg("%s: %s", row->name, err.text);
		assert_int_equal(avro_json_write(s, &v, &out, &err), 0);
		if (!strstr(out.data, row->has))
			fail_msg("%s: %s", row->name, out.data);
		buf_release(&out);
	}
	avro_value_decref(&v);
}

static const struct error_row {
	const char *name, *text, *error;
} error_rows[] = {
	{ "no JSON",		"{",
	  "JSON: expected '\"' or '}' at byte 1, got the end" },
	{ "no object",		"[]",		"expected object, got array" },
	{ "missing",		"{}",		"commandId: expected string, got nothing" },
	{ "missing time",	"{\"commandId\":\"c\"}",
	  "issuedAt: expected RFC 3339 time or integer milliseconds, got nothing" },
	{ "missing operation",	"{" BASE "}",	"operation: expected object, got nothing" },
	{ "missing lease",	OF("{\"type\":\"Execute\",\"command\":\"x\"}"),
	  "operation.lease: expected JSON, got nothing" },
	{ "wrong type",		WITH("\"companyId\":1"), "companyId: expected string, got number" },
	{ "null where none may be", WITH("\"companyId\":null"),
	  "companyId: expected string, got null" },
	{ "wrong type deep",	OF("{\"type\":\"Execute\",\"lease\":{},\"command\":[]}"),
	  "operation.command: expected string, got array" },
	{ "wrong item",
	  OF("{\"type\":\"Execute\",\"lease\":{},\"command\":\"\",\"args\":[\"a\",true]}"),
	  "operation.args[1]: expected string, got boolean" },
	{ "no array",
	  OF("{\"type\":\"Execute\",\"lease\":{},\"command\":\"\",\"args\":\"a\"}"),
	  "operation.args: expected array, got string" },
	{ "no boolean",		WITH("\"rerunIfInterrupted\":\"true\""),
	  "rerunIfInterrupted: expected boolean, got string" },
	{ "no integer",
	  OF("{\"type\":\"RunnerIngressEndpoint\",\"lease\":{},\"port\":\"80\",\"path\":\"/\"}"),
	  "operation.port: expected integer, got string" },
	{ "half",
	  OF("{\"type\":\"RunnerIngressEndpoint\",\"lease\":{},\"port\":80.5,\"path\":\"/\"}"),
	  "operation.port: expected integer of 32 bits, got 80.5" },
	{ "too large",
	  OF("{\"type\":\"RunnerIngressEndpoint\",\"lease\":{},\"port\":2147483648,"
	     "\"path\":\"/\"}"),
	  "operation.port: expected integer of 32 bits, got 2147483648" },
	{ "too large for 64",	WITH("\"expiresAt\":1e19"),
	  "expiresAt: expected RFC 3339 time or integer milliseconds, got number" },
	{ "no time",		WITH("\"expiresAt\":\"tomorrow\""),
	  "expiresAt: expected RFC 3339 time, got 'tomorrow'" },
	{ "unknown field",	WITH("\"comandId\":1"),
	  "unknown field 'comandId'; the nearest is 'commandId'" },
	{ "unknown far field",	WITH("\"zzz\":1"),	"unknown field 'zzz'" },
	{ "unknown deep field",	OF("{\"type\":\"Execute\",\"lease\":{},\"comand\":\"\"}"),
	  "operation: unknown field 'comand'; the nearest is 'command'" },
	{ "name with NUL",	WITH("\"config\\u0000\":1"),
	  "unknown field 'config'; the nearest is 'config'" },
	{ "type where one record stands", WITH("\"type\":\"EnvironmentCommand\""),
	  "unknown field 'type'" },
	{ "operation as a string", OF("\"Probe\""), "operation: expected object, got string" },
	{ "operation null",	OF("null"),	"operation: expected object, got null" },
	{ "no type",		OF("{}"),	"operation.type: expected string, got nothing" },
	{ "type null",		OF("{\"type\":null}"),
	  "operation.type: expected string, got null" },
	{ "unknown operation",	OF("{\"type\":\"Prob\"}"),
	  "operation.type: unknown type 'Prob'; the nearest is 'Probe'" },
	{ "a target's name is no operation", OF("{\"type\":\"PluginDriver\"}"),
	  "operation.type: unknown type 'PluginDriver'" },
};

static void
test_errors(void **state)
{
	const struct schema *s = schemas_find(schemas, "EnvironmentCommand");
	const struct error_row *row;
	avro_value_t v;

	(void)state;
	assert_int_equal(schema_value_new(s, &v, NULL), 0);
	EACH(row, error_rows) {
		struct err err = { 0 };

		if (avro_json_read(s, span_of(row->text), &v, &err) != ERR_INVALID ||
		    strcmp(err.text, row->error) != 0)
			fail_msg("%s: %d '%s'", row->name, err.code, err.text);
	}
	avro_value_decref(&v);
}

static const struct type_row {
	const char *name, *schema, *text;
	const char *out;	/* NULL: as `text`; starting '!': an error */
} type_rows[] = {
	{ "double",		RECORD("\"double\""),	"{\"f\":-1.5}", NULL },
	{ "float of an integer", RECORD("\"float\""),	"{\"f\":3}", NULL },
	{ "double too large",	RECORD("\"double\""),	"{\"f\":1e999}",
	  "!f: expected number in the range of a double, got number" },
	{ "fixed",		RECORD("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}"),
	  "{\"f\":\"AAE=\"}", NULL },
	{ "fixed of another size", RECORD("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}"),
	  "{\"f\":\"AA==\"}",
	  "!f: expected 2 bytes, got 1" },
	{ "bad base64",		RECORD("\"bytes\""),	"{\"f\":\"A\"}",
	  "!f: expected base64, got another string" },
	{ "no base64",		RECORD("\"bytes\""),	"{\"f\":1}",
	  "!f: expected string of base64, got number" },
	{ "null",		RECORD("\"null\""),	"{\"f\":null}", NULL },
	{ "not null",		RECORD("\"null\""),	"{\"f\":0}",
	  "!f: expected null, got number" },
	{ "symbol",
	  RECORD("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"AB\",\"CD\"]}"),
	  "{\"f\":\"CD\"}", NULL },
	{ "no symbol",
	  RECORD("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"ABC\",\"CDE\"]}"),
	  "{\"f\":\"CDD\"}", "!f: unknown symbol 'CDD'; the nearest is 'CDE'" },
	{ "null last",		RECORD("[\"int\",\"null\"]"), "{}", "{\"f\":0}" },
	{ "the only record of a union has no tag",
	  RECORD("[\"null\",{\"type\":\"record\",\"name\":\"P\",\"fields\":["
		 "{\"name\":\"type\",\"type\":\"int\"}]}]"), "{\"f\":{\"type\":1}}", NULL },
	{ "map",		RECORD("{\"type\":\"map\",\"values\":\"int\"}"), "{\"f\":{}}",
	  "!f: plain JSON has no maps" },
};

static void
test_types(void **state)
{
	const struct type_row *row;

	(void)state;
	EACH(row, type_rows) {
		struct err err = { 0 };
		struct schema *s = schema_new(span_of(row->schema), &err);
		const char *want = row->out ? row->out : row->text;
		struct buf out = BUF_INIT;
		avro_value_t v;
		int code;

		if (!s || schema_value_new(s, &v, &err) < 0)
			fail_msg("%s: %s", row->name, err.text);
		code = avro_json_read(s, span_of(row->text), &v, &err);
		if ((code < 0) != (*want == '!') || (code < 0 && strcmp(err.text, want + 1) != 0))
			fail_msg("%s: %d '%s'", row->name, code, err.text);
		assert_int_equal(code < 0 ? 0 : avro_json_write(s, &v, &out, &err), 0);
		if (code == 0 && strcmp(out.data, want) != 0)
			fail_msg("%s: %s", row->name, out.data);
		avro_value_decref(&v);
		schema_free(s);
		buf_release(&out);
	}
}

static void
test_write_no_json(void **state)
{
	const struct schema *s = schemas_find(schemas, "PluginEvent");
	struct buf out = BUF_INIT, deep = BUF_INIT;
	struct err err = { 0 };
	avro_value_t v;

	(void)state;
	assert_int_equal(schema_value_new(s, &v, NULL), 0);
	/* No branch yet: a bug, not a crash. */
	assert_int_equal(avro_json_write(s, &v, &out, &err), ERR_BUG);
	assert_int_equal(out.len, 0);
	assert_true(avro_field_clear(&v));
	assert_true(avro_field_set_text(&v, "details", "not\nJSON"));
	assert_true(avro_field_set_text(&v, "message", "{\"a\":1}"));
	assert_int_equal(avro_json_write(s, &v, &out, &err), 0);
	assert_non_null(strstr(out.data, "\"details\":\"not\\nJSON\"}"));
	assert_non_null(strstr(out.data, "\"message\":\"{\\\"a\\\":1}\""));
	/* What a plugin nests deeper than a command may is JSON still. */
	for (int i = 0; i < 200; i++)
		buf_adds(&deep, "[");
	for (int i = 0; i < 200; i++)
		buf_adds(&deep, "]");
	assert_true(avro_field_set_span(&v, "details", buf_span(&deep)));
	buf_reset(&out);
	assert_int_equal(avro_json_write(s, &v, &out, &err), 0);
	assert_non_null(strstr(out.data, "\"details\":[[["));
	assert_int_equal(avro_json_read(s, buf_span(&out), &v, &err), 0);
	assert_true(span_eq(avro_field_get_span(&v, "details"), buf_span(&deep)));
	avro_value_decref(&v);
	buf_release(&out);
	buf_release(&deep);
}

static void
check_json_fields(json_t *schema, size_t *count)
{
	json_t *kid;
	size_t i, j;

	json_array_foreach(schema, i, kid)
		check_json_fields(kid, count);
	json_array_foreach(json_object_get(schema, "fields"), i, kid) {
		const char *record = json_string_value(json_object_get(schema, "name"));
		const char *field = json_string_value(json_object_get(kid, "name"));
		const char *doc = json_string_value(json_object_get(kid, "doc"));
		json_t *type = json_object_get(kid, "type"), *branch;
		bool text = json_is_string(type) && strcmp(json_string_value(type), "string") == 0;
		bool json;

		json_array_foreach(type, j, branch)
			text |= json_is_string(branch) &&
				strcmp(json_string_value(branch), "string") == 0;
		json = text && strstr(doc, "JSON");
		if (avro_json_is(record, field) != json)
			fail_msg("%s.%s: '%s'", record, field, doc);
		*count += json;
		check_json_fields(type, count);
	}
	if (json_is_object(schema)) {
		check_json_fields(json_object_get(schema, "type"), count);
		check_json_fields(json_object_get(schema, "items"), count);
	}
}

/* The docs name the fields that hold JSON text, no more and no less. */
static void
test_json_fields(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct schema_text *t = schema_texts; t->name; t++) {
		json_t *root = json_loadb(t->text, t->len, 0, NULL);

		check_json_fields(root, &count);
		json_decref(root);
	}
	assert_in_range(count, 29, 100);
	assert_false(avro_json_is("EnvironmentCommand", "metadata"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	 cmocka_unit_test(test_read),
		cmocka_unit_test(test_errors),	 cmocka_unit_test(test_types),
		cmocka_unit_test(test_write_no_json), cmocka_unit_test(test_json_fields),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
