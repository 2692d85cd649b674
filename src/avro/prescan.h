/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prescan: checks, without allocating, that bytes are an Avro datum of a schema.
 *
 * Owns a compact copy of one schema's shape. avro-c's reader (1.11) trusts
 * lengths, leaks what it has read when it fails, and recurses without limit;
 * bytes that prescan has accepted it reads without failing. Knows nothing of
 * what a record means. Read-only after prescan_new, so any thread may use it.
 */
#ifndef ENVDRIVER_AVRO_PRESCAN_H
#define ENVDRIVER_AVRO_PRESCAN_H

#include <avro.h>

#include "envdriver/base/buf.h"

struct err;
struct prescan;

enum {
	PRESCAN_DEPTH_MAX = 64,		/* levels, unions and arrays counted */
	PRESCAN_NODES_MAX = 4096,	/* types in a schema */
	PRESCAN_VALUES_MAX = 65536,	/* in a record that holds nothing yet */
	PRESCAN_EMPTY_MAX = 10000,	/* array items of no bytes, in one datum */
};

/* Keeps a reference to `schema`. NULL when out of memory, and with ERR_LIMIT
 * when the schema is recursive, too deep or too large. */
struct prescan *prescan_new(avro_schema_t schema, struct err *reterr);
/* Accepts NULL. */
void prescan_free(struct prescan *p);

/*
 * 0 when the bytes are exactly one datum. ERR_INVALID names the path:
 * "operation.Execute.lease: string of 1073741824 bytes, 12 are left";
 * ERR_LIMIT when few bytes stand for very many values.
 */
int prescan_check(const struct prescan *p, struct span datum, struct err *reterr);

#endif
