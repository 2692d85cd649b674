/* SPDX-License-Identifier: Apache-2.0 */
#include "parse_job.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"

struct parse_job *
parse_job_new(void)
{
	struct parse_job *l = buf_realloc(NULL, sizeof(*l));

	if (l)
		*l = (struct parse_job){ .memory = NULL };
	return l;
}

static void
release(struct parse_job *l)
{
	free(l->memory);
	free(l);
}

static void
parse(uv_work_t *work)
{
	struct parse_job *l = work->data;

	rpc_parse(l->line, &l->message);
	if (l->message.kind == RPC_RESPONSE)
		rpc_read_answer(&l->message, /* method= */ NULL, &l->answer);
}

static void
on_done(uv_work_t *work, int status)
{
	struct parse_job *l = work->data;
	void (*fn)(void *arg) = l->on_parsed;

	(void)status;	/* never cancelled */
	l->on_parsed = NULL;
	work->data = NULL;
	if (fn)
		fn(l->arg);
	else
		release(l);
}

void
parse_job_start(struct parse_job *l, uv_loop_t *loop, char *take_memory, struct span line,
	       void (*on_parsed)(void *arg), void *arg)
{
	l->memory = take_memory;
	l->line = line;
	l->on_parsed = on_parsed;
	l->arg = arg;
	l->work.data = l;
	(void)uv_queue_work(loop, &l->work, parse, on_done);	/* fails only without a function */
}

void
parse_job_free(struct parse_job *l)
{
	if (l && l->work.data)
		l->on_parsed = NULL;	/* at work: on_done ends it */
	else if (l)
		release(l);
}
