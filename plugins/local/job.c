/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job_impl.h"
#include "keeper.h"
#include "spawn.h"

#define GRACE_MS 250	/* from SIGTERM to SIGKILL */
#define GIVE_UP_MS 1000	/* from SIGKILL to answering without the rest */
#define LINGER_MS 100

static void
on_closed(uv_handle_t *handle)
{
	struct job *job = handle->data;
	if (--job->handles > 0)
		return;
	struct jobs *jobs = job->jobs;
	jobs_forget(jobs, job);
	text_release(&job->out.text);
	text_release(&job->err.text);
	free(job->lease);
	free(job);
}

void
job_close_handle(void *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static bool
is_open(const void *handle)
{
	return !uv_is_closing(handle);
}

/* ---- the end ---------------------------------------------------------- */

static void
tell_keeper(struct job *job, enum keeper_order order)
{
	char byte = (char)order;
	uv_buf_t buf = uv_buf_init(&byte, 1);
	/* One byte into an empty socket: it fits, or the keeper is gone. */
	if (is_open(&job->leash))
		uv_try_write((uv_stream_t *)&job->leash, &buf, 1);
}

static void
finish(struct job *job)
{
	struct job_outcome outcome = {
		.error = job->error,
		.lost = !job->reported,
		.exit_code = job->exit_code,
		.signal = job->signal,
		.end = job->end,
		.cut = job->cut,
		.left_running = is_open(&job->leash),
		.pid = job->pid,
		.duration_ms = uv_now(job->jobs->loop) - job->started_ms,
		.out = &job->out.text,
		.err = &job->err.text,
	};
	job->done = true;
	job_close_handle(&job->in);
	job_close_handle(&job->out.pipe);
	job_close_handle(&job->err.pipe);
	if (job->stage <= JOB_LINGERING)
		uv_timer_stop(&job->timer);	/* what is left may stay */
	job->events->on_done(job->arg, &outcome);
	text_release(&job->out.text);
	text_release(&job->err.text);
}

static void
on_timer(uv_timer_t *timer)
{
	struct job *job = timer->data;
	switch (job->stage) {
	case JOB_RUNNING:
		job_end(job, JOB_TIMEOUT);
		break;
	case JOB_TERMINATING:
		job->stage = JOB_KILLING;
		tell_keeper(job, KEEPER_KILL);
		job_resume(job);	/* the last words, too */
		uv_timer_start(timer, on_timer, GIVE_UP_MS, 0);
		break;
	case JOB_LINGERING:
	case JOB_KILLING:
		/* In the second case there is a process that cannot be killed, or the
		 * output was handed to a stranger. The host is not made to wait. */
		if (!job->done)
			finish(job);
		job_settle(job);
		break;
	}
}

/* Called whenever something about the job has changed. */
void
job_settle(struct job *job)
{
	bool keeper_gone = !is_open(&job->leash);
	bool lost = keeper_gone && !job->reported;
	bool complete = lost || (job->reported && job->out.ended && job->err.ended);
	if (!job->done && complete) {
		if (keeper_gone || job->stage > JOB_LINGERING) {
			finish(job);
		} else if (job->stage == JOB_RUNNING) {
			/* Nearly always nothing is left, and the keeper goes at once.
			 * To wait for that means that the lease is quiet by the time
			 * the host has the answer. */
			job->stage = JOB_LINGERING;
			uv_timer_start(&job->timer, on_timer, LINGER_MS, 0);
		}
	}
	if (job->done && keeper_gone && !is_open(&job->keeper))
		job_close_handle(&job->timer);
}

void
job_end(struct job *job, enum job_end why)
{
	if (job->stage > JOB_LINGERING)
		return;
	if (job->stage == JOB_RUNNING)
		job->end = why;
	job->stage = JOB_TERMINATING;
	tell_keeper(job, KEEPER_TERMINATE);
	uv_timer_start(&job->timer, on_timer, GRACE_MS, 0);
	job_settle(job);
}

/* ---- what the keeper says --------------------------------------------- */

void
job_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct job *job = handle->data;
	(void)suggested;
	*buf = uv_buf_init(job->jobs->chunk, sizeof(job->jobs->chunk));
}

