/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_field: fields of avro-c values by name, with lengths; ["null", T] unions
 * are seen through.
 *
 * Owns nothing. Setters: a field name that the record lacks is a bug and
 * asserts, and so is a type that does not fit; false means out of memory.
 * Readers: a field that the record lacks, or that has another type, reads as
 * null, because a record is read with the schema that wrote it, which may be
 * that of an older release or of another tool. Strings are set only through
 * this module: avro-c's own setters need a NUL behind the text, and a string
 * that they reset is written with a length of -1.
 */
#ifndef ENVDRIVER_AVRO_AVRO_FIELD_H
#define ENVDRIVER_AVRO_AVRO_FIELD_H

#include <avro.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct schema;

/*
 * Sets every field of a record, deep, to the default of its schema text, or to
 * the type's zero where it has none: a reused value keeps nothing old. Goes by
 * type, not by schema text, because every event passes here: a union gets its
 * first branch, the few strings whose default is not empty come from a table,
 * and a unit test compares both with the .avsc files. A record that is newly
 * entered or appended is cleared, too.
 */
bool avro_field_clear(avro_value_t *record);

/* string or bytes; SPAN_NULL selects the null branch. */
bool avro_field_set_span(avro_value_t *record, const char *field, struct span value);
bool avro_field_set_text(avro_value_t *record, const char *field, const char *text);
/* int, long; in a union with null too. A value that does not fit an int
 * asserts: check what comes from outside. */
bool avro_field_set_int(avro_value_t *record, const char *field, int64_t value);
bool avro_field_set_bool(avro_value_t *record, const char *field, bool value);
/* An unknown symbol asserts. */
bool avro_field_set_enum(avro_value_t *record, const char *field, const char *symbol);
/* Enters a record or array; selects the non-null branch on the way. For a
 * union of several records `branch` names the record, else it is NULL. */
bool avro_field_enter(avro_value_t *record, const char *field, const char *branch,
		      avro_value_t *ret);
/* Appends to an array and returns the new item. */
bool avro_field_append(avro_value_t *array, avro_value_t *ret);
/* Sets a value itself (an array item) rather than a field of a record. */
bool avro_field_put_span(avro_value_t *value, struct span text);

/* Readers. A null, or a field that the record lacks or that has another type,
 * reads as SPAN_NULL, as false from avro_field_get_int and avro_field_get_bool
 * (which then leave *ret alone), as NULL from avro_field_get_enum, as false from
 * avro_field_open. Spans are borrowed until the value is changed or freed; those
 * of strings are NUL-terminated. */
struct span avro_field_get_span(const avro_value_t *record, const char *field);
bool avro_field_get_int(const avro_value_t *record, const char *field, int64_t *ret);
/* The same for a timestamp, in ms, whatever unit `writer`, the schema of the
 * record, declares for it. */
bool avro_field_get_time(const struct schema *writer, const avro_value_t *record,
			 const char *field, int64_t *ret_ms);
bool avro_field_get_bool(const avro_value_t *record, const char *field, bool *ret);
const char *avro_field_get_enum(const avro_value_t *record, const char *field);
/* Goes into a record or array; `ret_branch` (may be NULL) gets the name of the
 * record that stands there, NULL for an array. */
bool avro_field_open(const avro_value_t *record, const char *field, const char **ret_branch,
		     avro_value_t *ret);
/* Of a value itself (an array item). */
struct span avro_field_span(const avro_value_t *value);
/* Whether the record has a value there: the field exists and is not null. */
bool avro_field_has(const avro_value_t *record, const char *field);
/* Whether the record's schema has the field at all. */
bool avro_field_has_field(const avro_value_t *record, const char *field);

#endif
