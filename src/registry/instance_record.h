/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_record: the record in Redis that says which process has the name
 * of an instance, and that it lives (docs/engine.md sections 2 and 9).
 *
 * Owns what our record holds, and the scripts that write it: each writes only
 * while the record names us, or what we found there. Knows nothing of when,
 * and of what an answer means.
 */
#ifndef INSTANCE_RECORD_H
#define INSTANCE_RECORD_H

#include "envdriver/redis/redis.h"
#include "process.h"

struct config;
struct err;

struct instance_record {
	struct redis *redis;
	const char *group;
	char id[256], host[256], incarnation[37], started_at[32];
	struct process self;
	struct buf partitions;		/* JSON array, for display */
	size_t in_flight;		/* for display */
	struct buf key;
	int script_take, script_beat, script_end;
};

/* Makes the incarnation. Before redis_start. */
int instance_record_init(struct instance_record *r, struct redis *redis,
			 const struct config *config, struct err *reterr);
void instance_record_release(struct instance_record *r);

/* What the next write shows to people. */
void instance_record_show(struct instance_record *r, const int32_t *partitions, size_t n,
			  size_t in_flight);

/* All of these send one command, as redis_send does. */

/* One heartbeat: replies 1, or an array: another one's incarnation, host and
 * pid. */
int instance_record_beat(struct instance_record *r, redis_reply_fn *fn, void *arg);
/* Makes the record ours: replies 1, or 0 when it no longer holds the `dead`
 * incarnation with this count of heartbeats (SPAN_NULL: no record). */
int instance_record_take(struct instance_record *r, struct span dead, struct span count,
			 redis_reply_fn *fn, void *arg);
/* Deletes the record if it is ours. */
int instance_record_end(struct instance_record *r, redis_reply_fn *fn, void *arg);
/* Reads the record of any instance, for instance_record_parse. */
int instance_record_read(struct redis *redis, const char *id, redis_reply_fn *fn, void *arg);

/* What a record holds; ptr NULL where it does not. Borrowed from the reply. */
struct instance_found {
	struct span incarnation, count, host, pid;
	struct process process;
};
void instance_record_parse(const redisReply *reply, struct instance_found *ret);

#endif
