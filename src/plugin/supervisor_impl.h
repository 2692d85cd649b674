/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_impl: the supervisor's insides: the plugins it knows (handles)
 * and the calls it makes for others.
 *
 * Private to src/plugin/supervisor*.c and handle*.c.
 */
#ifndef ENVDRIVER_PLUGIN_SUPERVISOR_IMPL_H
#define ENVDRIVER_PLUGIN_SUPERVISOR_IMPL_H

#include "envdriver/base/jtext.h"
#include "config_push.h"
#include "deadline.h"
#include "host.h"
#include "limiter.h"
#include "spawn.h"
#include "envdriver/plugin/supervisor.h"
#include "supervisor_table.h"
#include "worker.h"

struct package;
struct registry_plugin;

enum supervisor_call_state {
	SUPERVISOR_CALL_HELD,	/* waits for a hand-shake */
	SUPERVISOR_CALL_DUE,	/* cannot be sent: its answer waits for the loop */
	SUPERVISOR_CALL_SENT,	/* the worker has it */
	SUPERVISOR_CALL_GONE,	/* over; waits to be forgotten */
};

struct plugin_call {
	struct worker_invocation call;
	enum supervisor_call_state state;
	struct supervisor *s;
	struct managed *h;	/* NULL: none, or over */
	struct plugin_call_events ev;
	bool forgotten;
	bool counted;		/* among the handle's calls */
	struct plugin_call *next, *prev;	/* while HELD or DUE */
	int64_t began_ms;
	struct deadline deadline;	/* while HELD */
	struct buf params;		/* while HELD */
	struct span traceparent;
	struct buf text;		/* of the answer while DUE */
	char strings[];
};

struct supervisor_call_list {
	struct plugin_call *head, *tail;
};

/* One plugin's worker, over its restarts. */
struct managed {
	struct managed *next;
	struct supervisor *s;
	char *id, *key;
	struct supervisor_row row;

	/* The registry's, copied; `plugin` looks into it. */
	bool listed, ready;
	char *package;
	struct buf manifest, config;
	struct host_plugin plugin;
	bool package_ok;
	int64_t package_checked_ms;
	char reason[400];	/* why it cannot be run here; "" when it can */

	struct worker *worker;
	struct host *host;
	struct config_push teller;
	uint64_t next_id;
	bool dying;		/* the worker is dead, its calls are being ended */
	bool spawn_after;	/* and then the next one is to be started */
	bool again;		/* this start follows a crash */
	int64_t started_at, last_crash_at, next_restart_at;	/* wall ms */

	uv_timer_t timer;	/* back-off */
	uv_timer_t held_timer;
	unsigned open;		/* of the two, not yet closed */

	size_t calls;		/* held or sent and not answered */
	size_t slots;
	bool slot_refused;
	bool change_due;	/* who waits for a change is to be told */
	struct supervisor_call_list held;
	struct deadlines held_deadlines;
	struct limiter log_limit, stderr_limit, event_limit, bad_limit;
};

struct supervisor {
	uv_loop_t *loop;
	const struct config *config;
	struct registry *registry;
	struct redis *redis;
	char *instance_id, *incarnation;
	struct supervisor_events ev;
	struct supervisor_rules rules;
	struct worker_limits limits;
	int64_t call_ms;	/* plugin.call.timeout */
	size_t max_slots;
	struct managed *handles;
	uv_timer_t beat;
	uv_idle_t idle;
	unsigned open;
	bool stopping, freed;
	bool told;		/* on_stopped was called, or there is none */
	void (*on_stopped)(void *arg);
	void *stopped_arg;
	struct supervisor_call_list due;
};

/* --- handle.c --- */

struct managed *managed_new(struct supervisor *s, const char *id);
void handle_event(struct managed *h, enum supervisor_event event);
int managed_open_package(const struct managed *h, char **env, struct package *ret,
			struct err *reterr);
/* Nothing is left that would keep it. */
bool managed_over(const struct managed *h);
/* Kills what runs. The memory is given back when the loop has turned. */
void managed_free(struct managed *h);
/* Writes the record, when there is something to show. */
void managed_beat(struct managed *h);
/* Calls may be kept back for a worker that is coming. */
bool managed_holds(const struct managed *h);
void managed_call_done(struct managed *h);
void managed_slots_changed(struct managed *h);

/* --- handle_registry.c --- */

/* What the registry says; NULL: it is not there any more. */
void managed_update(struct managed *h, const struct registry_plugin *p);
/* Looks again for a package that was not there. */
void managed_look_again(struct managed *h);

/* --- handle_say.c: what it logs and tells --- */

void managed_say_started(struct managed *h);
void managed_say_up(struct managed *h);
void managed_say_dead(struct managed *h, const struct worker_end *end, enum worker_status before);
/* As conftell.on_answer. */
void managed_say_configured(void *arg, struct span company, const struct rpc_answer *answer);
void managed_say_not_started(struct managed *h, const char *why);
void managed_say_gone_wrong(struct managed *h, const char *why);
extern const struct worker_events managed_worker_says;	/* on_stderr, on_bad */
extern const struct host_ops managed_host_says;		/* log, event */

/* --- supervisor.c --- */

/* The loop is to look at what is due. */
void supervisor_wake(struct supervisor *s);

/* --- supervisor_call.c --- */

/* The worker is up: what was held is sent. */
void supervisor_call_release(struct managed *h);
/* It will not come: what is held is answered. */
void supervisor_call_refuse(struct managed *h);
void supervisor_call_deliver_due(struct supervisor *s);
/* At the end: nobody hears of it any more. */
void supervisor_call_drop(struct supervisor_call_list *list);
void supervisor_call_on_held_timer(uv_timer_t *timer);

#endif
