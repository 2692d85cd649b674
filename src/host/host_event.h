/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_event: what a plugin reports through its host, as plugin events: activities,
 * events of its own, spans, streams (docs/protocol.md sections 8 and 9).
 *
 * Owns the names of the streams that are open, and scratch. Knows nothing of
 * capabilities, of replies, or of who takes the events.
 */
#ifndef ENVDRIVER_HOST_HOST_EVENT_H
#define ENVDRIVER_HOST_HOST_EVENT_H

#include "envdriver/base/buf.h"
#include "host_params.h"
#include "host_stream.h"

struct host_asker;
struct host_plugin;
struct plugin_event;

enum { HOST_EVENT_WHY_MAX = 512 };

/* The first three are set by the owner. */
struct host_events {
	const struct host_plugin *plugin;
	void (*event)(void *arg, const struct plugin_event *e);
	void *arg;
	struct host_streams streams;
	struct buf text, more;
};

/* One request: `who` makes it. False: `why` says what is wrong with it. */
typedef bool host_event_fn(struct host_events *h, const struct host_params *params,
			   const struct host_asker *who, char why[HOST_EVENT_WHY_MAX]);
host_event_fn host_event_activity, host_event_emitted;
/* A span counts only within a call that has a traceparent; always true. */
host_event_fn host_event_span;

/* streams.open, .emit or .close; what the plugin may not say is ignored. */
void host_event_stream(struct host_events *h, struct span method, const struct host_params *params,
		       const struct host_asker *who);
/* Closes the streams that are open. */
void host_event_end(struct host_events *h);
/* Buffers that one long request made larger than `max` are given back. */
void host_event_trim(struct host_events *h, size_t max);
void host_event_release(struct host_events *h);

/* A string's text; another value's JSON; ptr NULL when there is none. */
struct span host_event_text(struct jtext value, struct buf *into);

#endif
