/* SPDX-License-Identifier: Apache-2.0 */
#include "config_push.h"

#include <stdlib.h>
#include <uuid/uuid.h>

#include "worker.h"

/* One company's; lives until the plugin is through with it. */
struct telling {
	struct worker_invocation call;
	struct config_push *teller;	/* NULL: it has gone on without us */
	struct buf company;
	char invocation_id[UUID_STR_LEN];
};

static void next(struct config_push *t);

static void
on_answer(struct worker_invocation *c, const struct rpc_answer *answer)
{
	struct telling *one = CONTAINER_OF(c, struct telling, call);
	struct config_push *t = one->teller;

	one->teller = NULL;
	t->on_answer(t->arg, buf_span(&one->company), answer);
	t->busy = false;
	next(t);
}

static void
on_late(struct worker_invocation *c, const struct rpc_answer *answer)
{
	(void)c;
	(void)answer;
}

static void
on_chunk(struct worker_invocation *c, bool is_stderr, struct span text)
{
	(void)c;
	(void)is_stderr;
	(void)text;
}

static void
on_gone(struct worker_invocation *c)
{
	struct telling *one = CONTAINER_OF(c, struct telling, call);

	buf_release(&one->company);
	free(one);
}

static bool
tell(struct config_push *t, struct span key, struct jtext config)
{
	struct telling *one = buf_realloc(NULL, sizeof(*one));
	struct buf params = BUF_INIT;
	uuid_t id;
	bool told;

	if (!one)
		return false;
	*one = (struct telling){ .teller = t };
	uuid_generate_random(id);
	uuid_unparse_lower(id, one->invocation_id);
	jtext_decode((struct jtext){ JTEXT_STRING, key }, &one->company, /* ret_replaced= */ NULL);
	buf_adds(&params, "{\"config\":");
	buf_addspan(&params, config.raw);
	buf_adds(&params, ",\"companyId\":");
	buf_addspan(&params, key);
	buf_addch(&params, '}');
	one->call = (struct worker_invocation){
		.rpc = { .method = "configChanged", .timeout_ms = t->timeout_ms },
		.on_answer = on_answer, .on_late = on_late,
		.on_chunk = on_chunk, .on_gone = on_gone,
	};
	one->call.scope.company = rpc_trim(buf_span(&one->company));
	if (one->call.scope.company.len)
		one->call.scope.invocation_id = one->invocation_id;
	told = !params.failed && !one->company.failed &&
	       worker_invoke(t->worker, &one->call, buf_span(&params), SPAN_NULL, NULL) == 0;
	buf_release(&params);
	if (!told)
		on_gone(&one->call);
	return told;
}

static void
next(struct config_push *t)
{
	struct jtext value;
	struct span key;

	while (t->worker && !t->busy && jtext_iter_next(&t->at, &key, &value))
		t->busy = value.kind == JTEXT_OBJECT && tell(t, key, value);
}

void
config_push_begin(struct config_push *t, struct worker *worker, struct jtext config)
{
	struct jtext copy = { JTEXT_MISSING, SPAN_NULL };

	t->worker = worker;
	buf_reset(&t->text);
	buf_addspan(&t->text, config.raw);
	if (config.kind == JTEXT_OBJECT && !t->text.failed)
		copy = (struct jtext){ JTEXT_OBJECT, buf_span(&t->text) };
	jtext_iter_init(&t->at, copy);
	next(t);
}

void
config_push_end(struct config_push *t)
{
	t->worker = NULL;
}

void
config_push_release(struct config_push *t)
{
	buf_release(&t->text);
}
