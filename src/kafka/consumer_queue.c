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
 * that is full go into a backlog while others go on (without it one fetch of
 * one partition stopped everything until its commands were committed), and
 * the pause is left for a partition that stays full.
 */
#include "consumer_queue.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "envdriver/base/err.h"

enum {
	BUDGET = 512,	/* messages a turn of the loop */
	FULL_MS = 250,
};

/* --- pauses --- */

static void on_queue_more(uv_idle_t *h);

/* Records of the backlog may be delivered. */
static bool
goes_on(const struct consumer_queue *q, const struct consumer_part *p)
{
	return !STAILQ_EMPTY(&p->backlog) && p->open && !p->full && !q->pause_all;
}

static bool
backlog_goes_on(const struct consumer_queue *q)
{
	for (size_t i = 0; q->parts->backlog.n && i < q->parts->n; i++)
		if (goes_on(q, q->parts->at[i]))
			return true;
	return false;
}

/* What was left in the queue; nothing else tells of it. */
void
consumer_queue_go_on(struct consumer_queue *q)
{
	if (q->rk && !q->pause_all && (consumer_parts_room(q->parts) || backlog_goes_on(q)))
		(void)uv_idle_start(&q->more, on_queue_more);
}

void
consumer_queue_align_pauses(struct consumer_queue *q)
{
	consumer_parts_align_pauses(q->parts);
	consumer_queue_go_on(q);
}

/* The backlog has been full for some time while other partitions have room:
 * the partitions that fill it, or would, are paused. */
static void
on_queue_full(uv_timer_t *h)
{
	struct consumer_queue *q = h->data;
	bool others = false;

	for (size_t i = 0; i < q->parts->n; i++) {
		const struct consumer_part *p = q->parts->at[i];

		others |= p->open && STAILQ_EMPTY(&p->backlog) && !p->full;
	}
	for (size_t i = 0; others && i < q->parts->n; i++) {
		struct consumer_part *p = q->parts->at[i];

		p->stopped |= !STAILQ_EMPTY(&p->backlog) || p->full;
	}
	consumer_queue_align_pauses(q);
}

void
consumer_queue_tick(struct consumer_queue *q)
{
	bool any = false;

	for (size_t i = 0; q->parts->backlog.n && i < q->parts->n; i++) {
		struct consumer_part *p = q->parts->at[i];

		if (p->stopped || !consumer_backlog_stale(&p->backlog, uv_now(q->loop)))
			continue;
		p->stopped = any = true;
	}
	if (any)
		consumer_queue_align_pauses(q);
}

static void
watch_full(struct consumer_queue *q)
{
	if (!consumer_backlog_heavy(&q->parts->backlog))
		(void)uv_timer_stop(&q->full);
	else if (!consumer_parts_room(q->parts) && !uv_is_active((uv_handle_t *)&q->full))
		(void)uv_timer_start(&q->full, on_queue_full, FULL_MS, 0);
}

/* --- polling --- */

static void
deliver_message(struct consumer_queue *q, rd_kafka_message_t *take_m)
{
	struct consumer_part *p = consumer_parts_find(q->parts, take_m->partition);

	if (take_m->err) {
		if (take_m->err == RD_KAFKA_RESP_ERR__FATAL)
			consumer_state_check(q->state, q->rk);
		else if (consumer_state_message(q->state, take_m))
			consumer_gap_found(q->gap, take_m->partition);
		rd_kafka_message_destroy(take_m);
	} else if (p && p->open) {
		p->next = take_m->offset + 1;
		consumer_state_read(q->state);
		q->ev->on_message(q->ev->arg, take_m);
	} else {	/* of a partition that is closing */
		rd_kafka_message_destroy(take_m);
	}
}

/* Only after consumer_backlog_reserve. */
static void
take_message(struct consumer_queue *q, rd_kafka_message_t *take_m)
{
	struct consumer_part *p = consumer_parts_find(q->parts, take_m->partition);

	if (!q->rk)	/* closed by a callback inside the poll */
		rd_kafka_message_destroy(take_m);
	else if (!take_m->err && p && p->open && (p->full || !STAILQ_EMPTY(&p->backlog)))
		consumer_backlog_put(&q->parts->backlog, &p->backlog, take_m, uv_now(q->loop));
	else
		deliver_message(q, take_m);
}

/* At most BUDGET records; returns their number. A callback may move
 * partitions, and close us. Each time another partition is the first. */
