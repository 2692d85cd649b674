/* SPDX-License-Identifier: Apache-2.0 */
/* schema: whether one schema's data can be read by the field names of another. */
#include "envdriver/avro/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "avro_path.h"

struct run {
	const struct schema *reader;	/* whose fields have defaults */
	struct err *reterr;
};

/* What a writer's type may be read as besides itself (Avro, "Schema
 * Resolution"). */
static const struct promotion {
	avro_type_t from, to;
} promotions[] = {
	{ AVRO_INT32, AVRO_INT64 },   { AVRO_INT32, AVRO_FLOAT },  { AVRO_INT32, AVRO_DOUBLE },
	{ AVRO_INT64, AVRO_FLOAT },   { AVRO_INT64, AVRO_DOUBLE }, { AVRO_FLOAT, AVRO_DOUBLE },
	{ AVRO_BYTES, AVRO_STRING },  { AVRO_STRING, AVRO_BYTES },
};

static int resolve(const struct run *run, const struct avro_path *place, avro_schema_t reader,
		   avro_schema_t writer);

__attribute__((format(printf, 3, 4))) static int
wrong(const struct run *run, const struct avro_path *place, const char *fmt, ...)
{
	char path[200], text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(run->reterr, ERR_INVALID, "%s%s", avro_path_text(place, path, sizeof(path)),
		       text);
}

static avro_schema_t
target(avro_schema_t s)
{
	return is_avro_link(s) ? avro_schema_link_target(s) : s;
}

static avro_schema_t
branch(avro_schema_t s, size_t i)
{
	return target(avro_schema_union_branch(s, (int)i));
}

static bool
is_named(avro_schema_t s)
{
	return is_avro_record(s) || is_avro_enum(s) || is_avro_fixed(s);
}

/* At first sight: what lies inside is looked at later. */
static bool
fits(avro_schema_t reader, avro_schema_t writer)
{
	if (avro_typeof(reader) == avro_typeof(writer))
		return !is_named(reader) ||
		       strcmp(avro_schema_name(reader), avro_schema_name(writer)) == 0;
	for (size_t i = 0; i < sizeof(promotions) / sizeof(*promotions); i++)
		if (promotions[i].from == avro_typeof(writer) &&
		    promotions[i].to == avro_typeof(reader))
			return true;
	return false;
}

static int
resolve_record(const struct run *run, const struct avro_path *place, avro_schema_t reader,
	       avro_schema_t writer)
{
	const char *record = avro_schema_name(reader);
	size_t count = avro_schema_record_size(reader);

	for (size_t i = 0; i < count; i++) {
		const char *name = avro_schema_record_field_name(reader, (int)i);
		const struct schema_field *field = schema_field(run->reader, record, i);
		struct avro_path inner = { .up = place, .name = name };
		int at = avro_schema_record_field_get_index(writer, name), ret;

		if (at < 0 && field && field->optional)
			continue;
		if (at < 0)
			return wrong(run, &inner, "not written, and it has no default");
		ret = resolve(run, &inner, avro_schema_record_field_get_by_index(reader, (int)i),
			      avro_schema_record_field_get_by_index(writer, at));
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int
resolve_enum(const struct run *run, const struct avro_path *place, avro_schema_t reader,
	     avro_schema_t writer)
{
	int count = avro_schema_enum_number_of_symbols(writer);

	for (int i = 0; i < count; i++)
		if (avro_schema_enum_get_by_name(reader, avro_schema_enum_get(writer, i)) < 0)
			return wrong(run, place, "symbol '%s' is not known",
				     avro_schema_enum_get(writer, i));
	return 0;
}

/* Neither is a union. */
static int
resolve_one(const struct run *run, const struct avro_path *place, avro_schema_t reader,
	    avro_schema_t writer)
{
	struct avro_path item = { .up = place };

	if (!fits(reader, writer))
		return wrong(run, place, "%s is written, %s is expected",
			     avro_schema_type_name(writer), avro_schema_type_name(reader));
	switch (avro_typeof(reader)) {
	case AVRO_RECORD:
		return resolve_record(run, place, reader, writer);
	case AVRO_ENUM:
		return resolve_enum(run, place, reader, writer);
	case AVRO_ARRAY:
		return resolve(run, &item, avro_schema_array_items(reader),
			       avro_schema_array_items(writer));
	case AVRO_MAP:
		return resolve(run, &item, avro_schema_map_values(reader),
			       avro_schema_map_values(writer));
	case AVRO_FIXED:
		if (avro_schema_fixed_size(reader) != avro_schema_fixed_size(writer))
			return wrong(run, place, "fixed of another size");
		return 0;
	default:
		return 0;
	}
}

static int
resolve_into_union(const struct run *run, const struct avro_path *place, avro_schema_t reader,
		   avro_schema_t writer, bool in_union)
{
	struct avro_path inner = { .up = place, .name = avro_schema_type_name(writer) };
	size_t count = avro_schema_union_size(reader);
	bool records = false;

	for (size_t i = 0; i < count; i++) {
		if (fits(branch(reader, i), writer))
			return resolve_one(run, is_avro_record(writer) ? &inner : place,
					   branch(reader, i), writer);
		records |= is_avro_record(branch(reader, i));
	}
	/* An operation of a later release. */
	if (in_union && records && is_avro_record(writer))
		return 0;
	return wrong(run, place, "%s is written, which the union does not have",
		     avro_schema_type_name(writer));
}

/* Recursion is as deep as the reader, which is ours. */
static int
resolve(const struct run *run, const struct avro_path *place, avro_schema_t reader,
	avro_schema_t writer)
{
	size_t count;
	int ret = 0;

	reader = target(reader);
	writer = target(writer);
	if (!is_avro_union(writer))
		return is_avro_union(reader)
			       ? resolve_into_union(run, place, reader, writer, false)
			       : resolve_one(run, place, reader, writer);
	count = avro_schema_union_size(writer);
	for (size_t i = 0; i < count && ret == 0; i++)
		ret = is_avro_union(reader)
			      ? resolve_into_union(run, place, reader, branch(writer, i), true)
			      : resolve_one(run, place, reader, branch(writer, i));
	return ret;
}

int
schema_resolve(const struct schema *reader, const struct schema *writer, struct err *reterr)
{
	const struct run run = { reader, reterr };

	return resolve(&run, NULL, schema_avro(reader), schema_avro(writer));
}
