/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_jobs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/offsets.h"

enum { LOG_MS = 5000, REACH_MS = 1000, TRY_MS = 5000 };

struct consumer_job {
	uv_work_t work;
	struct consumer_jobs *jobs;	/* the loop's; NULL: nobody waits for it any more */
	LIST_ENTRY(consumer_job) link;	/* of `running`, unless jobs is NULL */
	struct offsets *offsets;
	atomic_bool stop;
	atomic_int waits;		/* rd_kafka_resp_err_t */
	void (*finish)(struct consumer_job *job);

	rd_kafka_topic_partition_list_t *list;
	char *topic;
	int64_t *starts, *ends;
	bool ok;
};

static void
free_blocking_job(struct consumer_job *job)
{
	if (job->list)
		rd_kafka_topic_partition_list_destroy(job->list);
	offsets_unref(job->offsets);
	free(job->topic);
	free(job->starts);
	free(job->ends);
	free(job);
}

static struct consumer_job *
new_job(struct consumer_jobs *js, int n)
{
	struct consumer_job *job = js->offsets ? calloc(1, sizeof(*job)) : NULL;

	if (!job)
		return NULL;
	job->offsets = offsets_ref(js->offsets);
	job->jobs = js;
	job->work.data = job;
	job->topic = strdup(js->topic);
	job->starts = malloc(((size_t)n + 1) * sizeof(*job->starts));
	job->ends = malloc(((size_t)n + 1) * sizeof(*job->ends));
	job->list = rd_kafka_topic_partition_list_new(n + 1);
	for (int i = 0; job->starts && job->ends && i < n; i++)
		job->starts[i] = job->ends[i] = -1;
	if (job->topic && job->starts && job->ends)
		return job;
	free_blocking_job(job);
	return NULL;
}

static void
remove_job(struct consumer_job *job)
{
	if (job->jobs)
		LIST_REMOVE(job, link);
	job->jobs = NULL;
}

static void
after_job(uv_work_t *work, int status)
{
	struct consumer_job *job = work->data;

	(void)status;
	if (job->jobs)
		job->finish(job);	/* may release the jobs */
	remove_job(job);
	free_blocking_job(job);
}

static bool
queue_job(struct consumer_job *job, void (*fn)(uv_work_t *work),
	  void (*finish)(struct consumer_job *job))
{
	job->finish = finish;
	if (uv_queue_work(job->jobs->loop, &job->work, fn, after_job) != 0) {
		free_blocking_job(job);
		return false;
	}
	LIST_INSERT_HEAD(&job->jobs->running, job, link);
	return true;
}

int
consumer_jobs_init(struct consumer_jobs *js, uv_loop_t *loop, const struct config *config,
		   const char *topic, const struct consumer_jobs_events *ev, struct err *reterr)
{
	*js = (struct consumer_jobs){ .loop = loop, .topic = topic, .ev = *ev };
	LIST_INIT(&js->running);
	js->offsets = offsets_new(config, reterr);
	return js->offsets ? 0 : ERR_CONFIG;
}

void
consumer_jobs_release(struct consumer_jobs *js)
{
	struct consumer_job *job;

	js->reading = NULL;
	while ((job = LIST_FIRST(&js->running))) {
		atomic_store(&job->stop, true);
		remove_job(job);
	}
	offsets_unref(js->offsets);
	js->offsets = NULL;
}

/* --- committed offsets, and where the log begins and ends --- */

static bool
is_stopped(void *arg)
{
	struct consumer_job *job = arg;

	return atomic_load(&job->stop);
}

static void
on_offsets_wait(void *arg, rd_kafka_resp_err_t why)
{
	struct consumer_job *job = arg;

	atomic_store(&job->waits, (int)why);
}

static void
read_logs(struct consumer_job *job)
{
	int64_t until = clock_mono_ms() + LOG_MS;

	/* Best effort: what cannot be read in time stays -1. */
	for (int i = 0; i < job->list->cnt && !is_stopped(job); i++) {
		int64_t left = until - clock_mono_ms();

		if (left <= 0)
			break;
		(void)offsets_log(job->offsets, job->topic, job->list->elems[i].partition,
				  (int)left, &job->starts[i], &job->ends[i]);
	}
}

