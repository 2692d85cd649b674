/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (128u << 20)	/* the protocol's own limit */
#define CONGESTED_BYTES (4u << 20)
#define DRAINED_BYTES (1u << 20)

struct outgoing {
	uv_write_t req;
	struct wire *wire;
	char *text;
};

static void
end(struct wire *w)
{
	if (w->ended)
		return;
	w->ended = true;
	w->events->on_end(w->arg);
}

/* ---- out -------------------------------------------------------------- */

static void
close_out_when_written(struct wire *w)
{
	if (w->closing && w->writes == 0 && !uv_is_closing(&w->out.handle))
		uv_close(&w->out.handle, NULL);
}

static void
on_written(uv_write_t *req, int status)
{
	struct outgoing *o = req->data;
	struct wire *w = o->wire;
	free(o->text);
	free(o);
	w->writes--;
	if (w->congested && w->out.stream.write_queue_size < DRAINED_BYTES) {
		w->congested = false;
		w->events->on_drain(w->arg);
	}
	close_out_when_written(w);
	if (status < 0)
		end(w);
}

void
wire_send(struct wire *w, char *take_text, size_t len)
{
	struct outgoing *o = NULL;
	if (uv_is_closing(&w->out.handle))
		goto out;
	o = take_text ? malloc(sizeof(*o)) : NULL;
	if (!o) {
		end(w);
		goto out;
	}
	take_text[len] = '\n';
	*o = (struct outgoing){ .wire = w, .text = take_text };
	o->req.data = o;
	uv_buf_t buf = { .base = take_text, .len = len + 1 };
	if (uv_write(&o->req, &w->out.stream, &buf, 1, on_written) < 0) {
		end(w);
		goto out;
	}
	w->writes++;
	if (w->out.stream.write_queue_size > CONGESTED_BYTES)
		w->congested = true;
	return;
out:
	free(o);
	free(take_text);
}

bool
wire_is_congested(const struct wire *w)
{
	return w->congested;
}

/* ---- in --------------------------------------------------------------- */

static void
too_long(struct wire *w)
{
	w->skipping = true;
	w->events->on_too_long(w->arg);
}

/* Appends to the line under way. */
static void
keep(struct wire *w, const char *bytes, size_t len)
{
	if (w->skipping || w->closing || len == 0)
		return;
	if (len > LINE_MAX_BYTES - w->line_len) {
		too_long(w);
		return;
	}
	if (len > w->line_cap - w->line_len) {
		size_t cap = 2 * w->line_cap + len;
		char *line = realloc(w->line, cap);
		if (!line) {
			end(w);
			return;
		}
		w->line = line;
		w->line_cap = cap;
	}
	memcpy(w->line + w->line_len, bytes, len);
	w->line_len += len;
}

static void
forget_line(struct wire *w)
{
	free(w->line);
	w->line = NULL;
	w->line_len = w->line_cap = 0;
}

static void
finish_line(struct wire *w)
{
	if (!w->skipping && w->line_len > 0)
		w->events->on_line(w->arg, w->line, w->line_len);
	w->skipping = false;
	w->line_len = 0;
	if (w->closing || w->line_cap > (1u << 20))
		forget_line(w);	/* one big line is no reason to stay big */
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct wire *w = handle->data;
	(void)suggested;
	*buf = uv_buf_init(w->chunk, sizeof(w->chunk));
}

static void
on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct wire *w = stream->data;
	const char *p = buf->base, *nl;
	if (nread < 0) {
		/* A last line without its line break is a line all the same. */
		finish_line(w);
		end(w);
		return;
	}
	const char *stop = p + nread;
	while (p < stop && (nl = memchr(p, '\n', (size_t)(stop - p)))) {
		keep(w, p, (size_t)(nl - p));
		finish_line(w);
		p = nl + 1;
	}
	keep(w, p, (size_t)(stop - p));
}

/* ---- opening and closing ---------------------------------------------- */

static int
open_stream(uv_loop_t *loop, uv_file fd, uv_pipe_t *pipe, uv_tty_t *tty)
{
	int ret;
	switch (uv_guess_handle(fd)) {
	case UV_NAMED_PIPE:
		ret = uv_pipe_init(loop, pipe, 0);
		return ret < 0 ? ret : uv_pipe_open(pipe, fd);
	case UV_TTY:	/* somebody types by hand */
		return uv_tty_init(loop, tty, fd, 0);
	default:
		return UV_EINVAL;
	}
}

int
wire_open(struct wire *w, uv_loop_t *loop, const struct wire_events *events, void *arg)
{
	int ret;
	w->events = events;
	w->arg = arg;
	ret = open_stream(loop, 0, &w->in.pipe, &w->in.tty);
	if (ret < 0)
		return ret;
	ret = open_stream(loop, 1, &w->out.pipe, &w->out.tty);
	if (ret < 0)
		return ret;
	w->in.stream.data = w;
	return uv_read_start(&w->in.stream, on_alloc, on_read);
}

void
wire_close(struct wire *w)
{
	w->closing = true;
	if (!uv_is_closing(&w->in.handle))
		uv_close(&w->in.handle, NULL);
	close_out_when_written(w);
}

void
wire_drop(struct wire *w)
{
	wire_close(w);
	if (!uv_is_closing(&w->out.handle))
		uv_close(&w->out.handle, NULL);
	forget_line(w);
}
