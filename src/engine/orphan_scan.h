/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orphan_scan: reads some records of the list of orphans in Redis, with a bound
 * on each and on all, whatever stands there.
 *
 * Owns the script. Knows nothing of what a record means.
 */
#ifndef ENVDRIVER_ENGINE_ORPHAN_SCAN_H
#define ENVDRIVER_ENGINE_ORPHAN_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/redis/redis.h"

struct orphan_scan {
	struct redis *redis;
	int script;
	bool busy;
	size_t long_ones;	/* were on the list and not read */
	/* One record of the reply; true: enough. */
	bool (*on_record)(void *arg, const redisReply *field, const redisReply *value);
	void *arg;
};

/* Before redis_start. on_record and arg are set by the owner. */
void orphan_scan_init(struct orphan_scan *s, struct redis *redis);
/* Asks for some records, others each time. False when Redis is down. */
bool orphan_scan_start(struct orphan_scan *s);

#endif
