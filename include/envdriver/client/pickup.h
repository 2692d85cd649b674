/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pickup: whether a worker has taken a published command, and if none has,
 * which other command with the same ordering key runs before it.
 *
 * Owns a connection to Redis, where a worker's claim on a command stands, and
 * the ids of commands of that key. It only looks. Blocks, so it is not for a
 * loop.
 */
#ifndef ENVDRIVER_CLIENT_PICKUP_H
#define ENVDRIVER_CLIENT_PICKUP_H

#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct config;
struct pickup;
struct schemas;

enum pickup_state {
	PICKUP_UNKNOWN,	/* Redis does not say: `why` */
	PICKUP_TAKEN,
	PICKUP_BEHIND,	/* another command of its key runs */
	PICKUP_OPEN,	/* nobody has taken it, and nothing that can be seen is before it */
};

/* What a look found; texts are borrowed until the next one or pickup_free. */
struct pickup_seen {
	enum pickup_state state;
	const char *why;	/* PICKUP_UNKNOWN */
	const char *behind;	/* id of the command that runs */
	size_t between;		/* commands behind that one and before ours */
};

/* The command `id` at that place of the command topic; `key` is its record's.
 * Does not connect yet. NULL when out of memory. `config` and `schemas` are
 * borrowed until pickup_free. */
struct pickup *pickup_new(const struct config *config, const struct schemas *schemas,
			  const char *id, struct span key, int32_t partition, int64_t offset);
/* Accepts NULL. */
void pickup_free(struct pickup *p);

/* The first look connects and reads what lies shortly before the command in its
 * partition; later ones are one question to Redis. At most some 10 s, when a
 * server does not answer. */
void pickup_look(struct pickup *p, struct pickup_seen *ret);
/* How many workers of our group were seen in the last minute, after a look that
 * ended in PICKUP_OPEN. Blocks as a look does. */
size_t pickup_workers(struct pickup *p);

#endif
