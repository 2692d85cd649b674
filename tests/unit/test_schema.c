/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <pthread.h>

#include "avro/schema_text.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "alloc_rig.h"

static int
setup(void **state)
{
	struct err err;

	*state = schemas_new(&err);
	if (!*state)
		fail_msg("%s", err.text);
	return 0;
}

static int
teardown(void **state)
{
	schemas_free(*state);
	return 0;
}

/* Programs of other people tell records by these: a change here is a new
 * version of the record, and the old .avsc goes to schemas/compat/. */
static const struct print_row {
	const char *name, *print;
} print_rows[] = {
	{ "ConfigResult",	"53f3f8f0ddb5721b" },
	{ "DeadLetter",		"995cced9233b7731" },
	{ "DriverListResult",	"12f19fc68eed06b3" },
	{ "EnvironmentCommand",	"41b88313c2cf2caf" },
	{ "ExecutionLog",	"5913c62ed680836c" },
	{ "ExecutionResult",	"f00fc72c4cc4310a" },
	{ "LeaseResult",	"9c4507fef608caca" },
	{ "PluginEvent",	"a3d17c3e6dc8f3be" },
	{ "ProbeResult",	"9a0509c45190c535" },
	{ "SetupResult",	"a02e5e72020cd17c" },
	{ "WorkspaceResult",	"6260578076b179f1" },
};

