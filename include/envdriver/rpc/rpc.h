/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc: JSON-RPC 2.0 lines of the plugin protocol: classifies those that were
 * read, and writes requests and replies (docs/protocol.md sections 3 and 6).
 *
 * Owns the error codes. Knows nothing of pipes or of time.
 */
#ifndef ENVDRIVER_RPC_RPC_H
#define ENVDRIVER_RPC_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

enum rpc_kind {
	RPC_RESPONSE,		/* id and (result or error), also beside a method */
	RPC_REQUEST,		/* method and an id that is not null */
	RPC_NOTIFICATION,	/* method and no id key */
	RPC_GARBAGE,		/* not JSON, not 2.0, or none of these: ignored */
};

/* A finished execution may hand over metadata of any depth: it is only text
 * here, and the scanner does not recurse. */
enum { RPC_DEPTH_MAX = 10000 };

/* Spans are borrowed from the line. */
struct rpc_message {
	enum rpc_kind kind;
	const char *why;		/* GARBAGE: for the log */
	struct span line;		/* all of it */
	struct jtext id;
	struct jtext method, params;
	struct jtext result, error;	/* MISSING when absent */
	struct jtext invocation_id;	/* paperclipInvocationId */
};

/* Classifies one line (docs/protocol.md section 3, order a to c). */
void rpc_parse(struct span line, struct rpc_message *ret);

/* How a call ended. */
enum rpc_end {
	RPC_RESULT,		/* `result` is the answer */
	RPC_ERROR,		/* the plugin's own error: code, message, data */
	RPC_BAD_RESPONSE,	/* `result` beside `error: null`; it is set, too */
	RPC_TIMED_OUT,		/* `text` has the message */
	RPC_DIED,		/* the worker died: `text` */
	RPC_NOT_SENT,		/* nothing reached the plugin: `text` */
	RPC_NO_SECRET,		/* the same, for want of a secret: `text`, `retryable` */
};

/* Borrowed for the length of the callback. */
struct rpc_answer {
	enum rpc_end end;
	const char *method;
	struct jtext result;
	struct jtext code, message, data;	/* of an error; MISSING when absent */
	const char *text;			/* of a host-made end */
	const char *why;			/* more about it, for a warning; NULL: nothing */
	/* The JSON of a providerLeaseId that shows a secret, and is masked in `result`;
	 * ptr NULL: none does. It must not be told to anyone but the plugin. */
	struct span secret_id;
	bool retryable;				/* of RPC_NO_SECRET */
	bool repaired;				/* invalid UTF-8 or surrogates were replaced */
	/* Of a long line, else NULL: what the spans point into. To keep them
	 * longer, take it, leave NULL here, and free it later. */
	char **memory;
};

enum {
	RPC_CODE_PARSE = -32700,
	RPC_CODE_INVALID_REQUEST = -32600,
	RPC_CODE_METHOD_NOT_FOUND = -32601,
	RPC_CODE_INVALID_PARAMS = -32602,
	RPC_CODE_INTERNAL = -32603,
	RPC_CODE_WORKER_UNAVAILABLE = -32000,
	RPC_CODE_CAPABILITY_DENIED = -32001,
	RPC_CODE_WORKER_ERROR = -32002,
	RPC_CODE_TIMEOUT = -32003,
	RPC_CODE_METHOD_NOT_IMPLEMENTED = -32004,
	RPC_CODE_SCOPE_DENIED = -32005,
	RPC_CODE_CROSS_TENANT = -32006,
};

/* How the response `m` ends the call of `method`. An `error` that JavaScript
 * takes for false (null, "", 0) beside or without a result is
 * RPC_BAD_RESPONSE; one that is not an object has no code, message and data. */
void rpc_read_answer(const struct rpc_message *m, const char *method, struct rpc_answer *ret);
/* An error that says that there is no such method. */
bool rpc_is_not_implemented(const struct rpc_answer *answer);

/* What JavaScript takes for true. */
bool rpc_truthy(struct jtext value);
/* Without the white space around it, as JavaScript's trim has it. */
struct span rpc_trim(struct span text);

/* Appends a request line with its '\n'. `params` is JSON text, written as it
 * is but for line breaks between tokens, which become spaces. The invocation
 * envelope is added when `invocation_id` is not NULL and the trimmed
 * `company_id` is not empty. */
void rpc_add_request(struct buf *out, uint64_t id, const char *method, struct span params,
		     const char *invocation_id, struct span company_id, struct span traceparent);
void rpc_add_result(struct buf *out, struct jtext id, struct span result_json);
void rpc_add_error(struct buf *out, struct jtext id, int code, const char *message);

#endif
