/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/plugin/plugin_event.h"
#include "host_impl.h"

enum {
	WHY_MAX = 2304,		/* two company ids, and words */
	METHOD_MAX = 1024,	/* of an unknown one, in the answer */
};

static void config_get(const struct host_ask *a);
static void secrets_resolve(const struct host_ask *a);
static void activity_log(const struct host_ask *a);
static void events_emit(const struct host_ask *a);
static void say_log(const struct host_ask *a);
static void nothing(const struct host_ask *a);

/* What is not here gets -32601 at once. */
static const struct method {
	const char *name;
	const char *capability;	/* NULL: none is needed */
	bool needs_company;	/* also when no company is named */
	void (*answer)(const struct host_ask *a);
} methods[] = {
	{ "config.get", NULL, true, config_get },
	{ "secrets.resolve", "secrets.read-ref", true, secrets_resolve },
	{ "state.get", "plugin.state.read", true, host_state },
	{ "state.set", "plugin.state.write", true, host_state },
	{ "state.delete", "plugin.state.write", true, host_state },
	{ "activity.log", "activity.log.write", false, activity_log },
	{ "events.emit", "events.emit", false, events_emit },
	{ "events.subscribe", "events.subscribe", false, nothing },
	{ "metrics.write", "metrics.write", false, nothing },
	{ "span.record", "environment.drivers.register", false, nothing },
	{ "telemetry.track", "telemetry.track", false, nothing },
	{ "log", NULL, false, say_log },
};

/* Writing answers */

static void
send_line(struct host *h)
{
	if (!h->line.failed)
		h->ops.write(h->ops.arg, buf_span(&h->line));
}

void
host_reply(struct host *h, struct jtext id, struct span result_json)
{
	buf_reset(&h->line);
	rpc_add_result(&h->line, id, result_json);
	send_line(h);
}

void
host_refuse(struct host *h, struct jtext id, int code, const char *fmt, ...)
{
	char text[2 * WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_reset(&h->text);
	/* Cut inside a character, perhaps. */
	jtext_add_repaired(&h->text, span_of(text));
	buf_reset(&h->line);
	if (!h->text.failed)
		rpc_add_error(&h->line, id, code, h->text.data);
	send_line(h);
}

void
host_deny_scope(const struct host_ask *a, const char *why)
{
	host_refuse(a->host, a->m->id, RPC_CODE_SCOPE_DENIED,
		    "Plugin \"%s\" is not allowed to perform \"%.*s\": %s", a->host->plugin->id,
		    SPAN_FMT(a->method), why);
}

/* Capabilities and companies */

static bool
has_capability(const struct host_plugin *p, const char *name)
{
	struct jtext list = jtext_get(p->manifest, "capabilities"), one;
	struct jtext_iter it;
	struct span key;

	if (list.kind != JTEXT_ARRAY)
		return false;
	jtext_iter_init(&it, list);
	while (jtext_iter_next(&it, &key, &one))
		if (jtext_is(one, name))
			return true;
	return false;
}

/* A string that is not blank, decoded and trimmed; ptr NULL otherwise. */
static struct span
decode(struct jtext value, struct buf *into)
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
host_config(const struct host_plugin *plugin, struct span company)
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
		    span_eq(decode((struct jtext){ JTEXT_STRING, key }, &text), company))
			found = value;
	buf_release(&text);
	return found;
}

/* Which companies a request names. */
enum reach { NONE, ONE, ALL };

static enum reach
requested(const struct host_ask *a, struct span *ret)
{
	struct jtext params = a->m->params;
	struct buf *into = &a->host->requested;

	*ret = decode(jtext_get(params, "companyId"), into);
	if (ret->ptr)
		return ONE;
	if (jtext_is(jtext_get(params, "scopeKind"), "company")) {
		*ret = decode(jtext_get(params, "scopeId"), into);
		return ret->ptr ? ONE : ALL;
	}
	if (span_is(a->method, "events.subscribe"))
		*ret = decode(jtext_get(jtext_get(params, "filter"), "companyId"), into);
	return ret->ptr ? ONE : NONE;
}

