/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_calls: the calls of one plugin, as its managed worker and the
 * supervisor see them: sent at once, held for a hand-shake, or answered by us
 * (docs/protocol.md section 7). The caller's side is
 * envdriver/plugin/plugin_call.h; one file, plugin_call.c, has both.
 *
 * Owns the calls that nobody has freed yet, and the time limits of those that
 * are held. Knows nothing of when a worker is started or stopped.
 */
#ifndef ENVDRIVER_PLUGIN_PLUGIN_CALLS_H
#define ENVDRIVER_PLUGIN_PLUGIN_CALLS_H

#include <sys/queue.h>
#include <uv.h>

#include "envdriver/plugin/plugin_call.h"
#include "envdriver/secret/secret_fill.h"
#include "worker.h"
#include "envdriver/plugin/supervisor.h"

struct plugin_calls;
struct secret_lookups;
struct secret_refs;
struct worker;

enum plugin_call_state {
	CALL_NEW,
	CALL_LOOKING,	/* its secrets are looked up */
	CALL_HELD,	/* waits for a hand-shake */
	CALL_DUE,	/* cannot be sent: its answer waits for the loop */
	CALL_SENT,	/* the worker has it */
	CALL_GONE,	/* nothing comes any more; waits to be freed */
};

/* For plugin_call.c and call_lookup.c alone. */
struct plugin_call {
	struct worker_invocation invocation;
	enum plugin_call_state state;
	struct plugin_call_events ev;
	bool freed;		/* by the caller */
	struct plugin_calls *calls;	/* among whose count it is; NULL: of none */
	struct plugin_calls_due *due;
	TAILQ_ENTRY(plugin_call) link;	/* while LOOKING, HELD or DUE */
	int64_t began_ms;
	struct deadline deadline;	/* while HELD */
	struct buf params;		/* while HELD */
	struct span traceparent;
	struct buf text, why;		/* of the answer while DUE, */
	enum rpc_end end;		/* and its kind, */
	bool retryable;			/* and whether it may succeed later */
	struct plugin_calls_looking *looking;	/* while LOOKING */
	struct secret_fill secrets;
	const char *plugin_id;
	char strings[];
};

TAILQ_HEAD(plugin_call_list, plugin_call);

/* Calls that cannot be sent: their answers wait for the loop, so that nothing
 * is called back before supervisor_call returned. The last two are set by the
 * owner. */
struct plugin_calls_due {
	struct plugin_call_list list;
	/* plugin_calls_due_deliver is to be called from the loop. */
	void (*wake)(void *arg);
	void *arg;
};

/* Calls whose secrets are looked up. All but the list are set by the owner. */
struct plugin_calls_looking {
	struct plugin_call_list list;
	struct secret_lookups *lookups;
	/* From the loop: the call is as new, its parameters have the values;
	 * borrowed for the call. */
	void (*ready)(void *arg, struct plugin_call *c, const char *plugin_id,
		      struct span params);
	void *arg;
};

/* Answers it from the loop: nothing is sent. */
void plugin_call_make_due(struct plugin_call *c);
/* Nothing is called back for them any more. */
void plugin_calls_end_all(struct plugin_call_list *list);

/* Replaces the references in `params`, then goes on with `ready`. One that cannot
 * be had ends the call as RPC_NO_SECRET. */
void call_lookup_start(struct plugin_call *c, struct plugin_calls_looking *l,
			 struct span params, struct secret_refs *refs);
/* Nothing is called back for what is left. */
void call_lookup_release(struct plugin_calls_looking *l);

void plugin_calls_due_init(struct plugin_calls_due *d, void (*wake)(void *arg), void *arg);
/* Answers those that are due now, not those that are added meanwhile. */
void plugin_calls_due_deliver(struct plugin_calls_due *d);
/* Nothing is called back for what is left. */
void plugin_calls_due_release(struct plugin_calls_due *d);

/* NULL when out of memory. `id` is the plugin's, for texts; it outlives the
 * calls. `on_idle` (may be NULL) is called when the last call that was held or sent has
 * been answered. */
struct plugin_calls *plugin_calls_new(uv_loop_t *loop, const char *id, void (*on_idle)(void *arg),
				      void *arg);
/* How many are held, or sent and not answered. */
size_t plugin_calls_count(const struct plugin_calls *cs);
/* Slots limit how many who are about to call, or call, there are at a time. */
size_t plugin_calls_slots(const struct plugin_calls *cs);
bool plugin_calls_slot_take(struct plugin_calls *cs, size_t max);
/* True when one was refused and may be had now. */
bool plugin_calls_slot_give(struct plugin_calls *cs, size_t max);
/* The worker is up: sends what is held; from then on it is among `to`. */
void plugin_calls_send_held(struct plugin_calls *from, struct plugin_calls *to,
			    struct worker *worker);
/* It will not come: refuses what is held. */
void plugin_calls_refuse_held(struct plugin_calls *cs, const struct supervisor_view *how);
/* After worker_free. Nothing is called back for what is held. The memory is
 * given back when the loop has turned. Accepts NULL. */
void plugin_calls_free(struct plugin_calls *cs);

/* A call that is neither sent, held nor refused yet: call_lookup_start or one
 * of the next four follows at once. NULL when out of memory. `due` outlives the call. */
struct plugin_call *plugin_call_new(const struct plugin_request *r,
				    const struct plugin_call_events *ev,
				    struct plugin_calls_due *due);
void plugin_call_send(struct plugin_call *c, struct plugin_calls *cs, struct worker *worker,
		      struct span params);
/* Until plugin_calls_send_held, within the call's own time limit. */
void plugin_call_hold(struct plugin_call *c, struct plugin_calls *cs, struct span params);
/* The plugin's worker has a status in which it cannot be called. */
void plugin_call_refuse(struct plugin_call *c, const struct supervisor_view *how);
/* It has no worker. */
void plugin_call_refuse_unknown(struct plugin_call *c, const char *plugin_id);

#endif
