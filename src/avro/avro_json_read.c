/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_json_read: from plain JSON to an avro-c value, strictly, with errors that
 * name the path and the nearest right word. The other half of avro_json.c, which
 * writes; they share the table of JSON-text fields.
 */
#include "envdriver/avro/avro_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "avro_json_union.h"
#include "avro_path.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/base64.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/nearest.h"

/* How the value at a path is to be read. */
struct manner {
	const struct schema *schema;
	const struct avro_path *path;
	bool timestamp, json;
	bool tagged;		/* a record among several: "type" is not a field */
	struct err *reterr;
};

static int read_value(const struct manner *how, struct jtext json, avro_value_t *value);

__attribute__((format(printf, 2, 3))) static int
fail(const struct manner *how, const char *fmt, ...)
{
	char where[160], text[220];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(how->reterr, ERR_INVALID, "%s%s",
		       avro_path_text(how->path, where, sizeof(where)), text);
}

static int
wrong_kind(const struct manner *how, const char *expected, struct jtext got)
{
	return fail(how, "expected %s, got %s", expected, jtext_kind_name(got.kind));
}

/* What is near in a union's branch names, an enum's symbols, a record's
 * fields. */
static const char *
name_at(const void *arg, size_t i)
{
	avro_schema_t s = (avro_schema_t)arg, branch;

	switch (avro_typeof(s)) {
	case AVRO_RECORD:
		return i < avro_schema_record_size(s) ? avro_schema_record_field_name(s, (int)i)
						      : NULL;
	case AVRO_ENUM:
		return i < (size_t)avro_schema_enum_number_of_symbols(s)
			       ? avro_schema_enum_get(s, (int)i) : NULL;
	default:
		if (i >= avro_schema_union_size(s))
			return NULL;
		branch = avro_json_union_branch(s, i);
		return is_avro_record(branch) ? avro_schema_name(branch) : "";
	}
}

/* "unknown field 'comand'; the nearest is 'command'" */
static int
unknown_word(const struct manner *how, const char *what, const char *word, avro_schema_t schema)
{
	const char *nearest = nearest_word(word, name_at, schema);

	if (nearest)
		return fail(how, "unknown %s '%.64s'; the nearest is '%s'", what, word, nearest);
	return fail(how, "unknown %s '%.64s'", what, word);
}

/* The decoded text of a string; ERR_INVALID when it is none. */
static int
decode(const struct manner *how, const char *expected, struct jtext json, struct buf *out)
{
	if (json.kind != JTEXT_STRING)
		return wrong_kind(how, expected, json);
	jtext_decode(json, out, NULL);
	return out->failed ? err_nomem(how->reterr) : 0;
}

static int
put_text(const struct manner *how, struct span text, avro_value_t *value)
{
	return avro_field_put_span(value, text) ? 0 : err_nomem(how->reterr);
}

static int
read_text(const struct manner *how, struct jtext json, avro_value_t *value)
{
	struct buf text = BUF_INIT;
	int ret;

	if (how->json && json.kind == JTEXT_MISSING)
		return wrong_kind(how, "JSON", json);
	if (how->json)
		return put_text(how, json.raw, value);
	ret = decode(how, "string", json, &text);
	if (ret == 0)
		ret = put_text(how, buf_span(&text), value);
	buf_release(&text);
	return ret;
}

/* bytes, fixed */
static int
read_base64(const struct manner *how, struct jtext json, avro_value_t *value)
{
	struct buf text = BUF_INIT, bytes = BUF_INIT;
	avro_schema_t schema = avro_value_get_schema(value);
	int ret;

	ret = decode(how, "string of base64", json, &text);
	if (ret < 0)
		goto out;
	if (!base64_decode(&bytes, buf_span(&text)) && !bytes.failed)
		ret = fail(how, "expected base64, got another string");
	else if (bytes.failed)
		ret = err_nomem(how->reterr);
	else if (!is_avro_fixed(schema))
		ret = put_text(how, buf_span(&bytes), value);
	else if ((int64_t)bytes.len != avro_schema_fixed_size(schema))
		ret = fail(how, "expected %lld bytes, got %zu",
			   (long long)avro_schema_fixed_size(schema), bytes.len);
	else if (avro_value_set_fixed(value, bytes.data, bytes.len) != 0)
		ret = err_nomem(how->reterr);
out:
	buf_release(&text);
	buf_release(&bytes);
	return ret;
}

static int
read_time(const struct manner *how, struct jtext json, int64_t *ret_ms)
{
	struct buf text = BUF_INIT;
	int ret;

	if (json.kind == JTEXT_NUMBER && jtext_int(json, ret_ms))
		return 0;
	ret = decode(how, "RFC 3339 time or integer milliseconds", json, &text);
	if (ret == 0 && clock_parse(buf_span(&text).ptr, text.len, ret_ms) < 0)
		ret = fail(how, "expected RFC 3339 time, got '%.64s'", text.data);
	buf_release(&text);
	return ret;
}

