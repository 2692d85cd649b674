/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * Back-pressure is to take no more records: they stay in a queue of their
 * own, which librdkafka fills up to queued.max.messages.kbytes, while
 * rebalances and errors of the group go on coming by the group's queue.
 * Pausing partitions in librdkafka would cost what it has fetched, and half
 * a second (fetch.wait.max.ms) until it fetches again: measured, 2,000
 * commands/s at most where 1,000 may be in flight. So records of a partition
 * that is full are put on a shelf while others go on (without it one fetch of
 * one partition stopped everything until its commands were committed), and
 * the pause is left for a partition that stays full.
 */
#include "envdriver/kafka/consumer.h"

#include <errno.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/offsets.h"
#include "consumer_impl.h"

enum {
	BUDGET = 512,		/* messages a turn of the loop */
	TICK_MS = 1000,
	JAM_MS = 250,
	PARTITIONS_MAX = 1000000,
	SHELF_BYTES = 32 << 20,
};

/* --- partitions --- */

struct consumer_part *
consumer_part(struct consumer *c, int32_t partition)
{
	if (partition < 0 || (size_t)partition >= c->n_parts)
		return NULL;
	return &c->parts[partition];
}

bool
consumer_part_make(struct consumer *c, int32_t partition)
{
	size_t n = (size_t)partition + 1;
	struct consumer_part *parts;

	if (partition < 0 || partition >= PARTITIONS_MAX)
		return false;
	if (n <= c->n_parts)
		return true;
	parts = realloc(c->parts, n * sizeof(*parts));
	if (!parts)
		return false;
	memset(parts + c->n_parts, 0, (n - c->n_parts) * sizeof(*parts));
	c->parts = parts;
	c->n_parts = n;
	return true;
}

/* --- pauses --- */

static void on_more(uv_idle_t *h);

/* What was left in the queue, in the next turn; nothing tells of it. */
static void
take_again(struct consumer *c)
{
	if (!c->pause_all && (consumer_shelf_room(c) || consumer_shelf_ready(c)))
		(void)uv_idle_start(&c->more, on_more);
}

void
consumer_align_pauses(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *pause, *resume;

	if (!c->rk)
		return;
	c->jamming = false;
	pause = rd_kafka_topic_partition_list_new(8);
	resume = rd_kafka_topic_partition_list_new(8);
	for (size_t i = 0; i < c->n_parts; i++) {
		struct consumer_part *p = &c->parts[i];
		bool want;

		p->jammed &= p->pause_wanted || p->shelf;
		want = p->held || p->jammed;
		c->jamming |= p->assigned && p->pause_wanted && !want;
		/* Never resume what is not paused: before 2.4 it jumps back. */
		if (p->assigned && want != p->paused)
			rd_kafka_topic_partition_list_add(want ? pause : resume, c->topic,
							  (int32_t)i);
		if (p->assigned)
			p->paused = want;
	}
	if (pause->cnt)
		(void)rd_kafka_pause_partitions(c->rk, pause);
	if (resume->cnt)
		(void)rd_kafka_resume_partitions(c->rk, resume);
	rd_kafka_topic_partition_list_destroy(pause);
	rd_kafka_topic_partition_list_destroy(resume);
	take_again(c);
}

/* The shelf was full for some time, and others have room: who fills it, or
 * would, is paused. */
static void
on_jam(uv_timer_t *h)
{
	struct consumer *c = h->data;
	bool others = false;

	for (size_t i = 0; i < c->n_parts; i++)
		others |= c->parts[i].open && !c->parts[i].shelf && !c->parts[i].pause_wanted;
	for (size_t i = 0; others && i < c->n_parts; i++)
		c->parts[i].jammed |= c->parts[i].shelf || c->parts[i].pause_wanted;
	consumer_align_pauses(c);
}

