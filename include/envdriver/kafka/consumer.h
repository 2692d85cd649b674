/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: the way from Kafka into the loop, and the dance of assign and
 * revoke (docs/engine.md section 7).
 *
 * Owns the consumer, its wake-up descriptor in the loop, the helper that
 * reads committed offsets with their metadata, and the group metadata taken
 * at the last assign event. Polling never stops. Knows nothing of commands
 * or windows.
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
	 * (the check of positions takes a round trip). An empty list is
	 * delivered too (F8). */
	void (*on_assign)(void *arg, const struct assigned *parts, size_t n);
	/* Partitions go; answer with consumer_let_go within revoke.drain. */
	void (*on_revoke)(void *arg, const int32_t *partitions, size_t n, bool lost);
	/* Offset out of the log of a partition while reading: the log starts
	 * at `log_start` now (the consumer goes on from there), or, with
	 * `beyond`, our offset is past its end (held). */
	void (*on_gap)(void *arg, int32_t partition, int64_t log_start, bool beyond);
	/* Brokers away or back, topic missing, not permitted...: for /readyz;
	 * NULL: fine. */
	void (*on_state)(void *arg, const char *why_not_ready);
	/* Fatal: exit code and text (77, 78, 69). */
	void (*on_fatal)(void *arg, int exit_code, const char *text);
	void *arg;
};

struct consumer *consumer_new(uv_loop_t *loop, const struct config *config, const char *topic,
			      const struct consumer_events *ev, struct err *reterr);
/* Subscribes. */
int consumer_start(struct consumer *c, struct err *reterr);

/* Step 3 and 4 of the assign event: fetch from these offsets (a partition
 * left out is held: assigned but not read). Ends every
 * pause, also of consumer_pause_all: the owner decides anew (F6). */
struct open_at {
	int32_t partition;
	int64_t offset;
};
void consumer_open(struct consumer *c, const struct open_at *parts, size_t n);
/* Reads partitions that were left out after all. False in the middle of a
 * rebalance: nothing was done, ask again. */
bool consumer_unhold(struct consumer *c, const struct open_at *parts, size_t n);
/* Step 5 of the revoke event: drops the group metadata, unassigns. */
void consumer_let_go(struct consumer *c);

/* NULL between revoke and open, or when it is not usable (F2). Borrowed. */
struct group_meta *consumer_group_meta(const struct consumer *c);

void consumer_pause(struct consumer *c, int32_t partition, bool paused);
void consumer_pause_all(struct consumer *c, bool paused);

/* Unsubscribes; the last revoke event comes as usual. */
void consumer_leave(struct consumer *c);
/* Bounded close on a helper thread (it can hang or crash in 2.0.2 when
 * brokers are away); `on_closed` after at most `timeout_ms`. */
void consumer_close(struct consumer *c, int64_t timeout_ms, void (*on_closed)(void *arg),
		    void *arg);
void consumer_free(struct consumer *c);

#endif