static void
hex(const uint8_t *bytes, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void
test_fingerprints(void **state)
{
	const struct print_row *row;
	size_t count = 0;
	char text[17];

	EACH(row, print_rows) {
		const struct schema *s = schemas_find(*state, row->name);

		if (!s)
			fail_msg("%s: missing", row->name);
		hex(schema_fingerprint(s), SCHEMA_FINGERPRINT_LEN, text);
		if (strcmp(text, row->print) != 0)
			fail_msg("%s: %s", row->name, text);
		assert_ptr_equal(schemas_by_fingerprint(*state, schema_fingerprint(s)), s);
	}
	while (schema_texts[count].name)
		count++;
	assert_int_equal(count, sizeof(print_rows) / sizeof(*print_rows));
	assert_null(schemas_find(*state, "Probe"));
	assert_null(schemas_by_fingerprint(*state, (const uint8_t *)"12345678"));
}

static const struct field_row {
	const char *schema, *record;
	size_t index;
	const char *name;	/* NULL: none */
	bool timestamp, optional;
} field_rows[] = {
	{ "EnvironmentCommand",	"EnvironmentCommand",	0,	"commandId",	false,	false },
	{ "EnvironmentCommand",	"EnvironmentCommand",	1,	"issuedAt",	true,	false },
	{ "EnvironmentCommand",	"EnvironmentCommand",	7,	"expiresAt",	true,	true },
	{ "EnvironmentCommand",	"EnvironmentCommand",	11,	"config",	false,	true },
	{ "EnvironmentCommand",	"EnvironmentCommand",	13,	NULL,		false,	false },
	{ "EnvironmentCommand",	"SandboxProvider",	0,	"provider",	false,	false },
	{ "EnvironmentCommand",	"Execute",		7,	"bypassSession", false,	true },
	{ "EnvironmentCommand",	"Execute",		8,	NULL,		false,	false },
	{ "EnvironmentCommand",	"Probe",		0,	NULL,		false,	false },
	{ "EnvironmentCommand",	"Outcome",		0,	NULL,		false,	false },
	{ "DeadLetter",		"RecordHeader",		1,	"value",	false,	true },
	{ "ProbeResult",	"Trace",		8,	"startedAt",	true,	true },
};

static void
test_fields(void **state)
{
	const struct field_row *row;

	EACH(row, field_rows) {
		const struct schema_field *f =
			schema_field(schemas_find(*state, row->schema), row->record, row->index);

		if (!f != !row->name)
			fail_msg("%s[%zu]: %s", row->record, row->index, f ? f->name : "none");
		if (f && (strcmp(f->name, row->name) != 0 ||
			  (f->time == SCHEMA_TIME_MILLIS) != row->timestamp ||
			  f->optional != row->optional || !f->doc))
			fail_msg("%s.%s: %d %d", row->record, f->name, f->time, f->optional);
	}
}

static const struct unframe_row {
	const char *name;
	struct span value;
	const char *error;	/* NULL: accepted */
} unframe_rows[] = {
	{ "good",		S("\xc3\x01\x9a\x05\x09\xc4\x51\x90\xc5\x35" "abc"), NULL },
	{ "no datum",		S("\xc3\x01\x9a\x05\x09\xc4\x51\x90\xc5\x35"), NULL },
	{ "empty",		S(""),			"the value is empty" },
	{ "registry",		S("\0\0\0\0\7abc"),
	  "the value is framed for a schema registry (schema id 7), and schema.registry.url is "
	  "not set" },
	{ "registry, cut",	S("\0\0\0\7"),	"the value ends inside its schema id" },
	{ "one byte",		S("\xc3"),		"the value does not start with c3 01" },
	{ "JSON",		S("{\"a\":1}"),		"the value does not start with c3 01" },
	{ "version 2",		S("\xc3\x02" "12345678"), "the value does not start with c3 01" },
	{ "cut",		S("\xc3\x01\x9a\x05\x09\xc4\x51\x90\xc5"),
	  "the value ends inside its schema fingerprint" },
	{ "unknown",		S("\xc3\x01\x9a\x05\x09\xc4\x51\x90\xc5\x36"),
	  "unknown schema fingerprint 9a0509c45190c536" },
};

static void
test_unframe(void **state)
{
	const struct unframe_row *row;

	EACH(row, unframe_rows) {
		const struct schema *writer = NULL;
		struct span datum = SPAN_NULL;
		struct err err = { 0 };
		int code = schemas_unframe(*state, row->value, &writer, &datum, &err);

		if (code != (row->error ? ERR_INVALID : 0) ||
		    (row->error && strcmp(err.text, row->error) != 0))
			fail_msg("%s: %d '%s'", row->name, code, err.text);
		if (code == 0) {
			assert_ptr_equal(writer, schemas_find(*state, "ProbeResult"));
			assert_int_equal(datum.len, row->value.len - SCHEMA_FRAME_LEN);
		}
	}
}

static int
look_up(void *arg, uint32_t id, const struct schema **ret, struct err *reterr)
{
	if (id != 0x01020384)
		return err_set(reterr, id == 2 ? ERR_UNAVAILABLE : ERR_INVALID, "id %u", id);
	*ret = arg;
	return 0;
}

static void
test_ids(void **state)
{
	struct schemas *all = schemas_new(NULL);
	const struct schema *s = schemas_find(all, "EnvironmentCommand"), *writer = NULL;
	struct buf out = BUF_INIT;
	struct span datum;
	struct err err = { 0 };
	avro_value_t v;

	(void)state;
	schemas_set_lookup(all, look_up, (void *)s);
	assert_int_equal(schemas_unframe(all, SPAN_LIT("\0\1\2\3\x84x"), &writer, &datum, &err), 0);
	assert_ptr_equal(writer, s);
	assert_true(span_is(datum, "x"));
	assert_int_equal(schemas_unframe(all, SPAN_LIT("\0\0\0\0\2"), &writer, &datum, &err),
			 ERR_UNAVAILABLE);
	assert_int_equal(schemas_unframe(all, SPAN_LIT("\0\0\0\0\3"), &writer, &datum, &err),
			 ERR_INVALID);
	assert_string_equal(err.text, "id 3");
	/* Nothing is written in the wrong framing meanwhile. */
	assert_int_equal(schema_value_new(s, &v, NULL), 0);
	assert_true(avro_field_clear(&v));
	schemas_want_ids(all);
	assert_int_equal(schema_write(s, &v, &out, &err), ERR_UNAVAILABLE);
	assert_int_equal(out.len, 0);
	schemas_set_id(all, "EnvironmentCommand", 0x01020384);
	assert_int_equal(schema_write(s, &v, &out, &err), 0);
	assert_memory_equal(out.data, "\0\1\2\3\x84", SCHEMA_ID_FRAME_LEN);
	assert_int_equal(schemas_unframe(all, buf_span(&out), &writer, &datum, &err), 0);
	assert_int_equal(schema_read(s, datum, &v, &err), 0);
	avro_value_decref(&v);
	buf_release(&out);
	schemas_free(all);
}

/* An ExecutionLog, byte for byte as the Avro specification has it. */
static const char log_bytes[] =
	"\xc3\x01\x59\x13\xc6\x2e\xd6\x80\x83\x6c"
	"\x04" "c1" "\x0e" "Execute" "\x04" "co" "\x06" "env"	/* CommandRef */
	"\x00" "\x02\x04" "p1" "\x00" "\x00" "\x02\x06" "l-1"
	"\x02" "\x02"						/* FINAL, STDERR */
	"\x06"							/* attempt 3 */
	"\x08" "i.12"						/* callToken */
	"\x00" "\xac\x02"					/* sequence 0, offset 150 */
	"\x0c" "a\0\xe2\x82\xac\n"				/* text with NUL */
	"\x01"							/* last */
	"\x0c" "host-a"
	"\xd0\xaf\xa4\x84\xce\x67"				/* recordedAt */
	"";							/* no raw bytes */

/* With the NUL at its end, which is the branch of `raw`. */
static const struct span log_record = { log_bytes, sizeof(log_bytes) };

static void
fill_log(avro_value_t *v)
{
	avro_value_t command;

	assert_true(avro_field_clear(v));
	assert_true(avro_field_enter(v, "command", NULL, &command));
	assert_true(avro_field_set_text(&command, "commandId", "c1"));
	assert_true(avro_field_set_text(&command, "operation", "Execute"));
	assert_true(avro_field_set_text(&command, "companyId", "co"));
	assert_true(avro_field_set_text(&command, "environmentId", "env"));
	assert_true(avro_field_set_text(&command, "pluginId", "p1"));
	assert_true(avro_field_set_text(&command, "providerLeaseId", "l-1"));
	assert_true(avro_field_set_enum(v, "origin", "FINAL"));
	assert_true(avro_field_set_enum(v, "stream", "STDERR"));
	assert_true(avro_field_set_int(v, "attempt", 3));
	assert_true(avro_field_set_text(v, "callToken", "i.12"));
	assert_true(avro_field_set_int(v, "byteOffset", 150));
	assert_true(avro_field_set_span(v, "text", SPAN_LIT("a\0\xe2\x82\xac\n")));
	assert_true(avro_field_set_bool(v, "last", true));
	assert_true(avro_field_set_text(v, "instanceId", "host-a"));
	assert_true(avro_field_set_int(v, "recordedAt", INT64_C(1780000001000)));
}

static void
test_write_read(void **state)
{
	const struct schema *s = schemas_find(*state, "ExecutionLog"), *writer;
	struct buf out = BUF_INIT;
	struct err err = { 0 };
	struct span datum;
	avro_value_t v, again;

	assert_int_equal(schema_value_new(s, &v, &err), 0);
	assert_int_equal(schema_value_new(s, &again, &err), 0);
	fill_log(&v);
	buf_adds(&out, "kept");
	assert_int_equal(schema_write(s, &v, &out, &err), 0);
	assert_memory_equal(out.data, "kept", 4);
	buf_consume(&out, 4);
	assert_true(span_eq(buf_span(&out), log_record));

	assert_int_equal(schemas_unframe(*state, buf_span(&out), &writer, &datum, &err), 0);
	assert_ptr_equal(writer, s);
	for (int i = 0; i < 2; i++) {
		int64_t when;

		assert_int_equal(schema_read(s, datum, &again, &err), 0);
		assert_true(avro_value_equal(&v, &again));
		assert_true(avro_field_get_int(&again, "recordedAt", &when));
		assert_int_equal(when, INT64_C(1780000001000));
		assert_true(span_eq(avro_field_get_span(&again, "text"),
				    (struct span)S("a\0\xe2\x82\xac\n")));
	}
	avro_value_decref(&v);
	avro_value_decref(&again);
	buf_release(&out);
}

/* What an earlier release wrote. */
static void
test_old_release(void **state)
{
	struct schemas *all = schemas_new(NULL);
	struct buf old = BUF_INIT;
	const struct schema *writer;
	struct err err = { 0 };
	struct span datum;
	avro_value_t v;

	(void)state;
	assert_non_null(all);
	buf_adds(&old, "\xc3\x01\x2e\xcb\x69\x65\x56\xb3\xdf\x4b");
	buf_add(&old, log_bytes + SCHEMA_FRAME_LEN, sizeof(log_bytes) - 1 - SCHEMA_FRAME_LEN);
	assert_int_equal(schemas_unframe(all, buf_span(&old), &writer, &datum, &err), 0);
	assert_string_equal(schema_name(writer), "ExecutionLog");
	assert_ptr_not_equal(writer, schemas_find(all, "ExecutionLog"));
	assert_int_equal(schema_value_new(writer, &v, &err), 0);
	assert_int_equal(schema_read(writer, datum, &v, &err), 0);
	assert_true(span_is(avro_field_get_span(&v, "instanceId"), "host-a"));
	assert_null(avro_field_get_span(&v, "raw").ptr);
	/* A registry's id is that of what is written now. */
	schemas_set_id(all, "ExecutionLog", 7);
	assert_false(schema_has_id(writer, 7));
	assert_true(schema_has_id(schemas_find(all, "ExecutionLog"), 7));
	avro_value_decref(&v);
	schemas_free(all);
	buf_release(&old);
}

/* Every prefix of a good datum, and every datum with one byte changed: read
 * or refused, without a leak and without a crash; what is read can be written. */
static void
test_poison(void **state)
{
	const struct schema *s = schemas_find(*state, "ExecutionLog");
	size_t len = log_record.len - SCHEMA_FRAME_LEN;
	struct buf out = BUF_INIT;
	struct err err;
	avro_value_t v;

	assert_int_equal(schema_value_new(s, &v, &err), 0);
	for (size_t n = 0; n < len; n++) {
		char *cut = malloc(n ? n : 1);

		memcpy(cut, log_record.ptr + SCHEMA_FRAME_LEN, n);
		assert_int_equal(schema_read(s, (struct span){ cut, n }, &v, &err), ERR_INVALID);
		free(cut);
	}
	for (size_t at = 0; at < len; at++) {
		char *bad = malloc(len);

		for (unsigned x = 0; x < 256; x++) {
			memcpy(bad, log_record.ptr + SCHEMA_FRAME_LEN, len);
			bad[at] = (char)x;
			if (schema_read(s, (struct span){ bad, len }, &v, &err) < 0)
				continue;
			buf_reset(&out);
			if (schema_write(s, &v, &out, &err) < 0)
				fail_msg("byte %zu = %02x: %s", at, x, err.text);
		}
		free(bad);
	}
	avro_value_decref(&v);
	buf_release(&out);
}

static void
test_write_failure(void **state)
{
	const struct schema *s = schemas_find(*state, "ProbeResult");
	struct buf out = BUF_INIT;
	struct err err = { 0 };
	avro_value_t v;

	/* Its unions have no branch yet. */
	assert_int_equal(schema_value_new(s, &v, &err), 0);
	buf_adds(&out, "kept");
	assert_int_equal(schema_write(s, &v, &out, &err), ERR_BUG);
	assert_string_equal(out.data, "kept");
	assert_true(avro_field_clear(&v));
	assert_int_equal(schema_write(s, &v, &out, &err), 0);
	avro_value_decref(&v);
	buf_release(&out);
}

static void *
write_many(void *arg)
{
	const struct schema *s = arg;
	struct buf out = BUF_INIT;
	size_t bad = 0;

	for (int i = 0; i < 500; i++) {
		avro_value_t v;

		if (schema_value_new(s, &v, NULL) < 0) {
			bad++;
			continue;
		}
		buf_reset(&out);
		bad += !avro_field_clear(&v) || !avro_field_set_text(&v, "callToken", "t") ||
		       schema_write(s, &v, &out, NULL) < 0 ||
		       schema_read(s, (struct span){ out.data + SCHEMA_FRAME_LEN,
						     out.len - SCHEMA_FRAME_LEN }, &v, NULL) < 0;
		avro_value_decref(&v);
	}
	buf_release(&out);
	return (void *)bad;
}

static void
test_threads(void **state)
{
	const struct schema *s = schemas_find(*state, "ExecutionLog");
	pthread_t threads[4];
	void *bad;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)s), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
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
	struct schemas *all = NULL;
	unsigned n;

	(void)state;
	/* More than the first schema takes: the rest repeats. */
	for (n = 0; n < 120; n++) {
		alloc_replace(failing_realloc);
		calls_left = n;
		all = schemas_new(NULL);
		alloc_replace(NULL);
		assert_null(all);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprints),  cmocka_unit_test(test_fields),
		cmocka_unit_test(test_unframe),	  cmocka_unit_test(test_write_read),
		cmocka_unit_test(test_unframe),	  cmocka_unit_test(test_old_release),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_poison),	      cmocka_unit_test(test_write_failure),
		cmocka_unit_test(test_threads),	      cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
