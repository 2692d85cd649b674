/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: reads the command topic into the event loop; handles assign and
 * revoke (docs/engine.md section 7, rebalance).
 *
 * Owns the client of librdkafka, what wakes the loop for it, the jobs that
 * read committed offsets with their metadata, and the group metadata taken at
 * the last assign event. Polling never stops. Knows nothing of commands or
 * windows.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_H
#define ENVDRIVER_KAFKA_CONSUMER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/group_meta.h"

struct config;
struct consumer;
struct err;

/* One partition of an assign event, its committed offset definite. */
struct assigned {
	int32_t partition;
	int64_t committed;	/* -1: nothing committed */
	struct span metadata;	/* borrowed for the callback; ptr NULL: none */
	int64_t log_start, log_end;	/* -1: could not be read */
};

struct consumer_events {
	/* Takes the message (rd_kafka_message_destroy). Only of opened
	 * partitions; errors of a partition are not delivered here. */
	void (*on_message)(void *arg, rd_kafka_message_t *m);
	/* Partitions are ours; answer with consumer_open, at once or later
	 * (the check of positions takes a round trip). The list may be empty:
	 * nothing is new (F8), or nothing is for us. */
	void (*on_assign)(void *arg, const struct assigned *parts, size_t n);
	/* Partitions go; answer with consumer_unassign within revoke.drain. */
	void (*on_revoke)(void *arg, const int32_t *partitions, size_t n, bool lost);
	/* Offset out of the log of a partition while reading: the log starts
	 * at `log_start` now (the consumer goes on from there), or, with
	 * `beyond`, our offset is past its end (held). */
	void (*on_gap)(void *arg, int32_t partition, int64_t log_start, bool beyond);
	/* Why we are not ready (brokers away, topic missing, not permitted, …),
	 * for /readyz; NULL: we are. */
	void (*on_state)(void *arg, const char *why_not_ready);
	/* The process must end with that exit code (69, 77 or 78). */
	void (*on_fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

/* Everything of `ev` is called on the loop. NULL and ERR_CONFIG for settings
 * that do not work, ERR_IO, ERR_NOMEM. */
struct consumer *consumer_new(uv_loop_t *loop, const struct config *config, const char *topic,
			      const struct consumer_events *ev, struct err *reterr);
/* Subscribes. Does not wait for a broker. */
int consumer_start(struct consumer *c, struct err *reterr);

struct open_at {
	int32_t partition;
	int64_t offset;
};
/* The answer to on_assign: reads from these offsets. A partition that is left
 * out is held: assigned but not read. Ends every pause, also of
 * consumer_pause_all: the owner decides anew. */
void consumer_open(struct consumer *c, const struct open_at *parts, size_t n);
/* Reads held partitions after all. False in the middle of a rebalance:
 * nothing was done, ask again. */
bool consumer_unhold(struct consumer *c, const struct open_at *parts, size_t n);
/* The answer to on_revoke: releases the group metadata, unassigns. */
void consumer_unassign(struct consumer *c);

/* NULL between revoke and open, and when it is not usable (F2). Borrowed until
 * the next rebalance event. */
struct group_meta *consumer_group_meta(const struct consumer *c);

/* While paused no record of the partition, or of any, is delivered. */
void consumer_pause(struct consumer *c, int32_t partition, bool paused);
void consumer_pause_all(struct consumer *c, bool paused);
/* How much of paused partitions may wait in memory while others go on; 32 MiB
 * unless it is set. For tests. */
void consumer_limit_backlog(struct consumer *c, size_t bytes);

/* Unsubscribes; the last revoke event comes as usual. */
void consumer_leave(struct consumer *c);
/* Leaves the group and closes on a thread of its own, which can hang when
 * brokers are away; `on_closed` after at most `timeout_ms`. Then
 * consumer_free. */
void consumer_close(struct consumer *c, int64_t timeout_ms, void (*on_closed)(void *arg),
		    void *arg);
/* Accepts NULL. Its memory goes when the loop has turned. */
void consumer_free(struct consumer *c);

#endif
