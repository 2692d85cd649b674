/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_ids: what is known of a schema registry's ids: the schema, or why an
 * id cannot be used (docs/decisions.md D14).
 *
 * Owns the schemas that it parsed, at most SCHEMA_IDS_MAX: the least recently
 * used one is freed first. An id's schema never changes, so a good
 * one is kept as long as there is room, a bad one for SCHEMA_IDS_BAD_MS, an
 * absent one for SCHEMA_IDS_ABSENT_MS (it may be registered after all). Knows
 * nothing of HTTP. A registry's answers are not trusted until checked.
 */
#ifndef ENVDRIVER_AVRO_SCHEMA_IDS_H
#define ENVDRIVER_AVRO_SCHEMA_IDS_H

#include <stdint.h>

#include "envdriver/base/buf.h"

struct err;
struct schema;
struct schema_ids;
struct schemas;

enum {
	SCHEMA_IDS_MAX = 256,
	SCHEMA_IDS_BAD_MS = 10 * 60 * 1000,
	SCHEMA_IDS_ABSENT_MS = 10 * 1000,
};

/* `ours` must outlive it: a registered schema that is one of ours is read as
 * that one. NULL when out of memory. */
struct schema_ids *schema_ids_new(const struct schemas *ours, struct err *reterr);
/* Accepts NULL. */
void schema_ids_free(struct schema_ids *ids);

/* 0: `ret` is borrowed until the next schema_ids_take or schema_ids_refuse
 * (schema_ref keeps it). ERR_INVALID: the reason why it is bad. ERR_NOTFOUND:
 * nothing is known. */
int schema_ids_find(struct schema_ids *ids, uint32_t id, int64_t now_ms, const struct schema **ret,
		    struct err *reterr);

/* The body of the registry's answer: {"schema": "…"}. What is wrong with it
 * is remembered as that id's reason. ERR_NOMEM only. */
int schema_ids_take(struct schema_ids *ids, uint32_t id, struct span body, int64_t now_ms,
		    struct err *reterr);
/* The id is bad until `until_ms`, and why. */
int schema_ids_refuse(struct schema_ids *ids, uint32_t id, int64_t until_ms, const char *why,
		      struct err *reterr);

/* One schema from such an answer, which the caller frees: ERR_INVALID or
 * ERR_LIMIT with the reason. */
struct schema *schema_ids_parse(struct span body, struct err *reterr);

#endif
