/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A long answer (100 MB of output are decoded, digested, cut and encoded) is
 * made into events on a thread of libuv's pool, one at a time, so that the
 * loop does not stand still and memory has a bound. The thread reads the
 * entry's command, ids and names, which do not change while it is CALLING or
 * LEFT; an entry that leaves meanwhile keeps its memory until the thread is
 * done (engine_retire).
 */
#include "engine_impl.h"

#include <stdlib.h>

/* At the worst the line, the texts decoded from it, and their pieces. */
enum { COPIES = 3 };

struct engine_shape {
	uv_work_t work;
	uv_sem_t done;
	struct engine *flow;		/* NULL: it is gone */
	struct engine_call *call;
	struct entry *entry;
	char *memory;			/* of the line */
	struct rpc_answer answer;
	struct trace trace;
	struct chosen chosen;
	struct result_ctx *results;
	struct events events;
	struct buf lease;
	int ret;
	struct engine_shape *next;
};

static void
release(struct engine_shape *s)
{
	result_ctx_free(s->results);
	events_release(&s->events);
	buf_release(&s->lease);
	free(s->memory);
	uv_sem_destroy(&s->done);
	free(s);
}

static void
shape(uv_work_t *work)
{
	struct engine_shape *s = work->data;

	s->ret = result_answered(s->results, s->entry->cmd, &s->chosen, &s->trace, &s->answer,
				 &s->events, &s->lease);
	/* Large memory: given back here, which takes its time too. */
	result_ctx_free(s->results);
	s->results = NULL;
	free(s->memory);
	s->memory = NULL;
	uv_sem_post(&s->done);
}

static void on_shaped(uv_work_t *work, int status);

static void
begin(struct engine_shape *s)
{
	s->work.data = s;
	(void)uv_queue_work(s->flow->loop, &s->work, shape, on_shaped);
}

/* Given up meanwhile: a lease that it brought belongs to nobody. */
static void
left_behind(struct engine *f, struct engine_shape *s)
{
	struct entry *e = s->entry;

	buf_release(&e->lease_id);
	e->lease_id = s->lease;
	s->lease = (struct buf)BUF_INIT;
	calling_orphan(f, e);
	calling_free(s->call);
	engine_retire(f, e);
}

static void
on_shaped(uv_work_t *work, int status)
{
	struct engine_shape *s = work->data;
	struct engine *f = s->flow;
	struct entry *e = s->entry;

	(void)status;	/* never cancelled */
	if (!f) {
		release(s);
		return;
	}
	f->shapes = s->next;
	if (f->shapes)
		begin(f->shapes);
	e->shaping = false;
	e->line_bytes = 0;
	if (s->ret < 0) {
		engine_nomem(f);
	} else if (e->state == ENTRY_GONE) {
		left_behind(f, s);
	} else {
		events_release(&e->events);
		e->events = s->events;
		s->events = (struct events)EVENTS_INIT;
		buf_release(&e->lease_id);
		e->lease_id = s->lease;
		s->lease = (struct buf)BUF_INIT;
		calling_ended(f, s->call, s->answer.end);
	}
	release(s);
}

bool
answering_start(struct engine *f, struct engine_call *c, const struct trace *t,
		 const struct rpc_answer *answer)
{
	struct engine_shape *s, **last = &f->shapes;
	struct entry *e = c->entry;

	if (!answer->memory || !(s = calloc(1, sizeof(*s))))
		return false;
	s->results = result_ctx_new(f->schemas, instance_id(f->instance), f->result_limits,
				    /* reterr= */ NULL);
	if (!s->results || uv_sem_init(&s->done, 0) != 0) {
		result_ctx_free(s->results);
		free(s);
		return false;
	}
	s->flow = f;
	s->call = c;
	s->entry = e;
	s->answer = *answer;
	s->answer.method = e->cmd->op->rpc;	/* the call's own ends with it */
	s->answer.memory = NULL;
	s->memory = *answer->memory;
	*answer->memory = NULL;
	s->trace = *t;
	s->chosen = calling_chosen(e);
	e->shaping = true;
	e->line_bytes = COPIES * answer->result.raw.len;
	engine_count_bytes(f, e);
	while (*last)
		last = &(*last)->next;
	*last = s;
	if (f->shapes == s)
		begin(s);
	return true;
}

void
answering_free(struct engine *f)
{
	struct engine_shape *s, *first = f->shapes;

	while ((s = f->shapes)) {
		f->shapes = s->next;
		if (s == first)
			uv_sem_wait(&s->done);	/* at the very end only */
		s->entry->shaping = false;
		if (s->entry->state == ENTRY_GONE) {
			calling_free(s->call);
			engine_retire(f, s->entry);
		}
		s->flow = NULL;
		if (s != first)
			release(s);
	}
}
