/* SPDX-License-Identifier: Apache-2.0 */
#include "config_push.h"

#include <stdlib.h>
#include <uuid/uuid.h>

#include "worker.h"

/* The config of one company on its way; lives until the plugin no longer works
 * on it. */
struct company_config {
	struct worker_invocation invocation;
	struct config_push *push;
	struct buf company;
	char invocation_id[UUID_STR_LEN];
};

static void push_next(struct config_push *p);

static void
on_push_answer(struct worker_invocation *i, const struct rpc_answer *answer)
{
	struct company_config *one = CONTAINER_OF(i, struct company_config, invocation);
	struct config_push *p = one->push;

	p->on_answer(p->arg, buf_span(&one->company), answer);
	p->busy = false;
	push_next(p);
}

static void
on_push_late(struct worker_invocation *i, const struct rpc_answer *answer)
{
	(void)i;
	(void)answer;
}

static void
on_push_chunk(struct worker_invocation *i, bool is_stderr, struct span text)
{
	(void)i;
	(void)is_stderr;
	(void)text;
}

static void
on_push_gone(struct worker_invocation *i)
{
	struct company_config *one = CONTAINER_OF(i, struct company_config, invocation);

	buf_release(&one->company);
	free(one);
}

static bool
push_one(struct config_push *p, struct span key, struct jtext config)
{
	struct company_config *one = malloc(sizeof(*one));
	struct buf params = BUF_INIT;
	uuid_t id;
	bool sent;

	if (!one)
		return false;
	*one = (struct company_config){ .push = p };
	uuid_generate_random(id);
	uuid_unparse_lower(id, one->invocation_id);
	jtext_decode((struct jtext){ JTEXT_STRING, key }, &one->company, /* ret_replaced= */ NULL);
	buf_adds(&params, "{\"config\":");
	buf_addspan(&params, config.raw);
	buf_adds(&params, ",\"companyId\":");
	buf_addspan(&params, key);
	buf_addch(&params, '}');
	one->invocation = (struct worker_invocation){
		.rpc = { .method = "configChanged", .timeout_ms = p->timeout_ms },
		.on_answer = on_push_answer, .on_late = on_push_late,
		.on_chunk = on_push_chunk, .on_gone = on_push_gone,
	};
	one->invocation.scope.company = rpc_trim(buf_span(&one->company));
	if (one->invocation.scope.company.len)
		one->invocation.scope.invocation_id = one->invocation_id;
	sent = !params.failed && !one->company.failed &&
	       worker_invoke(p->worker, &one->invocation, buf_span(&params), SPAN_NULL, NULL) == 0;
	buf_release(&params);
	if (!sent)
		on_push_gone(&one->invocation);
	return sent;
}

static void
push_next(struct config_push *p)
{
	struct jtext value;
	struct span key;

	while (p->worker && !p->busy && jtext_iter_next(&p->at, &key, &value))
		p->busy = value.kind == JTEXT_OBJECT && push_one(p, key, value);
}

void
config_push_begin(struct config_push *p, struct worker *worker, struct jtext configs)
{
	struct jtext copy = { JTEXT_MISSING, SPAN_NULL };

	p->worker = worker;
	buf_reset(&p->text);
	buf_addspan(&p->text, configs.raw);
	if (configs.kind == JTEXT_OBJECT && !p->text.failed)
		copy = (struct jtext){ JTEXT_OBJECT, buf_span(&p->text) };
	jtext_iter_init(&p->at, copy);
	push_next(p);
}

void
config_push_end(struct config_push *p)
{
	p->worker = NULL;
}

void
config_push_release(struct config_push *p)
{
	buf_release(&p->text);
}
