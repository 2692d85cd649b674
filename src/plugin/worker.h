/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: one child process of a plugin: its start, hand-shake, calls, stop
 * ladder and death (docs/protocol.md sections 1, 2, 8 and 10).
 *
 * Owns the process, its channel, its stderr and the scope of its calls. Knows
 * nothing of Redis, the registry or restarts; logs nothing.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_H
#define ENVDRIVER_PLUGIN_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/rpc/channel.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/secret/mask.h"
#include "envdriver/host/scope.h"

struct err;
struct jail;
struct spawn_limit;
struct worker;

struct worker_limits {
	int64_t start_ms;	/* the hand-shake */
	int64_t shutdown_ms;	/* the shutdown request's answer (0: none is sent), */
	int64_t linger_ms;	/* then the exit, */
	int64_t term_ms;	/* after SIGTERM, */
	int64_t kill_ms;	/* after SIGKILL */
	int64_t drain_ms;	/* pipes held open by others than the process */
	size_t line_max, queue_max;
	uint64_t log_max;	/* live output of one call */
};

/* Those of docs/protocol.md section 7; start_ms, line_max and log_max, which come from
 * the configuration, are 0. */
extern const struct worker_limits worker_limits_default;

/* Borrowed for worker_new. */
struct worker_spec {
	const char *dir;
	char *const *argv;	/* argv[0] is a path */
	char *const *env;
	const char *instance_id;
	struct span manifest;	/* JSON object */
	/* The secrets that the plugin was given before; it is shared. NULL: none. */
	struct mask *given;
	struct worker_limits limits;
	const struct spawn_limit *rlimits;
	size_t n_rlimits;
	size_t processes_max;	/* as in spawn.h */
	const struct jail *jail;
	const char *cgroup;
	const int *pass_fds;
	size_t n_pass_fds;
	bool use_sigchld;
	/* Somebody else runs it: connected to, in place of all that is above about a
	 * process. The descriptor is taken, also on failure. */
	bool is_peer;
	int take_peer_fd, peer_pid;
};

/* How the process ended. Borrowed for the call. */
struct worker_end {
	int code;		/* -1: by signal, or (one that we did not start) cut off */
	int signal;		/* 0: by exit, or cut off */
	bool up;		/* the hand-shake had been done */
	bool asked;		/* worker_stop had been called */
	bool answered;		/* hand-shake: the process lived and did not say yes */
	const char *text;	/* "Worker process exited (code=5, signal=null)" */
	const char *failure;	/* why the hand-shake failed; NULL when it did not */
};

/* Spans and messages are borrowed for the call. All may call the worker, but
 * only on_end may free it. */
struct worker_events {
	void (*on_up)(void *arg);
	void (*on_request)(void *arg, const struct rpc_message *m);
	/* Not execute.log, which goes to its invocation. */
	void (*on_notification)(void *arg, const struct rpc_message *m);
	void (*on_stderr)(void *arg, struct span line);
	/* A line or a piece of live output was ignored; `line` when it was no
	 * message at all, else ptr NULL. */
	void (*on_bad)(void *arg, const char *why, struct span line);
	/* The process is gone; its calls end now. Once. */
	void (*on_dead)(void *arg, const struct worker_end *end);
	/* They have ended. Once, last. */
	void (*on_end)(void *arg);
	void *arg;
};

/* `next_id` is counted up and outlives the worker. NULL: nothing runs. */
struct worker *worker_new(uv_loop_t *loop, const struct worker_spec *spec, uint64_t *next_id,
			  const struct worker_events *ev, struct err *reterr);

enum { WORKER_STREAMS = 2 };	/* of live output */

/*
 * One call of a method, on behalf of one company. `rpc.method`,
 * `rpc.timeout_ms`, `rpc.spent_ms`, the first five of `scope` and the functions
 * are set by the owner and stay until on_gone.
 */
struct worker_invocation {
	struct channel_pending rpc;
	struct scope_entry scope;
	struct worker *worker;
	struct mask_stream live[WORKER_STREAMS];	/* what is held back */
	/* Exactly once. */
	void (*on_answer)(struct worker_invocation *i, const struct rpc_answer *answer);
	/* Before on_answer. */
	void (*on_chunk)(struct worker_invocation *i, bool is_stderr, struct span output);
	/* Once after RPC_TIMED_OUT: the late answer, or RPC_DIED or
	 * RPC_TIMED_OUT when none will come. */
	void (*on_late)(struct worker_invocation *i, const struct rpc_answer *answer);
	/* Last: the plugin no longer works on it and the struct may be freed. */
	void (*on_gone)(struct worker_invocation *i);
};

/* Only after on_up. On failure nothing is called back. */
int worker_invoke(struct worker *w, struct worker_invocation *i, struct span params,
		struct span traceparent, struct err *reterr);
/* Secrets that the plugin is about to be given outside a call: what it says is masked
 * with them from now on. Negative, with the reason, when it cannot be: then it must
 * not be given them. */
int worker_learn(struct worker *w, const struct mask *values, struct err *reterr);
/* Queues a line to the plugin, as far as there is room. */
void worker_write(struct worker *w, struct span line);

int worker_pid(const struct worker *w);
struct scope *worker_scope(struct worker *w);
/* The hand-shake's; never NULL. */
struct jtext worker_methods(const struct worker *w);

/* The stop ladder: shutdown request, SIGTERM, SIGKILL. Again: nothing. */
void worker_stop(struct worker *w);
/* At any time: kills what runs; its calls end with on_gone only. The memory is
 * given back when the loop has turned. Accepts NULL. */
void worker_free(struct worker *w);

#endif
