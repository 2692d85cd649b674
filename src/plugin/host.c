/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/plugin/plugin_event.h"
#include "host_params.h"
#include "host_reply.h"
#include "host_scope.h"
#include "host_state.h"
#include "host_stream.h"

enum {
	METHOD_MAX = 1024,	/* of an unknown one, in the reply */
	CHANNEL_MAX = 1024,
	REQUEST_MAX = 8 << 20,
	ID_MAX = 256,		/* of a request, as JSON */
	NAMES_MAX = 8 << 10,	/* of a method, an invocation or a company, as JSON */
	KEEP_MAX = 1 << 20,	/* a larger buffer is given back */
};

/* One request or notification, and for whom the plugin makes it. */
struct request {
	struct host *host;
	const struct rpc_message *m;
	struct host_params params;
	struct span method;	/* decoded */
	struct host_asker who;
};

struct host {
	const struct host_plugin *plugin;
	struct host_scope scope;
	struct host_ops ops;
	struct host_reply reply;
	struct host_state state;
	struct host_streams streams;
	struct buf method, text, more;
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

/* Capabilities */

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

/* The methods */

static void
accept_only(const struct request *a)
{
	reply_result(a, SPAN_LIT("null"));
}

static void
config_get(const struct request *a)
{
	struct jtext config = host_scope_config(a->host->plugin, a->who.company);

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
	host_state_answer(&a->host->state, a->method, a->m->id, &a->params,
			  a->who.company);
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

	e.company_id = a->who.company;
	e.command_id = a->who.call ? a->who.call->command_id : SPAN_NULL;
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

/* {"name": value, ...} of those of a row of parameters that are there. */
static struct span
details(struct buf *into, enum host_param first, enum host_param last, const struct request *a)
{
	buf_reset(into);
	for (enum host_param i = first; i <= last; i++) {
		struct jtext value = a->params.at[i];

		if (!value.kind)
			continue;
		buf_addf(into, "%c\"%s\":", into->len ? ',' : '{', host_param_name(i));
		buf_addspan(into, value.raw);
	}
	if (into->len)
		buf_addch(into, '}');
	return into->len && !into->failed ? buf_span(into) : SPAN_NULL;
}

static void
activity_log(const struct request *a)
{
	struct plugin_event e = new_event_of(a, "ACTIVITY");

	e.message = text_or_json(a->params.at[HOST_MESSAGE], &a->host->text);
	e.details = details(&a->host->more, HOST_ENTITY_TYPE, HOST_METADATA, a);
	emit(a->host, &e);
	accept_only(a);
}

static void
events_emit(const struct request *a)
{
	struct plugin_event e = new_event_of(a, "EVENT_EMITTED");

	e.name = text_or_json(a->params.at[HOST_NAME], &a->host->text);
	e.details = details(&a->host->more, HOST_PAYLOAD, HOST_PAYLOAD, a);
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
	struct jtext level = a->params.at[HOST_LEVEL];
	enum log_level out = LOG_LEVEL_INFO;
	struct span message;

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
		if (jtext_is(level, levels[i].name))
			out = levels[i].level;
	message = text_or_json(a->params.at[HOST_MESSAGE], &a->host->text);
	a->host->ops.log(a->host->ops.arg, out, message, a->params.at[HOST_META]);
}

static void
log_message(const struct request *a)
{
	emit_log(a);
	accept_only(a);
}

/* Scratch that one long request made large. */
static void
trim_scratch(struct host *h)
{
	struct buf *all[] = { &h->method, &h->text, &h->more, &h->state.field, &h->state.part };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i]->cap > KEEP_MAX)
			buf_release(all[i]);
}

