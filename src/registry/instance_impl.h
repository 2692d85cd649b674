/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_impl: what instance.c (who we are, the record), instance_start.c
 * (the checks at start), instance_judge.c (others) and instance_positions.c
 * share.
 *
 * Private to these.
 */
#ifndef ENVDRIVER_REGISTRY_INSTANCE_IMPL_H
#define ENVDRIVER_REGISTRY_INSTANCE_IMPL_H

#include "heartbeat.h"
#include "envdriver/registry/instance.h"
#include "process.h"
#include "envdriver/redis/redis.h"

enum {
	INSTANCE_EXPIRE_MS = 60000,	/* of the record; for display */
	INSTANCE_DEAD_MS = 15000,	/* another's beat (docs/engine.md section 7 c) */
	INSTANCE_PAIRS = 12,		/* fields of the record but the beat */
};

/* DESIGN: IDLE --check--> META --> CHECKED --begin--> LOOK (every second, while
 * a predecessor may live) --> TAKE --> READY. A lost connection leads back to
 * META, and on from there when it was begun; READY, REFUSED and ENDED stay. */
enum instance_state {
	INSTANCE_IDLE,
	INSTANCE_META,
	INSTANCE_CHECKED,
	INSTANCE_LOOK,
	INSTANCE_TAKE,
	INSTANCE_READY,
	INSTANCE_REFUSED,
	INSTANCE_ENDED,
};

struct instance_watcher;
struct instance_position;

struct instance {
	struct redis *redis;
	const struct config *config;
	struct instance_events ev;
	enum instance_state state;
	bool begun;

	char id[256], host[256], incarnation[37], started_at[32];
	char *cluster_id;		/* NULL: unknown */
	uint64_t serial;
	struct process self;
	struct buf partitions;		/* JSON array, for display */
	size_t in_flight;
	struct buf key;			/* of our record */

	int script_meta, script_take, script_beat, script_end, script_positions;
	bool looking;			/* at the predecessor's record */
	bool warned;			/* about how Redis is set up */
	int64_t asked_ms;
	struct heartbeat predecessor;

	struct instance_watcher *watchers;	/* by instance id */
	struct instance_position *positions;	/* by field */
	int positions_busy;		/* writes under way */
	bool positions_failed;		/* one of them */

	void (*on_ended)(void *arg);
	void *ended_arg;
};

/* Field, value, ...; 2 * INSTANCE_PAIRS spans into `text`. */
size_t instance_pairs(struct instance *i, struct buf *text, struct span *argv);
/* What Redis said is neither an outage nor a lack of scripts. An error that
 * is not expected drops the connection: false too. */
bool instance_usable(struct instance *i, const redisReply *reply);
void instance_refuse(struct instance *i, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* instance_start.c: on_up while not ready, and on_tick. */
void instance_start_up(struct instance *i);
void instance_start_tick(struct instance *i);
/* instance_judge.c */
void instance_judge_tick(struct instance *i);
void instance_judge_free(struct instance *i);
/* instance_positions.c */
void instance_positions_write(struct instance *i);
void instance_positions_free(struct instance *i);

/* The Lua (instance_start.c, instance.c, instance_positions.c). */
extern const char instance_meta_text[], instance_take_text[], instance_positions_text[];

#endif
