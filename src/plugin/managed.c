/* SPDX-License-Identifier: Apache-2.0 */
#include "managed.h"

#include <assert.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/metrics.h"
#include "envdriver/registry/registry.h"
#include "plugin_calls.h"
#include "plugin_process.h"
#include "plugin_record.h"
#include "worker_record.h"
#include "worker_report.h"

enum { PACKAGE_AGAIN_MS = 1000 };

struct managed {
	const struct managed_shared *shared;
	char *id;
	struct supervisor_row row;
	struct plugin_record record;
	struct worker_report report;

	struct plugin_process *process;	/* NULL: none */
	uint64_t next_id;	/* of requests, over all processes */
	bool spawn_after;	/* once the dead one's calls have ended, the next is started */
	bool again;		/* this start follows a crash */
	int64_t started_at, last_crash_at, next_restart_at;	/* wall ms */
	uv_timer_t timer;	/* back-off */

	struct plugin_calls *calls;
	size_t slots;
	bool slot_refused;
	bool changed;		/* not taken yet */
};

static void spawn(struct managed *m);

static struct worker *
worker_of(const struct managed *m)
{
	return plugin_process_worker(m->process);
}

/* The process is dead, its calls are being ended. */
static bool
dying(const struct managed *m)
{
	return m->process && plugin_process_dead(m->process);
}

/* One that was never started is as a stopped one for those who look. */
static enum worker_status
shown_status(const struct managed *m)
{
	return m->row.status ? m->row.status : WORKER_STOPPED;
}

/* The record in Redis, and changes */

void
managed_publish(struct managed *m)
{
	struct worker_record r = {
		.plugin_id = m->id, .instance_id = m->shared->process.instance_id,
		.incarnation = m->shared->incarnation,
		.status = supervisor_status_name(shown_status(m)),
		.reason = managed_reason(m), .gave_up = m->row.gave_up,
		.last_crash_at = m->last_crash_at,
		.consecutive_crashes = supervisor_table_crashes(&m->row, clock_mono_ms()),
		.total_crashes = m->row.total,
	};

	if (m->row.status == WORKER_NONE && !managed_refused(m))
		return;
	if (m->process && !dying(m)) {
		r.pid = worker_pid(worker_of(m));
		r.started_at = m->started_at;
		r.methods = worker_methods(worker_of(m)).raw;
		r.isolation = plugin_process_isolation(m->process);
	}
	if (m->row.status == WORKER_BACKOFF)
		r.next_restart_at = m->next_restart_at;
	worker_record_write(m->shared->process.redis, &r);
}

static void
announce(struct managed *m)
{
	m->changed = true;
	m->shared->wake(m->shared->arg);
}

/* Calls may be held for a worker that is coming. */
static bool
holds_calls(const struct managed *m)
{
	return m->row.status == WORKER_STARTING ||
	       (m->row.status == WORKER_STOPPING && m->row.wanted);
}

static void
status_changed(struct managed *m)
{
	struct supervisor_view view;

	managed_publish(m);
	managed_view(m, &view);
	if (!holds_calls(m) && m->row.status != WORKER_RUNNING)
		plugin_calls_refuse_held(m->calls, &view);
	announce(m);
}

/* Events of the table */

static void apply_event(struct managed *m, enum supervisor_event event);

static void
on_backoff_over(uv_timer_t *t)
{
	apply_event(t->data, SUPERVISOR_DUE);
}

