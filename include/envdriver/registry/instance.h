/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance: the identity of this process, its heartbeat, and whether other
 * instances are alive (docs/engine.md sections 2, 4, 7 and 9).
 *
 * Owns the instance record and its heartbeat (+1 every second, written only
 * while the record still names this incarnation), the checks at start (`meta`,
 * a living predecessor, warnings about how durable Redis is), the judgement on
 * other instances, and the recorded positions. Knows nothing of commands and
 * claims. Called on the loop's thread; nothing blocks.
 */
#ifndef ENVDRIVER_REGISTRY_INSTANCE_H
#define ENVDRIVER_REGISTRY_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct instance;
struct redis;

enum {
	/* A predecessor's heartbeat must stand still so long at start. A
	 * process that stalls for a shorter time does not notice it (the guard
	 * of CLAIMING), so nobody may have its name by then. */
	INSTANCE_WATCH_MS = 7000,
	INSTANCE_HEARTBEAT_MS = 1000,
};

struct instance_events {
	/* This prefix serves our group on this cluster. Again after a
	 * connection that was lost before instance_begin. May be NULL. */
	void (*on_checked)(void *arg);
	/* The record is ours: claims may be made. */
	void (*on_ready)(void *arg);
	/* Another incarnation holds the record and lives (at start), or took
	 * it over (later): exit 69 with this text. Or `meta` differs: exit 78. */
	void (*on_refused)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* Makes the incarnation (a UUID). Before redis_start. */
struct instance *instance_new(struct redis *redis, const struct config *config,
			      const struct instance_events *ev, struct err *reterr);
/* Accepts NULL. After redis_close has reported, or before redis_start. */
void instance_free(struct instance *i);
/* docs/engine.md section 9 step 3: `meta`. Once; what is lost with a connection is
 * asked again. `cluster_id` NULL: unknown, then it is not compared. */
void instance_check(struct instance *i, const char *cluster_id);
/* Step 5: the record, once no predecessor lives. Once, after instance_check. */
void instance_begin(struct instance *i);

const char *instance_id(const struct instance *i);
const char *instance_incarnation(const struct instance *i);
/* "<incarnation>.<serial>": names one attempt to call. 64 bytes do. */
void instance_token(struct instance *i, char ret[64]);
bool instance_ready(const struct instance *i);

/* What the record shows to people. */
void instance_show(struct instance *i, const int32_t *partitions, size_t n, size_t in_flight);

/* The guard of CLAIMING (docs/engine.md section 3): writes a heartbeat now and says
 * whether the record still names this incarnation. `fn` may be called
 * with false and Redis down, also before this returns: then ask again. When
 * it names another one, on_refused has been called before. */
void instance_verify(struct instance *i, void (*fn)(void *arg, bool ours), void *arg);

/* Is the holder of a claim provably dead (docs/engine.md section 7)? Starts watching
 * its heartbeat at the first question; ask again every second (an instance that
 * is not asked about for 5 s is watched from the start again). UNKNOWN: not yet
 * known to be dead. */
enum instance_verdict { INSTANCE_ALIVE, INSTANCE_UNKNOWN, INSTANCE_DEAD };
/* `since_ms`: when the claim was seen, clock_mono_ms. A record read before
 * that may not show its incarnation yet, and says nothing about it. */
enum instance_verdict instance_judge(struct instance *i, struct span instance_id,
				     struct span incarnation, int64_t since_ms);

/* Highest window end whose commit is certain, written at most once a second
 * (record `positions`). */
void instance_position(struct instance *i, const char *topic, int32_t partition, int64_t end);
/* Reads what is recorded for these partitions; -1 where nothing is. `ok`
 * false: Redis is down, `ends` is not to be read; this may come before the
 * function returned. */
void instance_positions(struct instance *i, const char *topic, const int32_t *partitions, size_t n,
			void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n), void *arg);

/* Removes the record at the end. `done` also when Redis is away, then before
 * this returns. */
void instance_end(struct instance *i, void (*done)(void *arg), void *arg);

#endif
