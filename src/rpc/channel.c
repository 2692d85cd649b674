/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "message_reader.h"

enum {
	KEEP_QUEUE = 1 << 20,	/* a larger queue is given back when it is empty */
	NOTIFICATION_MAX = 8 << 20,
	HANDLES = 3,
};

struct channel {
	struct message_reader *reader;
	uv_pipe_t out;
	uv_timer_t timer;
	uv_idle_t flush;
	uv_write_t write;
	unsigned open;		/* of the first three, not yet closed */
	size_t queue_max;
	struct channel_events ev;
	struct buf queued, writing;	/* `writing` is the pipe's while busy */
	bool busy, broken, closing;
	uint64_t *next_id;
	struct channel_pending *pending;	/* by id */
	struct deadlines deadlines;
	TAILQ_HEAD(, channel_pending) late;	/* the oldest first */
	size_t n_late;
};

static void
mark_broken(struct channel *c)
{
	c->broken = true;
	if (!c->closing)
		c->ev.on_broken(c->ev.arg);
}

/* Pending requests */

static void
remove_pending(struct channel *c, struct channel_pending *p)
{
	HASH_DEL(c->pending, p);
	if (p->late) {
		TAILQ_REMOVE(&c->late, p, link);
		c->n_late--;
	} else {
		deadline_remove(&c->deadlines, &p->deadline);
	}
	p->pending = p->late = false;
}

static void
end_pending(struct channel *c, struct channel_pending *p, const struct rpc_answer *answer)
{
	bool late = p->late;

	remove_pending(c, p);
	if (late)
		p->on_late(p, answer);
	else
		p->on_end(p, answer);
}

static void
expire_oldest(struct channel *c)
{
	struct channel_pending *p = TAILQ_FIRST(&c->late);
	struct rpc_answer a = {
		.end = RPC_TIMED_OUT, .method = p->method,
		.text = "no late answer is waited for any more",
	};

	end_pending(c, p, &a);
}

static void
time_out(struct channel *c, struct channel_pending *p)
{
	char text[160];
	struct rpc_answer a = { .end = RPC_TIMED_OUT, .method = p->method, .text = text };

	snprintf(text, sizeof(text), "RPC call \"%.80s\" timed out after %" PRId64 "ms",
		 p->method, p->timeout_ms);
	if (c->n_late >= CHANNEL_LATE_MAX)
		expire_oldest(c);
	deadline_remove(&c->deadlines, &p->deadline);
	p->late = true;
	TAILQ_INSERT_TAIL(&c->late, p, link);
	c->n_late++;
	p->on_end(p, &a);
}

static void on_request_timer(uv_timer_t *t);

