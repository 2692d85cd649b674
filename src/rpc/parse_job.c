/* SPDX-License-Identifier: Apache-2.0 */
#include "parse_job.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"

struct parse_job *
parse_job_new(void)
{
	struct parse_job *j = malloc(sizeof(*j));

	if (j)
		*j = (struct parse_job){ .memory = NULL };
	return j;
}

static void
free_job(struct parse_job *j)
{
	free(j->memory);
	free(j);
}

static void
parse_line(uv_work_t *work)
{
	struct parse_job *j = work->data;

	rpc_parse(j->line, &j->message);
	if (j->message.kind == RPC_RESPONSE)
		rpc_read_answer(&j->message, /* method= */ NULL, &j->answer);
}

static void
on_line_parsed(uv_work_t *work, int status)
{
	struct parse_job *j = work->data;
	void (*fn)(void *arg) = j->on_parsed;

	(void)status;	/* never cancelled */
	j->on_parsed = NULL;
	work->data = NULL;
	if (fn)
		fn(j->arg);
	else
		free_job(j);
}

void
parse_job_start(struct parse_job *j, uv_loop_t *loop, char *take_memory, struct span line,
		void (*on_parsed)(void *arg), void *arg)
{
	j->memory = take_memory;
	j->line = line;
	j->on_parsed = on_parsed;
	j->arg = arg;
	j->work.data = j;
	(void)uv_queue_work(loop, &j->work, parse_line, on_line_parsed); /* cannot fail */
}

void
parse_job_free(struct parse_job *j)
{
	if (j && j->work.data)
		j->on_parsed = NULL;	/* at work: on_line_parsed ends it */
	else if (j)
		free_job(j);
}
