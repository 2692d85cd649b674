/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/plugin/plugin_event.h"
#include "host_reply.h"
#include "host_state.h"
#include "host_stream.h"

enum {
	WHY_MAX = 2304,		/* two company ids, and words */
	METHOD_MAX = 1024,	/* of an unknown one, in the reply */
	CHANNEL_MAX = 1024,
};

/* One request or notification, and for whom the plugin makes it. */
struct request {
	struct host *host;
	const struct rpc_message *m;
	struct span method;	/* decoded */
	const struct scope_entry *call;	/* whose invocation; NULL: none */
	bool invalid;		/* a missing, expired or unknown invocation */
	struct span company;	/* in whose scope; ptr NULL: nobody's */
};

struct host {
	const struct host_plugin *plugin;
	const struct scope *scope;
	struct host_ops ops;
	struct host_reply reply;
	struct host_state state;
	struct host_streams streams;
	struct buf method, invocation, requested, company, text, more;
};

static void config_get(const struct request *a);
static void secrets_resolve(const struct request *a);
static void activity_log(const struct request *a);
static void events_emit(const struct request *a);
static void state_answer(const struct request *a);
static void log_message(const struct request *a);
static void accept_only(const struct request *a);

/* What is not here gets -32601 at once. */
static const struct method {
	const char *name;
	const char *capability;	/* NULL: none is needed */
	bool needs_company;	/* also when no company is named */
	void (*answer)(const struct request *a);
} methods[] = {
	{ "config.get", NULL, true, config_get },
	{ "secrets.resolve", "secrets.read-ref", true, secrets_resolve },
	{ "state.get", "plugin.state.read", true, state_answer },
	{ "state.set", "plugin.state.write", true, state_answer },
	{ "state.delete", "plugin.state.write", true, state_answer },
	{ "activity.log", "activity.log.write", false, activity_log },
	{ "events.emit", "events.emit", false, events_emit },
	{ "events.subscribe", "events.subscribe", false, accept_only },
	{ "metrics.write", "metrics.write", false, accept_only },
	{ "span.record", "environment.drivers.register", false, accept_only },
	{ "telemetry.track", "telemetry.track", false, accept_only },
	{ "log", NULL, false, log_message },
};

static void
reply_result(const struct request *a, struct span json)
{
	host_reply_result(&a->host->reply, a->m->id, json);
}

static void
deny_scope(const struct request *a, const char *why)
{
	host_reply_error(&a->host->reply, a->m->id, RPC_CODE_SCOPE_DENIED,
			 "Plugin \"%s\" is not allowed to perform \"%.*s\": %s",
			 a->host->plugin->id, SPAN_FMT(a->method), why);
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
		    span_eq(decode_id((struct jtext){ JTEXT_STRING, key }, &text), company))
			found = value;
	buf_release(&text);
	return found;
}

/* Which companies a request names. */
enum reach { NONE, ONE, ALL };

static enum reach
requested(const struct request *a, struct span *ret)
{
	struct jtext params = a->m->params;
	struct buf *into = &a->host->requested;

	*ret = decode_id(jtext_get(params, "companyId"), into);
	if (ret->ptr)
		return ONE;
	if (jtext_is(jtext_get(params, "scopeKind"), "company")) {
		*ret = decode_id(jtext_get(params, "scopeId"), into);
		return ret->ptr ? ONE : ALL;
	}
	if (span_is(a->method, "events.subscribe"))
		*ret = decode_id(jtext_get(jtext_get(params, "filter"), "companyId"), into);
	return ret->ptr ? ONE : NONE;
}

/* For whom the plugin asks: the company of the invocation it names; without
 * one, what it does of its own accord for a company with stored config. */
