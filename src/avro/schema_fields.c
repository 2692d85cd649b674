/* SPDX-License-Identifier: Apache-2.0 */
#include "schema_fields.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"

enum { DEPTH_MAX = 64 };

struct record {
	const char *name;
	size_t first, count;	/* of its fields */
};

struct schema_fields {
	json_t *root;		/* owns the names and docs */
	struct record *records;
	struct schema_field *fields;
	size_t record_count, field_count;
};

static const struct unit {
	const char *logical;
	enum schema_time time;
} units[] = {
	{ "timestamp-millis", SCHEMA_TIME_MILLIS },
	{ "timestamp-micros", SCHEMA_TIME_MICROS },
	{ "timestamp-nanos", SCHEMA_TIME_NANOS },
};

/* Of a type, or of the first branch of a union that has one. */
static const char *
logical_of(const json_t *type)
{
	const char *found;
	json_t *branch;
	size_t i;

	json_array_foreach(type, i, branch) {
		found = logical_of(branch);	/* a union holds no union */
		if (found)
			return found;
	}
	return json_string_value(json_object_get(type, "logicalType"));
}

static enum schema_time
time_of(const char *logical)
{
	for (size_t i = 0; logical && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].logical, logical) == 0)
			return units[i].time;
	return SCHEMA_TIME_NONE;
}

int64_t
schema_time_ms(enum schema_time unit, int64_t value)
{
	static const int64_t per_ms[] = { 1, 1, 1000, 1000000 };
	int64_t ms = value / per_ms[unit];

	return ms - (value % per_ms[unit] < 0);
}

static bool
may_be_null(const json_t *type)
{
	size_t i;
	json_t *branch;

	json_array_foreach(type, i, branch)
		if (json_is_string(branch) && strcmp(json_string_value(branch), "null") == 0)
			return true;
	return false;
}

/* As avro-c has it: without the namespace that a full name begins with. */
static const char *
simple_name(const char *name)
{
	const char *dot = name ? strrchr(name, '.') : NULL;

	return dot ? dot + 1 : name;
}

/* A record's fields lie together, so they are added before what is nested in
 * them. */
static bool
add_record(struct schema_fields *f, const json_t *schema, const json_t *fields)
{
	struct record *record;
	json_t *field;
	void *p;
	size_t i;

	p = realloc(f->records, (f->record_count + 1) * sizeof(*f->records));
	if (!p)
		return false;
	f->records = p;
	p = realloc(f->fields,
			(f->field_count + json_array_size(fields) + 1) * sizeof(*f->fields));
	if (!p)
		return false;
	f->fields = p;
	record = &f->records[f->record_count++];
	*record = (struct record){
		.name = simple_name(json_string_value(json_object_get(schema, "name"))),
		.first = f->field_count, .count = json_array_size(fields),
	};
	json_array_foreach(fields, i, field) {
		const char *logical = logical_of(json_object_get(field, "type"));

		f->fields[f->field_count++] = (struct schema_field){
			.name = json_string_value(json_object_get(field, "name")),
			.doc = json_string_value(json_object_get(field, "doc")),
			.logical = logical,
			.time = time_of(logical),
			.optional = json_object_get(field, "default") ||
				    may_be_null(json_object_get(field, "type")),
		};
	}
	return true;
}

/* Recursion is bounded by `depth`; deeper schemas were refused before. */
static bool
walk(struct schema_fields *f, const json_t *schema, unsigned depth)
{
	const json_t *fields = json_object_get(schema, "fields");
	json_t *kid;
	size_t i;

	if (depth > DEPTH_MAX)
		return true;
	json_array_foreach(schema, i, kid)
		if (!walk(f, kid, depth + 1))
			return false;
	if (fields && !add_record(f, schema, fields))
		return false;
	json_array_foreach(fields, i, kid)
		if (!walk(f, json_object_get(kid, "type"), depth + 1))
			return false;
	return !json_is_object(schema) ||
	       (walk(f, json_object_get(schema, "type"), depth + 1) &&
		walk(f, json_object_get(schema, "items"), depth + 1) &&
		walk(f, json_object_get(schema, "values"), depth + 1));
}

struct schema_fields *
schema_fields_new(struct span text, struct err *reterr)
{
	struct schema_fields *f = malloc(sizeof(*f));

	if (!f) {
		err_nomem(reterr);
		return NULL;
	}
	*f = (struct schema_fields){ 0 };
	f->root = json_loadb(text.ptr, text.len, 0, NULL);
	if (!f->root || !walk(f, f->root, 1)) {
		err_nomem(reterr);
		schema_fields_free(f);
		return NULL;
	}
	return f;
}

void
schema_fields_free(struct schema_fields *f)
{
	if (!f)
		return;
	json_decref(f->root);
	free(f->records);
	free(f->fields);
	free(f);
}

const struct schema_field *
schema_fields_get(const struct schema_fields *f, const char *record, size_t index)
{
	for (size_t i = 0; i < f->record_count; i++) {
		const struct record *r = &f->records[i];

		if (r->name && strcmp(r->name, record) == 0)
			return index < r->count ? &f->fields[r->first + index] : NULL;
	}
	return NULL;
}

bool
schema_fields_agree(const struct schema_fields *a, const struct schema_fields *b)
{
	if (a->field_count != b->field_count)
		return false;
	for (size_t i = 0; i < a->field_count; i++) {
		const char *one = a->fields[i].logical, *other = b->fields[i].logical;

		if (one != other && (!one || !other || strcmp(one, other) != 0))
			return false;
	}
	return true;
}
