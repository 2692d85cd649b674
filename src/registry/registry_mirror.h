/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_mirror: what is known of the plugins in Redis, and look-ups in it.
 *
 * Owns the members of `plugins`, the aliases (plugin-key:<key>) and an index
 * that is made when first asked for after a change. Knows nothing of Redis;
 * the state of a read is kept beside what it reads.
 */
#ifndef REGISTRY_MIRROR_H
#define REGISTRY_MIRROR_H

#include "envdriver/base/hash.h"
#include "envdriver/registry/registry.h"
#include "registry_record.h"

enum {
	REGISTRY_PLUGINS_MAX = 10000,
	REGISTRY_ALIASES_MAX = 20000,
};

/* A read of one key: at most one under way, at most one due after it. */
struct fetch {
	bool busy, again;
};

/* A member of `plugins`. */
struct item {
	UT_hash_handle hh;
	struct registry *owner;
	char *id;
	double order;
	unsigned round;		/* of the ZRANGE that named it last */
	bool gone;		/* no member any more; a fetch is under way */
	bool absent;		/* it has no record; whether it is still a member is asked */
	struct fetch fetch;
	struct registry_record *record;	/* NULL until fetched */
	char *warned;		/* the last warning about it */
};

/* plugin-key:<key>. */
struct alias {
	UT_hash_handle hh;
	struct registry *owner;
	char *key;
	char *id;		/* NULL: absent */
	struct fetch fetch;
};

struct registry_mirror {
	struct registry *owner;	/* for the callbacks of reads */
	unsigned round;		/* of ZRANGE */
	size_t bytes;		/* of all records */
	struct item *items;	/* by id */
	struct alias *aliases;	/* by key; absent ones stay */
	struct item **sorted;
	size_t n_sorted;
	struct named *named;
	bool indexed;
};

void registry_mirror_release(struct registry_mirror *m);

/* NULL: no such member. */
struct item *registry_mirror_item(const struct registry_mirror *m, struct span id);
/* Finds or makes it and marks it as seen in this round. 0 with NULL for an id
 * that cannot be one; ERR_NOMEM. */
int registry_mirror_see(struct registry_mirror *m, struct span id, double order,
			struct item **ret);
/* Removes those that were not seen in this round; of a busy one only the
 * place in the mirror, and it is `gone`. */
void registry_mirror_sweep(struct registry_mirror *m);
/* Takes the record. */
void registry_mirror_put(struct registry_mirror *m, struct item *it,
			 struct registry_record *record);
/* Keeps what is to be said of it; true when that is something new, and not "". */
bool registry_mirror_note(struct item *it, const char *what);
/* One that is `gone`. */
void registry_mirror_free_item(struct registry_mirror *m, struct item *it);

struct alias *registry_mirror_alias(const struct registry_mirror *m, struct span key);
/* Makes it; NULL for a key that cannot be one, for one too many, and when out
 * of memory. */
struct alias *registry_mirror_add_alias(struct registry_mirror *m, struct span key);

/* See registry.h. */
const struct registry_plugin *registry_mirror_by_id(const struct registry_mirror *m,
						    struct span id);
const struct registry_plugin *registry_mirror_by_key(const struct registry_mirror *m,
						     struct span key);
const struct registry_plugin *registry_mirror_at(const struct registry_mirror *m, size_t i);

#endif
