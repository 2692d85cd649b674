/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_fields: what the .avsc says of each field and avro-c does not keep.
 *
 * Owns copies of the texts. Other folders ask schema_field.
 */
#ifndef ENVDRIVER_AVRO_SCHEMA_FIELDS_H
#define ENVDRIVER_AVRO_SCHEMA_FIELDS_H

#include "envdriver/avro/schema.h"

struct schema_fields;

/* `text` is a schema that avro-c has accepted. */
struct schema_fields *schema_fields_new(struct span text, struct err *reterr);
void schema_fields_free(struct schema_fields *f);
const struct schema_field *schema_fields_get(const struct schema_fields *f, const char *record,
					     size_t index);
/* Of two schemas with one canonical form, which leaves logical types out: they have
 * those in common, too. */
bool schema_fields_agree(const struct schema_fields *a, const struct schema_fields *b);

#endif