static void
find_scope(struct request *a)
{
	struct host *h = a->host;
	struct span id = decode_id(a->m->invocation_id, &h->invocation), company;

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
may_reach(const struct request *a, bool needs_company)
{
	struct span company;
	enum reach reach = requested(a, &company);
	char why[WHY_MAX];

	if (reach == NONE && !needs_company)
		return true;
	if (a->invalid) {
		deny_scope(a, "the worker referenced a missing, expired, or unknown "
				   "invocation scope");
	} else if (!a->company.ptr) {
		deny_scope(a, "company context is required");
	} else if (reach == ALL) {
		snprintf(why, sizeof(why), "the current invocation is scoped to company \"%.*s\"",
			 SPAN_FMT(a->company));
		deny_scope(a, why);
	} else if (reach == ONE && !span_eq(company, a->company)) {
		snprintf(why, sizeof(why),
			 "requested company \"%.*s\" but the current invocation is scoped to "
			 "company \"%.*s\"", SPAN_FMT(company), SPAN_FMT(a->company));
		deny_scope(a, why);
	} else {
		return true;
	}
	return false;
}

/* The methods */

static void
accept_only(const struct request *a)
{
	reply_result(a, SPAN_LIT("null"));
}

static void
config_get(const struct request *a)
{
	struct jtext config = host_config(a->host->plugin, a->company);

	reply_result(a, config.kind ? config.raw : SPAN_LIT("{}"));
}

static void
secrets_resolve(const struct request *a)
{
	host_reply_error(&a->host->reply, a->m->id, RPC_CODE_INTERNAL,
			 "This host hands secrets to plugins in the config of a call only");
}

static void
state_answer(const struct request *a)
{
	host_state_answer(&a->host->state, a->method, a->m->id, a->m->params, a->company);
}

static struct plugin_event
new_event(const struct host *h, const char *type)
{
	return (struct plugin_event){
		.type = type,
		.plugin_id = span_of(h->plugin->id), .plugin_key = span_of(h->plugin->key),
		.exit_code = -1, .will_restart = -1,
		.consecutive_crashes = -1, .total_crashes = -1,
	};
}

static struct plugin_event
new_event_of(const struct request *a, const char *type)
{
	struct plugin_event e = new_event(a->host, type);

	e.company_id = a->company;
	e.command_id = a->call ? a->call->command_id : SPAN_NULL;
	return e;
}

static void
emit(const struct host *h, const struct plugin_event *e)
{
	h->ops.event(h->ops.arg, e);
}

/* A string's text; another value's JSON; ptr NULL when there is none. */
static struct span
text_or_json(struct jtext value, struct buf *into)
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
activity_log(const struct request *a)
{
	static const char *const names[] = { "entityType", "entityId", "metadata", NULL };
	struct plugin_event e = new_event_of(a, "ACTIVITY");

	e.message = text_or_json(jtext_get(a->m->params, "message"), &a->host->text);
	e.details = details(&a->host->more, names, a->m->params);
	emit(a->host, &e);
	accept_only(a);
}

static void
events_emit(const struct request *a)
{
	static const char *const names[] = { "payload", NULL };
	struct plugin_event e = new_event_of(a, "EVENT_EMITTED");

	e.name = text_or_json(jtext_get(a->m->params, "name"), &a->host->text);
	e.details = details(&a->host->more, names, a->m->params);
	emit(a->host, &e);
	accept_only(a);
}

static void
emit_log(const struct request *a)
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
	message = text_or_json(jtext_get(a->m->params, "message"), &a->host->text);
	a->host->ops.log(a->host->ops.arg, out, message, jtext_get(a->m->params, "meta"));
}

static void
log_message(const struct request *a)
{
	emit_log(a);
	accept_only(a);
}

