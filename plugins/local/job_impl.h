/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job_impl: the inside of a job. Only for job.c (the life of one job), job_io.c
 * (its pipes) and jobs.c (what is done to many).
 */
#ifndef LOCAL_JOB_IMPL_H
#define LOCAL_JOB_IMPL_H

#include "job.h"

enum job_stage {
	JOB_RUNNING,
	JOB_LINGERING,		/* it was answered; the keeper should end any moment */
	JOB_TERMINATING,	/* SIGTERM was sent */
	JOB_KILLING,		/* SIGKILL was sent */
};

struct job_stream {
	uv_pipe_t pipe;
	struct text text;
	bool ended;
};

struct job {
	struct job *next;
	struct jobs *jobs;
	char *lease;
	const struct job_events *events;
	void *arg;
	enum job_stage stage;
	enum job_end end;
	size_t output_limit;
	uint64_t started_ms;
	bool done;		/* on_done was called, or will not be */
	bool paused;
	bool cut;

	uv_process_t keeper;
	uv_timer_t timer;
	uv_pipe_t leash;
	uv_pipe_t in;
	uv_write_t input;
	struct job_stream out;
	struct job_stream err;
	unsigned handles;	/* of these, not closed */

	/* What the keeper said. */
	char line[32];
	size_t line_len;
	bool reported;
	int pid;
	int exit_code;
	int signal;
	int error;
};

void job_end(struct job *job, enum job_end why);
void job_drop(struct job *job);

/* Something about the job has changed: is this its end? */
void job_settle(struct job *job);

/* For libuv: closes a handle whose `data` is a job; lends the common buffer. */
void job_close_handle(void *handle);
void job_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);

/* Starts reading both outputs, and writing the input (borrowed until done). */
void job_open_io(struct job *job, const char *input, size_t len);
void job_resume(struct job *job);

/* The job's last handle is closed: takes it off the list. */
void jobs_forget(struct jobs *jobs, struct job *job);

#endif
