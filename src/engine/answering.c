/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A long answer (100 MB of output are decoded, digested, cut and encoded) is
 * made into events on a thread of libuv's pool, one at a time, so that the
 * loop does not stand still and memory has a bound. The thread reads the
 * command, ids and names of an entry, which do not change while it is CALLING
 * or LEFT; an entry that leaves meanwhile keeps its memory until the thread is
 * done (core_close_entry).
 */
#include "answering.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <uv.h>

#include "core.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/registry/instance.h"

struct long_answer {
	uv_work_t work;
	uv_sem_t done;
	struct engine *engine;		/* NULL: it is gone */
	struct answering_job job;
	char *memory;			/* of the line */
	struct rpc_answer answer;
	struct result_ctx *results;
	struct events events;
	struct result_brought brought;
	int ret;
	STAILQ_ENTRY(long_answer) next;
};

/* The first is at work, the others wait. */
struct answering {
	STAILQ_HEAD(, long_answer) queue;
};

bool
answering_new(struct engine *eng)
{
	eng->answering = calloc(1, sizeof(*eng->answering));
	if (eng->answering)
		STAILQ_INIT(&eng->answering->queue);
	return eng->answering;
}

static void
long_answer_free(struct long_answer *l)
{
	result_ctx_free(l->results);
	events_release(&l->events);
	result_brought_release(&l->brought);
	free(l->memory);
	uv_sem_destroy(&l->done);
	free(l);
}

/* On the thread. */
static void
make_events(uv_work_t *work)
{
	struct long_answer *l = work->data;

	l->ret = result_answered(l->results, l->job.command, &l->job.chosen, &l->job.trace,
				 &l->answer, &l->events, &l->brought);
	/* Large memory: given back here, which takes its time too. */
	result_ctx_free(l->results);
	l->results = NULL;
	free(l->memory);
	l->memory = NULL;
	uv_sem_post(&l->done);
}

static void on_events_made(uv_work_t *work, int status);

static void
queue_work(struct long_answer *l)
{
	l->work.data = l;
	(void)uv_queue_work(l->engine->loop, &l->work, make_events, on_events_made);
}

static void
on_events_made(uv_work_t *work, int status)
{
	struct long_answer *l = work->data;
	struct answering *a = l->engine ? l->engine->answering : NULL;

	(void)status;	/* never cancelled */
	if (a) {
		STAILQ_REMOVE_HEAD(&a->queue, next);
		if (!STAILQ_EMPTY(&a->queue))
			queue_work(STAILQ_FIRST(&a->queue));
		l->job.fn(l->job.arg, l->ret, &l->events, &l->brought);
	}
	long_answer_free(l);
}

bool
answering_start(struct engine *eng, const struct answering_job *job)
{
	struct answering *a = eng->answering;
	struct long_answer *l;

	if (!job->answer->memory || !(l = calloc(1, sizeof(*l))))
		return false;
	l->results = result_ctx_new(eng->schemas, instance_id(eng->instance), eng->result_limits,
				    /* reterr= */ NULL);
	if (!l->results || uv_sem_init(&l->done, 0) != 0) {
		result_ctx_free(l->results);
		free(l);
		return false;
	}
	l->engine = eng;
	l->brought = (struct result_brought)RESULT_BROUGHT_INIT;
	l->job = *job;
	l->answer = *job->answer;
	l->answer.method = job->command->op->rpc;	/* the call's own ends with it */
	l->answer.memory = NULL;
	l->job.answer = &l->answer;
	l->memory = *job->answer->memory;
	*job->answer->memory = NULL;
	STAILQ_INSERT_TAIL(&a->queue, l, next);
	if (STAILQ_FIRST(&a->queue) == l)
		queue_work(l);
	return true;
}

void
answering_free(struct engine *eng)
{
	struct answering *a = eng->answering;
	struct long_answer *l, *first;

	if (!a)
		return;
	first = STAILQ_FIRST(&a->queue);
	while ((l = STAILQ_FIRST(&a->queue))) {
		STAILQ_REMOVE_HEAD(&a->queue, next);
		if (l == first)
			uv_sem_wait(&l->done);
		l->job.fn(l->job.arg, 0, /* events= */ NULL, /* brought= */ NULL);
		l->engine = NULL;
		if (l != first)
			long_answer_free(l);
	}
	free(a);
	eng->answering = NULL;
}
