/* SPDX-License-Identifier: Apache-2.0 */
/* host: streams.open, streams.emit, streams.close: passed on as plugin events,
 * and closed for a plugin that dies. */

#include <stdlib.h>

#include "envdriver/plugin/plugin_event.h"
#include "host_impl.h"

enum { NAME_LEN_MAX = 1024 };

static void
stream_event(struct host *h, const char *type, struct span channel, struct span company,
       struct span command_id, struct span details)
{
	struct plugin_event n = {
		.type = type,
		.plugin_id = span_of(h->plugin->id), .plugin_key = span_of(h->plugin->key),
		.exit_code = -1, .will_restart = -1,
		.consecutive_crashes = -1, .total_crashes = -1,
		.company_id = company, .command_id = command_id,
		.name = channel, .details = details,
	};

	h->ops.event(h->ops.arg, &n);
}

/* Companies may use one name: the close of one must not forget the other's. */
static struct host_stream **
find(struct host *h, struct span channel, struct span company)
{
	struct host_stream **at = &h->streams;

	while (*at && !(span_eq(channel, (*at)->channel) && span_eq(company, (*at)->company)))
		at = &(*at)->next;
	return at;
}

static void
remember(struct host *h, struct span channel, struct span company)
{
	struct host_stream *s;

	if (*find(h, channel, company) || h->n_streams >= HOST_STREAM_MAX)
		return;
	s = buf_realloc(NULL, sizeof(*s) + channel.len + company.len);
	if (!s)
		return;
	s->next = h->streams;
	s->channel = (struct span){ s->text, channel.len };
	s->company = (struct span){ s->text + channel.len, company.len };
	memcpy(s->text, channel.ptr, channel.len);
	memcpy(s->text + channel.len, company.ptr, company.len);
	h->streams = s;
	h->n_streams++;
}

static void
forget(struct host *h, struct host_stream **at)
{
	struct host_stream *s = *at;

	if (!s)
		return;
	*at = s->next;
	h->n_streams--;
	free(s);
}

/* The plugin may say this only of the company it works for. */
static bool
permitted(const struct host_ask *a, struct span company)
{
	return !a->invalid && a->company.ptr && span_eq(rpc_trim(company), a->company);
}

void
host_stream(const struct host_ask *a)
{
	struct host *h = a->host;
	struct jtext params = a->m->params, event = jtext_get(params, "event");
	struct span command = a->call ? a->call->command_id : SPAN_NULL;
	struct span channel;

	buf_reset(&h->text);
	buf_reset(&h->more);
	jtext_decode(jtext_get(params, "companyId"), &h->more, /* ret_replaced= */ NULL);
	jtext_decode(jtext_get(params, "channel"), &h->text, /* ret_replaced= */ NULL);
	channel = buf_span(&h->text);
	if (h->text.failed || h->more.failed || channel.len > NAME_LEN_MAX ||
	    !permitted(a, buf_span(&h->more)))
		return;
	if (span_is(a->method, "streams.open")) {
		if (channel.len)
			remember(h, channel, a->company);
		stream_event(h, "STREAM_OPENED", channel, a->company, command, SPAN_NULL);
	} else if (span_is(a->method, "streams.close")) {
		forget(h, find(h, channel, a->company));
		stream_event(h, "STREAM_CLOSED", channel, a->company, command, SPAN_NULL);
	} else {
		buf_reset(&h->more);
		buf_adds(&h->more, "{\"event\":");
		buf_addspan(&h->more, event.kind ? event.raw : SPAN_LIT("null"));
		buf_addch(&h->more, '}');
		if (!h->more.failed)
			stream_event(h, "STREAM_EVENT", channel, a->company, command,
				     buf_span(&h->more));
	}
}

void
host_stream_close_all(struct host *h)
{
	while (h->streams) {
		stream_event(h, "STREAM_CLOSED", h->streams->channel, h->streams->company,
			     SPAN_NULL, SPAN_NULL);
		forget(h, &h->streams);
	}
}

void
host_stream_forget(struct host *h)
{
	while (h->streams)
		forget(h, &h->streams);
}
