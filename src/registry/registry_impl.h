/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_impl: what registry.c (fetching) and registry_mirror.c (what is
 * known, and look-ups in it) share.
 *
 * Private to these two.
 */
#ifndef ENVDRIVER_REGISTRY_REGISTRY_IMPL_H
#define ENVDRIVER_REGISTRY_REGISTRY_IMPL_H

#include <stdint.h>

#include "envdriver/redis/redis.h"
#include "envdriver/registry/registry.h"
#include "registry_record.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) buf_realloc(NULL, size)
#define uthash_free(ptr, size) free(ptr)
#include <uthash.h>

enum {
	REGISTRY_PLUGINS_MAX = 10000,
	REGISTRY_ALIASES_MAX = 20000,
	REGISTRY_BYTES_MAX = 256 * 1024 * 1024,
};

/* A read of one key: at most one under way, at most one due after it. */
struct fetch {
	bool busy, again;
};

/* A member of `plugins`. */
struct item {
	UT_hash_handle hh;
	struct registry *registry;
	char *id;
	double order;
	unsigned round;		/* of the ZRANGE that named it last */
	bool gone;		/* no member any more; a fetch is under way */
	struct fetch fetch;
	struct registry_record *record;	/* NULL until fetched */
	char *warned;		/* the last warning about it */
};

/* plugin-key:<key>. */
struct alias {
	UT_hash_handle hh;
	struct registry *registry;
	char *key;
	char *id;		/* NULL: absent */
	struct fetch fetch;
};

/* Plugins that have a pluginKey. */
struct named {
	UT_hash_handle hh;
	const char *key;	/* the first one's */
	struct item *item;
	size_t n;
};

struct registry {
	struct redis *redis;
	void (*on_change)(void *arg);
	void *arg;

	bool up;
	bool waited;		/* it was not fresh; on_change is due */
	bool full;		/* the next ZRANGE fetches known plugins too */
	bool scan_warned, members_warned;
	size_t pending;		/* fetches under way */
	unsigned round, ticks, scan_rounds;
	size_t bytes;
	struct fetch members, scanning;
	struct buf key;		/* room for any key: ids are bounded */

	struct item *items;	/* by id */
	struct alias *aliases;	/* by key */
	/* Made when first asked for after a change. */
	struct item **sorted;
	size_t n_sorted;
	struct named *named;
	bool indexed;
};

struct registry *registry_make(void);

struct item *registry_item(const struct registry *r, struct span id);
/* Finds or makes it; NULL for an id that cannot be one. */
struct item *registry_item_seen(struct registry *r, struct span id, double order);
/* Removes those that were not seen in this round. */
void registry_items_sweep(struct registry *r);
void registry_item_free(struct registry *r, struct item *it);

struct alias *registry_alias(const struct registry *r, struct span key);
struct alias *registry_alias_add(struct registry *r, struct span key);

void registry_index_drop(struct registry *r);

void registry_fetch_item(struct registry *r, struct item *it);
/* `again` false: only if it was never asked for. */
void registry_fetch_key(struct registry *r, struct span key, bool again);
void registry_aliases_refetch(struct registry *r);

#endif
