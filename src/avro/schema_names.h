/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_names: names that avro-c refuses and other readers accept.
 *
 * avro-c wants letters, digits and underscores. Writers in Go, Python or
 * JavaScript register fields named "x-request-id": a name is never in the
 * datum, so each other character becomes an underscore, and a field's name
 * that is taken then gets one more. Knows nothing of what a name means.
 */
#ifndef ENVDRIVER_AVRO_SCHEMA_NAMES_H
#define ENVDRIVER_AVRO_SCHEMA_NAMES_H

#include <stddef.h>

struct err;

/* Mends the names of a schema's JSON text, which jtext_check has accepted.
 * `*text` is from malloc and is replaced when a name had to change. 0 or
 * ERR_NOMEM. */
int schema_names_mend(char **text, size_t *len, struct err *reterr);

#endif
