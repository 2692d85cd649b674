/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result: how a command ended, and the event that says so.
 *
 * Owns nothing but what struct outcome holds. Turns a plugin's answer (or
 * its want) into the result record of the operation, with the exact texts of
 * docs/operations.md. Knows nothing of Kafka or Redis.
 */
#ifndef ENVDRIVER_RESULT_RESULT_H
#define ENVDRIVER_RESULT_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct command;
struct err;
struct events;
struct registry;
struct rpc_answer;
struct schemas;
struct supervisor;

enum outcome_status { OUTCOME_SUCCEEDED, OUTCOME_FAILED, OUTCOME_INTERRUPTED, OUTCOME_EXPIRED };

/* The rows of docs/operations.md, "Outcomes": name, retryable, mayHaveRun. */
enum outcome_code {
	CODE_NONE,
	CODE_DRIVER_NOT_READY,
	CODE_DRIVER_NOT_DECLARED,
	CODE_NO_RUNNING_WORKER,
	CODE_PROVIDER_NOT_AVAILABLE,
	CODE_CONFIG_REJECTED,
	CODE_PLUGIN_ERROR,
	CODE_METHOD_NOT_IMPLEMENTED,
	CODE_WORKER_UNAVAILABLE,
	CODE_TIMEOUT,
	CODE_BAD_RESPONSE,
	CODE_EXPIRED,
	CODE_INTERRUPTED,
	CODE_SECRET_UNRESOLVED,
	CODE_RELEASE_UNCONFIRMED,
	CODE_RESULT_TOO_LARGE,
	CODE_OPERATION_NOT_SUPPORTED,
	CODE_INTERNAL,
	CODE_COUNT
};

struct outcome {
	enum outcome_status status;
	enum outcome_code code;
	bool has_rpc_code;
	int64_t rpc_code;
	int http_status;	/* 0: null */
	bool retryable, may_have_run;
	struct buf message;
	struct buf details;	/* JSON object; empty: "{}" */
};

#define OUTCOME_INIT { .message = BUF_INIT, .details = BUF_INIT }
void outcome_release(struct outcome *o);
/* Fills status and flags of a code from the table; message and details are
 * empty. */
void outcome_begin(struct outcome *o, enum outcome_code code);
/* The same, with a message. */
void outcome_fail(struct outcome *o, enum outcome_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "TIMEOUT"; "" for CODE_NONE. */
const char *outcome_code_name(enum outcome_code code);
/* "SUCCEEDED", ... */
const char *outcome_status_name(enum outcome_status status);

/* Where the command came from and where its answer does (record Trace). */
struct trace {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int attempt;			/* 0: nothing was called */
	const char *invocation_id;	/* NULL: nothing was called */
	const char *call_token;		/* NULL: nothing was called */
	int64_t received_at;		/* wall ms */
	int64_t started_at;		/* wall ms, 0: null */
	int64_t finished_at;		/* wall ms */
	const char *const *warnings;	/* of flow; NULL-terminated or NULL */
};

/* Which plugin was chosen; spans with ptr NULL when none was. */
struct chosen {
	struct span plugin_id;
	struct span plugin_key;
	/* Of a ValidateConfig of a provider: the config that was sent
	 * (request_config), for when the plugin gives none back; ptr NULL:
	 * the command's. */
	struct span sent_config;
};

struct result_ctx;

struct result_limits {
	size_t inline_bytes;	/* execution.inline.limit, each of stdout and stderr */
	size_t record_bytes;	/* what a topic takes: 1 MiB less head room */
	size_t set_bytes;	/* log records that are committed together: 8 MiB */
};

struct result_ctx *result_ctx_new(const struct schemas *schemas, const char *instance_id,
				  struct result_limits limits, struct err *reterr);
void result_ctx_free(struct result_ctx *ctx);

/*
 * What came back from the plugin becomes events: the result, and FINAL log
 * records when output is large; `ret` is emptied first, the result is its
 * last event. Records beyond set_bytes are sets before it. Always yields
 * exactly one result: one whose own record would be too large becomes
 * RESULT_TOO_LARGE. `ret_lease_id` (may be NULL)
 * gets the id of a lease that an AcquireLease brought, for the claim and the
 * orphan list. Negative only when out of memory.
 */
int result_answered(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		    const struct trace *t, const struct rpc_answer *answer, struct events *ret,
		    struct buf *ret_lease_id);

/* An end without a plugin's answer: resolution failed, expired, interrupted,
 * too large. A Probe by provider that found none is an ordinary result
 * (docs/operations.md): result_failed knows. */
int result_failed(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		  const struct trace *t, const struct outcome *o, struct events *ret);

/* ListDrivers needs no plugin. */
int result_drivers(struct result_ctx *ctx, const struct command *c, const struct trace *t,
		   const struct registry *registry, const struct supervisor *supervisor,
		   struct events *ret);

/* One LIVE piece of output, cut between characters, as ExecutionLog events
 * (more than one when over 512 KiB). `sequence` and `byte_offset` are those
 * of the stream and are moved on. */
int result_live(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		const struct trace *t, bool is_stderr, struct span text, int64_t *sequence,
		int64_t *byte_offset, struct events *ret);

#endif
