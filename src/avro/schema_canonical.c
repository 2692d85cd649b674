/* SPDX-License-Identifier: Apache-2.0 */
/* schema_canonical: Parsing Canonical Form and its fingerprint, as the Avro
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
struct canonical {
	struct buf *out;
	struct span space;
	unsigned depth;
	struct err *reterr;
};

static int write_schema(const struct canonical *c, const json_t *schema);

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
write_name(const struct canonical *c, const char *name)
{
	struct buf full = BUF_INIT;

	if (!strchr(name, '.') && c->space.len)
		buf_addf(&full, "%.*s.", SPAN_FMT(c->space));
	buf_adds(&full, name);
	jtext_add_string(c->out, buf_span(&full));
	c->out->failed |= full.failed;
	buf_release(&full);
}

static int
wrong_schema(const struct canonical *c, const char *what)
{
	return err_set(c->reterr, ERR_INVALID, "schema: %s", what);
}

static int
write_fields(const struct canonical *c, const json_t *fields)
{
	const char *comma = "";
	size_t i;
	json_t *field;
	int ret;

	if (!json_is_array(fields))
		return wrong_schema(c, "a record without fields");
	buf_adds(c->out, ",\"fields\":[");
	json_array_foreach(fields, i, field) {
		const char *name = json_string_value(json_object_get(field, "name"));

		if (!name)
			return wrong_schema(c, "a field without a name");
		buf_adds(c->out, comma);
		buf_adds(c->out, "{\"name\":");
		jtext_add_string(c->out, span_of(name));
		buf_adds(c->out, ",\"type\":");
		ret = write_schema(c, json_object_get(field, "type"));
		if (ret < 0)
			return ret;
		buf_adds(c->out, "}");
		comma = ",";
	}
	buf_adds(c->out, "]");
	return 0;
}

static int
write_symbols(const struct canonical *c, const json_t *symbols)
{
	const char *comma = "";
	size_t i;
	json_t *symbol;

	if (!json_is_array(symbols))
		return wrong_schema(c, "an enum without symbols");
	buf_adds(c->out, ",\"symbols\":[");
	json_array_foreach(symbols, i, symbol) {
		if (!json_is_string(symbol))
			return wrong_schema(c, "a symbol that is not a string");
		buf_adds(c->out, comma);
		jtext_add_string(c->out, span_of(json_string_value(symbol)));
		comma = ",";
	}
	buf_adds(c->out, "]");
	return 0;
}

static int
write_size(const struct canonical *c, const json_t *size)
{
	if (!json_is_integer(size))
		return wrong_schema(c, "a fixed without a size");
	buf_addf(c->out, ",\"size\":%" JSON_INTEGER_FORMAT, json_integer_value(size));
	return 0;
}

/* record, enum or fixed */
static int
write_named(const struct canonical *outer, const json_t *schema, const char *type)
{
	const char *name = json_string_value(json_object_get(schema, "name"));
	const char *space = json_string_value(json_object_get(schema, "namespace")), *dot;
	struct canonical c = *outer;
	int ret;

	if (!name)
		return wrong_schema(&c, "a named type without a name");
	dot = strrchr(name, '.');
	if (dot)
		c.space = (struct span){ name, (size_t)(dot - name) };
	else if (space)
		c.space = span_of(space);
	buf_adds(c.out, "{\"name\":");
	write_name(&c, name);
	buf_addf(c.out, ",\"type\":\"%s\"", type);
	if (strcmp(type, "record") == 0)
		ret = write_fields(&c, json_object_get(schema, "fields"));
	else if (strcmp(type, "enum") == 0)
		ret = write_symbols(&c, json_object_get(schema, "symbols"));
	else
		ret = write_size(&c, json_object_get(schema, "size"));
	buf_adds(c.out, "}");
	return ret;
}

static int
write_object(const struct canonical *c, const json_t *schema)
{
	const json_t *inner = json_object_get(schema, "type");
	const char *type = json_string_value(inner), *kids = NULL;
	int ret;

	if (!type)
		return write_schema(c, inner);
	if (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0)
		return write_named(c, schema, type);
	if (strcmp(type, "array") == 0)
		kids = "items";
	else if (strcmp(type, "map") == 0)
		kids = "values";
	else
		return write_schema(c, inner);	/* a primitive with attributes */
	buf_addf(c->out, "{\"type\":\"%s\",\"%s\":", type, kids);
	ret = write_schema(c, json_object_get(schema, kids));
	buf_adds(c->out, "}");
	return ret;
}

static int
write_branches(const struct canonical *c, const json_t *branches)
{
	const char *comma = "";
	size_t i;
	json_t *branch;

	buf_adds(c->out, "[");
	json_array_foreach(branches, i, branch) {
		int ret;

		buf_adds(c->out, comma);
		ret = write_schema(c, branch);
		if (ret < 0)
			return ret;
		comma = ",";
	}
	buf_adds(c->out, "]");
	return 0;
}

/* Recursion is bounded by the depth. */
static int
write_schema(const struct canonical *outer, const json_t *schema)
{
	struct canonical c = *outer;

	if (++c.depth > CANONICAL_DEPTH_MAX)
		return err_set(c.reterr, ERR_LIMIT, "schema deeper than %d levels",
			       CANONICAL_DEPTH_MAX);
	if (c.out->len > CANONICAL_BYTES_MAX)
		return err_set(c.reterr, ERR_LIMIT, "schema of more than %d bytes, with names",
			       CANONICAL_BYTES_MAX);
	if (json_is_array(schema))
		return write_branches(&c, schema);
	if (json_is_object(schema))
		return write_object(&c, schema);
	if (!json_is_string(schema))
		return wrong_schema(&c, "a type that is not a string, object or array");
	if (is_primitive(json_string_value(schema)))
		jtext_add_string(c.out, span_of(json_string_value(schema)));
	else
		write_name(&c, json_string_value(schema));
	return 0;
}

int
schema_canonical(struct span text, struct buf *out, struct err *reterr)
{
	struct canonical c = { .out = out, .reterr = reterr };
	json_error_t jerr;
	json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_DECODE_ANY, &jerr);
	int ret;

	if (!root)
		return err_set(reterr, ERR_INVALID, "schema: line %d: %s", jerr.line, jerr.text);
	ret = write_schema(&c, root);
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
