/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: one worker process for every plugin that is ready and present
 * on this host; keeps it alive, calls it, stops it (docs/decisions.md D17 to
 * D20, docs/protocol.md sections 1, 2, 7, 10).
 *
 * Owns the managed workers. The rules are a pure table (supervisor_table.h):
 * state x event -> action, next state, with the clock passed in. Writes the
 * worker records with heartbeats to Redis. When what a running worker is made of
 * changes in the registry, a successor is started beside it and takes the calls; the
 * old one ends with its last call. SIGPIPE must be ignored. Knows nothing of commands,
 * Kafka or claims.
 */
#ifndef ENVDRIVER_PLUGIN_SUPERVISOR_H
#define ENVDRIVER_PLUGIN_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/plugin/plugin_call.h"
#include "envdriver/host/plugin_event.h"

struct config;
struct err;
struct redis;
struct registry;
struct supervisor;

enum worker_status {
	WORKER_NONE,		/* never started */
	WORKER_STARTING,
	WORKER_RUNNING,
	WORKER_STOPPING,
	WORKER_STOPPED,
	WORKER_CRASHED,
	WORKER_BACKOFF,
};

/* "starting", as in Redis and in error texts. */
const char *supervisor_status_name(enum worker_status s);

/* Both must be set. */
struct supervisor_events {
	/* A worker's status, or its free slots, changed: what waited for it
	 * may go on. Always from the loop. `plugin_id` is borrowed. */
	void (*on_change)(void *arg, const char *plugin_id);
	void (*on_plugin_event)(void *arg, const struct plugin_event *e);
	void *arg;
};

/* The loop, config, registry and redis outlive it. NULL: see reterr. */
struct supervisor *supervisor_new(uv_loop_t *loop, const struct config *config,
				  struct registry *registry, struct redis *redis,
				  const char *instance_id, const char *incarnation,
				  const struct supervisor_events *events, struct err *reterr);

/* Brings workers in line with the registry: starts what became ready, stops
 * what no longer is. To be called at each change of the registry. */
void supervisor_sync(struct supervisor *s);
/* Writes all worker records anew (after Redis came back). */
void supervisor_republish(struct supervisor *s);

enum worker_status supervisor_status(const struct supervisor *s, const char *plugin_id);
/* Why it does not run, as one line; "" while it runs, or when there is nothing to
 * say. Borrowed until the loop turns, as all texts here. */
const char *supervisor_reason(const struct supervisor *s, const char *plugin_id);
/* Appends the same with the worker's status, for the result of a command that it
 * cannot serve; nothing when there is no such plugin here. */
void supervisor_add_why(const struct supervisor *s, const char *plugin_id, struct buf *out);
/* Its worker is starting, or makes way for its successor, and a command may wait
 * for it as long as that takes: not one that failed to start twice in a row. */
bool supervisor_coming(const struct supervisor *s, const char *plugin_id);
/* It was ready until less than plugin.start.wait ago: it may be so again. */
bool supervisor_left(const struct supervisor *s, const char *plugin_id);

struct supervisor_view {
	const char *id, *key;
	enum worker_status status;	/* never WORKER_NONE */
	bool wanted;			/* ready, and its package can be run on this host */
	bool gave_up;			/* crashed too often */
	const char *reason;		/* as supervisor_reason */
	const char *isolation;		/* layers around it, "limits,landlock:7,seccomp"; or "" */
};
/* Of each plugin that is, or was, to run here. False as soon as `fn` says so. */
typedef bool supervisor_view_fn(void *arg, const struct supervisor_view *view);
bool supervisor_each(const struct supervisor *s, supervisor_view_fn *fn, void *arg);

/* The live worker's supportedMethods contain `method`. */
bool supervisor_supports(const struct supervisor *s, const char *plugin_id, const char *method);
/* A ready plugin whose package is on this host and whose worker did not crash
 * too often: it can be started (or is). */
bool supervisor_startable(const struct supervisor *s, const char *plugin_id);
/* Starts it now if it is not starting or running; a back-off is cut short.
 * One that crashed too often stays down until its registry record changes. */
void supervisor_start(struct supervisor *s, const char *plugin_id);

/* A free place among the calls of a worker (plugin.max.in.flight). A pinned
 * id without a worker has none. */
bool supervisor_slot_take(struct supervisor *s, const char *plugin_id);
void supervisor_slot_give(struct supervisor *s, const char *plugin_id);

/*
 * Calls a worker that is starting (the call then waits for its hand-shake
 * within its own time limit) or running. What is called in one turn of the
 * loop goes out in one write, before the loop waits again, as far as the pipe
 * takes it. When the worker cannot be called, the answer is RPC_NOT_SENT with
 * the text of docs/operations.md ("No worker registered ...", "Cannot call ..."),
 * delivered from the loop like any other. NULL only when out of memory.
 */
struct plugin_call *supervisor_call(struct supervisor *s, const struct plugin_request *r,
				    const struct plugin_call_events *ev);
/* Stops every worker that has no call, then the others as they end; with
 * `now` the stop ladder starts at once for all. Nothing is started any more.
 * `on_stopped` (may be NULL) from the loop when none is left and the records
 * are removed. May be called again, to hurry. */
void supervisor_stop(struct supervisor *s, bool now, void (*on_stopped)(void *arg), void *arg);
/* Kills what still runs. Uses neither registry nor redis from here on. The
 * memory is given back when the loop has turned. Accepts NULL. */
void supervisor_free(struct supervisor *s);

/* For /status: how many workers there are in each state. */
size_t supervisor_count(const struct supervisor *s, enum worker_status st);

#endif
