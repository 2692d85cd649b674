/* SPDX-License-Identifier: Apache-2.0 */
/* job_io: what goes into a command and comes out of it. */
#include "job_impl.h"

static void
on_input_written(uv_write_t *req, int status)
{
	struct job *job = req->data;
	(void)status;	/* a command need not read its input */
	job_close_handle(&job->in);
}

static void
pause_reading(struct job *job)
{
	job->paused = true;
	uv_read_stop((uv_stream_t *)&job->out.pipe);
	uv_read_stop((uv_stream_t *)&job->err.pipe);
}

static bool
is_full(const struct job *job)
{
	const struct text *out = &job->out.text, *err = &job->err.text;
	return text_bytes(out) + text_bytes(err) > job->output_limit ||
	       out->escaped + err->escaped > JOB_ESCAPED_MAX;
}

static void
on_text(struct job *job, struct job_stream *s, size_t before, size_t raw_before)
{
	bool go_on = true;
	const struct text *t = &s->text;
	if (t->len > before)
		go_on = job->events->on_output(job->arg, s == &job->err, t->data + before,
					       t->len - before, t->raw ? t->raw + raw_before : NULL,
					       t->raw ? t->raw_len - raw_before : 0);
	if (is_full(job))
		job_end(job, JOB_OUTPUT_LIMIT);
	if (!go_on && job->stage < JOB_KILLING)
		pause_reading(job);
}

static void
on_output(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct job *job = stream->data;
	struct job_stream *s = stream == (uv_stream_t *)&job->out.pipe ? &job->out : &job->err;
	size_t before = s->text.len, raw_before = text_bytes(&s->text);
	if (nread > 0 && is_full(job)) {	/* read all the same, so that it can end */
		job->cut = true;
		return;
	}
	bool kept = nread < 0 ? text_end(&s->text) : text_add(&s->text, buf->base, (size_t)nread);
	if (!kept) {	/* no memory is a limit, too */
		job->cut = true;
		job_end(job, JOB_OUTPUT_LIMIT);
	}
	on_text(job, s, before, raw_before);
	if (nread < 0) {
		s->ended = true;
		job_close_handle(&s->pipe);
		job_settle(job);
	}
}

static void
read_output(struct job_stream *s)
{
	if (!s->ended && !uv_is_closing((uv_handle_t *)&s->pipe))
		uv_read_start((uv_stream_t *)&s->pipe, job_on_alloc, on_output);
}

void
job_resume(struct job *job)
{
	if (!job->paused)
		return;
	job->paused = false;
	read_output(&job->out);
	read_output(&job->err);
}

void
job_open_io(struct job *job, const char *input, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)input, (unsigned)len);
	read_output(&job->out);
	read_output(&job->err);
	if (len == 0 || uv_write(&job->input, (uv_stream_t *)&job->in, &buf, 1, on_input_written))
		job_close_handle(&job->in);
}
