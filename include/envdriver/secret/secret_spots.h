/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_spots: the places of a config that its JSON Schema marks with
 * `format: "secret-ref"`. A string there is the id of a secret.
 *
 * Owns a copy of the schema. Understands properties, patternProperties,
 * additionalProperties, items, prefixItems, contains, allOf, anyOf, oneOf, if,
 * then, else, dependentSchemas and `$ref` within the schema: what any branch marks
 * counts. A schema may be cyclic and of any shape: what goes beyond the limits of
 * this file marks nothing. Knows nothing of configs' text and of secrets.
 */
#ifndef ENVDRIVER_SECRET_SECRET_SPOTS_H
#define ENVDRIVER_SECRET_SECRET_SPOTS_H

#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/jtext.h"

struct secret_graph;
struct secret_spots_cache;

/* The parts of a schema that describe one value; n 0: nothing in it or below
 * it is marked. */
enum { SECRET_SPOTS_AT_ONCE = 32 };
struct secret_spots_set {
	size_t n;
	uint16_t at[SECRET_SPOTS_AT_ONCE];
};

/* What was compiled of each schema that was asked for. NULL: out of memory. */
struct secret_spots_cache *secret_spots_cache_new(void);
/* Accepts NULL. */
void secret_spots_cache_free(struct secret_spots_cache *c);
/* The spots of a schema, compiled when it is new; NULL: it marks nothing, it is
 * no object, or memory is short (then *ret_nomem is set). Borrowed until the next
 * one is asked for. */
const struct secret_graph *secret_spots_get(struct secret_spots_cache *c, struct jtext schema,
					    bool *ret_nomem);

/* `spots` may be NULL: all sets are empty. */
void secret_spots_root(const struct secret_graph *spots, struct secret_spots_set *ret);
/* Of the member `name` (decoded) of the object that `set` describes. */
void secret_spots_member(const struct secret_graph *spots, const struct secret_spots_set *set,
			 struct span name, struct secret_spots_set *ret);
void secret_spots_item(const struct secret_graph *spots, const struct secret_spots_set *set,
		       size_t index, struct secret_spots_set *ret);
/* Which of the schema's spots the value is, counted from 0 as they are written;
 * SIZE_MAX: none. */
size_t secret_spots_order(const struct secret_graph *spots, const struct secret_spots_set *set);

#endif
