/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/metrics.h"
#include "package.h"
#include "spawn.h"
#include "store.h"
#include "worker_record.h"
#include "worker_env.h"
#include "supervisor_impl.h"

enum {
	HANDLES = 2,
	LINES_PER_SECOND = 100,
	BEST_EFFORT_PER_SECOND = 1000,
};

static void spawn(struct managed *h);

/* The record in Redis, and who waits for a change */

void
managed_beat(struct managed *h)
{
	struct supervisor *s = h->s;
	struct worker_record r = {
		.plugin_id = h->id, .instance_id = s->instance_id, .incarnation = s->incarnation,
		.status = worker_status_name(h->row.status),
		.last_crash_at = h->last_crash_at,
		.consecutive_crashes = supervisor_table_crashes(&h->row, clock_mono_ms()),
		.total_crashes = h->row.total,
	};

	if (h->row.status == WORKER_NONE)
		return;
	if (h->worker && !h->dying) {
		r.pid = worker_pid(h->worker);
		r.started_at = h->started_at;
		r.methods = worker_methods(h->worker).raw;
	}
	if (h->row.status == WORKER_BACKOFF)
		r.next_restart_at = h->next_restart_at;
	worker_record_write(s->redis, &r);
}

static void
changed(struct managed *h)
{
	managed_beat(h);
	if (!managed_holds(h))
		supervisor_call_refuse(h);
	h->change_due = true;
	supervisor_wake(h->s);
}

bool
managed_holds(const struct managed *h)
{
	return h->row.status == WORKER_STARTING ||
	       (h->row.status == WORKER_STOPPING && h->row.wanted);
}

/* Events of the table */

static void
on_due(uv_timer_t *t)
{
	handle_event(t->data, SUPERVISOR_DUE);
}

