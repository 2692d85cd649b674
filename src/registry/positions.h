/* SPDX-License-Identifier: Apache-2.0 */
/*
 * positions: the highest window end of each partition whose commit is certain,
 * in the record `positions` (docs/engine.md section 4): what guards against a
 * rewind of the group's offsets.
 *
 * Owns those that are not written yet. The record is only ever raised.
 */
#ifndef POSITIONS_H
#define POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position;
struct redis;

struct positions {
	struct redis *redis;
	int script;
	struct position *by_field;
	int busy;		/* writes under way */
	bool failed;		/* one of them */
};

/* Before redis_start. */
void positions_init(struct positions *p, struct redis *redis);
/* After redis_close. */
void positions_release(struct positions *p);

/* Without memory for it this does nothing: it is a guard, not a promise. */
void positions_raise(struct positions *p, const char *topic, int32_t partition, int64_t end);
/* Writes what was raised since the last time, unless that is still under way. */
void positions_write(struct positions *p);
/* See instance_positions. */
void positions_read(struct positions *p, const char *topic, const int32_t *partitions, size_t n,
		    void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n), void *arg);

#endif
