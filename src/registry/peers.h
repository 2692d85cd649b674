/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers: whether other instances are provably dead (docs/engine.md section 7).
 *
 * Owns what is known of each instance that was asked about: while it is asked
 * about, its record is read once a second. Knows nothing of our own record.
 */
#ifndef PEERS_H
#define PEERS_H

#include "envdriver/registry/instance.h"
#include "process.h"

struct peer;

struct peers {
	struct redis *redis;
	const struct process *self;	/* borrowed */
	struct peer *by_id;
};

/* See instance_judge: of another instance than ours. */
enum instance_verdict peers_judge(struct peers *p, struct span id, struct span incarnation,
				  int64_t since_ms);
/* Every second. */
void peers_tick(struct peers *p);
/* After redis_close. */
void peers_release(struct peers *p);

#endif
