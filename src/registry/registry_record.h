/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_record: the hash of one plugin in Redis, taken apart.
 *
 * Owns the values and what was made of them. Knows nothing of Redis.
 */
#ifndef ENVDRIVER_REGISTRY_REGISTRY_RECORD_H
#define ENVDRIVER_REGISTRY_REGISTRY_RECORD_H

#include "envdriver/registry/registry.h"

struct err;
struct registry_record;

enum registry_field {
	REGISTRY_KEY,
	REGISTRY_STATUS,
	REGISTRY_MANIFEST,
	REGISTRY_PACKAGE,
	REGISTRY_CONFIG,
	REGISTRY_DIGEST,
	REGISTRY_PIN,
	REGISTRY_GENERATION,
	REGISTRY_FIELDS
};

enum {
	REGISTRY_MANIFEST_MAX = 4 * 1024 * 1024,	/* also of config */
	REGISTRY_TEXT_MAX = 4096,			/* id, key, status, package */
	REGISTRY_DRIVERS_MAX = 1000,
};

/* "pluginKey", ... as in the hash. */
const char *registry_field_name(enum registry_field f);

/*
 * Values with ptr NULL are absent. A malformed hash makes a record too: not
 * ready, status "", no manifest; `ret_wrong` says what is wrong with it (its
 * text is "" otherwise). NULL only when out of memory.
 */
struct registry_record *registry_record_new(struct span id,
					    const struct span values[REGISTRY_FIELDS],
					    struct err *ret_wrong);
/* A record of something that is no such hash at all: `why`. */
struct registry_record *registry_record_bad(struct span id, const char *why,
					    struct err *ret_wrong);
/* Accepts NULL. */
void registry_record_free(struct registry_record *r);

/* Borrowed while the record lives; the caller sets its `order`. */
struct registry_plugin *registry_record_plugin(struct registry_record *r);
/* Made of exactly these values. */
bool registry_record_same(const struct registry_record *r,
			  const struct span values[REGISTRY_FIELDS]);
size_t registry_record_bytes(const struct registry_record *r);

#endif
