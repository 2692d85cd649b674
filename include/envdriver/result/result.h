/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result: how a command ended, as the event that says so.
 *
 * Owns its context: the reused records and scratch memory of one thread. Turns
 * a plugin's answer, or the lack of one, into the result record of the
 * operation, with the exact texts of docs/operations.md. Knows nothing of
 * Kafka's client or of Redis.
 */
#ifndef ENVDRIVER_RESULT_RESULT_H
#define ENVDRIVER_RESULT_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/outcome.h"

struct command;
struct err;
struct events;
struct registry;
struct rpc_answer;
struct schemas;
struct supervisor;
struct time_limit;

/* Where the command came from, and when and how it was called (record Trace). */
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
	const char *const *warnings;	/* the engine's; NULL-terminated or NULL */
};

/* Which plugin was chosen; spans with ptr NULL when none was. */
struct chosen {
	struct span plugin_id;
	struct span plugin_key;
	/* ValidateConfig of a provider: the config that was sent
	 * (request_config), used when the plugin returns none; ptr NULL: the
	 * command's. */
	struct span sent_config;
	const struct time_limit *limit;	/* of the call; NULL: none was made */
};

struct result_ctx;

struct result_limits {
	size_t inline_bytes;	/* execution.inline.limit, each of stdout and stderr */
	size_t record_bytes;	/* what a topic takes: 1 MiB less head room */
	size_t set_bytes;	/* log records that are committed together: 8 MiB */
	/* Before the command id in the key of a credential; must outlive the
	 * context. NULL: nobody keeps them, so none is named. */
	const char *credential_prefix;
	int64_t credential_ms;	/* credential.max.age */
};

/* What an answer brought besides its events. To be emptied with
 * result_brought_release. */
struct result_brought {
	struct buf lease_id;	/* of the lease that it made, for the claim and the orphan list */
	/* Instead, as JSON of any kind and length, an id that no command can
	 * name: that lease is to be ended. */
	struct buf stray;
	/* JSON: what is to stand under the event's credentialKey, until then. */
	struct buf credential;
	int64_t credential_until;	/* wall ms */
};
#define RESULT_BROUGHT_INIT { BUF_INIT, BUF_INIT, BUF_WIPES, 0 }
void result_brought_release(struct result_brought *b);

struct result_ctx *result_ctx_new(const struct schemas *schemas, const char *instance_id,
				  struct result_limits limits, struct err *reterr);
void result_ctx_free(struct result_ctx *ctx);

/*
 * Turns a plugin's reply into events: FINAL log records when the output is
 * large, then the result. `ret` is emptied first; records beyond set_bytes are
 * sets before it, and the result is its last event. There is always exactly one
 * result: one that would be too large becomes RESULT_TOO_LARGE. `ret_brought`
 * (may be NULL) is emptied first. Negative only when out of memory.
 */
int result_answered(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		    const struct trace *t, const struct rpc_answer *reply, struct events *ret,
		    struct result_brought *ret_brought);
/* The JSON of the lease's id in the reply to a call that makes one, of whatever
 * kind it is; ptr NULL: there is none. Borrowed from the reply. */
struct span result_lease_made(const struct rpc_answer *reply);

/* An end without a reply: resolution failed, expired, interrupted, too large. A
 * Probe of a provider that is not there is an ordinary, SUCCEEDED result
 * (docs/operations.md). Negative only when out of memory, here and below. */
int result_failed(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		  const struct trace *t, const struct outcome *o, struct events *ret);

/* ListDrivers: no plugin is called. */
int result_drivers(struct result_ctx *ctx, const struct command *c, const struct trace *t,
		   const struct registry *registry, const struct supervisor *supervisor,
		   struct events *ret);

/* One LIVE piece of output. */
struct result_live {
	const struct command *command;
	const struct chosen *chosen;
	const struct trace *trace;
	bool is_stderr;
	struct span output;	/* UTF-8, or bytes of any kind */
	int64_t *sequence, *byte_offset;	/* of the stream; moved on */
};
/* Appends the piece as ExecutionLog events, cut between characters: more than
 * one when it is over 512 KiB. Negative only when out of memory. */
int result_live(struct result_ctx *ctx, const struct result_live *piece, struct events *ret);

#endif