/* For whom the plugin asks: the company of the invocation it names; without
 * one, what it does of its own accord for a company with stored config. */
static void
find_scope(struct host_ask *a)
{
	struct host *h = a->host;
	struct span id = decode(a->m->invocation_id, &h->invocation), company;

	if (id.ptr) {
		a->call = scope_find(h->scope, id);
		a->invalid = !a->call;
		if (a->call && a->call->company.len)
			a->company = a->call->company;
		return;
	}
	a->invalid = scope_any(h->scope);
	if (requested(a, &company) != ONE || !host_config(h->plugin, company).kind)
		return;
	/* What it names is decoded again later. */
	buf_reset(&h->company);
	buf_addspan(&h->company, company);
	if (!h->company.failed) {
		a->company = buf_span(&h->company);
		a->invalid = false;
	}
}

static bool
may_reach(const struct host_ask *a, bool needs_company)
{
	struct span company;
	enum reach reach = requested(a, &company);
	char why[WHY_MAX];

	if (reach == NONE && !needs_company)
		return true;
	if (a->invalid) {
		host_deny_scope(a, "the worker referenced a missing, expired, or unknown "
				   "invocation scope");
	} else if (!a->company.ptr) {
		host_deny_scope(a, "company context is required");
	} else if (reach == ALL) {
		snprintf(why, sizeof(why), "the current invocation is scoped to company \"%.*s\"",
			 SPAN_FMT(a->company));
		host_deny_scope(a, why);
	} else if (reach == ONE && !span_eq(company, a->company)) {
		snprintf(why, sizeof(why),
			 "requested company \"%.*s\" but the current invocation is scoped to "
			 "company \"%.*s\"", SPAN_FMT(company), SPAN_FMT(a->company));
		host_deny_scope(a, why);
	} else {
		return true;
	}
	return false;
}

/* The methods */

static void
nothing(const struct host_ask *a)
{
	host_reply(a->host, a->m->id, SPAN_LIT("null"));
}

static void
config_get(const struct host_ask *a)
{
	struct jtext config = host_config(a->host->plugin, a->company);

	host_reply(a->host, a->m->id, config.kind ? config.raw : SPAN_LIT("{}"));
}

static void
secrets_resolve(const struct host_ask *a)
{
	host_refuse(a->host, a->m->id, RPC_CODE_INTERNAL,
		    "This host hands secrets to plugins in the config of a call only");
}

static struct plugin_event
new_event(const struct host_ask *a, const char *type)
{
	return (struct plugin_event){
		.type = type,
		.plugin_id = span_of(a->host->plugin->id),
		.plugin_key = span_of(a->host->plugin->key),
		.exit_code = -1, .will_restart = -1,
		.consecutive_crashes = -1, .total_crashes = -1,
		.company_id = a->company,
		.command_id = a->call ? a->call->command_id : SPAN_NULL,
	};
}

/* A string's text; another value's JSON; ptr NULL when there is none. */
static struct span
text_of(struct jtext value, struct buf *into)
{
	if (value.kind != JTEXT_STRING)
		return value.raw;
	buf_reset(into);
	jtext_decode(value, into, /* ret_replaced= */ NULL);
	return into->failed ? SPAN_NULL : buf_span(into);
}

/* {"name": value, ...} of those that are there. */
static struct span
details(struct buf *into, const char *const *names, struct jtext params)
{
	buf_reset(into);
	for (; *names; names++) {
		struct jtext value = jtext_get(params, *names);

		if (!value.kind)
			continue;
		buf_addf(into, "%c\"%s\":", into->len ? ',' : '{', *names);
		buf_addspan(into, value.raw);
	}
	if (into->len)
		buf_addch(into, '}');
	return into->len && !into->failed ? buf_span(into) : SPAN_NULL;
}