static void
jam_stale(struct consumer *c)
{
	bool any = false;

	for (size_t i = 0; c->shelf.n && i < c->n_parts; i++) {
		struct consumer_part *p = &c->parts[i];

		if (p->jammed || !consumer_shelf_stale(c, p))
			continue;
		p->jammed = any = true;
	}
	if (any)
		consumer_align_pauses(c);
}

static void
watch_jam(struct consumer *c)
{
	if (!consumer_shelf_heavy(c))
		(void)uv_timer_stop(&c->jam);
	else if (!consumer_shelf_room(c) && !uv_is_active((uv_handle_t *)&c->jam))
		(void)uv_timer_start(&c->jam, on_jam, JAM_MS, 0);
}

void
consumer_pause(struct consumer *c, int32_t partition, bool paused)
{
	struct consumer_part *p = consumer_part(c, partition);

	if (!p)
		return;
	p->pause_wanted = paused;
	consumer_align_pauses(c);
}

void
consumer_pause_all(struct consumer *c, bool paused)
{
	c->pause_all = paused;
	take_again(c);
}

struct group_meta *
consumer_group_meta(const struct consumer *c)
{
	return c->meta;
}

/* --- polling --- */

static void
on_message(struct consumer *c, rd_kafka_message_t *take_m)
{
	struct consumer_part *p = consumer_part(c, take_m->partition);

	if (take_m->err) {
		consumer_state_message(c, take_m);
		rd_kafka_message_destroy(take_m);
	} else if (p && p->open) {
		p->next = take_m->offset + 1;
		consumer_state_read(c);
		c->ev.on_message(c->ev.arg, take_m);
	} else {	/* of a partition that is closing */
		rd_kafka_message_destroy(take_m);
	}
}

static void
on_record(struct consumer *c, rd_kafka_message_t *take_m)
{
	struct consumer_part *p = consumer_part(c, take_m->partition);

	if (!take_m->err && p && p->open && (p->pause_wanted || p->shelf) &&
	    consumer_shelf_spare(c))
		consumer_shelf_put(c, p, take_m);
	else
		on_message(c, take_m);
}

/* The group's events first; then at most BUDGET records: what is left comes in
 * the next turns. A callback may close us. */
static void
drain(struct consumer *c)
{
	rd_kafka_message_t *m;
	bool empty = false;

	(void)uv_idle_stop(&c->more);
	for (int i = 0; i < BUDGET && c->rk && consumer_shelf_spare(c) &&
			(m = rd_kafka_consumer_poll(c->rk, 0)); i++)
		on_record(c, m);
	for (int i = consumer_shelf_deliver(c, BUDGET, on_message);
	     i < BUDGET && c->rk && !c->pause_all && consumer_shelf_room(c); i++) {
		m = rd_kafka_consume_queue(c->records, 0);
		empty = !m;
		if (empty)
			break;
		on_record(c, m);
	}
	if (!c->rk)
		return;
	watch_jam(c);
	if (!empty || consumer_shelf_ready(c))
		take_again(c);
}

static void
on_more(uv_idle_t *h)
{
	drain(h->data);
}

static void
on_readable(uv_poll_t *h, int status, int events)
{
	struct consumer *c = h->data;
	uint64_t count;

	(void)status;
	(void)events;
	(void)!read(c->fd, &count, sizeof(count));
	drain(c);
}

/* max.poll.interval must not strike even when a wake-up is lost. */
static void
on_tick(uv_timer_t *h)
{
	struct consumer *c = h->data;

	consumer_move_redirect(c);
	jam_stale(c);
	drain(c);
	if (c->rk)	/* not closed by a callback */
		consumer_state_tick(c);
}

/* --- hooks, called inside rd_kafka_consumer_poll --- */

static void
on_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	consumer_state_error(arg, code, reason, fatal);
}

static void
on_rebalance(void *arg, rd_kafka_resp_err_t what, const rd_kafka_topic_partition_list_t *parts)
{
	struct consumer *c = arg;

	if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ||
	    what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
		consumer_move_event(c, what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, parts);
		return;
	}
	log_warn("kafka: rebalance failed: %s", rd_kafka_err2str(what));
	(void)rd_kafka_assign(c->rk, NULL);
}

