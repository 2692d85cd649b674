/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_impl: what the files of the consumer share: consumer.c (life,
 * polling, pauses), consumer_shelf.c (records of partitions that are full),
 * consumer_move.c (assign and revoke), consumer_read.c (helpers that block),
 * consumer_state.c (errors and gaps).
 *
 * All of it belongs to the loop's thread.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_IMPL_H
#define ENVDRIVER_KAFKA_CONSUMER_IMPL_H

#include "envdriver/kafka/consumer.h"

struct consumer_helper;
struct offsets;
struct shelved;

struct consumer_part {
	bool assigned;		/* librdkafka has it in its assignment */
	bool told;		/* our owner knows it from on_assign */
	bool open;		/* its records are delivered */
	bool held;		/* assigned, but not read */
	bool pause_wanted;	/* by our owner */
	bool jammed;		/* paused for the others' sake, until its shelf is empty */
	bool paused;		/* librdkafka's view, which survives an assignment (F6) */
	bool gap;		/* the log does not have `next`: being looked at */
	bool gap_again;		/* the look failed, or came before what is on the shelf */
	int64_t next;		/* offset of the next record */
	struct shelved *shelf, *shelf_last;	/* read, and not delivered: it is full */
};

/* One rebalance event of librdkafka, in order. */
struct consumer_event {
	struct consumer_event *next;
	bool assign;
	rd_kafka_topic_partition_list_t *parts;
};

enum consumer_step {
	CONSUMER_QUIET,
	CONSUMER_READING,	/* an assign: the committed offsets are being read */
	CONSUMER_OFFERED,	/* told, consumer_open is awaited */
	CONSUMER_REVOKING,	/* told, consumer_let_go is awaited */
};

struct consumer {
	uv_loop_t *loop;
	const struct config *config;
	struct consumer_events ev;
	char *topic;
	bool cooperative;

	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;	/* rebalances and errors of the group */
	rd_kafka_queue_t *records;	/* of all our partitions */
	struct offsets *offsets;
	int fd;				/* librdkafka's wake-up */
	uv_poll_t poll;
	uv_timer_t tick;
	uv_timer_t jam;			/* partitions that are still full then are paused */
	uv_idle_t more;			/* a turn's budget was used up */
	uv_async_t closed_wake;
	uv_timer_t closed_limit;
	int handles;			/* not closed yet */

	struct consumer_part *parts;	/* by number */
	size_t n_parts;
	struct group_meta *meta;
	bool pause_all;
	bool jamming;			/* a partition is full and not paused (yet) */
	struct {
		struct shelved *spare;
		size_t n_spare, n, bytes, limit, turn;
	} shelf;

	enum consumer_step step;
	struct consumer_event *events;	/* not served yet */
	rd_kafka_topic_partition_list_t *moving;	/* of the event being served */
	bool moving_stays;		/* an implied revoke: librdkafka assigns anew anyway */
	struct consumer_helper *reading;	/* the one of step READING */
	struct consumer_helper *helpers;	/* all that run */

	int64_t assigned_ms;		/* the first time; 0: not yet */
	bool fatal_told;
	bool leaving;
	bool down;			/* no broker could be reached */
	unsigned lonely;		/* ticks without an assignment */
	bool reaching;			/* a helper looks whether one can */
	int64_t reading_since_ms;
	int64_t left_ms;
	char why_down[400], why_group[400];
	char why_told[400];

	struct consumer_closing *closing;
	void (*on_closed)(void *arg);
	void *closed_arg;
	bool freed;
};

/* consumer.c */
/* NULL for numbers that are no partition of ours. */
struct consumer_part *consumer_part(struct consumer *c, int32_t partition);
/* Makes room; false when out of memory or the number is absurd. */
bool consumer_part_make(struct consumer *c, int32_t partition);
/* Brings librdkafka's pauses in line with ours. */
void consumer_align_pauses(struct consumer *c);

/* consumer_close.c */
/* No record and no event is taken any more. */
void consumer_close_stop(struct consumer *c);
/* The close ended, or is not waited for any more. */
void consumer_close_finish(struct consumer *c);
void consumer_close_wake(uv_async_t *h);

/* consumer_shelf.c */
/* Whether another record may be read: it can be put away. */
bool consumer_shelf_room(struct consumer *c);
/* Whether one can be put there, whatever there is. */
bool consumer_shelf_spare(struct consumer *c);
/* It has been full, and is not far from it. */
bool consumer_shelf_heavy(const struct consumer *c);
/* Something of the partition lies there for seconds. */
bool consumer_shelf_stale(const struct consumer *c, const struct consumer_part *p);
/* Only after consumer_shelf_spare or _room said so. */
void consumer_shelf_put(struct consumer *c, struct consumer_part *p, rd_kafka_message_t *take_m);
/* Something there belongs to a partition that is not full any more. */
bool consumer_shelf_ready(const struct consumer *c);
/* Delivers at most so many; returns how many it were. */
int consumer_shelf_deliver(struct consumer *c, int most,
			   void (*deliver)(struct consumer *c, rd_kafka_message_t *take_m));
/* Drops what a partition has there: it is closed, or read again. */
void consumer_shelf_clear(struct consumer *c, struct consumer_part *p);
void consumer_shelf_release(struct consumer *c);

/* consumer_move.c */
void consumer_move_event(struct consumer *c, bool assign,
			 const rd_kafka_topic_partition_list_t *parts);
/* The read of an assign ended; takes the list. */
void consumer_move_read(struct consumer *c, rd_kafka_topic_partition_list_t *take_list,
			const int64_t *starts, const int64_t *ends);
/* An assign under way is answered with everything held, so that librdkafka
 * can go on to revoke it. */
void consumer_move_hold(struct consumer *c);
/* The records of what is assigned go into `records`. */
void consumer_move_redirect(struct consumer *c);
/* Reads it again, from its `next` on. */
void consumer_move_restart(struct consumer *c, int32_t partition);
/* After leaving, no revoke event came: as if it were lost. */
void consumer_move_give_up(struct consumer *c);
void consumer_move_release(struct consumer *c);

/* consumer_read.c: helpers on the thread pool. Each holds what it uses, and
 * forgets us when we go first. */
bool consumer_read_start(struct consumer *c, const rd_kafka_topic_partition_list_t *list);
void consumer_read_cancel(struct consumer *c);
/* Why a read takes long; NO_ERROR without one. */
rd_kafka_resp_err_t consumer_read_waits(const struct consumer *c);
void consumer_read_log(struct consumer *c, int32_t partition);
void consumer_read_reach(struct consumer *c);
void consumer_read_release(struct consumer *c);

/* consumer_state.c */
void consumer_state_error(struct consumer *c, rd_kafka_resp_err_t code, const char *reason,
			  bool fatal);
/* A message that is an error. */
void consumer_state_message(struct consumer *c, const rd_kafka_message_t *m);
/* Partitions are assigned: the group and the topic are in order. */
void consumer_state_assigned(struct consumer *c);
/* A record came: it may be read. */
void consumer_state_read(struct consumer *c);
void consumer_state_reached(struct consumer *c, bool yes);
void consumer_state_log(struct consumer *c, int32_t partition, bool ok, int64_t start,
			int64_t end);
/* Once a second. */
void consumer_state_tick(struct consumer *c);

#endif