static void
arm_timer(struct channel *c)
{
	struct deadline *first = deadline_first(&c->deadlines);
	int64_t wait;

	if (!first || c->closing)
		return;
	wait = first->at_ms - clock_mono_ms();
	uv_timer_start(&c->timer, on_request_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void
on_request_timer(uv_timer_t *t)
{
	struct channel *c = t->data;
	struct deadline *first;
	int64_t now = clock_mono_ms();

	while (!c->closing && (first = deadline_first(&c->deadlines)) && first->at_ms <= now)
		time_out(c, CONTAINER_OF(first, struct channel_pending, deadline));
	arm_timer(c);
}

/* Writing */

static void flush_queue(struct channel *c);

/* It may have held secrets. */
static void
clear_written(struct channel *c)
{
	buf_reset(&c->writing);
	c->writing.wipes = false;
}

static void
on_channel_written(uv_write_t *w, int status)
{
	struct channel *c = w->data;

	c->busy = false;
	clear_written(c);
	if (status < 0)
		mark_broken(c);
	else
		flush_queue(c);
}

static void
flush_queue(struct channel *c)
{
	struct buf swap = c->writing;
	uv_buf_t rest;
	int n;

	if (c->busy || c->broken || c->closing || c->queued.len == 0)
		return;
	c->writing = c->queued;
	c->queued = swap;
	buf_reset(&c->queued);
	if (c->queued.cap > KEEP_QUEUE)
		buf_release(&c->queued);
	rest = uv_buf_init(c->writing.data, (unsigned)c->writing.len);
	n = uv_try_write((uv_stream_t *)&c->out, &rest, 1);
	if (n == (int)c->writing.len) {
		clear_written(c);
		return;
	}
	if (n < 0 && n != UV_EAGAIN) {
		mark_broken(c);
		return;
	}
	if (n > 0)
		rest = uv_buf_init(rest.base + n, rest.len - (unsigned)n);
	c->busy = uv_write(&c->write, (uv_stream_t *)&c->out, &rest, 1, on_channel_written) == 0;
	if (!c->busy)
		mark_broken(c);
}

static void
on_channel_flush(uv_idle_t *i)
{
	uv_idle_stop(i);
	flush_queue(i->data);
}

static bool
has_room(const struct channel *c, size_t more)
{
	return c->queued.len + (c->busy ? c->writing.len : 0) + more <= c->queue_max;
}

bool
channel_write(struct channel *c, struct span line)
{
	if (c->broken || c->closing || !has_room(c, line.len) ||
	    !buf_reserve(&c->queued, line.len)) {
		c->queued.failed = false;
		return false;
	}
	buf_addspan(&c->queued, line);
	uv_idle_start(&c->flush, on_channel_flush);
	return true;
}

static int
add_pending(struct channel *c, struct channel_pending *p, struct err *reterr)
{
	p->id = *c->next_id;
	HASH_ADD(hh, c->pending, id, sizeof(p->id), p);
	if (!p->hh.tbl)
		return err_nomem(reterr);
	if (!deadline_add(&c->deadlines, &p->deadline,
			  clock_mono_ms() + p->timeout_ms - p->spent_ms)) {
		HASH_DEL(c->pending, p);
		return err_nomem(reterr);
	}
	p->pending = true;
	p->late = false;
	if (deadline_first(&c->deadlines) == &p->deadline)
		arm_timer(c);
	return 0;
}

int
channel_send(struct channel *c, struct channel_pending *p, const struct channel_request *r,
	     struct err *reterr)
{
	size_t before = c->queued.len;
	int ret;

	if (c->broken || c->closing)
		return err_set(reterr, ERR_CLOSED, "its pipe is closed");
	if (!has_room(c, r->params.len))
		return err_set(reterr, ERR_LIMIT, "more than %zu bytes wait to be written",
			       c->queue_max);
	p->deadline.position = 0;
	c->queued.wipes |= r->secret;
	/* Room first: a failed append would lose what others have queued. */
	if (!buf_reserve(&c->queued, r->params.len)) {
		c->queued.failed = false;
		return err_nomem(reterr);
	}
	rpc_add_request(&c->queued, *c->next_id, p->method, r->params, r->invocation_id,
			r->company_id, r->traceparent);
	if (c->queued.failed) {
		c->queued.failed = false;
		ret = err_nomem(reterr);
	} else {
		ret = add_pending(c, p, reterr);
	}
	if (ret < 0) {
		c->queued.len = before;
		return ret;
	}
	(*c->next_id)++;
	uv_idle_start(&c->flush, on_channel_flush);
	return 0;
}

void
channel_cancel(struct channel *c, struct channel_pending *p)
{
	if (p->pending && !c->closing)
		remove_pending(c, p);
}

bool
channel_ended(const struct channel *c)
{
	return message_reader_ended(c->reader);
}

uint64_t
channel_reads(const struct channel *c)
{
	return message_reader_reads(c->reader);
}

size_t
channel_partial(const struct channel *c)
{
	return message_reader_partial(c->reader);
}

bool
channel_parsing(const struct channel *c)
{
	return message_reader_parsing(c->reader);
}

void
channel_finish(struct channel *c)
{
	if (c->closing)
		return;
	c->broken = true;
	message_reader_finish(c->reader);
}

void
channel_fail(struct channel *c, const char *(*text)(void *arg, struct channel_pending *p),
	     void *arg)
{
	while (c->pending) {
		struct channel_pending *p = TAILQ_FIRST(&c->late);
		struct rpc_answer a = { .end = RPC_DIED };

		if (c->deadlines.count > 0)
			p = CONTAINER_OF(c->deadlines.heap[c->deadlines.count - 1],
					 struct channel_pending, deadline);
		a.method = p->method;
		a.text = text(arg, p);
		end_pending(c, p, &a);
	}
}

/* What the plugin writes */

static void
end_by_answer(struct channel *c, const struct rpc_message *m, struct rpc_answer *answer)
{
	struct channel_pending *p = NULL;
	int64_t number;
	uint64_t id;

	if (jtext_int(m->id, &number) && number > 0) {
		id = (uint64_t)number;
		HASH_FIND(hh, c->pending, &id, sizeof(id), p);
	}
	if (!p) {
		c->ev.on_bad(c->ev.arg, "a response to an unknown request", SPAN_NULL);
		return;
	}
	answer->method = p->method;
	end_pending(c, p, answer);
}

static void
on_channel_message(void *arg, const struct rpc_message *m, struct rpc_answer *answer)
{
	struct channel *c = arg;

	switch (m->kind) {
	case RPC_RESPONSE:
		end_by_answer(c, m, answer);
		break;
	case RPC_REQUEST:
		c->ev.on_request(c->ev.arg, m);
		break;
	case RPC_NOTIFICATION:
		if (m->line.len > NOTIFICATION_MAX)
			c->ev.on_bad(c->ev.arg, "a notification of over 8 MiB", SPAN_NULL);
		else
			c->ev.on_notification(c->ev.arg, m);
		break;
	case RPC_GARBAGE:
		c->ev.on_bad(c->ev.arg, m->why, m->line);
		break;
	}
}

static void
on_channel_ignored(void *arg, const char *why)
{
	struct channel *c = arg;

	c->ev.on_bad(c->ev.arg, why, SPAN_NULL);
}

static void
on_channel_end(void *arg)
{
	mark_broken(arg);
}

/* Opening and closing */

static void
on_channel_closed(uv_handle_t *h)
{
	struct channel *c = h->data;

	if (--c->open > 0)
		return;
	buf_release(&c->queued);
	buf_release(&c->writing);
	deadline_release(&c->deadlines);
	free(c);
}

void
channel_close(struct channel *c)
{
	if (!c || c->closing)
		return;
	c->closing = true;
	message_reader_close(c->reader);
	HASH_CLEAR(hh, c->pending);
	uv_close((uv_handle_t *)&c->out, on_channel_closed);
	uv_close((uv_handle_t *)&c->timer, on_channel_closed);
	uv_close((uv_handle_t *)&c->flush, on_channel_closed);
}

struct channel *
channel_new(uv_loop_t *loop, int take_write_fd, int take_read_fd, uint64_t *next_id,
	    const struct channel_limits *limits, const struct channel_events *ev,
	    struct err *reterr)
{
	struct channel *c = malloc(sizeof(*c));
	struct message_reader_events reader_ev = {
		on_channel_message, on_channel_ignored, on_channel_end, c,
	};
	int ret;

	if (!c) {
		err_nomem(reterr);
		close(take_write_fd);
		close(take_read_fd);
		return NULL;
	}
	*c = (struct channel){ .queue_max = limits->queue_max, .ev = *ev, .next_id = next_id,
			       .open = HANDLES };
	TAILQ_INIT(&c->late);
	/* None of the three can fail, and all must be closed from here on. */
	uv_pipe_init(loop, &c->out, 0);
	uv_timer_init(loop, &c->timer);
	uv_idle_init(loop, &c->flush);
	c->out.data = c->timer.data = c->flush.data = c->write.data = c;
	c->reader = message_reader_new(loop, take_read_fd, limits->line_max, limits->mask,
				       &reader_ev, reterr);
	ret = uv_pipe_open(&c->out, take_write_fd);
	if (ret < 0) {
		close(take_write_fd);
		err_set(reterr, ERR_IO, "cannot use a pipe: %s", uv_strerror(ret));
	}
	if (ret < 0 || !c->reader) {
		channel_close(c);
		return NULL;
	}
	return c;
}
