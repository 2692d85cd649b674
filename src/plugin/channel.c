/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "channel_impl.h"

enum {
	KEEP_QUEUE = 1 << 20,	/* a larger queue is given back when it is empty */
	HANDLES = 4,
};

void
channel_broken(struct channel *c)
{
	c->broken = true;
	if (!c->closing)
		c->ev.on_broken(c->ev.arg);
}

/* The calls that timed out */

static void
late_add(struct channel *c, struct channel_pending *call)
{
	call->late = true;
	call->newer = NULL;
	call->older = c->newest;
	if (c->newest)
		c->newest->newer = call;
	else
		c->oldest = call;
	c->newest = call;
	c->late++;
}

static void
late_remove(struct channel *c, struct channel_pending *call)
{
	if (call->older)
		call->older->newer = call->newer;
	else
		c->oldest = call->newer;
	if (call->newer)
		call->newer->older = call->older;
	else
		c->newest = call->older;
	call->late = false;
	c->late--;
}

static void
forget(struct channel *c, struct channel_pending *call)
{
	imap_remove(&c->calls, &call->node);
	if (call->late)
		late_remove(c, call);
	else
		deadline_remove(&c->deadlines, &call->deadline);
	call->pending = false;
}

void
channel_end_call(struct channel *c, struct channel_pending *call, const struct rpc_answer *answer)
{
	bool late = call->late;

	forget(c, call);
	if (late)
		call->on_late(call, answer);
	else
		call->on_end(call, answer);
}

static void
give_up_oldest(struct channel *c)
{
	struct rpc_answer a = {
		.end = RPC_TIMED_OUT, .method = c->oldest->method,
		.text = "no late answer is waited for any more",
	};

	channel_end_call(c, c->oldest, &a);
}

static void
time_out(struct channel *c, struct channel_pending *call)
{
	char text[160];
	struct rpc_answer a = { .end = RPC_TIMED_OUT, .method = call->method, .text = text };

	snprintf(text, sizeof(text), "RPC call \"%.80s\" timed out after %" PRId64 "ms",
		 call->method, call->timeout_ms);
	if (c->late >= CHANNEL_LATE_MAX)
		give_up_oldest(c);
	deadline_remove(&c->deadlines, &call->deadline);
	late_add(c, call);
	call->on_end(call, &a);
}

static void on_timer(uv_timer_t *t);

static void
arm(struct channel *c)
{
	struct deadline *first = deadline_first(&c->deadlines);
	int64_t wait;

	if (!first || c->closing)
		return;
	wait = first->at_ms - clock_mono_ms();
	uv_timer_start(&c->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void
on_timer(uv_timer_t *t)
{
	struct channel *c = t->data;
	struct deadline *first;
	int64_t now = clock_mono_ms();

	while (!c->closing && (first = deadline_first(&c->deadlines)) && first->at_ms <= now)
		time_out(c, CONTAINER_OF(first, struct channel_pending, deadline));
	arm(c);
}

/* Writing */

static void flush(struct channel *c);

static void
on_written(uv_write_t *w, int status)
{
	struct channel *c = w->data;

	c->busy = false;
	buf_reset(&c->writing);
	if (status < 0)
		channel_broken(c);
	else
		flush(c);
}

static void
flush(struct channel *c)
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
		buf_reset(&c->writing);
		return;
	}
	if (n < 0 && n != UV_EAGAIN) {
		channel_broken(c);
		return;
	}
	if (n > 0)
		rest = uv_buf_init(rest.base + n, rest.len - (unsigned)n);
	c->busy = uv_write(&c->write, (uv_stream_t *)&c->out, &rest, 1, on_written) == 0;
	if (!c->busy)
		channel_broken(c);
}

static void
on_idle(uv_idle_t *i)
{
	uv_idle_stop(i);
	flush(i->data);
}

static bool
has_room(const struct channel *c, size_t more)
{
	return c->queued.len + (c->busy ? c->writing.len : 0) + more <= c->limits.queue_max;
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
	uv_idle_start(&c->flush, on_idle);
	return true;
}

static int
add_call(struct channel *c, struct channel_pending *call, struct err *reterr)
{
	if (!imap_add(&c->calls, &call->node, *c->next_id))
		return err_nomem(reterr);
	if (!deadline_add(&c->deadlines, &call->deadline,
			  clock_mono_ms() + call->timeout_ms - call->spent_ms)) {
		imap_remove(&c->calls, &call->node);
		return err_nomem(reterr);
	}
	call->pending = true;
	call->late = false;
	if (deadline_first(&c->deadlines) == &call->deadline)
		arm(c);
	return 0;
}

int
channel_send(struct channel *c, struct channel_pending *call, const struct channel_request *r,
	     struct err *reterr)
{
	size_t before = c->queued.len;
	int ret;

