/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_impl: what host's files share.
 *
 * Private to src/plugin/host*.c.
 */
#ifndef ENVDRIVER_PLUGIN_HOST_IMPL_H
#define ENVDRIVER_PLUGIN_HOST_IMPL_H

#include "host.h"

/* One request or notification, and for whom the plugin makes it. */
struct host_ask {
	struct host *host;
	const struct rpc_message *m;
	struct span method;	/* decoded */
	const struct scope_entry *call;	/* whose invocation; NULL: none */
	bool invalid;		/* a missing, expired or unknown invocation */
	struct span company;	/* in whose scope; ptr NULL: nobody's */
};

struct host_stream {
	struct host_stream *next;
	struct span channel, company;	/* any bytes, NUL too; in `text` */
	char text[];
};

struct host_pending;

struct host {
	const struct host_plugin *plugin;
	const struct scope *scope;
	struct host_ops ops;
	struct buf line, method, invocation, requested, company, text, more;
	struct host_pending *pending;
	size_t n_pending, pending_bytes;
	struct host_stream *streams;
	size_t n_streams;
};

void host_reply(struct host *h, struct jtext id, struct span result_json);
/* `fmt` gives the message. */
void host_refuse(struct host *h, struct jtext id, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void host_deny_scope(const struct host_ask *a, const char *why);

/* state.get, state.set, state.delete */
void host_state(const struct host_ask *a);
void host_state_forget(struct host *h);

/* streams.open, streams.emit, streams.close */
void host_stream(const struct host_ask *a);
/* With a word for each. */
void host_stream_close_all(struct host *h);
/* Without. */
void host_stream_forget(struct host *h);

#endif
