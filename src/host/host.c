/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/host/host.h"

#include <math.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "host_event.h"
#include "host_metric.h"
#include "host_params.h"
#include "host_reply.h"
#include "host_scope.h"
#include "host_secret.h"
#include "envdriver/host/host_state.h"

enum {
	METHOD_MAX = 1024,	/* of an unknown one, in the reply */
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
	struct host_secret secret;
	struct host_events events;
	struct buf method, text;
};

static void config_get(const struct request *a);
static void secrets_resolve(const struct request *a);
static void activity_log(const struct request *a);
static void metrics_write(const struct request *a);
static void span_record(const struct request *a);
static void telemetry_track(const struct request *a);
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
	{ "metrics.write", "metrics.write", false, metrics_write },
	{ "span.record", "environment.drivers.register", false, span_record },
	{ "telemetry.track", "telemetry.track", false, telemetry_track },
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
	host_secret_answer(&a->host->secret, a->m->id, &a->params, a->who.company);
}

static void
state_answer(const struct request *a)
{
	host_state_answer(&a->host->state, a->method, a->m->id, &a->params,
			  a->who.company);
}

/* What is wrong with it is an error of the host's own, as in the original. */
static void
report_event(const struct request *a, host_event_fn *report)
{
	char why[HOST_EVENT_WHY_MAX];

	if (report(&a->host->events, &a->params, &a->who, why))
		accept_only(a);
	else
		host_reply_error(&a->host->reply, a->m->id, RPC_CODE_INTERNAL, "%s", why);
}

static void
activity_log(const struct request *a)
{
	report_event(a, host_event_activity);
}

static void
events_emit(const struct request *a)
{
	report_event(a, host_event_emitted);
}

static void
span_record(const struct request *a)
{
	report_event(a, host_event_span);
}

static void
metrics_write(const struct request *a)
{
	struct jtext value = a->params.at[HOST_VALUE];
	struct buf *labels = &a->host->method;
	double number;

	if (value.kind != JTEXT_NUMBER || !jtext_double(value, &number) || !isfinite(number)) {
		host_reply_error(&a->host->reply, a->m->id, RPC_CODE_INTERNAL,
				 "metrics.write needs a name and a finite number");
		return;
	}
	buf_reset(labels);
	host_metric_add_labels(labels, a->host->plugin->key, a->params.at[HOST_NAME],
			       a->params.at[HOST_TAGS], a->who.company, &a->host->text);
	if (!labels->failed)
		a->host->ops.metric(a->host->ops.arg, buf_span(labels), number);
	accept_only(a);
}

/* Lower-case slugs, as in the original; nothing is sent anywhere. */
static void
telemetry_track(const struct request *a)
{
	struct span name = rpc_trim(host_event_text(a->params.at[HOST_EVENT_NAME],
						    &a->host->text));
	bool ok = name.len && name.ptr[0] != '_' && name.ptr[0] != '-';

	for (size_t i = 0; i < name.len && ok; i++)
		ok = name.ptr[i] && strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", name.ptr[i]);
	if (ok)
		accept_only(a);
	else
		host_reply_error(&a->host->reply, a->m->id, RPC_CODE_INTERNAL,
				 "Plugin telemetry event names must be lowercase slugs using "
				 "letters, numbers, \"_\" or \"-\".");
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
	message = host_event_text(a->params.at[HOST_MESSAGE], &a->host->text);
	a->host->ops.log(a->host->ops.arg, out, a->who.company, message,
			 a->params.at[HOST_META]);
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
	struct buf *all[] = { &h->method, &h->text, &h->state.field, &h->state.part };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i]->cap > KEEP_MAX)
			buf_release(all[i]);
	host_event_trim(&h->events, KEEP_MAX);
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
		a.method = host_event_text(m->method, &h->method);
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

void
host_notification(struct host *h, const struct rpc_message *m)
{
	static const char *const names[] = { "streams.open", "streams.emit", "streams.close" };
	struct request a = { .host = h, .m = m };

	if (m->method.raw.len > NAMES_MAX || m->invocation_id.raw.len > NAMES_MAX)
		return;
	if (jtext_is(m->method, "log")) {
		host_params_read(&a.params, m->params);
		host_scope_find(&h->scope, m, &a.params, SPAN_LIT("log"), &a.who);
		emit_log(&a);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (jtext_is(m->method, names[i])) {
			host_params_read(&a.params, m->params);
			a.method = span_of(names[i]);
			host_scope_find(&h->scope, m, &a.params, a.method, &a.who);
			host_event_stream(&h->events, a.method, &a.params, &a.who);
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
		.events = { .plugin = plugin, .event = ops->event, .arg = ops->arg },
		.state = { .reply = &h->reply, .ask = ops->state, .arg = ops->arg,
			   .value_max = ops->state_value_max },
		.secret = { .reply = &h->reply, .plugin = plugin, .lookups = ops->secrets,
			    .learn = ops->learn, .arg = ops->arg },
	};
	return h;
}

void
host_end(struct host *h)
{
	host_event_end(&h->events);
}

void
host_free(struct host *h)
{
	if (!h)
		return;
	host_state_release(&h->state);
	host_secret_release(&h->secret);
	host_event_release(&h->events);
	host_reply_release(&h->reply);
	buf_release(&h->method);
	host_scope_release(&h->scope);
	buf_release(&h->text);
	free(h);
}