/* What is too long is refused before anything of it is looked at. */
static bool
fits(struct host *h, const struct rpc_message *m)
{
	const struct jtext none = { JTEXT_MISSING, SPAN_NULL };

	if (m->id.raw.len > ID_MAX)
		host_reply_error(&h->reply, none, RPC_CODE_INVALID_REQUEST,
				 "An id of %zu bytes exceeds the limit of %d", m->id.raw.len,
				 ID_MAX);
	else if (m->line.len > REQUEST_MAX)
		host_reply_error(&h->reply, m->id, RPC_CODE_INVALID_REQUEST,
				 "A request of %zu bytes exceeds the limit of %d", m->line.len,
				 REQUEST_MAX);
	else if (m->method.raw.len > NAMES_MAX || m->invocation_id.raw.len > NAMES_MAX)
		host_reply_error(&h->reply, m->id, RPC_CODE_INVALID_REQUEST,
				 "A method or an invocation id exceeds the limit of %d bytes",
				 NAMES_MAX);
	else
		return true;
	return false;
}

static void
answer_request(struct host *h, const struct rpc_message *m)
{
	struct request a = { .host = h, .m = m };
	const struct method *found = NULL;
	char why[HOST_SCOPE_WHY_MAX];

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
	host_params_read(&a.params, m->params);
	if (a.params.at[HOST_COMPANY_ID].raw.len > NAMES_MAX ||
	    a.params.at[HOST_SCOPE_ID].raw.len > NAMES_MAX) {
		host_reply_error(&h->reply, m->id, RPC_CODE_INVALID_PARAMS,
				 "A company exceeds the limit of %d bytes", NAMES_MAX);
		return;
	}
	host_scope_find(&h->scope, m, &a.params, a.method, &a.who);
	if (host_scope_reaches(&a.who, found->needs_company, why))
		found->answer(&a);
	else
		deny_scope(&a, why);
}

void
host_request(struct host *h, const struct rpc_message *m)
{
	if (fits(h, m))
		answer_request(h, m);
	trim_scratch(h);
}

/* Streams: passed on as plugin events, and closed for a plugin that dies. */

/* The plugin may say this only of the company it works for. */
static bool
may_stream(const struct request *a, struct span company)
{
	return !a->who.invalid && a->who.company.ptr && span_eq(rpc_trim(company), a->who.company);
}

static void
stream(const struct request *a)
{
	struct host *h = a->host;
	struct jtext company = a->params.at[HOST_COMPANY_ID], event = a->params.at[HOST_EVENT];
	struct jtext channel = a->params.at[HOST_CHANNEL];
	struct plugin_event e = new_event_of(a, "STREAM_EVENT");

	if (company.raw.len > NAMES_MAX || channel.raw.len > NAMES_MAX)
		return;
	buf_reset(&h->text);
	buf_reset(&h->more);
	jtext_decode(company, &h->more, /* ret_replaced= */ NULL);
	jtext_decode(channel, &h->text, /* ret_replaced= */ NULL);
	e.name = buf_span(&h->text);
	if (h->text.failed || h->more.failed || e.name.len > CHANNEL_MAX ||
	    !may_stream(a, buf_span(&h->more)))
		return;
	if (span_is(a->method, "streams.open")) {
		e.type = "STREAM_OPENED";
		if (e.name.len)
			host_streams_open(&h->streams, e.name, a->who.company);
	} else if (span_is(a->method, "streams.close")) {
		e.type = "STREAM_CLOSED";
		host_streams_close(&h->streams, e.name, a->who.company);
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

	if (m->method.raw.len > NAMES_MAX || m->invocation_id.raw.len > NAMES_MAX)
		return;
	if (jtext_is(m->method, "log")) {
		host_params_read(&a.params, m->params);
		emit_log(&a);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (jtext_is(m->method, names[i])) {
			host_params_read(&a.params, m->params);
			a.method = span_of(names[i]);
			host_scope_find(&h->scope, m, &a.params, a.method, &a.who);
			stream(&a);
		}
	}
	trim_scratch(h);
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
		.plugin = plugin, .scope = { .plugin = plugin, .running = scope }, .ops = *ops,
		.reply = { .write = ops->write, .arg = ops->arg },
		.state = { .reply = &h->reply, .ask = ops->state, .arg = ops->arg,
			   .value_max = ops->state_value_max },
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
	host_scope_release(&h->scope);
	buf_release(&h->text);
	buf_release(&h->more);
	free(h);
}
