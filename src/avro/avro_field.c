/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/avro/avro_field.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "envdriver/avro/schema.h"

#define BIT(type) (1u << (type))

enum {
	TEXT_TYPES = BIT(AVRO_STRING) | BIT(AVRO_BYTES),
	INT_TYPES = BIT(AVRO_INT32) | BIT(AVRO_INT64),
	OPEN_TYPES = BIT(AVRO_RECORD) | BIT(AVRO_ARRAY),
};

/* String defaults that are not empty. At most one a record. */
static const struct text_default {
	const char *record, *field, *text;
} text_defaults[] = {
	{ "EnvironmentCommand",	"config",	"{}" },
	{ "OutcomeError",	"details",	"{}" },
	{ "PluginEvent",	"details",	"{}" },
	{ "ReadyDriver",	"capabilities",	"{}" },
};

static void
release_copy(avro_wrapped_buffer_t *w)
{
	void *copy;

	/* avro-c puts a value 4 bytes behind what malloc gave, so `w` may be
	 * misaligned. */
	memcpy(&copy, (char *)w + offsetof(avro_wrapped_buffer_t, user_data), sizeof(copy));
	free(copy);
}

/* Gives a text that lives as long as the program. */
static bool
give_static(avro_value_t *string, const char *text)
{
	avro_wrapped_buffer_t w;

	return avro_wrapped_buffer_new(&w, text, strlen(text) + 1) == 0 &&
	       avro_value_give_string_len(string, &w) == 0;
}

/* avro-c counts the NUL of a string, not of bytes. */
static bool
give_copy(avro_value_t *value, struct span text)
{
	bool string = avro_value_get_type(value) == AVRO_STRING;
	avro_wrapped_buffer_t w = { .free = release_copy };
	char *copy = malloc(text.len + 1);

	if (!copy)
		return false;
	if (text.len)
		memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	w.buf = w.user_data = copy;
	w.size = text.len + string;
	if (string ? avro_value_give_string_len(value, &w) == 0
		   : avro_value_give_bytes(value, &w) == 0)
		return true;
	free(copy);
	return false;
}

static const struct text_default *
find_default(avro_value_t *record)
{
	const char *name = avro_schema_name(avro_value_get_schema(record));

	for (size_t i = 0; i < sizeof(text_defaults) / sizeof(*text_defaults); i++)
		if (strcmp(text_defaults[i].record, name) == 0)
			return &text_defaults[i];
	return NULL;
}

static bool
clear_value(avro_value_t *value, const char *text)
{
	avro_value_t first;

	switch (avro_value_get_type(value)) {
	case AVRO_RECORD:
		return avro_field_clear(value);
	case AVRO_UNION:
		return avro_value_set_branch(value, 0, &first) == 0 && clear_value(&first, "");
	case AVRO_STRING:
		return give_static(value, text);
	default:
		return avro_value_reset(value) == 0;
	}
}