/* --- made --- */

static void
forget(struct consumer *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->parts);
	free(c->topic);
	free(c);
}

static bool
open_handle(struct consumer *c, struct err *reterr)
{
	const struct client_hooks hooks = {
		.on_error = on_error,
		.on_rebalance = on_rebalance,
		.arg = c,
	};

	c->offsets = offsets_new(c->config, reterr);
	if (!c->offsets)
		return false;
	c->rk = client_open(c->config, CLIENT_CONF_CONSUMER, NULL, &hooks, reterr);
	if (!c->rk)
		return false;
	(void)rd_kafka_poll_set_consumer(c->rk);
	c->queue = rd_kafka_queue_get_consumer(c->rk);
	c->records = rd_kafka_queue_new(c->rk);
	return c->queue != NULL;
}

static void
add_to_loop(struct consumer *c)
{
	static const uint64_t one = 1;	/* what an eventfd wants written */

	rd_kafka_queue_io_event_enable(c->queue, c->fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(c->records, c->fd, &one, sizeof(one));
	(void)uv_poll_start(&c->poll, UV_READABLE, on_readable);
	(void)uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
}

static bool
init_handles(struct consumer *c, struct err *reterr)
{
	int ret;

	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = c->fd < 0 ? -errno : uv_poll_init(c->loop, &c->poll, c->fd);
	if (ret != 0) {
		err_set(reterr, ERR_IO, "cannot watch the Kafka consumer: %s", uv_strerror(ret));
		return false;
	}
	(void)uv_timer_init(c->loop, &c->tick);
	(void)uv_timer_init(c->loop, &c->jam);
	(void)uv_timer_init(c->loop, &c->closed_limit);
	(void)uv_idle_init(c->loop, &c->more);
	(void)uv_async_init(c->loop, &c->closed_wake, consumer_close_wake);
	c->poll.data = c->tick.data = c->closed_limit.data = c->more.data = c;
	c->jam.data = c->closed_wake.data = c;
	c->handles = 6;
	return true;
}

struct consumer *
consumer_new(uv_loop_t *loop, const struct config *config, const char *topic,
	     const struct consumer_events *ev, struct err *reterr)
{
	struct consumer *c = calloc(1, sizeof(*c));

	if (!c) {
		err_nomem(reterr);
		return NULL;
	}
	c->fd = -1;
	c->shelf.limit = SHELF_BYTES;
	c->loop = loop;
	c->config = config;
	c->ev = *ev;
	c->cooperative = strcmp(config_str(config, "assignor"), "range") != 0;
	c->topic = strdup(topic);
	if (!c->topic)
		err_nomem(reterr);
	if (c->topic && open_handle(c, reterr) && init_handles(c, reterr)) {
		add_to_loop(c);
		return c;
	}
	consumer_free(c);
	return NULL;
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
	consumer_move_hold(c);
	(void)rd_kafka_unsubscribe(c->rk);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct consumer *c = h->data;

	if (--c->handles == 0)
		forget(c);
}

void
consumer_free(struct consumer *c)
{
	if (!c || c->freed)
		return;
	c->freed = true;
	c->on_closed = NULL;
	if (c->queue)
		consumer_close_stop(c);
	if (c->closing)
		consumer_close_finish(c);
	client_close(c->rk);
	offsets_unref(c->offsets);
	if (c->handles == 0) {
		forget(c);
		return;
	}
	uv_close((uv_handle_t *)&c->poll, on_handle_closed);
	uv_close((uv_handle_t *)&c->tick, on_handle_closed);
	uv_close((uv_handle_t *)&c->jam, on_handle_closed);
	uv_close((uv_handle_t *)&c->closed_limit, on_handle_closed);
	uv_close((uv_handle_t *)&c->more, on_handle_closed);
	uv_close((uv_handle_t *)&c->closed_wake, on_handle_closed);
}
