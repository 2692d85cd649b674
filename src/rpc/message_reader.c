/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A line of 1 MiB and more is parsed on a thread. Nothing is read meanwhile:
 * so lines stay in order, and one worker has one such line in memory.
 */
#include "message_reader.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/secret/mask.h"
#include "frame.h"
#include "message_mask.h"
#include "parse_job.h"

/* More than a pipe holds: each turn of the loop reads once from each worker,
 * so that none of them holds up the others. */
enum {
	READ_SIZE = 128 << 10,
	KEEP_MASKED = 1 << 20,	/* more is given back after a line */
};

struct message_reader {
	uv_pipe_t pipe;
	struct message_reader_events ev;
	struct frame *frame;
	char *buf;
	const struct mask *mask;
	struct message_mask masked;	/* what was last read on the loop */
	uint64_t reads;
	struct parse_job *job;	/* NULL: none. Meanwhile nothing is read. */
	struct span rest;	/* of buf: what was read behind the job's line */
	bool ended, closing;
};

static int read_start(struct message_reader *r);

/* What comes behind a line that is being parsed waits, and so does the pipe. */
static void
feed(struct message_reader *r, struct span bytes)
{
	size_t used = frame_feed(r->frame, bytes.ptr, bytes.len);

	if (!r->job)
		return;
	r->rest = (struct span){ bytes.ptr + used, bytes.len - used };
	if (!r->closing)
		uv_read_stop((uv_stream_t *)&r->pipe);
}

static void
on_message_parsed(void *arg)
{
	struct message_reader *r = arg;
	struct parse_job *job = r->job;
	struct span rest = r->rest;

	r->job = NULL;
	if (!r->ended) {
		job->answer.repaired = job->repaired;
		job->answer.memory = &job->memory;
		r->ev.on_message(r->ev.arg, &job->message, &job->answer);
	}
	parse_job_free(job);
	if (r->ended || r->closing)
		return;
	feed(r, rest);
	if (!r->job && !r->ended && !r->closing && read_start(r) < 0) {
		r->ended = true;
		r->ev.on_end(r->ev.arg);
	}
}

/* True when a thread parses the line. */
static bool
parse_on_thread(struct message_reader *r, struct span line, bool repaired)
{
	struct parse_job *job;
	char *memory;

	if (line.len < PARSE_JOB_MIN || r->ended)
		return false;
	job = parse_job_new();
	memory = job ? frame_take(r->frame) : NULL;
	if (!memory) {
		parse_job_free(job);
		return false;
	}
	job->repaired = repaired;
	r->job = job;
	parse_job_start(job, r->pipe.loop, memory, line, mask_forms(r->mask),
			on_message_parsed, r);
	return true;
}

static void
on_message_line(void *arg, struct span line, bool repaired)
{
	struct message_reader *r = arg;
	struct rpc_answer answer = { .end = RPC_RESULT };
	struct rpc_message m;

	if (r->closing || parse_on_thread(r, line, repaired))
		return;
	message_mask_parse(&r->masked, mask_forms(r->mask), line, &m, &answer);
	answer.repaired = repaired;
	r->ev.on_message(r->ev.arg, &m, &answer);
	if (message_mask_size(&r->masked) > KEEP_MASKED)
		message_mask_release(&r->masked);
}

static void
on_long_line(void *arg)
{
	struct message_reader *r = arg;

	if (!r->closing)
		r->ev.on_ignored(r->ev.arg, "longer than plugin.line.max.bytes: dropped");
}

static void
on_message_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct message_reader *r = h->data;

	(void)hint;
	*ret = uv_buf_init(r->buf, READ_SIZE);
}

static void
on_message_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *data)
{
	struct message_reader *r = s->data;

	if (n > 0) {
		r->reads++;
		feed(r, (struct span){ data->base, (size_t)n });
		return;
	}
	if (n == 0)
		return;
	uv_read_stop(s);
	r->ended = true;
	r->ev.on_end(r->ev.arg);
}

static int
read_start(struct message_reader *r)
{
	return uv_read_start((uv_stream_t *)&r->pipe, on_message_alloc, on_message_bytes);
}

uint64_t
message_reader_reads(const struct message_reader *r)
{
	return r->reads;
}

size_t
message_reader_partial(const struct message_reader *r)
{
	return frame_held(r->frame);
}

bool
message_reader_parsing(const struct message_reader *r)
{
	return r->job;
}

bool
message_reader_ended(const struct message_reader *r)
{
	return r->ended;
}

void
message_reader_finish(struct message_reader *r)
{
	if (r->closing)
		return;
	uv_read_stop((uv_stream_t *)&r->pipe);
	r->ended = true;
	frame_end(r->frame);
}

static void
free_reader(struct message_reader *r)
{
	frame_free(r->frame);
	message_mask_release(&r->masked);
	free(r->buf);
	free(r);
}

static void
on_reader_closed(uv_handle_t *h)
{
	free_reader(h->data);
}

void
message_reader_close(struct message_reader *r)
{
	if (!r || r->closing)
		return;
	r->closing = true;
	parse_job_free(r->job);
	r->job = NULL;
	uv_close((uv_handle_t *)&r->pipe, on_reader_closed);
}

struct message_reader *
message_reader_new(uv_loop_t *loop, int take_fd, size_t line_max, const struct mask *mask,
		   const struct message_reader_events *ev, struct err *reterr)
{
	struct message_reader *r = malloc(sizeof(*r));
	struct frame_events frame_ev = { on_message_line, on_long_line, r };
	int ret;

	if (!r) {
		err_nomem(reterr);
		close(take_fd);
		return NULL;
	}
	*r = (struct message_reader){ .ev = *ev, .mask = mask };
	r->frame = frame_new(FRAME_MESSAGES, line_max, &frame_ev, reterr);
	r->buf = malloc(READ_SIZE);
	if (!r->frame || !r->buf) {
		err_nomem(reterr);
		close(take_fd);
		free_reader(r);
		return NULL;
	}
	uv_pipe_init(loop, &r->pipe, 0);	/* cannot fail */
	r->pipe.data = r;
	ret = uv_pipe_open(&r->pipe, take_fd);
	if (ret < 0)
		close(take_fd);
	else
		ret = read_start(r);
	if (ret < 0) {
		err_set(reterr, ERR_IO, "cannot use a pipe: %s", uv_strerror(ret));
		message_reader_close(r);
		return NULL;
	}
	return r;
}