static int
deliver_backlog(struct consumer_queue *q)
{
	size_t first = q->parts->backlog.n ? q->turn++ : 0;
	bool emptied = false;
	int n = 0;

	for (size_t k = 0; q->parts->backlog.n && k < q->parts->n; k++) {
		struct consumer_part *p = q->parts->at[(first + k) % q->parts->n];

		while (n < BUDGET && q->rk && goes_on(q, p)) {
			deliver_message(q, consumer_backlog_take(&q->parts->backlog, &p->backlog));
			n++;
		}
		/* A partition that was stopped is read again when nothing of it
		 * waits. */
		emptied |= q->rk && p->stopped && STAILQ_EMPTY(&p->backlog) && !p->full;
	}
	if (emptied)
		consumer_queue_align_pauses(q);
	return n;
}

/* The group's events first; then at most BUDGET records: what is left comes in
 * the next turns. A callback may close us. */
void
consumer_queue_drain(struct consumer_queue *q)
{
	struct consumer_backlog *b = &q->parts->backlog;
	rd_kafka_message_t *m;
	bool empty = false;

	(void)uv_idle_stop(&q->more);
	for (int i = 0; i < BUDGET && q->rk && consumer_backlog_reserve(b) &&
			(m = rd_kafka_consumer_poll(q->rk, 0)); i++)
		take_message(q, m);
	for (int i = deliver_backlog(q);
	     i < BUDGET && q->rk && !q->pause_all && consumer_parts_room(q->parts); i++) {
		m = rd_kafka_consume_queue(q->records, 0);
		empty = !m;
		if (empty)
			break;
		take_message(q, m);
	}
	if (!q->rk)
		return;
	watch_full(q);
	if (!empty || backlog_goes_on(q))
		consumer_queue_go_on(q);
}

static void
on_queue_more(uv_idle_t *h)
{
	consumer_queue_drain(h->data);
}

static void
on_queue_readable(uv_poll_t *h, int status, int events)
{
	struct consumer_queue *q = h->data;
	uint64_t count;

	(void)status;
	(void)events;
	(void)!read(q->fd, &count, sizeof(count));
	consumer_queue_drain(q);
}

/* --- made and unmade --- */

int
consumer_queue_open(struct consumer_queue *q, uv_loop_t *loop, rd_kafka_t *rk, struct err *reterr)
{
	static const uint64_t one = 1;	/* what an eventfd wants written */
	int ret;

	q->fd = -1;
	q->loop = loop;
	q->rk = rk;
	q->group = rd_kafka_queue_get_consumer(rk);
	q->records = rd_kafka_queue_new(rk);
	if (!q->group || !q->records)
		return err_set(reterr, ERR_CONFIG, "kafka.group.id is missing");
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = q->fd < 0 ? -errno : uv_poll_init(loop, &q->poll, q->fd);
	if (ret != 0)
		return err_set(reterr, ERR_IO, "cannot watch the Kafka consumer: %s",
			       uv_strerror(ret));
	(void)uv_timer_init(loop, &q->full);
	(void)uv_idle_init(loop, &q->more);
	q->poll.data = q->full.data = q->more.data = q;
	q->open_handles = 3;
	rd_kafka_queue_io_event_enable(q->group, q->fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(q->records, q->fd, &one, sizeof(one));
	(void)uv_poll_start(&q->poll, UV_READABLE, on_queue_readable);
	return 0;
}

void
consumer_queue_stop(struct consumer_queue *q)
{
	if (q->open_handles) {
		(void)uv_poll_stop(&q->poll);
		(void)uv_timer_stop(&q->full);
		(void)uv_idle_stop(&q->more);
	}
	q->rk = NULL;
	if (!q->group || !q->records)
		return;
	rd_kafka_queue_io_event_enable(q->group, -1, NULL, 0);
	rd_kafka_queue_io_event_enable(q->records, -1, NULL, 0);
	rd_kafka_queue_destroy(q->group);
	rd_kafka_queue_destroy(q->records);
	q->group = q->records = NULL;
}

static void
end_close(struct consumer_queue *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->on_closed(q->arg);	/* may free q */
}

static void
on_queue_handle_closed(uv_handle_t *h)
{
	struct consumer_queue *q = h->data;

	if (--q->open_handles == 0)
		end_close(q);
}

void
consumer_queue_close(struct consumer_queue *q, void (*on_closed)(void *arg), void *arg)
{
	q->on_closed = on_closed;
	q->arg = arg;
	if (q->open_handles == 0) {
		end_close(q);
		return;
	}
	uv_close((uv_handle_t *)&q->poll, on_queue_handle_closed);
	uv_close((uv_handle_t *)&q->full, on_queue_handle_closed);
	uv_close((uv_handle_t *)&q->more, on_queue_handle_closed);
}