static int
read_integer(const struct manner *how, struct jtext json, avro_value_t *value)
{
	bool small = avro_value_get_type(value) == AVRO_INT32;
	int64_t v;
	int ret;

	if (how->timestamp) {
		ret = read_time(how, json, &v);
		if (ret < 0)
			return ret;
	} else if (json.kind != JTEXT_NUMBER) {
		return wrong_kind(how, "integer", json);
	} else if (!jtext_int(json, &v) || (small && (v < INT32_MIN || v > INT32_MAX))) {
		return fail(how, "expected integer of %d bits, got %.*s", small ? 32 : 64,
			    (int)(json.raw.len < 40 ? json.raw.len : 40), json.raw.ptr);
	}
	ret = small ? avro_value_set_int(value, (int32_t)v) : avro_value_set_long(value, v);
	return ret == 0 ? 0 : err_nomem(how->reterr);
}

static int
read_real(const struct manner *how, struct jtext json, avro_value_t *value)
{
	double v;
	int ret;

	if (json.kind != JTEXT_NUMBER || !jtext_double(json, &v))
		return wrong_kind(how, "number in the range of a double", json);
	ret = avro_value_get_type(value) == AVRO_DOUBLE ? avro_value_set_double(value, v)
							: avro_value_set_float(value, (float)v);
	return ret == 0 ? 0 : err_nomem(how->reterr);
}

static int
read_boolean(const struct manner *how, struct jtext json, avro_value_t *value)
{
	if (json.kind != JTEXT_TRUE && json.kind != JTEXT_FALSE)
		return wrong_kind(how, "boolean", json);
	return avro_value_set_boolean(value, json.kind == JTEXT_TRUE) == 0
		       ? 0 : err_nomem(how->reterr);
}

static int
read_enum(const struct manner *how, struct jtext json, avro_value_t *value)
{
	avro_schema_t schema = avro_value_get_schema(value);
	struct buf text = BUF_INIT;
	int ret, index;

	ret = decode(how, "string", json, &text);
	if (ret < 0)
		goto out;
	index = -1;
	if (strlen(text.data) == text.len)
		index = avro_schema_enum_get_by_name(schema, text.data);
	if (index < 0)
		ret = unknown_word(how, "symbol", text.data, schema);
	else if (avro_value_set_enum(value, index) != 0)
		ret = err_nomem(how->reterr);
out:
	buf_release(&text);
	return ret;
}

static int
read_array(const struct manner *how, struct jtext json, avro_value_t *value)
{
	struct avro_path path = { .up = how->path };
	struct manner inner = *how;
	struct jtext_iter it;
	struct span key;

	if (json.kind != JTEXT_ARRAY)
		return wrong_kind(how, "array", json);
	if (avro_value_reset(value) != 0)
		return err_nomem(how->reterr);
	inner.path = &path;
	jtext_iter_init(&it, json);
	for (;; path.item++) {
		avro_value_t item;
		int ret;

		if (!jtext_iter_next(&it, &key, &json))
			return 0;
		if (!avro_field_append(value, &item))
			return err_nomem(how->reterr);
		ret = read_value(&inner, json, &item);
		if (ret < 0)
			return ret;
	}
}

/* Field `index`; a `json` of kind JTEXT_MISSING fails as the wrong kind. */
static int
read_field(const struct manner *how, size_t index, struct jtext json, avro_value_t *record)
{
	const char *name = avro_schema_name(avro_value_get_schema(record));
	const struct schema_field *field = schema_field(how->schema, name, index);
	struct avro_path path = { .up = how->path };
	struct manner inner = { .schema = how->schema, .path = &path, .reterr = how->reterr };
	avro_value_t value;

	if (avro_value_get_by_index(record, index, &value, &path.name) != 0)
		return err_nomem(how->reterr);
	inner.timestamp = field && field->time != SCHEMA_TIME_NONE;
	inner.json = avro_json_is(name, path.name);
	return read_value(&inner, json, &value);
}

static int
read_member(const struct manner *how, struct span key, struct jtext json, avro_value_t *record)
{
	avro_schema_t schema = avro_value_get_schema(record);
	struct buf name = BUF_INIT;
	int ret, index = -1;

	ret = decode(how, "name", (struct jtext){ JTEXT_STRING, key }, &name);
	if (ret < 0 || (how->tagged && span_is(buf_span(&name), "type")))
		goto out;
	if (strlen(name.data) == name.len)
		index = avro_schema_record_field_get_index(schema, name.data);
	if (index < 0)
		ret = unknown_word(how, "field", name.data, schema);
	else
		ret = read_field(how, (size_t)index, json, record);
out:
	buf_release(&name);
	return ret;
}

