/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_resolve: whether one schema's data can be read by the field names of
 * another, as a whole (no value yet) or for one value. One walk does both, so
 * that they cannot disagree.
 */
#include "envdriver/avro/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "avro_path.h"
#include "envdriver/base/err.h"

struct run {
	const struct schema *reader, *writer;	/* what avro-c drops of their fields */
	bool some;		/* of the whole: some values cannot be read */
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

/* `value` is the writer's, NULL when it is about the schema as a whole. */
static int resolve(struct run *run, const struct avro_path *path, avro_schema_t reader,
		   avro_schema_t writer, const avro_value_t *value);

__attribute__((format(printf, 3, 4))) static int
mismatch(const struct run *run, const struct avro_path *path, const char *fmt, ...)
{
	char where[200], text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(run->reterr, ERR_INVALID, "%s%s", avro_path_text(path, where, sizeof(where)),
		       text);
}

static avro_schema_t
link_target(avro_schema_t s)
{
	return is_avro_link(s) ? avro_schema_link_target(s) : s;
}

static avro_schema_t
union_branch(avro_schema_t s, size_t i)
{
	return link_target(avro_schema_union_branch(s, (int)i));
}

static bool
is_named(avro_schema_t s)
{
	return is_avro_record(s) || is_avro_enum(s) || is_avro_fixed(s);
}

/* At first sight: what lies inside is looked at later. */
static bool
may_fit(avro_schema_t reader, avro_schema_t writer)
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

/* A time in a unit that cannot be told from the number, or bytes that are a
 * number, would be read as something else. */
static int
check_logical(const struct run *run, const struct avro_path *path,
	      const struct schema_field *reader, const struct schema_field *writer)
{
	if (!reader || !writer || !writer->logical)
		return 0;
	if (reader->time != SCHEMA_TIME_NONE && writer->time == SCHEMA_TIME_NONE)
		return mismatch(run, path, "%s is written, %s is expected", writer->logical,
			     reader->logical);
	if (strcmp(writer->logical, "decimal") == 0)
		return mismatch(run, path, "decimal is written, which has no text");
	return 0;
}

/* Whether a null is written, which stands for the reader's default. */
static bool
is_null(avro_schema_t writer, const avro_value_t *value)
{
	int at = 0;

	if (is_avro_union(writer) && value && avro_value_get_discriminant(value, &at) == 0)
		writer = union_branch(writer, (size_t)at);
	return is_avro_null(writer);
}

static int resolve_union(struct run *run, const struct avro_path *path, avro_schema_t reader,
			 avro_schema_t writer, bool null_fits);

static int
resolve_field(struct run *run, const struct avro_path *path, avro_schema_t reader,
	      avro_schema_t writer, size_t index, const avro_value_t *value)
{
	const char *record = avro_schema_name(reader);
	const char *name = avro_schema_record_field_name(reader, (int)index);
	const struct schema_field *field = schema_field(run->reader, record, index);
	struct avro_path inner = { .up = path, .name = name };
	int at = avro_schema_record_field_get_index(writer, name), ret;
	avro_schema_t type, to;
	avro_value_t own;

	if (at < 0 && field && field->optional)
		return 0;
	if (at < 0)
		return mismatch(run, &inner, "not written, and it has no default");
	if (value && avro_value_get_by_index(value, (size_t)at, &own, NULL) != 0)
		return err_nomem(run->reterr);
	type = link_target(avro_schema_record_field_get_by_index(writer, at));
	to = link_target(avro_schema_record_field_get_by_index(reader, (int)index));
	if (field && field->optional && is_null(type, value ? &own : NULL))
		return 0;
	ret = check_logical(run, &inner, field,
			    schema_field(run->writer, avro_schema_name(writer), (size_t)at));
	if (ret < 0)
		return ret;
	if (!value && is_avro_union(type))
		return resolve_union(run, &inner, to, type, field && field->optional);
	return resolve(run, &inner, to, type, value ? &own : NULL);
}

static int
resolve_record(struct run *run, const struct avro_path *path, avro_schema_t reader,
	       avro_schema_t writer, const avro_value_t *value)
{
	size_t count = avro_schema_record_size(reader);
	int ret = 0;

	for (size_t i = 0; i < count && ret == 0; i++)
		ret = resolve_field(run, path, reader, writer, i, value);
	return ret;
}

static int
resolve_enum(struct run *run, const struct avro_path *path, avro_schema_t reader,
	     avro_schema_t writer, const avro_value_t *value)
{
	int from = 0, to = avro_schema_enum_number_of_symbols(writer), unknown = 0;

	if (value) {
		if (avro_value_get_enum(value, &from) != 0)
			return err_nomem(run->reterr);
		to = from + 1;
	}
	for (int i = from; i < to; i++)
		unknown += avro_schema_enum_get_by_name(
				   reader, avro_schema_enum_get(writer, i)) < 0;
	if (unknown == to - from)
		return mismatch(run, path, "symbol '%s' is not known",
			     avro_schema_enum_get(writer, from));
	run->some |= unknown > 0;
	return 0;
}

/* The items of an array, the values of a map. */
static int
resolve_items(struct run *run, const struct avro_path *path, avro_schema_t reader,
	      avro_schema_t writer, const avro_value_t *value)
{
	struct avro_path item = { .up = path };
	avro_value_t one;
	size_t count = 0;
	int ret = 0;

	if (!value)
		return resolve(run, &item, reader, writer, NULL);
	if (avro_value_get_size(value, &count) != 0)
		return err_nomem(run->reterr);
	for (; item.item < count && ret == 0; item.item++) {
		if (avro_value_get_by_index(value, item.item, &one, NULL) != 0)
			return err_nomem(run->reterr);
		ret = resolve(run, &item, reader, writer, &one);
	}
	return ret;
}

/* Neither is a union. */
static int
resolve_one(struct run *run, const struct avro_path *path, avro_schema_t reader,
	    avro_schema_t writer, const avro_value_t *value)
{
	if (!may_fit(reader, writer))
		return mismatch(run, path, "%s is written, %s is expected",
			     avro_schema_type_name(writer), avro_schema_type_name(reader));
	switch (avro_typeof(reader)) {
	case AVRO_RECORD:
		return resolve_record(run, path, reader, writer, value);
	case AVRO_ENUM:
		return resolve_enum(run, path, reader, writer, value);
	case AVRO_ARRAY:
		return resolve_items(run, path, avro_schema_array_items(reader),
				     avro_schema_array_items(writer), value);
	case AVRO_MAP:
		return resolve_items(run, path, avro_schema_map_values(reader),
				     avro_schema_map_values(writer), value);
	case AVRO_FIXED:
		if (avro_schema_fixed_size(reader) != avro_schema_fixed_size(writer))
			return mismatch(run, path, "fixed of another size");
		return 0;
	default:
		return 0;
	}
}

static int
resolve_into_union(struct run *run, const struct avro_path *path, avro_schema_t reader,
		   avro_schema_t writer, const avro_value_t *value, bool in_union)
{
	struct avro_path inner = { .up = path, .name = avro_schema_type_name(writer) };
	size_t count = avro_schema_union_size(reader);
	bool records = false;

	for (size_t i = 0; i < count; i++) {
		if (may_fit(union_branch(reader, i), writer))
			return resolve_one(run, is_avro_record(writer) ? &inner : path,
					   union_branch(reader, i), writer, value);
		records |= is_avro_record(union_branch(reader, i));
	}
	/* An operation of a later release. */
	if (in_union && records && is_avro_record(writer))
		return 0;
	return mismatch(run, path, "%s is written, which the union does not have",
		     avro_schema_type_name(writer));
}

static int
resolve_branch(struct run *run, const struct avro_path *path, avro_schema_t reader,
	       avro_schema_t writer, const avro_value_t *value, bool in_union)
{
	return is_avro_union(reader)
		       ? resolve_into_union(run, path, reader, writer, value, in_union)
		       : resolve_one(run, path, reader, writer, value);
}

/* Of the whole: a branch that cannot be read is no reason to refuse the
 * others. Says the first one's reason when none is left; a null beside
 * others is the least of reasons. */
static int
resolve_union(struct run *run, const struct avro_path *path, avro_schema_t reader,
	      avro_schema_t writer, bool null_fits)
{
	size_t count = avro_schema_union_size(writer), read = 0;
	struct err *reterr = run->reterr, why = { 0 };
	int code = 0;

	for (size_t i = 0; i < count; i++) {
		avro_schema_t one = union_branch(writer, i);
		struct err err = { 0 };
		int ret;

		run->reterr = &err;
		ret = null_fits && is_avro_null(one)
			      ? 0
			      : resolve_branch(run, path, reader, one, NULL, true);
		read += ret == 0 && !is_avro_null(one);
		if (ret < 0 && (code == 0 || is_avro_null(union_branch(writer, 0)))) {
			why = code == 0 || !is_avro_null(one) ? err : why;
			code = ret;
		}
	}
	run->reterr = reterr;
	run->some |= code < 0;
	if (code == 0 || read)
		return 0;
	return err_set(reterr, why.code, "%s", why.text);
}

/* Recursion is as deep as the reader, which is ours. */
static int
resolve(struct run *run, const struct avro_path *path, avro_schema_t reader, avro_schema_t writer,
	const avro_value_t *value)
{
	avro_value_t current;
	int at = 0;

	reader = link_target(reader);
	writer = link_target(writer);
	if (!is_avro_union(writer))
		return resolve_branch(run, path, reader, writer, value, false);
	if (!value)
		return resolve_union(run, path, reader, writer, /* null_fits= */ false);
	if (avro_value_get_discriminant(value, &at) != 0 ||
	    avro_value_get_current_branch(value, &current) != 0)
		return err_nomem(run->reterr);
	return resolve_branch(run, path, reader, union_branch(writer, (size_t)at), &current, true);
}

/* The outermost records may have different names: a table writer names its
 * record after a table or a topic. */
static int
resolve_top(struct run *run, const avro_value_t *value)
{
	return resolve_record(run, NULL, schema_avro(run->reader), schema_avro(run->writer), value);
}

int
schema_resolve(const struct schema *reader, const struct schema *writer, struct err *reterr)
{
	struct run run = { .reader = reader, .writer = writer, .reterr = reterr };
	int ret = resolve_top(&run, NULL);

	return ret < 0 ? ret : run.some;
}

int
schema_resolve_value(const struct schema *reader, const struct schema *writer,
		     const avro_value_t *value, struct err *reterr)
{
	struct run run = { .reader = reader, .writer = writer, .reterr = reterr };

	return resolve_top(&run, value);
}
