/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id_store: the ids of entries that are numbered from 0, each text stored
 * once, and the first entry of each id.
 *
 * Owns the texts. They are kept whole: two ids that only share a hash must
 * not be taken for one. A UUID, which most ids are, takes 16 bytes. Knows
 * nothing of what an entry is.
 */
#ifndef ENVDRIVER_AUDIT_ID_STORE_H
#define ENVDRIVER_AUDIT_ID_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { ID_STORE_TEXT_MAX = 200, ID_STORE_KEEP = 40 };

/* { .seed = … } is an empty one: random, so that no ids can be made to
 * collide. */
struct id_store {
	uint64_t seed;
	char *text;		/* a length and the bytes, in units of four */
	size_t len, cap;
	uint32_t *ids;		/* by entry: the unit in `text`; 0: it has no id */
	size_t n, cap_ids;
	uint32_t *slots;	/* a hash table of first entries, plus 1 */
	size_t n_slots, count;
};

void id_store_release(struct id_store *s);

/* The id of the next entry; ptr NULL: it has none. *ret_first: the first
 * entry with the same id, plus 1; 0: this is the first. False when out of
 * memory. */
bool id_store_add(struct id_store *s, struct span id, uint32_t *ret_first);

bool id_store_same(const struct id_store *s, size_t a, size_t b);
/* The entry's id; ptr NULL: it has none. `keep` holds it when it was packed;
 * borrowed until an id is added. */
struct span id_store_text(const struct id_store *s, size_t entry, char keep[ID_STORE_KEEP]);
/* What it takes. */
size_t id_store_bytes(const struct id_store *s);

/* Without the seed nobody can make two texts of the same hash. */
uint64_t id_store_hash(uint64_t seed, struct span text);

#endif
