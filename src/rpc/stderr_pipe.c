/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/stderr_pipe.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/secret/mask.h"
#include "frame.h"
#include "stderr_tail.h"

enum {
	READ_SIZE = 16 << 10,
	LINE_LEN_MAX = 16 << 10,
	DRAIN_READS = 64,
	HANDLES = 3,
	/* What is read at most: more waits in the pipe, and the plugin with it. 10 MiB/s
	 * is far more than is logged, and costs the loop little. */
	REST_MS = 25,
	BYTES_MAX = 256 << 10,
};

struct stderr_pipe {
	uv_pipe_t pipe;
	uv_timer_t timer;	/* while a line is held back */
	uv_timer_t rest;	/* while nothing is read */
	size_t n_read;		/* since the last rest */
	uint64_t since;
	unsigned open;		/* of these three */
	struct stderr_pipe_events ev;
	const struct mask *mask;
	struct mask_stream stream;
	struct buf masked;
	struct frame *frame;
	struct stderr_tail tail;
	bool ended;
	uint64_t moment;	/* of the last drain that had one */
	char buf[READ_SIZE];
};

static void
on_stderr_line(void *arg, struct span line, bool repaired)
{
	struct stderr_pipe *p = arg;

	(void)repaired;
	stderr_tail_add(&p->tail, line);
	p->ev.on_line(p->ev.arg, line);
}

static void
feed_masked(struct stderr_pipe *p, struct span text)
{
	frame_feed(p->frame, text.ptr, text.len);
}

static void
on_stderr_held(uv_timer_t *t)
{
	struct stderr_pipe *p = t->data;

	feed_masked(p, mask_stream_end(&p->stream, mask_forms(p->mask), /* cut= */ false,
				       &p->masked));
}

static void
feed_stderr(struct stderr_pipe *p, const char *data, size_t len)
{
	const struct span bytes = { data, len };

	feed_masked(p, mask_stream_add(&p->stream, mask_forms(p->mask), bytes, &p->masked));
	if (mask_stream_ends_line(&p->stream))
		uv_timer_start(&p->timer, on_stderr_held, MASK_STREAM_WAIT_MS, 0);
	else
		uv_timer_stop(&p->timer);
}

static void
on_stderr_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct stderr_pipe *p = h->data;

	(void)hint;
	*ret = uv_buf_init(p->buf, sizeof(p->buf));
}

static void on_stderr_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *data);

static void
on_stderr_rested(uv_timer_t *t)
{
	struct stderr_pipe *p = t->data;

	if (!p->ended)
		(void)uv_read_start((uv_stream_t *)&p->pipe, on_stderr_alloc, on_stderr_bytes);
}

static void
rest_if_much(struct stderr_pipe *p, size_t n)
{
	uint64_t now = uv_now(p->pipe.loop);

	if (now - p->since >= REST_MS) {
		p->since = now;
		p->n_read = 0;
	}
	p->n_read += n;
	if (p->n_read < BYTES_MAX)
		return;
	uv_read_stop((uv_stream_t *)&p->pipe);
	uv_timer_start(&p->rest, on_stderr_rested, REST_MS, 0);
}

static void
on_stderr_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *data)
{
	struct stderr_pipe *p = s->data;

	if (n > 0) {
		feed_stderr(p, data->base, (size_t)n);
		rest_if_much(p, (size_t)n);
	} else if (n < 0) {
		uv_read_stop(s);
		p->ended = true;
		p->ev.on_end(p->ev.arg);
	}
}

void
stderr_pipe_drain(struct stderr_pipe *p, uint64_t moment)
{
	uv_os_fd_t fd;
	ssize_t n;

	if (moment && moment == p->moment)
		return;
	p->moment = moment ? moment : p->moment;
	if (p->ended || uv_fileno((uv_handle_t *)&p->pipe, &fd) < 0)
		return;
	for (int i = 0; i < DRAIN_READS; i++) {
		n = read(fd, p->buf, sizeof(p->buf));
		if (n <= 0)
			return;
		feed_stderr(p, p->buf, (size_t)n);
	}
}

uint64_t
stderr_pipe_position(const struct stderr_pipe *p)
{
	return stderr_tail_end(&p->tail) +
	       (frame_partial(p->frame) || mask_stream_holds(&p->stream));
}

struct span
stderr_pipe_excerpt(const struct stderr_pipe *p, uint64_t from)
{
	return stderr_tail_excerpt(&p->tail, from);
}

bool
stderr_pipe_ended(const struct stderr_pipe *p)
{
	return p->ended;
}

void
stderr_pipe_finish(struct stderr_pipe *p)
{
	stderr_pipe_drain(p, 0);
	uv_read_stop((uv_stream_t *)&p->pipe);
	uv_timer_stop(&p->timer);
	uv_timer_stop(&p->rest);
	p->ended = true;
	feed_masked(p, mask_stream_end(&p->stream, mask_forms(p->mask), /* cut= */ true,
				       &p->masked));
	frame_end(p->frame);
}

static void
free_pipe(struct stderr_pipe *p)
{
	frame_free(p->frame);
	stderr_tail_release(&p->tail);
	mask_stream_release(&p->stream);
	buf_release(&p->masked);
	free(p);
}

static void
on_stderr_closed(uv_handle_t *h)
{
	struct stderr_pipe *p = h->data;

	if (--p->open == 0)
		free_pipe(p);
}

void
stderr_pipe_close(struct stderr_pipe *p)
{
	if (!p)
		return;
	uv_close((uv_handle_t *)&p->pipe, on_stderr_closed);
	uv_close((uv_handle_t *)&p->timer, on_stderr_closed);
	uv_close((uv_handle_t *)&p->rest, on_stderr_closed);
}

struct stderr_pipe *
stderr_pipe_new(uv_loop_t *loop, int take_fd, const struct mask *mask,
		const struct stderr_pipe_events *ev, struct err *reterr)
{
	struct stderr_pipe *p = malloc(sizeof(*p));
	struct frame_events frame_ev = { on_stderr_line, NULL, p };
	int ret;

	if (p) {
		*p = (struct stderr_pipe){ .ev = *ev, .mask = mask, .open = HANDLES };
		p->frame = frame_new(FRAME_TEXT, LINE_LEN_MAX, &frame_ev, reterr);
	}
	if (!p || !p->frame) {
		err_nomem(reterr);
		close(take_fd);
		free(p);
		return NULL;
	}
	uv_pipe_init(loop, &p->pipe, 0);	/* neither can fail */
	uv_timer_init(loop, &p->timer);
	uv_timer_init(loop, &p->rest);
	p->pipe.data = p->timer.data = p->rest.data = p;
	ret = uv_pipe_open(&p->pipe, take_fd);
	if (ret < 0)
		close(take_fd);
	else
		ret = uv_read_start((uv_stream_t *)&p->pipe, on_stderr_alloc, on_stderr_bytes);
	if (ret < 0) {
		err_set(reterr, ERR_IO, "cannot use a pipe: %s", uv_strerror(ret));
		stderr_pipe_close(p);
		return NULL;
	}
	return p;
}
