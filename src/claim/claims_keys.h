/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_keys: the names of the keys of a claim, with the prefix of Redis.
 *
 * Owns their memory, which is used again and again. Knows nothing of what stands
 * in them.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_KEYS_H
#define ENVDRIVER_CLAIM_CLAIMS_KEYS_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct redis;

struct claims_key {
	struct buf text;	/* prefix and what was asked last */
	size_t prefix;
};

struct claims_keys {
	struct claims_key claim, answer, credential;
	struct buf orphans, channel;
};

/* False when out of memory; to be released all the same. */
bool claims_keys_init(struct claims_keys *k, const struct redis *redis);
void claims_keys_release(struct claims_keys *k);

/* The key of a command; borrowed until the next one of its kind. */
struct span claims_keys_of(struct claims_key *k, struct span command_id);
/* Whether memory was short for one of them since it was asked last. */
bool claims_keys_failed(struct claims_keys *k);

#endif