static void
on_report(struct job *job)
{
	char what[8];
	int number;
	job->line[job->line_len] = '\0';
	job->line_len = 0;
	if (sscanf(job->line, "%7s %d", what, &number) != 2)
		return;
	if (strcmp(what, "pid") == 0) {
		job->pid = number;
		return;
	}
	if (job->reported)	/* after an "error", the "exit 127" of the same keeper */
		return;
	job->reported = true;
	if (strcmp(what, "exit") == 0)
		job->exit_code = number;
	else if (strcmp(what, "signal") == 0)
		job->signal = number;
	else
		job->error = number;
}

static void
on_leash(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct job *job = stream->data;
	for (ssize_t i = 0; i < nread; i++) {
		if (buf->base[i] == '\n')
			on_report(job);
		else if (job->line_len < sizeof(job->line) - 1)
			job->line[job->line_len++] = buf->base[i];
	}
	if (nread < 0) {
		job_close_handle(&job->leash);
		/* Somebody killed the keeper: what can still be done, is. */
		if (!job->reported && job->pid > 0)
			kill(-job->pid, SIGKILL);
	}
	job_settle(job);
}

static void
on_keeper_exit(uv_process_t *process, int64_t status, int signal)
{
	(void)status;
	(void)signal;
	struct job *job = process->data;
	job_close_handle(process);
	job_settle(job);
}

/* ---- the beginning ---------------------------------------------------- */

static void
init_pipe(struct job *job, uv_pipe_t *pipe)
{
	uv_pipe_init(job->jobs->loop, pipe, 0);
	pipe->data = job;
	job->handles++;
}

static struct job *
job_new(struct jobs *jobs, const struct job_spec *spec)
{
	struct job *job = calloc(1, sizeof(*job));
	char *lease = strdup(spec->lease);
	if (!job || !lease) {
		free(job);
		free(lease);
		return NULL;
	}
	job->jobs = jobs;
	job->lease = lease;
	job->output_limit = spec->output_limit;
	job->exit_code = -1;
	uv_update_time(jobs->loop);	/* a long line may just have been parsed */
	job->started_ms = uv_now(jobs->loop);
	uv_timer_init(jobs->loop, &job->timer);
	job->timer.data = job;
	job->handles = 1;
	init_pipe(job, &job->leash);
	init_pipe(job, &job->in);
	init_pipe(job, &job->out.pipe);
	init_pipe(job, &job->err.pipe);
	job->input.data = job;
	job->keeper.data = job;
	job->next = jobs->first;
	jobs->first = job;
	jobs->count++;
	return job;
}

void
job_drop(struct job *job)
{
	job->done = true;
	job_close_handle(&job->timer);
	job_close_handle(&job->leash);
	job_close_handle(&job->in);
	job_close_handle(&job->out.pipe);
	job_close_handle(&job->err.pipe);
	if (job->keeper.type == UV_PROCESS)
		job_close_handle(&job->keeper);
}

int
job_start(struct jobs *jobs, const struct job_spec *spec, const struct job_events *events,
	  void *arg)
{
	struct job *job = job_new(jobs, spec);
	if (!job)
		return UV_ENOMEM;
	struct spawn_pipes pipes = { &job->in, &job->out.pipe, &job->err.pipe, &job->leash };
	int ret = spawn_keeper(jobs->loop, &job->keeper, &pipes, spec->argv, spec->env, spec->cwd,
			       on_keeper_exit);
	if (job->keeper.type == UV_PROCESS)
		job->handles++;
	if (ret < 0) {
		job_drop(job);
		return ret;
	}
	job->events = events;
	job->arg = arg;
	uv_read_start((uv_stream_t *)&job->leash, job_on_alloc, on_leash);
	job_open_io(job, spec->input, spec->input_len);
	uv_timer_start(&job->timer, on_timer, spec->timeout_ms, 0);
	return 0;
}
