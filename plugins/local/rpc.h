/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc: JSON-RPC 2.0 over the wire: calls in, replies and notifications out.
 *
 * Three rules that every plugin has to keep:
 *   - nothing but the protocol goes to stdout (talk on stderr, or send a `log`
 *     notification);
 *   - the id of a request is echoed as it came, number or string;
 *   - every request is answered once, in any order, however long it takes.
 *
 * Owns the wire and the calls not yet answered. Knows nothing of methods.
 */
#ifndef LOCAL_RPC_H
#define LOCAL_RPC_H

#include <jansson.h>
#include <stdbool.h>

#include "wire.h"

/* The codes of the protocol that this plugin sends. */
enum {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_WORKER_ERROR = -32002,	/* the work itself failed */
	RPC_NOT_IMPLEMENTED = -32004,
	RPC_BUSY = 429,			/* hosts may retry 429 and 5xx */
};

/* Why something failed, on its way to the reply. */
struct rpc_error {
	int code;
	char text[800];
};

/* Fills `reterr`; returns -1, so that a caller can return what it returns. */
int rpc_error_set(struct rpc_error *reterr, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A request that waits for its answer. All but `rpc` and `message` is borrowed
 * from `message`. */
struct call {
	struct rpc *rpc;
	json_t *message;	/* owned */
	json_t *id;
	const char *method;
	const json_t *params;	/* NULL when there are none */
	const char *invocation;	/* NULL when the host sent none */
	const char *company;	/* NULL when missing or blank */
};

struct rpc_events {
	void (*on_call)(void *arg, struct call *take_call);
	void (*on_drain)(void *arg);	/* see wire.h */
	void (*on_end)(void *arg);
};

struct rpc {
	struct wire wire;
	const struct rpc_events *events;
	void *arg;
};

/* As wire_open. */
int rpc_open(struct rpc *rpc, uv_loop_t *loop, const struct rpc_events *events, void *arg);

/* Answers and frees the call. `take_result` NULL: there was no memory for it,
 * or a string in it was not UTF-8; the host is told so. */
void rpc_reply(struct call *take_call, json_t *take_result);
void rpc_fail(struct call *take_call, const struct rpc_error *why);

/* A message without an answer. With an invocation (may be NULL) it is tied to
 * the request that carried it. */
void rpc_notify(struct rpc *rpc, const char *method, json_t *take_params,
		const char *invocation);

#endif