void
host_request(struct host *h, const struct rpc_message *m)
{
	struct request a = { .host = h, .m = m };
	const struct method *found = NULL;

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods) && !found; i++)
		if (jtext_is(m->method, methods[i].name))
			found = &methods[i];
	if (!found) {
		a.method = text_or_json(m->method, &h->method);
		if (a.method.len > METHOD_MAX)
			a.method.len = METHOD_MAX;
		host_reply_error(&h->reply, m->id, RPC_CODE_METHOD_NOT_FOUND,
				 "Host does not handle method \"%.*s\"", SPAN_FMT(a.method));
		return;
	}
	a.method = span_of(found->name);
	if (found->capability && !has_capability(h->plugin, found->capability)) {
		host_reply_error(&h->reply, m->id, RPC_CODE_CAPABILITY_DENIED,
				 "Plugin \"%s\" is missing required capability \"%s\" for method "
				 "\"%s\"", h->plugin->id, found->capability, found->name);
		return;
	}
	find_scope(&a);
	if (may_reach(&a, found->needs_company))
		found->answer(&a);
}

/* Streams: passed on as plugin events, and closed for a plugin that dies. */

/* The plugin may say this only of the company it works for. */
static bool
may_stream(const struct request *a, struct span company)
{
	return !a->invalid && a->company.ptr && span_eq(rpc_trim(company), a->company);
}

static void
stream(const struct request *a)
{
	struct host *h = a->host;
	struct jtext params = a->m->params, event = jtext_get(params, "event");
	struct plugin_event e = new_event_of(a, "STREAM_EVENT");

	buf_reset(&h->text);
	buf_reset(&h->more);
	jtext_decode(jtext_get(params, "companyId"), &h->more, /* ret_replaced= */ NULL);
	jtext_decode(jtext_get(params, "channel"), &h->text, /* ret_replaced= */ NULL);
	e.name = buf_span(&h->text);
	if (h->text.failed || h->more.failed || e.name.len > CHANNEL_MAX ||
	    !may_stream(a, buf_span(&h->more)))
		return;
	if (span_is(a->method, "streams.open")) {
		e.type = "STREAM_OPENED";
		if (e.name.len)
			host_streams_open(&h->streams, e.name, a->company);
	} else if (span_is(a->method, "streams.close")) {
		e.type = "STREAM_CLOSED";
		host_streams_close(&h->streams, e.name, a->company);
	} else {
		buf_reset(&h->more);
		buf_adds(&h->more, "{\"event\":");
		buf_addspan(&h->more, event.kind ? event.raw : SPAN_LIT("null"));
		buf_addch(&h->more, '}');
		if (h->more.failed)
			return;
		e.details = buf_span(&h->more);
	}
	emit(h, &e);
}

void
host_notification(struct host *h, const struct rpc_message *m)
{
	static const char *const names[] = { "streams.open", "streams.emit", "streams.close" };
	struct request a = { .host = h, .m = m };

	if (jtext_is(m->method, "log")) {
		emit_log(&a);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (jtext_is(m->method, names[i])) {
			a.method = span_of(names[i]);
			find_scope(&a);
			stream(&a);
		}
	}
}

struct host *
host_new(const struct host_plugin *plugin, const struct scope *scope, const struct host_ops *ops,
	 struct err *reterr)
{
	struct host *h = malloc(sizeof(*h));

	if (!h) {
		err_nomem(reterr);
		return NULL;
	}
	*h = (struct host){
		.plugin = plugin, .scope = scope, .ops = *ops,
		.reply = { .write = ops->write, .arg = ops->arg },
		.state = { .reply = &h->reply, .ask = ops->state, .arg = ops->arg },
	};
	return h;
}

void
host_end(struct host *h)
{
	const struct host_stream *open;

	while ((open = host_streams_first(&h->streams))) {
		struct plugin_event e = new_event(h, "STREAM_CLOSED");

		e.name = open->channel;
		e.company_id = open->company;
		emit(h, &e);
		host_streams_close(&h->streams, open->channel, open->company);
	}
}

void
host_free(struct host *h)
{
	if (!h)
		return;
	host_state_release(&h->state);
	host_streams_release(&h->streams);
	host_reply_release(&h->reply);
	buf_release(&h->method);
	buf_release(&h->invocation);
	buf_release(&h->requested);
	buf_release(&h->company);
	buf_release(&h->text);
	buf_release(&h->more);
	free(h);
}
