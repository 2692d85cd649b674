/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datum: fields of avro-c values by name, with lengths, and with ["null", T]
 * unions out of the way.
 *
 * Owns nothing. A field name that the record lacks is a bug and asserts; so
 * is a type that does not fit. Setters return false when out of memory.
 * Used by: pipeline, plain, commands. May use: buf, avro-c.
 */
#ifndef ENVDRIVER_BASE_DATUM_H
#define ENVDRIVER_BASE_DATUM_H

#include <avro.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

/* Sets every field of a record, deep, to the default of its schema text, or
 * to the type's zero where it has none: a reused value holds nothing old. */
bool datum_clear(avro_value_t *record);

/* string or bytes; SPAN_NULL selects the null branch. */
bool datum_set_span(avro_value_t *record, const char *field, struct span value);
bool datum_set_text(avro_value_t *record, const char *field, const char *text);
/* int, long; in a union with null too. */
bool datum_set_int(avro_value_t *record, const char *field, int64_t value);
bool datum_set_bool(avro_value_t *record, const char *field, bool value);
bool datum_set_null(avro_value_t *record, const char *field);
bool datum_set_enum(avro_value_t *record, const char *field, const char *symbol);
/* Enters a record or array; selects the non-null branch on the way. For a
 * union of several records `branch` names the record, else it is NULL. */
bool datum_enter(avro_value_t *record, const char *field, const char *branch, avro_value_t *ret);
/* Appends to an array and gives the new item. */
bool datum_append(avro_value_t *array, avro_value_t *ret);
/* Sets a value itself (an array item) rather than a field of a record. */
bool datum_put_span(avro_value_t *value, struct span text);

/* Readers. A null gives SPAN_NULL, false from datum_get_int and
 * datum_get_bool (which then leave *ret alone), false from datum_open. Spans
 * are borrowed until the value is changed or freed. */
struct span datum_get_span(const avro_value_t *record, const char *field);
bool datum_get_int(const avro_value_t *record, const char *field, int64_t *ret);
bool datum_get_bool(const avro_value_t *record, const char *field, bool *ret);
const char *datum_get_enum(const avro_value_t *record, const char *field);
/* Goes into a record or array; `ret_branch` (may be NULL) names the record
 * that stands in a union. */
bool datum_open(const avro_value_t *record, const char *field, const char **ret_branch,
		avro_value_t *ret);
bool datum_has(const avro_value_t *record, const char *field);

#endif