static int
read_object(const struct manner *how, struct jtext json, avro_value_t *record)
{
	avro_schema_t schema = avro_value_get_schema(record);
	struct jtext_iter it;
	struct jtext member;
	struct span key;
	int ret;

	if (json.kind != JTEXT_OBJECT)
		return wrong_kind(how, "object", json);
	if (!avro_field_clear(record))
		return err_nomem(how->reterr);
	jtext_iter_init(&it, json);
	while (jtext_iter_next(&it, &key, &member)) {
		ret = read_member(how, key, member, record);
		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < avro_schema_record_size(schema); i++) {
		const struct schema_field *field =
			schema_field(how->schema, avro_schema_name(schema), i);

		if (!field || field->optional)
			continue;
		member = jtext_get(json, field->name);
		ret = member.kind == JTEXT_MISSING ? read_field(how, i, member, record) : 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Which of several records a JSON object is, by its "type". */
static int
find_tagged(const struct manner *how, struct jtext json, avro_schema_t schema, size_t *ret_index)
{
	struct avro_path path = { .up = how->path, .name = "type" };
	struct manner at_type = *how;
	struct jtext type = jtext_get(json, "type");
	struct buf text = BUF_INIT;
	int ret;

	at_type.path = &path;
	if (json.kind != JTEXT_OBJECT)
		return wrong_kind(how, "object", json);
	ret = decode(&at_type, "string", type, &text);
	if (ret < 0)
		goto out;
	for (size_t i = 0; i < avro_schema_union_size(schema); i++) {
		avro_schema_t branch = avro_json_union_branch(schema, i);

		if (is_avro_record(branch) && span_is(buf_span(&text), avro_schema_name(branch))) {
			*ret_index = i;
			goto out;
		}
	}
	ret = unknown_word(&at_type, "type", text.data, schema);
out:
	buf_release(&text);
	return ret;
}

/* Null where it may be; else the record that "type" names, or the first
 * branch that is not null. */
static int
find_branch(const struct manner *how, struct jtext json, avro_schema_t schema, size_t *ret_index)
{
	size_t count = avro_schema_union_size(schema), other = count;

	for (size_t i = 0; i < count; i++) {
		bool null = is_avro_null(avro_json_union_branch(schema, i));

		if (null && json.kind == JTEXT_NULL) {
			*ret_index = i;
			return 0;
		}
		if (!null && other == count)
			other = i;
	}
	if (avro_json_union_records(schema) > 1)
		return find_tagged(how, json, schema, ret_index);
	*ret_index = other < count ? other : 0;
	return 0;
}

static int
read_union(const struct manner *how, struct jtext json, avro_value_t *value)
{
	avro_schema_t schema = avro_value_get_schema(value);
	struct manner inner = *how;
	avro_value_t branch;
	size_t index = 0;
	int ret = find_branch(how, json, schema, &index);

	if (ret < 0)
		return ret;
	if (avro_value_set_branch(value, (int)index, &branch) != 0)
		return err_nomem(how->reterr);
	inner.tagged = avro_json_union_records(schema) > 1;
	return read_value(&inner, json, &branch);
}

/* Recursion is as deep as the schema, which the pre-scan has bounded. */
static int
read_value(const struct manner *how, struct jtext json, avro_value_t *value)
{
	switch (avro_value_get_type(value)) {
	case AVRO_RECORD:
		return read_object(how, json, value);
	case AVRO_UNION:
		return read_union(how, json, value);
	case AVRO_ARRAY:
		return read_array(how, json, value);
	case AVRO_STRING:
		return read_text(how, json, value);
	case AVRO_BYTES:
	case AVRO_FIXED:
		return read_base64(how, json, value);
	case AVRO_INT32:
	case AVRO_INT64:
		return read_integer(how, json, value);
	case AVRO_FLOAT:
	case AVRO_DOUBLE:
		return read_real(how, json, value);
	case AVRO_BOOLEAN:
		return read_boolean(how, json, value);
	case AVRO_ENUM:
		return read_enum(how, json, value);
	case AVRO_NULL:
		return json.kind == JTEXT_NULL ? 0 : wrong_kind(how, "null", json);
	default:
		return fail(how, "plain JSON has no maps");
	}
}

int
avro_json_read(const struct schema *s, struct span json, avro_value_t *value, struct err *reterr)
{
	struct manner how = { .schema = s, .reterr = reterr };
	struct jtext root;
	int ret;

	ret = jtext_check(json, JTEXT_DEPTH_LIMIT, &root, reterr);
	if (ret < 0) {
		err_prefix(reterr, "JSON");
		return ret;
	}
	return read_object(&how, root, value);
}
