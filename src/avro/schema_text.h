/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_text: the .avsc files of schemas/, inside the program.
 *
 * The tables are written by scripts/embed-schemas at build time.
 */
#ifndef ENVDRIVER_AVRO_SCHEMA_TEXT_H
#define ENVDRIVER_AVRO_SCHEMA_TEXT_H

#include <stddef.h>

struct schema_text {
	const char *name;	/* record name, e.g. "ProbeResult" */
	const char *text;	/* the .avsc, byte for byte */
	size_t len;
};

/* Today's, and those of earlier releases. Both end with a row whose name is NULL. */
extern const struct schema_text schema_texts[], schema_old_texts[];

#endif
