/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_queue: drains librdkafka's queues in the loop, with back-pressure.
 *
 * Owns the queues and what wakes the loop for them. Knows nothing of how
 * partitions come and go.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_QUEUE_H
#define ENVDRIVER_KAFKA_CONSUMER_QUEUE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "envdriver/kafka/consumer.h"
#include "consumer_gap.h"
#include "consumer_parts.h"
#include "consumer_state.h"

struct consumer_queue {
	struct consumer_parts *parts;	/* these are borrowed */
	struct consumer_state *state;
	struct consumer_gap *gap;
	const struct consumer_events *ev;

	rd_kafka_t *rk;			/* borrowed; NULL once stopped */
	rd_kafka_queue_t *group;	/* rebalances and errors of the group */
	rd_kafka_queue_t *records;	/* of all our partitions */
	int fd;				/* librdkafka's wake-up; -1: none */
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t full;		/* partitions that are still full then are paused */
	uv_idle_t more;			/* a turn's budget was used up */
	int open_handles;
	void (*on_closed)(void *arg);
	void *arg;

	bool pause_all;			/* by our owner */
	size_t turn;			/* the partition whose backlog is delivered first */
};

/* The borrowed fields must be set. Afterwards, also when it fails,
 * consumer_queue_stop and _close. */
int consumer_queue_open(struct consumer_queue *q, uv_loop_t *loop, rd_kafka_t *rk,
			struct err *reterr);
/* Serves what is there; may call everything of struct consumer_events. */
void consumer_queue_drain(struct consumer_queue *q);
/* What may be delivered has changed: goes on in the next turn. */
void consumer_queue_go_on(struct consumer_queue *q);
/* Brings librdkafka's pauses in line with ours, and goes on. */
void consumer_queue_align_pauses(struct consumer_queue *q);
/* Once a second: a partition whose records wait for seconds is paused. */
void consumer_queue_tick(struct consumer_queue *q);

/* No record and no event is taken any more. */
void consumer_queue_stop(struct consumer_queue *q);
/* Frees the descriptor; `on_closed` when the memory is not used any more,
 * before the call returns when nothing was opened. */
void consumer_queue_close(struct consumer_queue *q, void (*on_closed)(void *arg), void *arg);

#endif