/* Recursion is as deep as the schema, which the pre-scan has bounded. */
bool
avro_field_clear(avro_value_t *record)
{
	const struct text_default *def = find_default(record);
	const char *name;
	avro_value_t field;
	size_t count;

	if (avro_value_get_size(record, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		bool own;

		if (avro_value_get_by_index(record, i, &field, &name) != 0)
			return false;
		own = def && strcmp(def->field, name) == 0;
		if (!clear_value(&field, own ? def->text : ""))
			return false;
	}
	return true;
}

static int
index_of(const avro_value_t *record, const char *field)
{
	assert(avro_value_get_type(record) == AVRO_RECORD);
	return avro_schema_record_field_get_index(avro_value_get_schema(record), field);
}

bool
avro_field_has_field(const avro_value_t *record, const char *field)
{
	return index_of(record, field) >= 0;
}

/* The field for a setter. */
static avro_value_t
field_of(avro_value_t *record, const char *field)
{
	avro_value_t v = { 0 };
	int index = index_of(record, field);

	assert(index >= 0 && "the record has no such field");
	if (avro_value_get_by_index(record, (size_t)index, &v, NULL) != 0)
		assert(!"a record gives its own fields");
	return v;
}

/* Goes through a union to the first branch whose type is among `types` (and
 * whose name is `name`, unless NULL), which becomes the current one. */
static bool
select_branch(avro_value_t *v, unsigned types, const char *name)
{
	avro_schema_t schema = avro_value_get_schema(v);
	avro_value_t branch;
	int before;

	if (avro_value_get_type(v) != AVRO_UNION) {
		assert(types & BIT(avro_value_get_type(v)));
		assert(!name || strcmp(avro_schema_type_name(schema), name) == 0);
		return true;
	}
	for (size_t i = 0; i < avro_schema_union_size(schema); i++) {
		avro_schema_t kind = avro_schema_union_branch(schema, (int)i);

		if (is_avro_link(kind))
			kind = avro_schema_link_target(kind);
		if (!(types & BIT(avro_typeof(kind))) ||
		    (name && strcmp(avro_schema_type_name(kind), name) != 0))
			continue;
		if (avro_value_get_discriminant(v, &before) != 0 ||
		    avro_value_set_branch(v, (int)i, &branch) != 0 ||
		    (before != (int)i && !clear_value(&branch, "")))
			return false;
		*v = branch;
		return true;
	}
	assert(!"the union has no such branch");
	return false;
}

bool
avro_field_put_span(avro_value_t *value, struct span text)
{
	avro_value_t v = *value;

	if (!text.ptr)
		return select_branch(&v, BIT(AVRO_NULL), NULL);
	return select_branch(&v, TEXT_TYPES, NULL) && give_copy(&v, text);
}

bool
avro_field_set_span(avro_value_t *record, const char *field, struct span value)
{
	avro_value_t v = field_of(record, field);

	return avro_field_put_span(&v, value);
}

bool
avro_field_set_text(avro_value_t *record, const char *field, const char *text)
{
	return avro_field_set_span(record, field, span_of(text));
}

bool
avro_field_set_int(avro_value_t *record, const char *field, int64_t value)
{
	avro_value_t v = field_of(record, field);

	if (!select_branch(&v, INT_TYPES, NULL))
		return false;
	if (avro_value_get_type(&v) == AVRO_INT64)
		return avro_value_set_long(&v, value) == 0;
	assert(value >= INT32_MIN && value <= INT32_MAX);
	return avro_value_set_int(&v, (int32_t)value) == 0;
}

bool
avro_field_set_bool(avro_value_t *record, const char *field, bool value)
{
	avro_value_t v = field_of(record, field);

	return select_branch(&v, BIT(AVRO_BOOLEAN), NULL) && avro_value_set_boolean(&v, value) == 0;
}

bool
avro_field_set_enum(avro_value_t *record, const char *field, const char *symbol)
{
	avro_value_t v = field_of(record, field);
	int index;

	if (!select_branch(&v, BIT(AVRO_ENUM), NULL))
		return false;
	index = avro_schema_enum_get_by_name(avro_value_get_schema(&v), symbol);
	assert(index >= 0 && "the enum has no such symbol");
	return avro_value_set_enum(&v, index) == 0;
}

bool
avro_field_enter(avro_value_t *record, const char *field, const char *branch, avro_value_t *ret)
{
	*ret = field_of(record, field);
	return select_branch(ret, branch ? BIT(AVRO_RECORD) : OPEN_TYPES, branch);
}

bool
avro_field_append(avro_value_t *array, avro_value_t *ret)
{
	return avro_value_append(array, ret, NULL) == 0 && clear_value(ret, "");
}

/* Goes through a union to its current branch; false at null. */
static bool
look_through(avro_value_t *v)
{
	avro_value_t branch;
	int index;

	if (avro_value_get_type(v) == AVRO_UNION) {
		if (avro_value_get_discriminant(v, &index) != 0 || index < 0 ||
		    avro_value_get_current_branch(v, &branch) != 0)
			return false;
		*v = branch;
	}
	return avro_value_get_type(v) != AVRO_NULL;
}

static bool
has_type(const avro_value_t *v, unsigned types)
{
	return types & BIT(avro_value_get_type(v));
}

/* The field for a reader; false when there is none, it is null, or of another
 * type: the schema that wrote it may be anybody's. */
static bool
find(const avro_value_t *record, const char *field, unsigned types, avro_value_t *ret)
{
	int index = index_of(record, field);

	return index >= 0 && avro_value_get_by_index(record, (size_t)index, ret, NULL) == 0 &&
	       look_through(ret) && has_type(ret, types);
}

struct span
avro_field_span(const avro_value_t *value)
{
	avro_value_t v = *value;
	const char *text = NULL;
	const void *bytes = NULL;
	size_t len = 0;

	if (!look_through(&v) || !has_type(&v, TEXT_TYPES))
		return SPAN_NULL;
	if (avro_value_get_type(&v) == AVRO_STRING) {
		if (avro_value_get_string(&v, &text, &len) != 0)
			return SPAN_NULL;
		return (struct span){ text, len ? len - 1 : 0 };
	}
	if (avro_value_get_bytes(&v, &bytes, &len) != 0)
		return SPAN_NULL;
	return (struct span){ len ? bytes : "", len };
}

struct span
avro_field_get_span(const avro_value_t *record, const char *field)
{
	avro_value_t v;

	return find(record, field, TEXT_TYPES, &v) ? avro_field_span(&v) : SPAN_NULL;
}

bool
avro_field_get_int(const avro_value_t *record, const char *field, int64_t *ret)
{
	avro_value_t v;
	int32_t small;

	if (!find(record, field, INT_TYPES, &v))
		return false;
	if (avro_value_get_type(&v) == AVRO_INT64)
		return avro_value_get_long(&v, ret) == 0;
	if (avro_value_get_int(&v, &small) != 0)
		return false;
	*ret = small;
	return true;
}

bool
avro_field_get_time(const struct schema *writer, const avro_value_t *record, const char *field,
		    int64_t *ret_ms)
{
	int index = index_of(record, field);
	const struct schema_field *declared;
	int64_t value;

	if (!avro_field_get_int(record, field, &value))
		return false;
	declared = schema_field(writer, avro_schema_name(avro_value_get_schema(record)),
				(size_t)index);
	*ret_ms = schema_time_ms(declared ? declared->time : SCHEMA_TIME_NONE, value);
	return true;
}

bool
avro_field_get_bool(const avro_value_t *record, const char *field, bool *ret)
{
	avro_value_t v;
	int b;

	if (!find(record, field, BIT(AVRO_BOOLEAN), &v) || avro_value_get_boolean(&v, &b) != 0)
		return false;
	*ret = b;
	return true;
}

const char *
avro_field_get_enum(const avro_value_t *record, const char *field)
{
	avro_value_t v;
	int index;

	if (!find(record, field, BIT(AVRO_ENUM), &v) || avro_value_get_enum(&v, &index) != 0)
		return NULL;
	return avro_schema_enum_get(avro_value_get_schema(&v), index);
}

bool
avro_field_open(const avro_value_t *record, const char *field, const char **ret_branch,
	   avro_value_t *ret)
{
	avro_value_t v;

	if (!find(record, field, OPEN_TYPES, &v))
		return false;
	*ret = v;
	if (ret_branch)
		*ret_branch = avro_value_get_type(&v) == AVRO_RECORD
				      ? avro_schema_name(avro_value_get_schema(&v))
				      : NULL;
	return true;
}

bool
avro_field_has(const avro_value_t *record, const char *field)
{
	avro_value_t v;

	return find(record, field, ~0u, &v);
}
