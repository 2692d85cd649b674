/* SPDX-License-Identifier: Apache-2.0 */
#include "longline.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"

struct longline *
longline_new(void)
{
	struct longline *l = buf_realloc(NULL, sizeof(*l));

	if (l)
		*l = (struct longline){ .memory = NULL };
	return l;
}

static void
release(struct longline *l)
{
	free(l->memory);
	free(l);
}

static void
parse(uv_work_t *work)
{
	struct longline *l = work->data;

	rpc_parse(l->line, &l->message);
	if (l->message.kind == RPC_RESPONSE)
		rpc_read_answer(&l->message, /* method= */ NULL, &l->answer);
}

static void
on_done(uv_work_t *work, int status)
{
	struct longline *l = work->data;
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
longline_start(struct longline *l, uv_loop_t *loop, char *take_memory, struct span line,
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
longline_free(struct longline *l)
{
	if (l && l->work.data)
		l->on_parsed = NULL;	/* at work: on_done ends it */
	else if (l)
		release(l);
}
