/* SPDX-License-Identifier: Apache-2.0 */
#include "host_event.h"

#include <stdio.h>

#include "envdriver/host/plugin_event.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/host/host.h"
#include "host_scope.h"

enum { CHANNEL_MAX = 1024, NAMES_MAX = 8 << 10 };

static struct plugin_event
new_event(const struct host_events *h, const char *type)
{
	return (struct plugin_event){
		.type = type,
		.plugin_id = span_of(h->plugin->id), .plugin_key = span_of(h->plugin->key),
		.exit_code = -1, .will_restart = -1,
		.consecutive_crashes = -1, .total_crashes = -1,
	};
}

static struct plugin_event
new_event_of(const struct host_events *h, const struct host_asker *who, const char *type)
{
	struct plugin_event e = new_event(h, type);

	e.company_id = who->company;
	e.command_id = who->call ? who->call->command_id : SPAN_NULL;
	return e;
}

static void
emit(const struct host_events *h, const struct plugin_event *e)
{
	h->event(h->arg, e);
}

struct span
host_event_text(struct jtext value, struct buf *into)
{
	if (value.kind != JTEXT_STRING)
		return value.raw;
	buf_reset(into);
	jtext_decode(value, into, /* ret_replaced= */ NULL);
	return into->failed ? SPAN_NULL : buf_span(into);
}

/* {"name": value, ...} of those of a row of parameters that are there; the caller
 * closes it. */
static void
add_details(struct buf *into, enum host_param first, enum host_param last,
	    const struct host_params *params)
{
	buf_reset(into);
	for (enum host_param i = first; i <= last; i++) {
		struct jtext value = params->at[i];

		if (!value.kind)
			continue;
		buf_addf(into, "%c\"%s\":", into->len ? ',' : '{', host_param_name(i));
		buf_addspan(into, value.raw);
	}
}

static struct span
end_details(struct buf *into)
{
	if (into->len)
		buf_addch(into, '}');
	return into->len && !into->failed ? buf_span(into) : SPAN_NULL;
}

static bool
is_blank(struct span text)
{
	return rpc_trim(text).len == 0;
}

/* A company that the parameters themselves name. */
static bool
names_company(const struct host_params *params, struct buf *scratch)
{
	struct jtext company = params->at[HOST_COMPANY_ID];

	return company.kind == JTEXT_STRING && !is_blank(host_event_text(company, scratch));
}

bool
host_event_activity(struct host_events *h, const struct host_params *params,
		    const struct host_asker *who, char why[HOST_EVENT_WHY_MAX])
{
	struct plugin_event e = new_event_of(h, who, "ACTIVITY");

	if (!names_company(params, &h->text)) {
		snprintf(why, HOST_EVENT_WHY_MAX, "companyId is required for this operation");
		return false;
	}
	e.message = host_event_text(params->at[HOST_MESSAGE], &h->text);
	add_details(&h->more, HOST_ENTITY_TYPE, HOST_METADATA, params);
	e.details = end_details(&h->more);
	emit(h, &e);
	return true;
}

bool
host_event_emitted(struct host_events *h, const struct host_params *params,
		   const struct host_asker *who, char why[HOST_EVENT_WHY_MAX])
{
	struct plugin_event e = new_event_of(h, who, "EVENT_EMITTED");
	bool company = names_company(params, &h->text);

	e.name = host_event_text(params->at[HOST_NAME], &h->text);
	if (is_blank(e.name)) {
		snprintf(why, HOST_EVENT_WHY_MAX, "Plugin \"%.200s\" must provide a non-empty "
			 "event name.", h->plugin->key);
		return false;
	}
	if (!company) {
		snprintf(why, HOST_EVENT_WHY_MAX, "Plugin \"%.200s\" must provide a companyId "
			 "when emitting events.", h->plugin->key);
		return false;
	}
	if (e.name.len >= 7 && memcmp(e.name.ptr, "plugin.", 7) == 0) {
		snprintf(why, HOST_EVENT_WHY_MAX, "Plugin \"%.200s\" must not include the "
			 "\"plugin.\" prefix when emitting events. Emit the bare event name (e.g. "
			 "\"sync-done\") and the bus will namespace it automatically.",
			 h->plugin->key);
		return false;
	}
	add_details(&h->more, HOST_PAYLOAD, HOST_PAYLOAD, params);
	e.details = end_details(&h->more);
	emit(h, &e);
	return true;
}

bool
host_event_span(struct host_events *h, const struct host_params *params,
		const struct host_asker *who, char why[HOST_EVENT_WHY_MAX])
{
	struct plugin_event e = new_event_of(h, who, "SPAN_RECORDED");

	(void)why;
	/* As in the original: without a trace of the host there is no tracing. */
	if (!who->call || !who->call->traceparent.len)
		return true;
	e.name = host_event_text(params->at[HOST_NAME], &h->text);
	add_details(&h->more, HOST_ATTRIBUTES, HOST_END_TIME_MS, params);
	buf_adds(&h->more, h->more.len ? ",\"traceparent\":" : "{\"traceparent\":");
	jtext_add_string(&h->more, who->call->traceparent);
	e.details = end_details(&h->more);
	emit(h, &e);
	return true;
}

/* Streams: passed on as plugin events, and closed for a plugin that dies. */

/* The plugin may say this only of the company it works for. */
static bool
may_stream(const struct host_asker *who, struct span company)
{
	return !who->invalid && who->company.ptr && span_eq(rpc_trim(company), who->company);
}

void
host_event_stream(struct host_events *h, struct span method, const struct host_params *params,
		  const struct host_asker *who)
{
	struct jtext company = params->at[HOST_COMPANY_ID], event = params->at[HOST_EVENT];
	struct jtext channel = params->at[HOST_CHANNEL];
	struct plugin_event e = new_event_of(h, who, "STREAM_EVENT");

	if (company.raw.len > NAMES_MAX || channel.raw.len > NAMES_MAX)
		return;
	buf_reset(&h->text);
	buf_reset(&h->more);
	jtext_decode(company, &h->more, /* ret_replaced= */ NULL);
	jtext_decode(channel, &h->text, /* ret_replaced= */ NULL);
	e.name = buf_span(&h->text);
	if (h->text.failed || h->more.failed || e.name.len > CHANNEL_MAX ||
	    !may_stream(who, buf_span(&h->more)))
		return;
	if (span_is(method, "streams.open")) {
		e.type = "STREAM_OPENED";
		if (e.name.len)
			host_streams_open(&h->streams, e.name, who->company);
	} else if (span_is(method, "streams.close")) {
		e.type = "STREAM_CLOSED";
		host_streams_close(&h->streams, e.name, who->company);
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
host_event_end(struct host_events *h)
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
host_event_trim(struct host_events *h, size_t max)
{
	if (h->text.cap > max)
		buf_release(&h->text);
	if (h->more.cap > max)
		buf_release(&h->more);
}

void
host_event_release(struct host_events *h)
{
	host_streams_release(&h->streams);
	buf_release(&h->text);
	buf_release(&h->more);
}
