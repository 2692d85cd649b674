/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job: one running command: its pipes, its time limit, its end.
 *
 * A job has two lives. The first lasts until the command has ended and nobody
 * holds its output open any more: then on_done tells the outcome. The second
 * lasts until everything the command started is gone, too (a server left in
 * the background, say); jobs_end waits for that.
 *
 * Owns the processes (through a keeper, see there) and the text they wrote.
 * Knows nothing of JSON-RPC.
 */
#ifndef LOCAL_JOB_H
#define LOCAL_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "text.h"

struct job;

/* What ended a job. */
enum job_end {
	JOB_EXITED,		/* the command itself */
	JOB_TIMEOUT,
	JOB_OUTPUT_LIMIT,
	JOB_RELEASED,		/* its lease was released … */
	JOB_DESTROYED,		/* … or destroyed */
	JOB_SHUTDOWN,		/* the plugin ends */
};

/* All borrowed until on_done is called. */
struct job_spec {
	const char *lease;
	char **argv;		/* command, arguments, NULL */
	char **env;		/* KEEPER_ENV_MARK and NAME=value …, NULL */
	const char *cwd;
	const char *input;	/* for its standard input; may be NULL */
	size_t input_len;
	uint64_t timeout_ms;
	size_t output_limit;	/* bytes of stdout and stderr together */
};

/* The answer is one line, and the longest line that hosts read has 128 MiB. */
#define JOB_ESCAPED_MAX (120u << 20)

struct job_outcome {
	int error;		/* not 0: it could not be started, an errno */
	bool lost;		/* the keeper was killed: the outcome is unknown */
	int exit_code;		/* -1: none */
	int signal;		/* 0: none */
	enum job_end end;
	bool cut;		/* there was more output than is here */
	bool left_running;	/* something it started is still there */
	int pid;
	uint64_t duration_ms;
	struct text *out;	/* borrowed until on_done returns */
	struct text *err;
};

struct job_events {
	/* Output, as it comes: well-formed UTF-8, and the bytes that it was made
	 * of, NULL when they are the same. Returns false when it is too
	 * much for now: the job stops reading until jobs_resume, and the
	 * command waits in its write(2). */
	bool (*on_output)(void *arg, bool is_err, const char *utf8, size_t len,
			  const char *raw, size_t raw_len);
	/* Once; never before job_start returns. */
	void (*on_done)(void *arg, const struct job_outcome *outcome);
};

typedef void jobs_ended_fn(void *arg, bool all_gone);
struct ending;

struct jobs {
	uv_loop_t *loop;
	struct job *first;
	unsigned count;		/* background ones included */
	struct ending *endings;	/* jobs_end calls under way */
	char chunk[65536];	/* what libuv reads into */
};

/* Returns 0, or a libuv error code; then on_done is not called. `events` is
 * borrowed for good. */
int job_start(struct jobs *jobs, const struct job_spec *spec, const struct job_events *events,
	      void *arg);

/* Whether anything runs in this lease; whether a jobs_end for it is under way. */
bool jobs_run_in(const struct jobs *jobs, const char *lease);
bool jobs_end_in(const struct jobs *jobs, const char *lease);

/* Ends all jobs of a lease (NULL: of all): SIGTERM, 250 ms later SIGKILL to all
 * that is left. on_ended may be called before this returns; with false when
 * something could not be killed in time, or there was no memory to wait. */
void jobs_end(struct jobs *jobs, const char *lease, enum job_end why, jobs_ended_fn *on_ended,
	      void *arg);

/* Goes on reading output. */
void jobs_resume(struct jobs *jobs);

/* Closes everything at once; the keepers see that, and kill. */
void jobs_drop(struct jobs *jobs);

#endif
