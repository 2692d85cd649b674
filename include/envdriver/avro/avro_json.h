/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_json: records as the plain JSON of docs/schemas.md ("As plain JSON"):
 * unions without tags, except `{"type": "<Record>", ...}` where several records
 * may stand, times as RFC 3339, bytes as base64, JSON-text fields as JSON.
 *
 * Owns the table of the fields that hold JSON text. Knows nothing of Kafka or
 * of framing.
 */
#ifndef ENVDRIVER_AVRO_AVRO_JSON_H
#define ENVDRIVER_AVRO_AVRO_JSON_H

#include <avro.h>
#include <stdbool.h>

#include "envdriver/base/buf.h"

struct err;
struct schema;

/* Whether a string field holds JSON text (docs/schemas.md: "JSON object", "JSON
 * value"). */
bool avro_json_is(const char *record, const char *field);

/* Appends one JSON object, on one line. JSON-text fields are written as they
 * are, byte for byte but for line breaks between tokens; a field that does not
 * hold JSON (of an older release) is written as a JSON string. */
int avro_json_write(const struct schema *s, const avro_value_t *value, struct buf *out,
		    struct err *reterr);

/*
 * Fills `value` (of schema `s`). A field that may be null or has a default
 * may be left out. A JSON-text field takes any JSON and keeps its text as it
 * was written. Of a repeated member the last one counts: a caller with a value
 * for a missing field puts it in front of the others. ERR_INVALID
 * names the path: "operation.command: expected string, got number"; an
 * unknown field is an error that names it and the nearest right one.
 */
int avro_json_read(const struct schema *s, struct span json, avro_value_t *value,
		   struct err *reterr);

#endif