static void
wait_for_restart(struct managed *h)
{
	int64_t wait = h->row.next_restart_ms - clock_mono_ms();

	h->next_restart_at = clock_wall_ms() + wait;
	uv_timer_start(&h->timer, on_due, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void
act(struct managed *h, enum supervisor_action action)
{
	switch (action) {
	case SUPERVISOR_NOTHING:
		break;
	case SUPERVISOR_SPAWN:
		uv_timer_stop(&h->timer);
		h->spawn_after = h->dying;
		if (!h->dying)
			spawn(h);
		break;
	case SUPERVISOR_WAIT:
		wait_for_restart(h);
		break;
	case SUPERVISOR_DRAIN:
		if (h->calls == 0)
			handle_event(h, SUPERVISOR_IDLE);
		break;
	case SUPERVISOR_LADDER:
		h->spawn_after = false;
		worker_stop(h->worker);
		break;
	case SUPERVISOR_REST:
	case SUPERVISOR_GIVE_UP:
		uv_timer_stop(&h->timer);
		/* One that was asked for and has not begun. */
		h->spawn_after = false;
		break;
	default:
		assert(!"an event that cannot be in this state");
	}
}

void
handle_event(struct managed *h, enum supervisor_event event)
{
	enum worker_status before = h->row.status;
	enum supervisor_action action;

	action = supervisor_table_step(&h->row, &h->s->rules, event, clock_mono_ms(),
				       backoff_dice());
	act(h, action);
	if (h->row.status != before)
		changed(h);
}

/* The process */

static void
on_up(void *arg)
{
	struct managed *h = arg;

	if (h->row.status != WORKER_STARTING)
		return;
	/* Before any call: the plugin reads its companies' configs first. */
	config_push_begin(&h->teller, h->worker, h->plugin.config);
	managed_say_up(h);
	h->again = false;
	handle_event(h, SUPERVISOR_UP);
	supervisor_call_release(h);
	if (h->calls == 0)
		handle_event(h, SUPERVISOR_IDLE);
}

static void
on_request(void *arg, const struct rpc_message *m)
{
	struct managed *h = arg;

	host_request(h->host, m);
}

static void
on_notification(void *arg, const struct rpc_message *m)
{
	struct managed *h = arg;

	host_notification(h->host, m);
}

static void
on_dead(void *arg, const struct worker_end *end)
{
	struct managed *h = arg;
	enum worker_status before = h->row.status;
	enum supervisor_event event = SUPERVISOR_DIED;

	h->dying = true;
	config_push_end(&h->teller);
	host_end(h->host);
	if (before != WORKER_STOPPING) {
		metrics_add(METRIC_PLUGIN_CRASHES, 1);
		h->last_crash_at = clock_wall_ms();
		h->again = true;
		if (end->answered)
			event = SUPERVISOR_FAILED;
	}
	handle_event(h, event);
	managed_say_dead(h, end, before);
}

static void
on_end(void *arg)
{
	struct managed *h = arg;

	worker_free(h->worker);
	host_free(h->host);
	h->worker = NULL;
	h->host = NULL;
	h->dying = false;
	supervisor_wake(h->s);
	if (h->spawn_after) {
		h->spawn_after = false;
		spawn(h);
		managed_beat(h);
	} else if (h->row.status == WORKER_STOPPING) {
		/* Its successor was called off before it came to be. */
		handle_event(h, SUPERVISOR_DIED);
	}
}

static void
on_write(void *arg, struct span line)
{
	struct managed *h = arg;

	if (h->worker && !h->dying)
		worker_write(h->worker, line);
}

static int
on_state(void *arg, enum host_state_op op, struct span company, struct span field,
	 struct span value, host_state_fn *done, void *token)
{
	struct managed *h = arg;

	return store_ask(h->s->redis, h->id, op, company, field, value, done, token);
}

/*
 * plugin.limit.*: 0 is unset, but for core files, of which there are none.
 * Memory is RLIMIT_DATA, what a process can write to: RLIMIT_AS would count
 * what a runtime reserves and never uses, for Node some GiB.
 */
static const struct {
	const char *key;
	int resource;
} limit_keys[] = {
	{ "plugin.limit.core", RLIMIT_CORE },
	{ "plugin.limit.memory", RLIMIT_DATA },
	{ "plugin.limit.files", RLIMIT_NOFILE },
	{ "plugin.limit.processes", RLIMIT_NPROC },
};

enum { LIMITS = sizeof(limit_keys) / sizeof(*limit_keys) };

static size_t
read_limits(const struct config *config, struct spawn_limit ret[LIMITS])
{
	size_t n = 0;

	for (int i = 0; i < LIMITS; i++) {
		int64_t value = config_int(config, limit_keys[i].key);

		if (value > 0 || limit_keys[i].resource == RLIMIT_CORE)
			ret[n++] = (struct spawn_limit){ limit_keys[i].resource, (uint64_t)value };
	}
	return n;
}

static struct worker *
new_worker(struct managed *h, const struct package *p, char **env, struct err *reterr)
{
	struct worker_events ev = managed_worker_says;
	struct spawn_limit limits[LIMITS];
	struct worker_spec spec = {
		.dir = p->dir, .argv = p->argv, .env = env, .instance_id = h->s->instance_id,
		.manifest = buf_span(&h->manifest), .limits = h->s->limits, .rlimits = limits,
		.n_rlimits = read_limits(h->s->config, limits),
	};

	ev.on_up = on_up;
	ev.on_request = on_request;
	ev.on_notification = on_notification;
	ev.on_dead = on_dead;
	ev.on_end = on_end;
	ev.arg = h;
	return worker_new(h->s->loop, &spec, &h->next_id, &ev, reterr);
}

int
managed_open_package(const struct managed *h, char **env, struct package *ret, struct err *reterr)
{
	struct package_rules rules = {
		.dirs = config_str(h->s->config, "plugin.dirs"),
		.wrapper = config_str(h->s->config, "plugin.wrapper"),
		.path = worker_env_get(env, "PATH"),
	};

	if (!h->package)
		return err_set(reterr, ERR_NOTFOUND, "its record names no package");
	return package_open(h->package, &rules, ret, reterr);
}

static int
start(struct managed *h, struct err *reterr)
{
	struct host_ops ops = managed_host_says;
	struct package package = { NULL, NULL };
	char **env = worker_env_new(h->s->config, h->id, h->key, environ, reterr);
	int ret = env ? managed_open_package(h, env, &package, reterr) : ERR_NOMEM;

	if (ret == 0) {
		h->worker = new_worker(h, &package, env, reterr);
		ops.write = on_write;
		ops.state = on_state;
		ops.arg = h;
		if (h->worker)
			h->host = host_new(&h->plugin, worker_scope(h->worker), &ops, reterr);
		if (!h->host) {
			worker_free(h->worker);
			h->worker = NULL;
			ret = ERR_IO;
		}
	}
	package_release(&package);
	free(env);
	return ret;
}

static void
spawn(struct managed *h)
{
	struct err err = { 0 };

	if (start(h, &err) < 0) {
		h->last_crash_at = clock_wall_ms();
		h->again = true;
		handle_event(h, SUPERVISOR_FAILED);
		managed_say_not_started(h, err.text);
		return;
	}
	h->started_at = clock_wall_ms();
	metrics_add(METRIC_PLUGIN_STARTS, 1);
	managed_say_started(h);
}

/* Calls and slots */

void
managed_call_done(struct managed *h)
{
	h->calls--;
	if (h->calls == 0)
		handle_event(h, SUPERVISOR_IDLE);
}

void
managed_slots_changed(struct managed *h)
{
	if (!h->slot_refused || h->slots >= h->s->max_slots)
		return;
	h->slot_refused = false;
	h->change_due = true;
	supervisor_wake(h->s);
}

/* Life */

struct managed *
managed_new(struct supervisor *s, const char *id)
{
	struct managed *h = calloc(1, sizeof(*h));
	struct limiter lines = { .per_second = LINES_PER_SECOND };

	if (!h)
		return NULL;
	h->id = strdup(id);
	if (!h->id) {
		free(h);
		return NULL;
	}
	h->s = s;
	h->plugin = (struct host_plugin){ .id = h->id, .key = "" };
	h->next_id = 1;
	h->log_limit = h->stderr_limit = h->bad_limit = lines;
	h->event_limit.per_second = BEST_EFFORT_PER_SECOND;
	h->teller = (struct config_push){
		.timeout_ms = s->call_ms, .on_answer = managed_say_configured, .arg = h};
	uv_timer_init(s->loop, &h->timer);
	uv_timer_init(s->loop, &h->held_timer);
	h->timer.data = h->held_timer.data = h;
	h->open = HANDLES;
	return h;
}

bool
managed_over(const struct managed *h)
{
	return !h->listed && !h->worker && h->calls == 0 && h->slots == 0;
}

static void
on_closed(uv_handle_t *t)
{
	struct managed *h = t->data;

	if (--h->open > 0)
		return;
	config_push_release(&h->teller);
	deadline_release(&h->held_deadlines);
	buf_release(&h->manifest);
	buf_release(&h->config);
	free(h->package);
	free(h->key);
	free(h->id);
	free(h);
}

void
managed_free(struct managed *h)
{
	supervisor_call_drop(&h->held);
	worker_free(h->worker);
	host_free(h->host);
	h->worker = NULL;
	h->host = NULL;
	uv_close((uv_handle_t *)&h->timer, on_closed);
	uv_close((uv_handle_t *)&h->held_timer, on_closed);
}
