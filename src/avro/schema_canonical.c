/* SPDX-License-Identifier: Apache-2.0 */
/* schema: Parsing Canonical Form and its fingerprint, as the Avro
 * specification has them. */
#include "envdriver/avro/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

enum {
	CANONICAL_DEPTH_MAX = 64,
	/* A long namespace comes again with every name. */
	CANONICAL_BYTES_MAX = 4 * SCHEMA_TEXT_MAX,
};

/* Where to write, and the namespace that names without a dot belong to. */
struct avro_path {
	struct buf *out;
	struct span space;
	unsigned depth;
	struct err *reterr;
};

static int write_schema(const struct avro_path *place, const json_t *schema);

static bool
is_primitive(const char *name)
{
	static const char *const names[] = {
		"null", "boolean", "int", "long", "float", "double", "bytes", "string",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void
write_name(const struct avro_path *place, const char *name)
{
	struct buf full = BUF_INIT;

	if (!strchr(name, '.') && place->space.len)
		buf_addf(&full, "%.*s.", SPAN_FMT(place->space));
	buf_adds(&full, name);
	jtext_add_string(place->out, buf_span(&full));
	place->out->failed |= full.failed;
	buf_release(&full);
}

static int
wrong(const struct avro_path *place, const char *what)
{
	return err_set(place->reterr, ERR_INVALID, "schema: %s", what);
}

static int
write_fields(const struct avro_path *place, const json_t *fields)
{
	const char *comma = "";
	size_t i;
	json_t *field;
	int ret;

	if (!json_is_array(fields))
		return wrong(place, "a record without fields");
	buf_adds(place->out, ",\"fields\":[");
	json_array_foreach(fields, i, field) {
		const char *name = json_string_value(json_object_get(field, "name"));

		if (!name)
			return wrong(place, "a field without a name");
		buf_adds(place->out, comma);
		buf_adds(place->out, "{\"name\":");
		jtext_add_string(place->out, span_of(name));
		buf_adds(place->out, ",\"type\":");
		ret = write_schema(place, json_object_get(field, "type"));
		if (ret < 0)
			return ret;
		buf_adds(place->out, "}");
		comma = ",";
	}
	buf_adds(place->out, "]");
	return 0;
}

static int
write_symbols(const struct avro_path *place, const json_t *symbols)
{
	const char *comma = "";
	size_t i;
	json_t *symbol;

	if (!json_is_array(symbols))
		return wrong(place, "an enum without symbols");
	buf_adds(place->out, ",\"symbols\":[");
	json_array_foreach(symbols, i, symbol) {
		if (!json_is_string(symbol))
			return wrong(place, "a symbol that is no string");
		buf_adds(place->out, comma);
		jtext_add_string(place->out, span_of(json_string_value(symbol)));
		comma = ",";
	}
	buf_adds(place->out, "]");
	return 0;
}

static int
write_size(const struct avro_path *place, const json_t *size)
{
	if (!json_is_integer(size))
		return wrong(place, "a fixed without a size");
	buf_addf(place->out, ",\"size\":%" JSON_INTEGER_FORMAT, json_integer_value(size));
	return 0;
}

/* record, enum or fixed */
static int
write_named(const struct avro_path *outer, const json_t *schema, const char *type)
{
	const char *name = json_string_value(json_object_get(schema, "name"));
	const char *space = json_string_value(json_object_get(schema, "namespace")), *dot;
	struct avro_path place = *outer;
	int ret;

	if (!name)
		return wrong(&place, "a named type without a name");
	dot = strrchr(name, '.');
	if (dot)
		place.space = (struct span){ name, (size_t)(dot - name) };
	else if (space)
		place.space = span_of(space);
	buf_adds(place.out, "{\"name\":");
	write_name(&place, name);
	buf_addf(place.out, ",\"type\":\"%s\"", type);
	if (strcmp(type, "record") == 0)
		ret = write_fields(&place, json_object_get(schema, "fields"));
	else if (strcmp(type, "enum") == 0)
		ret = write_symbols(&place, json_object_get(schema, "symbols"));
	else
		ret = write_size(&place, json_object_get(schema, "size"));
	buf_adds(place.out, "}");
	return ret;
}

static int
write_object(const struct avro_path *place, const json_t *schema)
{
	const json_t *inner = json_object_get(schema, "type");
	const char *type = json_string_value(inner), *kids = NULL;
	int ret;

	if (!type)
		return write_schema(place, inner);
	if (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0)
		return write_named(place, schema, type);
	if (strcmp(type, "array") == 0)
		kids = "items";
	else if (strcmp(type, "map") == 0)
		kids = "values";
	else
		return write_schema(place, inner);	/* a primitive with attributes */
	buf_addf(place->out, "{\"type\":\"%s\",\"%s\":", type, kids);
	ret = write_schema(place, json_object_get(schema, kids));
	buf_adds(place->out, "}");
	return ret;
}

static int
write_union(const struct avro_path *place, const json_t *branches)
{
	const char *comma = "";
	size_t i;
	json_t *branch;

	buf_adds(place->out, "[");
	json_array_foreach(branches, i, branch) {
		int ret;

		buf_adds(place->out, comma);
		ret = write_schema(place, branch);
		if (ret < 0)
			return ret;
		comma = ",";
	}
	buf_adds(place->out, "]");
	return 0;
}

/* Recursion is bounded by the depth. */
static int
write_schema(const struct avro_path *outer, const json_t *schema)
{
	struct avro_path place = *outer;

	if (++place.depth > CANONICAL_DEPTH_MAX)
		return err_set(place.reterr, ERR_LIMIT, "schema deeper than %d levels",
			       CANONICAL_DEPTH_MAX);
	if (place.out->len > CANONICAL_BYTES_MAX)
		return err_set(place.reterr, ERR_LIMIT, "schema of more than %d bytes, with names",
			       CANONICAL_BYTES_MAX);
	if (json_is_array(schema))
		return write_union(&place, schema);
	if (json_is_object(schema))
		return write_object(&place, schema);
	if (!json_is_string(schema))
		return wrong(&place, "a type that is no string, object or array");
	if (is_primitive(json_string_value(schema)))
		jtext_add_string(place.out, span_of(json_string_value(schema)));
	else
		write_name(&place, json_string_value(schema));
	return 0;
}

int
schema_canonical(struct span text, struct buf *out, struct err *reterr)
{
	struct avro_path place = { .out = out, .reterr = reterr };
	json_error_t jerr;
	json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_DECODE_ANY, &jerr);
	int ret;

	if (!root)
		return err_set(reterr, ERR_INVALID, "schema: line %d: %s", jerr.line, jerr.text);
	ret = write_schema(&place, root);
	if (ret == 0 && out->failed)
		ret = err_nomem(reterr);
	json_decref(root);
	return ret;
}

void
schema_crc64(struct span bytes, uint8_t ret[SCHEMA_FINGERPRINT_LEN])
{
	const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
	uint64_t crc = empty;

	for (size_t i = 0; i < bytes.len; i++) {
		crc ^= (uint8_t)bytes.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (empty & -(crc & 1));
	}
	for (int i = 0; i < SCHEMA_FINGERPRINT_LEN; i++)
		ret[i] = (uint8_t)(crc >> (8 * i));
}
