/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/consumer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client.h"
#include "consumer_closing.h"
#include "consumer_gap.h"
#include "consumer_jobs.h"
#include "consumer_parts.h"
#include "consumer_queue.h"
#include "consumer_rebalance.h"
#include "consumer_state.h"

enum {
	TICK_MS = 1000,
	LEAVE_MS = 5000,
	TRY_TICKS = 3,
	BACKLOG_BYTES = 32 << 20,
};

struct consumer {
	uv_loop_t *loop;
	const struct config *config;
	struct consumer_events ev;
	char *topic;

	rd_kafka_t *rk;			/* NULL once it is being closed */

	struct consumer_parts parts;
	struct consumer_queue queue;
	struct consumer_jobs jobs;
	struct consumer_state state;
	struct consumer_rebalance rebalance;
	struct consumer_gap gap;
	struct consumer_closing *closing;

	uv_timer_t tick;
	unsigned lonely;		/* ticks without an assignment */
	unsigned refused;		/* ticks with one, and a reason not to be ready */
	bool leaving;
	int64_t left_ms;
	bool freed;
};

/* --- pauses --- */

void
consumer_pause(struct consumer *c, int32_t partition, bool paused)
{
	struct consumer_part *p = consumer_parts_find(&c->parts, partition);

	if (!p)
		return;
	p->full = paused;
	consumer_queue_align_pauses(&c->queue);
}

void
consumer_pause_all(struct consumer *c, bool paused)
{
	c->queue.pause_all = paused;
	consumer_queue_go_on(&c->queue);
}

void
consumer_limit_backlog(struct consumer *c, size_t bytes)
{
	c->parts.backlog.limit = bytes;
}

/* What was refused once may be permitted by now, and no record may come for long. */
static void
look_again(struct consumer *c)
{
	size_t i = 0;

	if (!c->state.why_group[0] || c->state.dead ||
	    c->rebalance.step != CONSUMER_REBALANCE_NONE) {
		c->refused = 0;
		return;
	}
	while (i < c->parts.n && !c->parts.at[i]->assigned)
		i++;
	if (++c->refused % TRY_TICKS == 0 && i < c->parts.n)
		consumer_jobs_try(&c->jobs, c->parts.at[i]->number);
}

static void
look_around(struct consumer *c)
{
	bool assigned = c->rebalance.meta || c->rebalance.step != CONSUMER_REBALANCE_NONE;

	/* Without an assignment for long: is there anybody to ask for one? */
	c->lonely = assigned ? 0 : c->lonely + 1;
	client_bootstrap(c->config, c->rk, c->lonely);
	if (c->state.down)
		consumer_jobs_reach(&c->jobs);
	look_again(c);
	consumer_gap_tick(&c->gap);
	consumer_rebalance_tick(&c->rebalance);
	if (c->leaving && clock_mono_ms() - c->left_ms >= LEAVE_MS)
		consumer_rebalance_lose(&c->rebalance);
	consumer_queue_go_on(&c->queue);
}

/* --- once a second --- */

/* max.poll.interval must not strike even when a wake-up is lost. */
static void
on_consumer_tick(uv_timer_t *h)
{
	struct consumer *c = h->data;

	consumer_parts_redirect(&c->parts);
	consumer_queue_tick(&c->queue);
	consumer_queue_drain(&c->queue);
	if (c->rk)
		consumer_state_check(&c->state, c->rk);
	if (c->rk)	/* not closed by a callback */
		look_around(c);
}

/* --- hooks, called inside rd_kafka_consumer_poll --- */

static void
on_consumer_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct consumer *c = arg;

	consumer_state_error(&c->state, code, reason, fatal);
}

static void
on_consumer_rebalance(void *arg, rd_kafka_resp_err_t what,
		      const rd_kafka_topic_partition_list_t *parts)
{
	struct consumer *c = arg;

	if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ||
	    what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
		consumer_rebalance_event(&c->rebalance,
					 what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, parts);
		return;
	}
	log_warn("kafka: rebalance failed: %s", rd_kafka_err2str(what));
	(void)rd_kafka_assign(c->rk, NULL);
}

/* --- what the jobs found --- */

static void
on_consumer_offsets(void *arg, rd_kafka_topic_partition_list_t *take_list, const int64_t *starts,
		    const int64_t *ends)
{
	struct consumer *c = arg;

	consumer_rebalance_offsets(&c->rebalance, take_list, starts, ends);
}

static void
on_consumer_log_read(void *arg, int32_t partition, bool ok, int64_t start, int64_t end)
{
	struct consumer *c = arg;

	consumer_gap_read(&c->gap, partition, c->rebalance.step != CONSUMER_REBALANCE_NONE, ok,
			  start, end);
	consumer_queue_go_on(&c->queue);
}

static void
on_consumer_reached(void *arg, bool yes)
{
	struct consumer *c = arg;

	consumer_state_reached(&c->state, yes);
}

/* As a record would say it. */
static void
on_consumer_tried(void *arg, bool yes)
{
	struct consumer *c = arg;

	if (yes)
		consumer_state_read(&c->state);
}

/* --- the owner's answers --- */

void
consumer_open(struct consumer *c, const struct open_at *parts, size_t n)
{
	if (c->rebalance.step != CONSUMER_REBALANCE_OFFERED)
		return;
	c->queue.pause_all = false;
	consumer_rebalance_open(&c->rebalance, parts, n);
	consumer_queue_go_on(&c->queue);
}

