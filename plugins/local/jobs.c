/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "job_impl.h"

/* How long jobs_end waits: the time of both signals, and some more. */
#define END_MS 5000

/* One jobs_end under way. */
struct ending {
	struct ending *next;
	struct jobs *jobs;
	uv_timer_t deadline;
	char *lease;		/* NULL: all */
	jobs_ended_fn *on_ended;
	void *arg;
};

static bool
is_of(const struct job *job, const char *lease)
{
	return !lease || strcmp(job->lease, lease) == 0;
}

bool
jobs_run_in(const struct jobs *jobs, const char *lease)
{
	for (const struct job *job = jobs->first; job; job = job->next)
		if (is_of(job, lease) &&
		    (!job->done || !uv_is_closing((const uv_handle_t *)&job->leash)))
			return true;
	return false;
}

bool
jobs_end_in(const struct jobs *jobs, const char *lease)
{
	for (const struct ending *e = jobs->endings; e; e = e->next)
		if (!e->lease || strcmp(e->lease, lease) == 0)
			return true;
	return false;
}

static void
on_ending_closed(uv_handle_t *handle)
{
	struct ending *e = handle->data;
	free(e->lease);
	free(e);
}

static void
end_ending(struct ending *e, bool all_gone)
{
	struct ending **link = &e->jobs->endings;
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	jobs_ended_fn *on_ended = e->on_ended;
	void *arg = e->arg;
	uv_close((uv_handle_t *)&e->deadline, on_ending_closed);
	on_ended(arg, all_gone);
}

static void
on_deadline(uv_timer_t *timer)
{
	end_ending(timer->data, false);
}

static bool
has_job(const struct jobs *jobs, const char *lease)
{
	const struct job *job = jobs->first;
	while (job && !is_of(job, lease))
		job = job->next;
	return job != NULL;
}

void
jobs_forget(struct jobs *jobs, struct job *job)
{
	struct job **link = &jobs->first;
	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	jobs->count--;
	/* A callback may end or add others, so the search begins anew each time. */
	struct ending *e = jobs->endings;
	while (e) {
		if (has_job(jobs, e->lease)) {
			e = e->next;
			continue;
		}
		end_ending(e, true);
		e = jobs->endings;
	}
}

void
jobs_end(struct jobs *jobs, const char *lease, enum job_end why, jobs_ended_fn *on_ended,
	 void *arg)
{
	if (!has_job(jobs, lease)) {
		on_ended(arg, true);
		return;
	}
	struct ending *e = calloc(1, sizeof(*e));
	char *copy = lease ? strdup(lease) : NULL;
	if (!e || (lease && !copy)) {
		free(e);
		free(copy);
		on_ended(arg, false);
		return;
	}
	*e = (struct ending){ .next = jobs->endings, .jobs = jobs, .lease = copy,
			      .on_ended = on_ended, .arg = arg };
	uv_timer_init(jobs->loop, &e->deadline);
	e->deadline.data = e;
	uv_timer_start(&e->deadline, on_deadline, END_MS, 0);
	jobs->endings = e;
	for (struct job *job = jobs->first; job; job = job->next)
		if (is_of(job, lease))
			job_end(job, why);
}

void
jobs_resume(struct jobs *jobs)
{
	for (struct job *job = jobs->first; job; job = job->next)
		job_resume(job);
}

void
jobs_drop(struct jobs *jobs)
{
	for (struct job *job = jobs->first; job; job = job->next)
		job_drop(job);
}