	if (c->broken || c->closing)
		return err_set(reterr, ERR_CLOSED, "its pipe is closed");
	if (!has_room(c, r->params.len))
		return err_set(reterr, ERR_LIMIT, "more than %zu bytes wait to be written",
			       c->limits.queue_max);
	call->deadline.place = 0;
	/* Room first: a failed append would lose what others have queued. */
	if (!buf_reserve(&c->queued, r->params.len)) {
		c->queued.failed = false;
		return err_nomem(reterr);
	}
	rpc_add_request(&c->queued, *c->next_id, call->method, r->params, r->invocation_id,
			r->company_id, r->traceparent);
	if (c->queued.failed) {
		c->queued.failed = false;
		ret = err_nomem(reterr);
	} else {
		ret = add_call(c, call, reterr);
	}
	if (ret < 0) {
		c->queued.len = before;
		return ret;
	}
	(*c->next_id)++;
	uv_idle_start(&c->flush, on_idle);
	return 0;
}

void
channel_drop(struct channel *c, struct channel_pending *call)
{
	if (call->pending)
		forget(c, call);
}

bool
channel_ended(const struct channel *c)
{
	return c->ended;
}

uint64_t
channel_reads(const struct channel *c)
{
	return c->reads;
}

bool
channel_parsing(const struct channel *c)
{
	return c->parsing != NULL;
}

void
channel_finish(struct channel *c)
{
	if (c->closing)
		return;
	uv_read_stop((uv_stream_t *)&c->in);
	c->ended = c->broken = true;
	frame_end(c->frame);
}

void
channel_fail(struct channel *c, const char *(*text)(void *arg, struct channel_pending *call),
	     void *arg)
{
	while (c->deadlines.count > 0 || c->oldest) {
		struct channel_pending *call = c->oldest;
		struct rpc_answer a = { .end = RPC_DIED };

		if (c->deadlines.count > 0)
			call = CONTAINER_OF(c->deadlines.heap[c->deadlines.count - 1],
					    struct channel_pending, deadline);
		a.method = call->method;
		a.text = text(arg, call);
		channel_end_call(c, call, &a);
	}
}

/* Opening and closing */

static void
release(struct channel *c)
{
	frame_free(c->frame);
	free(c->read_buf);
	buf_release(&c->queued);
	buf_release(&c->writing);
	imap_release(&c->calls);
	deadline_release(&c->deadlines);
	free(c);
}

static void
on_closed(uv_handle_t *h)
{
	struct channel *c = h->data;

	if (--c->open == 0)
		release(c);
}

void
channel_close(struct channel *c)
{
	uv_handle_t *handles[HANDLES];

	if (!c || c->closing)
		return;
	c->closing = true;
	parse_job_free(c->parsing);
	c->parsing = NULL;
	handles[0] = (uv_handle_t *)&c->in;
	handles[1] = (uv_handle_t *)&c->out;
	handles[2] = (uv_handle_t *)&c->timer;
	handles[3] = (uv_handle_t *)&c->flush;
	for (int i = 0; i < HANDLES; i++)
		uv_close(handles[i], on_closed);
}

static int
start(struct channel *c, uv_loop_t *loop, int *write_fd, int *read_fd)
{
	int ret;

	/* None of the four can fail, and all must be closed from here on. */
	uv_pipe_init(loop, &c->in, 0);
	uv_pipe_init(loop, &c->out, 0);
	uv_timer_init(loop, &c->timer);
	uv_idle_init(loop, &c->flush);
	c->open = HANDLES;
	c->in.data = c->out.data = c->timer.data = c->flush.data = c->write.data = c;
	ret = uv_pipe_open(&c->out, *write_fd);
	if (ret < 0)
		return ret;
	*write_fd = -1;
	ret = uv_pipe_open(&c->in, *read_fd);
	if (ret < 0)
		return ret;
	*read_fd = -1;
	return channel_read_start(c);
}

struct channel *
channel_new(uv_loop_t *loop, int write_fd, int read_fd, uint64_t *next_id,
	    const struct channel_limits *limits, const struct channel_events *ev,
	    struct err *reterr)
{
	struct channel *c = buf_realloc(NULL, sizeof(*c));
	struct frame_events fev = { channel_on_line, channel_on_dropped, c };
	int ret = 0;

	if (!c) {
		err_nomem(reterr);
		goto out;
	}
	*c = (struct channel){ .limits = *limits, .ev = *ev, .next_id = next_id };
	c->frame = frame_new(FRAME_MESSAGES, limits->line_max, &fev, reterr);
	c->read_buf = buf_realloc(NULL, CHANNEL_READ_SIZE);
	if (!c->frame || !c->read_buf) {
		err_nomem(reterr);
		release(c);
		c = NULL;
		goto out;
	}
	ret = start(c, loop, &write_fd, &read_fd);
	if (ret < 0) {
		err_set(reterr, ERR_IO, "cannot use a pipe: %s", uv_strerror(ret));
		channel_close(c);
		c = NULL;
	}
out:
	if (write_fd >= 0)
		close(write_fd);
	if (read_fd >= 0)
		close(read_fd);
	return c;
}
