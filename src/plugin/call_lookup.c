/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_lookup: what a call does while the secrets that its request names are
 * looked up (plugin_calls.h). Apart, because it comes before all that plugin_call.c
 * does with a call, and only where a request names secrets.
 */
#include "plugin_calls.h"

static void
on_call_resolved(void *arg, const struct secret_fill_end *end)
{
	struct plugin_call *c = arg;

	TAILQ_REMOVE(&c->looking->list, c, link);
	c->state = CALL_NEW;
	if (end->failure) {
		buf_adds(&c->text, end->failure);
		c->end = RPC_NO_SECRET;
		c->retryable = end->retryable;
		plugin_call_make_due(c);
		return;
	}
	c->invocation.scope.mask = c->secrets.mask;
	c->looking->ready(c->looking->arg, c, c->plugin_id, end->params);
}

void
call_lookup_start(struct plugin_call *c, struct plugin_calls_looking *l, struct span params,
		    struct secret_refs *refs)
{
	c->looking = l;
	if (secret_fill_start(&c->secrets, l->lookups, c->invocation.scope.company, params, refs,
			       c->invocation.rpc.timeout_ms, on_call_resolved, c, &c->text)) {
		c->state = CALL_LOOKING;
		TAILQ_INSERT_TAIL(&l->list, c, link);
	} else {
		c->end = RPC_NO_SECRET;
		c->retryable = true;
		plugin_call_make_due(c);
	}
}

void
call_lookup_release(struct plugin_calls_looking *l)
{
	struct plugin_call *c;

	TAILQ_FOREACH(c, &l->list, link)
		secret_fill_release(&c->secrets);
	plugin_calls_end_all(&l->list);
}