bool
consumer_unhold(struct consumer *c, const struct open_at *parts, size_t n)
{
	bool done = !c->leaving && consumer_rebalance_unhold(&c->rebalance, parts, n);

	consumer_queue_go_on(&c->queue);
	return done;
}

void
consumer_unassign(struct consumer *c)
{
	consumer_rebalance_unassign(&c->rebalance);
	consumer_queue_go_on(&c->queue);
}

struct group_meta *
consumer_group_meta(const struct consumer *c)
{
	return c->rebalance.meta;
}

/* --- made --- */

static void
free_memory(void *arg)
{
	struct consumer *c = arg;

	consumer_parts_release(&c->parts);
	free(c->topic);
	free(c);
}

static bool
open_parts(struct consumer *c, struct err *reterr)
{
	const struct client_hooks hooks = {
		.on_error = on_consumer_error,
		.on_rebalance = on_consumer_rebalance,
		.arg = c,
	};
	const struct consumer_jobs_events found = {
		.on_offsets = on_consumer_offsets,
		.on_log_read = on_consumer_log_read,
		.on_reached = on_consumer_reached,
		.on_tried = on_consumer_tried,
		.arg = c,
	};

	if (consumer_jobs_init(&c->jobs, c->loop, c->config, c->topic, &found, reterr) < 0)
		return false;
	c->rk = client_open(c->config, CLIENT_CONF_CONSUMER, NULL, &hooks, reterr);
	if (!c->rk)
		return false;
	(void)rd_kafka_poll_set_consumer(c->rk);
	if (consumer_queue_open(&c->queue, c->loop, c->rk, reterr) < 0)
		return false;
	c->parts.rk = c->rk;
	c->parts.records = c->queue.records;
	c->closing = consumer_closing_new(c->loop, reterr);
	return c->closing != NULL;
}

struct consumer *
consumer_new(uv_loop_t *loop, const struct config *config, const char *topic,
	     const struct consumer_events *ev, struct err *reterr)
{
	struct consumer *c = calloc(1, sizeof(*c));

	if (!c || !(c->topic = strdup(topic))) {
		free(c);
		err_nomem(reterr);
		return NULL;
	}
	c->loop = loop;
	c->config = config;
	c->ev = *ev;
	consumer_parts_init(&c->parts, c->topic,
			    strcmp(config_str(config, "assignor"), "range") != 0, BACKLOG_BYTES);
	consumer_state_init(&c->state, config, c->topic, &c->ev);
	consumer_rebalance_init(&c->rebalance, &c->parts, &c->jobs, &c->state, &c->ev);
	c->gap = (struct consumer_gap){ &c->parts, &c->jobs, &c->ev };
	c->queue = (struct consumer_queue){
		.parts = &c->parts, .state = &c->state, .gap = &c->gap, .ev = &c->ev, .fd = -1,
	};
	(void)uv_timer_init(loop, &c->tick);
	c->tick.data = c;
	if (!open_parts(c, reterr)) {
		consumer_free(c);
		return NULL;
	}
	(void)uv_timer_start(&c->tick, on_consumer_tick, TICK_MS, TICK_MS);
	return c;
}

int
consumer_start(struct consumer *c, struct err *reterr)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(list, c->topic, RD_KAFKA_PARTITION_UA);
	code = rd_kafka_subscribe(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	return err_set(reterr, ERR_UNAVAILABLE, "cannot subscribe to '%s': %s", c->topic,
		       rd_kafka_err2str(code));
}

/* --- unmade --- */

void
consumer_leave(struct consumer *c)
{
	if (c->leaving || !c->rk)
		return;
	c->leaving = true;
	c->left_ms = clock_mono_ms();
	/* librdkafka revokes nothing while it waits for an answer to an assign. */
	consumer_rebalance_hold(&c->rebalance);
	consumer_queue_go_on(&c->queue);
	(void)rd_kafka_unsubscribe(c->rk);
}

static void
stop_consuming(struct consumer *c)
{
	(void)uv_timer_stop(&c->tick);
	consumer_jobs_release(&c->jobs);
	consumer_rebalance_release(&c->rebalance);
	consumer_parts_stop(&c->parts);
	consumer_queue_stop(&c->queue);
	if (c->rk)
		client_mute(c->rk);
}

void
consumer_close(struct consumer *c, int64_t timeout_ms, void (*on_closed)(void *arg), void *arg)
{
	assert(c->rk);
	stop_consuming(c);
	/* Without a broker the close may never end (librdkafka #3740, open), or
	 * crash (#5347, fixed in 2.14.2), and there is nobody to tell: the client
	 * stays as it is until the process ends. */
	consumer_closing_start(c->closing, c->state.down ? NULL : c->rk, timeout_ms, on_closed,
			       arg);
	c->rk = NULL;
}

static void
on_consumer_tick_closed(uv_handle_t *h)
{
	struct consumer *c = h->data;

	consumer_queue_close(&c->queue, free_memory, c);
}

void
consumer_free(struct consumer *c)
{
	if (!c || c->freed)
		return;
	c->freed = true;
	stop_consuming(c);
	consumer_closing_free(c->closing);
	client_close(c->rk);
	uv_close((uv_handle_t *)&c->tick, on_consumer_tick_closed);
}
