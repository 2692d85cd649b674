/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "envdriver/base/base64.h"
#include "envdriver/command/outcome.h"
#include "envdriver/command/request.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/secret/secret_spots.h"

const struct schemas *
fixture_schemas(void)
{
	static struct schemas *all;
	struct err err = { .text = "" };

	if (!all)
		all = schemas_new(&err);
	if (!all)
		fail_msg("%s", err.text);
	return all;
}

struct jtext
fixture_json(const char *text)
{
	struct jtext json = { 0 };
	struct err err = { .text = "" };

	if (text && jtext_check(span_of(text), 2 * JTEXT_DEPTH_MAX, &json, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return json;
}

static void fixture_fill(avro_value_t *record, json_t *from);

static void
fixture_set(avro_value_t *record, const char *field, json_t *value)
{
	bool branch = json_is_object(value) && json_object_get(value, "type") &&
		      (strcmp(field, "target") == 0 || strcmp(field, "operation") == 0);
	avro_value_t inner, item;
	json_t *text;
	size_t i;

	if (json_is_null(value)) {
		assert_true(avro_field_set_span(record, field, SPAN_NULL));
	} else if (json_is_boolean(value)) {
		assert_true(avro_field_set_bool(record, field, json_is_true(value)));
	} else if (json_is_integer(value)) {
		assert_true(avro_field_set_int(record, field, json_integer_value(value)));
	} else if (json_is_string(value)) {
		assert_true(avro_field_set_span(record, field, (struct span){
			json_string_value(value), json_string_length(value) }));
	} else if (branch) {
		assert_true(avro_field_enter(record, field,
			json_string_value(json_object_get(value, "type")), &inner));
		fixture_fill(&inner, value);
	} else if (strcmp(field, "args") == 0) {
		assert_true(avro_field_enter(record, field, NULL, &inner));
		json_array_foreach(value, i, text) {
			assert_true(avro_field_append(&inner, &item));
			assert_true(avro_field_put_span(&item, (struct span){
				json_string_value(text), json_string_length(text) }));
		}
	} else {
		char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

		assert_true(avro_field_set_text(record, field, dump));
		free(dump);
	}
}

static void
fixture_fill(avro_value_t *record, json_t *from)
{
	const char *key;
	json_t *value;

	json_object_foreach(from, key, value)
		if (strcmp(key, "type") != 0)
			fixture_set(record, key, value);
}

void
fixture_encode(const char *json, struct buf *out)
{
	const struct schema *schema = schemas_find(fixture_schemas(), "EnvironmentCommand");
	avro_value_t record;
	json_error_t error;
	json_t *root = json_loads(json, JSON_ALLOW_NUL, &error);

	if (!root)
		fail_msg("%s: %s", json, error.text);
	assert_int_equal(schema_value_new(schema, &record, NULL), 0);
	assert_true(avro_field_clear(&record));
	assert_true(avro_field_set_text(&record, "commandId", "c1"));
	fixture_fill(&record, root);
	assert_int_equal(schema_write(schema, &record, out, NULL), 0);
	avro_value_decref(&record);
	json_decref(root);
}

struct command *
fixture_decode(const char *json, struct reject *ret_reject)
{
	struct command_decoder *d = command_decoder_new(fixture_schemas(), 1024 * 1024, NULL);
	struct buf framed = BUF_INIT;
	struct command *c;

	assert_non_null(d);
	fixture_encode(json, &framed);
	c = command_decode(d, buf_span(&framed), SPAN_NULL, ret_reject);
	buf_release(&framed);
	command_decoder_free(d);
	return c;
}

struct command *
fixture_command(const char *json)
{
	struct reject reject;
	struct command *c = fixture_decode(json, &reject);

	if (!c)
		fail_msg("%s: %s", json, reject.message);
	return c;
}

/* Bytes that are no text are in base64. */
static void
print_text(struct span text, struct buf *out)
{
	if (jtext_utf8_ok(text)) {
		jtext_add_string(out, text);
		return;
	}
	buf_addch(out, '"');
	base64_encode(out, text);
	buf_addch(out, '"');
}

void
fixture_print(avro_value_t *v, struct buf *out)
{
	avro_value_t item;
	const char *name;
	size_t i, n;
	int flag;
	int32_t small = 0;
	int64_t number = 0;

	switch (avro_value_get_type(v)) {
	case AVRO_UNION:
		assert_int_equal(avro_value_get_current_branch(v, &item), 0);
		fixture_print(&item, out);
		return;
	case AVRO_RECORD:
	case AVRO_ARRAY:
		flag = avro_value_get_type(v) == AVRO_RECORD;
		buf_addch(out, flag ? '{' : '[');
		avro_value_get_size(v, &n);
		for (i = 0; i < n; i++) {
			avro_value_get_by_index(v, i, &item, &name);
			if (i)
				buf_addch(out, ',');
			if (flag)
				buf_addf(out, "\"%s\":", name);
			fixture_print(&item, out);
		}
		buf_addch(out, flag ? '}' : ']');
		return;
	case AVRO_STRING:
	case AVRO_BYTES:
		print_text(avro_field_span(v), out);
		return;
	case AVRO_ENUM:
		avro_value_get_enum(v, &flag);
		buf_addf(out, "\"%s\"", avro_schema_enum_get(avro_value_get_schema(v), flag));
		return;
	case AVRO_BOOLEAN:
		avro_value_get_boolean(v, &flag);
		buf_adds(out, flag ? "true" : "false");
		return;
	case AVRO_INT32:
		avro_value_get_int(v, &small);
		buf_addf(out, "%d", (int)small);
		return;
	case AVRO_INT64:
		avro_value_get_long(v, &number);
		buf_addf(out, "%lld", (long long)number);
		return;
	default:
		buf_adds(out, "null");
		return;
	}
}

struct jtext
fixture_at(struct jtext from, const char *path)
{
	char name[64];
	const char *dot;

	while ((dot = strchr(path, '.'))) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		from = jtext_get(from, name);
		path = dot + 1;
	}
	return jtext_get(from, path);
}

void
fixture_print_event(const struct event *ev, struct buf *out)
{
	const struct schema *writer;
	struct span datum;
	avro_value_t record;
	struct err err = { .text = "" };

	if (schemas_unframe(fixture_schemas(), ev->value, &writer, &datum, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(schema_name(writer), topic_record(ev->topic));
	assert_int_equal(schema_value_new(writer, &record, NULL), 0);
	if (schema_read(writer, datum, &record, &err) < 0)
		fail_msg("%s", err.text);
	fixture_print(&record, out);
	avro_value_decref(&record);
}

void
fixture_print_headers(const struct event *ev, struct buf *out)
{
	struct event_header h;
	size_t cursor = 0;

	while (event_header_next(ev, &cursor, &h)) {
		buf_addspan(out, h.name);
		buf_addch(out, '=');
		buf_addspan(out, h.value);
		buf_addch(out, '\n');
	}
}

void
fixture_print_refs(const struct secret_refs *refs, struct buf *out)
{
	for (size_t i = 0; i < secret_refs_count(refs); i++) {
		struct secret_ref r = secret_refs_at(refs, i);

		buf_addf(out, "%s%.*s=%.*s", i ? " " : "", SPAN_FMT(r.path), SPAN_FMT(r.id));
	}
}

int
fixture_params(const struct command *c, struct jtext schema, struct buf *out,
	       struct buf *ret_refs, struct outcome *ret_failure)
{
	struct secret_spots_cache *cache = secret_spots_cache_new();
	struct secret_refs *refs = NULL;
	bool nomem = !cache;
	int ret = ERR_NOMEM;

	if (cache)
		ret = request_params(c, secret_spots_get(cache, schema, &nomem), out, &refs,
				     ret_failure);
	if (nomem) {
		outcome_fail(ret_failure, CODE_INTERNAL, "out of memory");
		ret = ERR_NOMEM;
	}
	if (ret_refs)
		fixture_print_refs(refs, ret_refs);
	secret_refs_free(refs);
	secret_spots_cache_free(cache);
	return ret;
}
