/* SPDX-License-Identifier: Apache-2.0 */
#include "parse_job.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"
#include "envdriver/secret/mask.h"

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
	message_mask_release(&j->masked);
	mask_forms_free(j->forms);
	free(j->memory);
	free(j->spare);
	free(j);
}

/* What a taker of `memory` takes is what the answer points into. */
static void
take_masked(struct parse_job *j)
{
	bool error = j->answer.end == RPC_ERROR;
	struct buf *masked = error ? &j->masked.error : &j->masked.result;
	struct span raw = error ? j->message.error.raw : j->message.result.raw;

	if (!masked->data || raw.ptr != masked->data)
		return;
	j->spare = j->memory;
	j->memory = buf_take(masked, NULL);
}

static void
parse_line(uv_work_t *work)
{
	struct parse_job *j = work->data;

	message_mask_parse(&j->masked, j->forms, j->line, &j->message, &j->answer);
	if (j->message.kind == RPC_RESPONSE)
		take_masked(j);
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
		struct mask_forms *forms, void (*on_parsed)(void *arg), void *arg)
{
	j->memory = take_memory;
	j->line = line;
	j->forms = mask_forms_share(forms);
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