static void
activity_log(const struct host_ask *a)
{
	static const char *const names[] = { "entityType", "entityId", "metadata", NULL };
	struct plugin_event n = new_event(a, "ACTIVITY");

	n.message = text_of(jtext_get(a->m->params, "message"), &a->host->text);
	n.details = details(&a->host->more, names, a->m->params);
	a->host->ops.event(a->host->ops.arg, &n);
	nothing(a);
}

static void
events_emit(const struct host_ask *a)
{
	static const char *const names[] = { "payload", NULL };
	struct plugin_event n = new_event(a, "EVENT_EMITTED");

	n.name = text_of(jtext_get(a->m->params, "name"), &a->host->text);
	n.details = details(&a->host->more, names, a->m->params);
	a->host->ops.event(a->host->ops.arg, &n);
	nothing(a);
}

static void
emit_log(const struct host_ask *a)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_LEVEL_ERROR },
		{ "warn", LOG_LEVEL_WARN },
		{ "debug", LOG_LEVEL_DEBUG },
	};
	struct jtext level = jtext_get(a->m->params, "level");
	enum log_level out = LOG_LEVEL_INFO;
	struct span message;

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (jtext_is(level, levels[i].name))
			out = levels[i].level;
	message = text_of(jtext_get(a->m->params, "message"), &a->host->text);
	a->host->ops.log(a->host->ops.arg, out, message, jtext_get(a->m->params, "meta"));
}

static void
say_log(const struct host_ask *a)
{
	emit_log(a);
	nothing(a);
}

void
host_request(struct host *h, const struct rpc_message *m)
{
	struct host_ask a = { .host = h, .m = m };
	const struct method *found = NULL;

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods) && !found; i++)
		if (jtext_is(m->method, methods[i].name))
			found = &methods[i];
	if (!found) {
		a.method = text_of(m->method, &h->method);
		if (a.method.len > METHOD_MAX)
			a.method.len = METHOD_MAX;
		host_refuse(h, m->id, RPC_CODE_METHOD_NOT_FOUND,
			    "Host does not handle method \"%.*s\"", SPAN_FMT(a.method));
		return;
	}
	a.method = span_of(found->name);
	if (found->capability && !has_capability(h->plugin, found->capability)) {
		host_refuse(h, m->id, RPC_CODE_CAPABILITY_DENIED,
			    "Plugin \"%s\" is missing required capability \"%s\" for method \"%s\"",
			    h->plugin->id, found->capability, found->name);
		return;
	}
	find_scope(&a);
	if (may_reach(&a, found->needs_company))
		found->answer(&a);
}

void
host_notification(struct host *h, const struct rpc_message *m)
{
	static const char *const streams[] = { "streams.open", "streams.emit", "streams.close" };
	struct host_ask a = { .host = h, .m = m };

	if (jtext_is(m->method, "log")) {
		emit_log(&a);
		return;
	}
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		if (jtext_is(m->method, streams[i])) {
			a.method = span_of(streams[i]);
			find_scope(&a);
			host_stream(&a);
		}
	}
}

struct host *
host_new(const struct host_plugin *plugin, const struct scope *scope, const struct host_ops *ops,
	 struct err *reterr)
{
	struct host *h = buf_realloc(NULL, sizeof(*h));

	if (!h) {
		err_nomem(reterr);
		return NULL;
	}
	*h = (struct host){ .plugin = plugin, .scope = scope, .ops = *ops };
	return h;
}

void
host_end(struct host *h)
{
	host_stream_close_all(h);
}

void
host_free(struct host *h)
{
	if (!h)
		return;
	host_state_forget(h);
	host_stream_forget(h);
	buf_release(&h->line);
	buf_release(&h->method);
	buf_release(&h->invocation);
	buf_release(&h->requested);
	buf_release(&h->company);
	buf_release(&h->text);
	buf_release(&h->more);
	free(h);
}
