/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event: encoded records on their way to Kafka.
 *
 * Owns the bytes of one command's events in their packed form, which is also
 * the `answer` record of Redis (docs/schemas.md): "v1", then an Avro array of
 * {topic: string, key: null|bytes, headers: array of {name: string, value:
 * null|bytes}, value: bytes}. So an answer that was handed over is published
 * as it is. What is too much for one transaction is several sets, each
 * behind the one that is committed before it. Knows nothing of what a record
 * means.
 */
#ifndef ENVDRIVER_KAFKA_EVENT_H
#define ENVDRIVER_KAFKA_EVENT_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/topic.h"

struct err;

struct event_header {
	struct span name;
	struct span value;	/* ptr NULL: null */
};

enum { EVENT_HEADERS_MAX = 12 };	/* of ours; a dead letter has more */

/* All spans borrowed from the packed bytes. */
struct event {
	enum topic topic;
	struct span key;	/* ptr NULL: null */
	struct span value;
	struct span headers;	/* packed; walk with event_header_next */
};

struct events {
	struct buf packed;
	size_t count;
	struct events *before;	/* owned: committed before this set; NULL: none is */
};

#define EVENTS_INIT { BUF_INIT, 0, NULL }

/* Both also release the sets before it. */
void events_release(struct events *e);
/* Empties it, but keeps the memory. */
void events_reset(struct events *e);

/* Appends one event; false when out of memory, then the set stays as it
 * was. */
bool events_add(struct events *e, enum topic topic, struct span key,
		const struct event_header *headers, size_t n_headers, struct span value);

/* Puts what the set holds into a set that is committed before it, and empties
 * it; does nothing to an empty one. False when out of memory: then all stays
 * as it was. */
bool events_cut(struct events *e);
/* The same with all but its last event. */
bool events_cut_to_last(struct events *e);
/* The set that is to be committed first: `e` itself when none is before it.
 * Borrowed until it is released. */
struct events *events_first(struct events *e);
/* The first one is committed: releases it. There must be one before `e`. */
void events_free_first(struct events *e);
/* Bytes of memory that all of them hold. */
size_t events_memory(const struct events *e);

/* All below look at this one set only. */

/* Walks: `*cursor` starts at 0. False at the end. */
bool events_next(const struct events *e, size_t *cursor, struct event *ret);
bool event_header_next(const struct event *ev, size_t *cursor, struct event_header *ret);

/* Does the last one, which is the final event, have status SUCCEEDED? */
bool events_succeeded(const struct events *e);

/* The answer record: everything, ready to be stored (borrowed until the
 * events change). */
struct span events_packed(const struct events *e);
/* Checks every length of a stored answer and copies it in, whatever blocks
 * its arrays were written in. ERR_INVALID leaves the set empty. */
int events_unpack(struct events *e, struct span packed, struct err *reterr);

#endif