static void
read_offsets(uv_work_t *work)
{
	struct consumer_job *job = work->data;
	const struct offsets_watch watch = { is_stopped, on_offsets_wait, job };

	job->ok = offsets_read(job->offsets, job->list, &watch, /* reterr= */ NULL) == 0;
	if (job->ok)
		read_logs(job);
}

static void
finish_offsets(struct consumer_job *job)
{
	struct consumer_jobs *js = job->jobs;
	rd_kafka_topic_partition_list_t *list = job->list;

	if (js->reading != job)
		return;
	js->reading = NULL;
	/* It was not stopped, or `reading` would be another: out of memory. */
	if (!job->ok) {
		js->ev.on_offsets(js->ev.arg, NULL, NULL, NULL);
		return;
	}
	job->list = NULL;
	js->ev.on_offsets(js->ev.arg, list, job->starts, job->ends);
}

bool
consumer_jobs_read_offsets(struct consumer_jobs *js, const rd_kafka_topic_partition_list_t *list)
{
	struct consumer_job *job = new_job(js, list->cnt);

	if (!job)
		return false;
	for (int i = 0; i < list->cnt; i++)
		rd_kafka_topic_partition_list_add(job->list, list->elems[i].topic,
						  list->elems[i].partition);
	if (!queue_job(job, read_offsets, finish_offsets))
		return false;
	js->reading = job;
	return true;
}

void
consumer_jobs_stop_reading(struct consumer_jobs *js)
{
	if (js->reading)
		atomic_store(&js->reading->stop, true);
	js->reading = NULL;
}

rd_kafka_resp_err_t
consumer_jobs_wait_reason(const struct consumer_jobs *js)
{
	return js->reading ? (rd_kafka_resp_err_t)atomic_load(&js->reading->waits)
			   : RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* --- the log of one partition --- */

static void
read_log(uv_work_t *work)
{
	struct consumer_job *job = work->data;

	job->ok = offsets_log(job->offsets, job->topic, job->list->elems[0].partition, LOG_MS,
			      job->starts, job->ends);
}

static void
finish_log(struct consumer_job *job)
{
	job->jobs->ev.on_log_read(job->jobs->ev.arg, job->list->elems[0].partition, job->ok,
				  job->starts[0], job->ends[0]);
}

bool
consumer_jobs_read_log(struct consumer_jobs *js, int32_t partition)
{
	struct consumer_job *job = new_job(js, 1);

	if (!job)
		return false;
	rd_kafka_topic_partition_list_add(job->list, js->topic, partition);
	return queue_job(job, read_log, finish_log);
}

/* --- does a broker answer again? --- */

static void
reach_broker(uv_work_t *work)
{
	struct consumer_job *job = work->data;

	job->ok = offsets_reach(job->offsets, REACH_MS);
}

static void
finish_reach(struct consumer_job *job)
{
	job->jobs->reaching = false;
	job->jobs->ev.on_reached(job->jobs->ev.arg, job->ok);
}

void
consumer_jobs_reach(struct consumer_jobs *js)
{
	struct consumer_job *job = js->reaching ? NULL : new_job(js, 0);

	if (job)
		js->reaching = queue_job(job, reach_broker, finish_reach);
}

/* --- can it be read again? --- */

static void
try_reading(uv_work_t *work)
{
	struct consumer_job *job = work->data;

	job->ok = offsets_try(job->offsets, job->topic, job->list->elems[0].partition, TRY_MS) ==
		  RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void
finish_try(struct consumer_job *job)
{
	job->jobs->trying = false;
	job->jobs->ev.on_tried(job->jobs->ev.arg, job->ok);
}

void
consumer_jobs_try(struct consumer_jobs *js, int32_t partition)
{
	struct consumer_job *job = js->trying ? NULL : new_job(js, 1);

	if (!job)
		return;
	rd_kafka_topic_partition_list_add(job->list, js->topic, partition);
	js->trying = queue_job(job, try_reading, finish_try);
}
