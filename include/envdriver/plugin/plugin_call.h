/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_call: one call of a plugin's method, made through the supervisor
 * (supervisor_call): what is asked for, and how its end is reported.
 *
 * Owns copies of the request. Knows nothing of commands or claims.
 */
#ifndef ENVDRIVER_PLUGIN_PLUGIN_CALL_H
#define ENVDRIVER_PLUGIN_PLUGIN_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/rpc/rpc.h"

struct plugin_call;
struct secret_refs;

/* Borrowed for the call of supervisor_call. */
struct plugin_request {
	const char *plugin_id;
	const char *method;
	struct span params;		/* JSON text */
	/* The references in it, which are replaced just before it is sent; NULL: none.
	 * Shared, not taken. */
	struct secret_refs *secrets;
	struct span company_id;		/* blank: no envelope */
	const char *invocation_id;
	struct span traceparent;	/* ptr NULL: none */
	int64_t timeout_ms;
	bool wants_log;			/* an Execute: route execute.log to on_chunk */
	struct span command_id;		/* for events that the plugin reports meanwhile */
};

/* All are called from the loop. Answers and texts are borrowed for the
 * callback. */
struct plugin_call_events {
	/* Exactly once, never before supervisor_call returned. */
	void (*on_answer)(void *arg, const struct rpc_answer *answer);
	/* A piece of live output, in order (docs/protocol.md section 8); never after
	 * on_answer. UTF-8, unless the plugin sent bytes. NULL: not wanted. */
	void (*on_chunk)(void *arg, bool is_stderr, struct span output);
	/* Once after on_answer with RPC_TIMED_OUT: the late answer; or
	 * RPC_DIED, RPC_TIMED_OUT (too many are waited for) or RPC_NOT_SENT
	 * (it never left) when none will come. NULL: not wanted. */
	void (*on_late)(void *arg, const struct rpc_answer *answer);
	void *arg;		/* must live until plugin_call_free */
};

/* No callback comes any more, not even the late answer; the call itself runs
 * on in the plugin. Must be called exactly once for every call: in on_answer,
 * or later when a late answer is waited for. May be called after
 * supervisor_free. */
void plugin_call_free(struct plugin_call *c);

#endif
