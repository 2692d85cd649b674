/* SPDX-License-Identifier: Apache-2.0 */
#include "host_scope.h"

#include <stdio.h>

#include "envdriver/host/host.h"

/* A string that is not blank, decoded and trimmed; ptr NULL otherwise. */
static struct span
decode_id(struct jtext value, struct buf *into)
{
	struct span text;

	buf_reset(into);
	if (value.kind != JTEXT_STRING)
		return SPAN_NULL;
	jtext_decode(value, into, /* ret_replaced= */ NULL);
	text = into->failed ? SPAN_NULL : rpc_trim(buf_span(into));
	return text.len ? text : SPAN_NULL;
}

struct jtext
host_scope_config(const struct host_plugin *plugin, struct span company)
{
	struct jtext found = { JTEXT_MISSING, SPAN_NULL }, value;
	struct buf text = BUF_INIT;
	struct jtext_iter it;
	struct span key;

	if (plugin->config.kind != JTEXT_OBJECT)
		return found;
	jtext_iter_init(&it, plugin->config);
	while (jtext_iter_next(&it, &key, &value))
		if (value.kind == JTEXT_OBJECT &&
		    span_eq(decode_id((struct jtext){ JTEXT_STRING, key }, &text), company))
			found = value;
	buf_release(&text);
	return found;
}

/* Which companies a request names. */
static enum host_reach
requested(struct host_scope *s, const struct jtext *at, struct span method, struct span *ret)
{
	struct buf *into = &s->requested;

	*ret = decode_id(at[HOST_COMPANY_ID], into);
	if (ret->ptr)
		return HOST_REACH_ONE;
	if (jtext_is(at[HOST_SCOPE_KIND], "company")) {
		*ret = decode_id(at[HOST_SCOPE_ID], into);
		return ret->ptr ? HOST_REACH_ONE : HOST_REACH_ALL;
	}
	if (span_is(method, "events.subscribe"))
		*ret = decode_id(jtext_get(at[HOST_FILTER], "companyId"), into);
	return ret->ptr ? HOST_REACH_ONE : HOST_REACH_NONE;
}

void
host_scope_find(struct host_scope *s, const struct rpc_message *m, const struct host_params *params,
		struct span method, struct host_asker *ret)
{
	struct span id = decode_id(m->invocation_id, &s->invocation);

	*ret = (struct host_asker){ .company = SPAN_NULL };
	ret->reach = requested(s, params->at, method, &ret->requested);
	if (id.ptr) {
		ret->call = scope_find(s->running, id);
		ret->invalid = !ret->call;
		if (ret->call && ret->call->company.len)
			ret->company = ret->call->company;
		return;
	}
	ret->invalid = scope_any(s->running);
	if (ret->reach == HOST_REACH_ONE && host_scope_config(s->plugin, ret->requested).kind) {
		ret->company = ret->requested;
		ret->invalid = false;
	}
}

bool
host_scope_reaches(const struct host_asker *a, bool needs_company, char why[HOST_SCOPE_WHY_MAX])
{
	if (a->reach == HOST_REACH_NONE && !needs_company)
		return true;
	if (a->invalid)
		snprintf(why, HOST_SCOPE_WHY_MAX, "the worker referenced a missing, expired, or "
			 "unknown invocation scope");
	else if (!a->company.ptr)
		snprintf(why, HOST_SCOPE_WHY_MAX, "company context is required");
	else if (a->reach == HOST_REACH_ALL)
		snprintf(why, HOST_SCOPE_WHY_MAX,
			 "the current invocation is scoped to company \"%.*s\"",
			 SPAN_FMT(a->company));
	else if (a->reach == HOST_REACH_ONE && !span_eq(a->requested, a->company))
		snprintf(why, HOST_SCOPE_WHY_MAX,
			 "requested company \"%.*s\" but the current invocation is scoped to "
			 "company \"%.*s\"", SPAN_FMT(a->requested), SPAN_FMT(a->company));
	else
		return true;
	return false;
}

void
host_scope_release(struct host_scope *s)
{
	buf_release(&s->invocation);
	buf_release(&s->requested);
}