static void
wait_for_restart(struct managed *m)
{
	int64_t wait = m->row.next_restart_ms - clock_mono_ms();

	m->next_restart_at = clock_wall_ms() + wait;
	uv_timer_start(&m->timer, on_backoff_over, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void
step_if_idle(struct managed *m)
{
	if (plugin_calls_count(m->calls) == 0)
		apply_event(m, SUPERVISOR_IDLE);
}

static void
act(struct managed *m, enum supervisor_action action)
{
	switch (action) {
	case SUPERVISOR_NOTHING:
		break;
	case SUPERVISOR_SPAWN:
		uv_timer_stop(&m->timer);
		m->spawn_after = dying(m);
		if (!m->spawn_after)
			spawn(m);
		break;
	case SUPERVISOR_WAIT:
		wait_for_restart(m);
		break;
	case SUPERVISOR_DRAIN:
		step_if_idle(m);
		break;
	case SUPERVISOR_LADDER:
		m->spawn_after = false;
		worker_stop(worker_of(m));
		break;
	case SUPERVISOR_REST:
	case SUPERVISOR_GIVE_UP:
		uv_timer_stop(&m->timer);
		/* One that was asked for and has not begun. */
		m->spawn_after = false;
		break;
	default:
		assert(!"an event that cannot be in this state");
	}
}

static void
apply_event(struct managed *m, enum supervisor_event event)
{
	enum worker_status before = m->row.status;

	act(m, supervisor_table_step(&m->row, &m->shared->rules, event, clock_mono_ms(),
				     backoff_dice()));
	if (m->row.status != before)
		status_changed(m);
}

/* The process */

static void
on_managed_up(void *arg)
{
	struct managed *m = arg;

	if (m->row.status != WORKER_STARTING)
		return;
	/* Before any call: the plugin reads its companies' configs first. */
	plugin_process_push(m->process, m->record.plugin.config);
	worker_report_up(&m->report, worker_pid(worker_of(m)), m->again,
			 plugin_process_isolation(m->process));
	m->again = false;
	apply_event(m, SUPERVISOR_UP);
	plugin_calls_send_held(m->calls, worker_of(m));
	step_if_idle(m);
}

static void
on_managed_dead(void *arg, const struct worker_end *end)
{
	struct managed *m = arg;
	int pid = worker_pid(worker_of(m));

	if (m->row.status == WORKER_STOPPING) {
		apply_event(m, SUPERVISOR_DIED);
		worker_report_stopped(&m->report, pid, end);
		return;
	}
	metrics_add(METRIC_PLUGIN_CRASHES, 1);
	m->last_crash_at = clock_wall_ms();
	m->again = true;
	worker_report_failed(&m->report, end, /* why= */ NULL);
	apply_event(m, end->answered ? SUPERVISOR_FAILED : SUPERVISOR_DIED);
	worker_report_crashed(&m->report, pid, end, m->next_restart_at);
}

static void
on_managed_over(void *arg)
{
	struct managed *m = arg;

	plugin_process_free(m->process);
	m->process = NULL;
	m->shared->wake(m->shared->arg);
	if (m->spawn_after) {
		m->spawn_after = false;
		spawn(m);
		managed_publish(m);
	} else if (m->row.status == WORKER_STOPPING) {
		/* Its successor was called off before it came to be. */
		apply_event(m, SUPERVISOR_DIED);
	}
}

static void
spawn(struct managed *m)
{
	const struct plugin_process_events ev = {
		on_managed_up, on_managed_dead, on_managed_over, m,
	};
	struct err err = { 0 };

	m->process = plugin_process_new(&m->shared->process, &m->record, &m->report, &m->next_id,
					&ev, &err);
	if (!m->process) {
		m->last_crash_at = clock_wall_ms();
		m->again = true;
		worker_report_failed(&m->report, /* end= */ NULL, err.text);
		apply_event(m, SUPERVISOR_FAILED);
		worker_report_crashed(&m->report, /* pid= */ 0, /* end= */ NULL,
				      m->next_restart_at);
		return;
	}
	m->started_at = clock_wall_ms();
	metrics_add(METRIC_PLUGIN_STARTS, 1);
	worker_report_starting(&m->report, worker_pid(worker_of(m)));
}

/* The registry */

static void
check_package(struct managed *m)
{
	if (!plugin_record_check(&m->record, m->shared->process.config))
		return;
	worker_report_not_runnable(&m->report, m->record.reason);
	managed_publish(m);
}

static void
want(struct managed *m)
{
	bool wanted = m->record.ready && m->record.runnable && !m->shared->stopping;

	if (wanted == m->row.wanted)
		return;
	if (wanted)
		apply_event(m, SUPERVISOR_CHANGED);
	apply_event(m, wanted ? SUPERVISOR_WANTED : SUPERVISOR_UNWANTED);
}

void
managed_update(struct managed *m, const struct registry_plugin *p)
{
	bool was_ready = m->record.ready;
	struct buf configs = BUF_INIT;
	unsigned changes = plugin_record_update(&m->record, p, &configs);

	if (changes & PLUGIN_RECORD_CONFIG && m->row.status == WORKER_RUNNING && configs.len &&
	    !configs.failed)
		plugin_process_push(m->process,
				    (struct jtext){ JTEXT_OBJECT, buf_span(&configs) });
	buf_release(&configs);
	if (m->record.ready) {
		if (!was_ready || changes & PLUGIN_RECORD_PROGRAM || !m->record.runnable)
			check_package(m);
		if (changes & PLUGIN_RECORD_PROGRAM && m->row.wanted && m->record.runnable)
			apply_event(m, SUPERVISOR_CHANGED);
		step_if_idle(m);
	}
	want(m);
}

bool
managed_startable(struct managed *m)
{
	if (m->record.ready && !m->record.runnable &&
	    clock_mono_ms() - m->record.checked_ms >= PACKAGE_AGAIN_MS) {
		check_package(m);
		want(m);
	}
	return supervisor_table_startable(&m->row);
}

/* Calls and slots */

static void
on_calls_idle(void *arg)
{
	apply_event(arg, SUPERVISOR_IDLE);
}

void
managed_call(struct managed *m, struct plugin_call *c, struct span params)
{
	struct supervisor_view view;

	if (m->row.status == WORKER_RUNNING) {
		plugin_call_send(c, m->calls, worker_of(m), params);
	} else if (holds_calls(m)) {
		plugin_call_hold(c, m->calls, params);
	} else {
		managed_view(m, &view);
		plugin_call_refuse(c, &view);
	}
}

bool
managed_slot_take(struct managed *m)
{
	if (m->row.status == WORKER_NONE)
		return false;
	if (m->slots >= m->shared->slots_max) {
		m->slot_refused = true;
		return false;
	}
	m->slots++;
	return true;
}

void
managed_slot_give(struct managed *m)
{
	if (m->slots == 0)
		return;
	m->slots--;
	if (!m->slot_refused || m->slots >= m->shared->slots_max)
		return;
	m->slot_refused = false;
	announce(m);
}

bool
managed_supports(const struct managed *m, const char *method)
{
	return m->row.status == WORKER_RUNNING && plugin_process_supports(m->process, method);
}

/* Life */

const char *
managed_id(const struct managed *m)
{
	return m->id;
}

enum worker_status
managed_status(const struct managed *m)
{
	return m->row.status;
}

bool
managed_refused(const struct managed *m)
{
	return m->record.ready && !m->record.runnable;
}

const char *
managed_reason(const struct managed *m)
{
	if (managed_refused(m))
		return m->record.reason;
	return m->row.status == WORKER_RUNNING ? "" : m->report.reason;
}

void
managed_view(const struct managed *m, struct supervisor_view *ret)
{
	*ret = (struct supervisor_view){
		.id = m->id, .key = m->record.plugin.key,
		.status = shown_status(m),
		.wanted = m->row.wanted, .gave_up = m->row.gave_up, .reason = managed_reason(m),
		.isolation = m->process ? plugin_process_isolation(m->process) : "",
	};
}

bool
managed_coming(const struct managed *m)
{
	return supervisor_table_coming(&m->row);
}

bool
managed_take_change(struct managed *m)
{
	bool changed = m->changed;

	m->changed = false;
	return changed;
}

bool
managed_process(const struct managed *m)
{
	return m->process || m->spawn_after;
}

bool
managed_over(const struct managed *m)
{
	return !m->record.listed && !m->process && plugin_calls_count(m->calls) == 0 &&
	       m->slots == 0;
}

void
managed_start(struct managed *m)
{
	apply_event(m, SUPERVISOR_DEMAND);
}

void
managed_stop(struct managed *m, bool now)
{
	if (m->row.wanted)
		apply_event(m, SUPERVISOR_UNWANTED);
	if (now)
		apply_event(m, SUPERVISOR_NOW);
}

struct managed *
managed_new(const struct managed_shared *shared, const char *id)
{
	struct managed *m = malloc(sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct managed){ .shared = shared, .next_id = 1, .id = strdup(id) };
	m->calls = plugin_calls_new(shared->process.loop, m->id, on_calls_idle, m);
	if (!m->id || !m->calls) {
		plugin_calls_free(m->calls);
		free(m->id);
		free(m);
		return NULL;
	}
	plugin_record_init(&m->record, m->id);
	worker_report_init(&m->report, &m->record.plugin, &m->row, shared->on_plugin_event,
			   shared->arg);
	uv_timer_init(shared->process.loop, &m->timer);
	m->timer.data = m;
	return m;
}

static void
on_managed_closed(uv_handle_t *t)
{
	struct managed *m = t->data;

	plugin_record_release(&m->record);
	worker_report_release(&m->report);
	free(m->id);
	free(m);
}

void
managed_free(struct managed *m)
{
	plugin_process_free(m->process);
	m->process = NULL;
	plugin_calls_free(m->calls);
	uv_close((uv_handle_t *)&m->timer, on_managed_closed);
}
