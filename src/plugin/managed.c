/* SPDX-License-Identifier: Apache-2.0 */
#include "managed.h"

#include <assert.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/metrics.h"
#include "envdriver/registry/endpoints.h"
#include "envdriver/registry/registry.h"
#include "plugin_calls.h"
#include "plugin_process.h"
#include "plugin_record.h"
#include "runs.h"
#include "worker_record.h"
#include "worker_report.h"

enum { PACKAGE_AGAIN_MS = 1000 };

struct managed {
	const struct managed_shared *shared;
	char *id;
	struct supervisor_row row;
	struct plugin_record record;
	struct worker_report report;

	struct runs runs;
	unsigned begun, running;	/* the record's program at the last start; that called */
	bool again;		/* this start follows a crash */
	int64_t last_crash_at, next_restart_at;	/* wall ms */
	uv_timer_t timer;	/* back-off */

	struct plugin_calls *held;	/* for a hand-shake; its slots are those of all calls */
	bool changed;		/* not taken yet */
};

static struct worker *
worker_of(const struct managed *m)
{
	return plugin_process_worker(m->runs.current);
}

/* One that was never started is as a stopped one for those who look. */
static enum worker_status
shown_status(const struct managed *m)
{
	return m->row.status ? m->row.status : WORKER_STOPPED;
}

/* What is shown */

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

	/* The record of one that somebody else runs is theirs. */
	if (m->record.endpoint || (m->row.status == WORKER_NONE && !managed_refused(m)))
		return;
	runs_show(&m->runs, &r);
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
		plugin_calls_refuse_held(m->held, &view);
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

/* Who has a slot is about to call, unless all is to end. */
static void
on_managed_idle(void *arg)
{
	struct managed *m = arg;

	if (runs_idle(&m->runs) && (m->shared->stopping || plugin_calls_slots(m->held) == 0))
		apply_event(m, SUPERVISOR_IDLE);
}

static void
start_run(struct managed *m, void begin(struct runs *r))
{
	uv_timer_stop(&m->timer);
	m->begun = m->record.program;
	begin(&m->runs);
}

static void
act(struct managed *m, enum supervisor_action action)
{
	switch (action) {
	case SUPERVISOR_NOTHING:
		break;
	case SUPERVISOR_SPAWN:
		start_run(m, runs_begin);
		break;
	case SUPERVISOR_RENEW:
		start_run(m, runs_begin_next);
		break;
	case SUPERVISOR_WAIT:
		wait_for_restart(m);
		break;
	case SUPERVISOR_PROMOTE:
		runs_promote(&m->runs);
		m->running = m->begun;
		break;
	case SUPERVISOR_ADOPT:
		runs_adopt(&m->runs);
		break;
	case SUPERVISOR_DRAIN:
		uv_timer_stop(&m->timer);
		runs_drop_next(&m->runs);
		on_managed_idle(m);
		break;
	case SUPERVISOR_LADDER:
		runs_stop(&m->runs);
		break;
	case SUPERVISOR_REST:
	case SUPERVISOR_GIVE_UP:
		uv_timer_stop(&m->timer);
		break;
	default:
		assert(!"an event that cannot be in this state");
	}
}

static void
apply_event(struct managed *m, enum supervisor_event event)
{
	enum worker_status before = m->row.status;
	enum supervisor_action action = supervisor_table_step(&m->row, &m->shared->rules, event,
							      clock_mono_ms(), backoff_dice());

	act(m, action);
	if (m->row.status != before || action == SUPERVISOR_PROMOTE)
		status_changed(m);
}

/* Processes */

static void
on_managed_up(void *arg)
{
	struct managed *m = arg;

	if (m->row.status != WORKER_STARTING)
		return;
	/* Before any call: the plugin reads its companies' configs first. */
	plugin_process_push(m->runs.current, m->record.plugin.config);
	worker_report_up(&m->report, worker_pid(worker_of(m)), m->again,
			 plugin_process_isolation(m->runs.current));
	m->again = false;
	m->running = m->begun;
	apply_event(m, SUPERVISOR_UP);
	plugin_calls_send_held(m->held, plugin_process_calls(m->runs.current), worker_of(m));
}

static void
on_next_up(void *arg)
{
	apply_event(arg, SUPERVISOR_NEXT_UP);
}

static void
on_managed_down(void *arg, int pid, const struct worker_end *end, const char *why)
{
	struct managed *m = arg;

	if (m->row.status == WORKER_STOPPING) {
		apply_event(m, SUPERVISOR_DIED);
		if (end)
			worker_report_stopped(&m->report, pid, end);
		return;
	}
	metrics_add(METRIC_PLUGIN_CRASHES, end ? 1 : 0);
	m->last_crash_at = clock_wall_ms();
	m->again = true;
	worker_report_failed(&m->report, end, why);
	apply_event(m, !end || end->answered ? SUPERVISOR_FAILED : SUPERVISOR_DIED);
	worker_report_crashed(&m->report, pid, end, m->next_restart_at);
}

static void
on_next_down(void *arg, int pid, const struct worker_end *end, const char *why)
{
	struct managed *m = arg;

	apply_event(m, SUPERVISOR_NEXT_FAILED);
	worker_report_not_renewed(&m->report, pid, end, why,
				  m->row.renewal == RENEWAL_WAITING ? m->next_restart_at : 0);
	managed_publish(m);
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

/* One that runs goes on when what is to follow it cannot be run. */
static bool
can_run(const struct managed *m)
{
	return m->record.runnable || m->row.status == WORKER_RUNNING;
}

static void
want(struct managed *m)
{
	bool wanted = m->record.ready && can_run(m) && !m->shared->stopping;

	if (wanted == m->row.wanted)
		return;
	if (wanted)
		apply_event(m, SUPERVISOR_CHANGED);
	apply_event(m, wanted ? SUPERVISOR_WANTED : SUPERVISOR_UNWANTED);
	/* It was stopping, and runs on; meanwhile it may have become another one. */
	if (m->row.status == WORKER_RUNNING && m->running != m->record.program)
		apply_event(m, SUPERVISOR_CHANGED);
}

void
managed_update(struct managed *m, const struct registry_plugin *p, const struct endpoint *external)
{
	bool was_ready = m->record.ready;
	struct buf configs = BUF_INIT;
	unsigned changes = plugin_record_update(&m->record, p, external, &configs);

	runs_refresh(&m->runs, m->row.status == WORKER_RUNNING,
		     configs.failed ? SPAN_NULL : buf_span(&configs));
	buf_release(&configs);
	if (changes & PLUGIN_RECORD_PROGRAM && external && !external->ours)
		worker_record_remove(m->shared->process.redis, m->id,
				     m->shared->process.instance_id);
	if (m->record.ready &&
	    (!was_ready || changes & PLUGIN_RECORD_PROGRAM || !m->record.runnable))
		check_package(m);
	if (changes & PLUGIN_RECORD_PROGRAM && m->row.wanted && can_run(m))
		apply_event(m, SUPERVISOR_CHANGED);
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

void
managed_call(struct managed *m, struct plugin_call *c, struct span params)
{
	struct supervisor_view view;

	if (m->row.status == WORKER_RUNNING || (m->row.draining && m->runs.current)) {
		plugin_call_send(c, plugin_process_calls(m->runs.current), worker_of(m), params);
		/* One that did not come to be is tried again when its back-off is over. */
		if (m->row.renewal == RENEWAL_NONE && !m->record.endpoint &&
		    runs_filling(&m->runs))
			apply_event(m, SUPERVISOR_CHANGED);
	} else if (holds_calls(m)) {
		plugin_call_hold(c, m->held, params);
	} else {
		managed_view(m, &view);
		plugin_call_refuse(c, &view);
	}
}

bool
managed_slot_take(struct managed *m)
{
	return m->row.status != WORKER_NONE &&
	       plugin_calls_slot_take(m->held, m->shared->slots_max);
}

void
managed_slot_give(struct managed *m)
{
	bool missed = plugin_calls_slot_give(m->held, m->shared->slots_max);

	on_managed_idle(m);
	if (missed)
		announce(m);
}

bool
managed_supports(const struct managed *m, const char *method)
{
	return m->row.status == WORKER_RUNNING && plugin_process_supports(m->runs.current, method);
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
managed_external(const struct managed *m)
{
	return m->record.endpoint;
}

bool
managed_refused(const struct managed *m)
{
	return m->record.ready && !m->record.runnable;
}

const char *
managed_reason(const struct managed *m)
{
	return managed_refused(m) ? m->record.reason : m->report.reason;
}

void
managed_view(const struct managed *m, struct supervisor_view *ret)
{
	*ret = (struct supervisor_view){
		.id = m->id, .key = m->record.plugin.key,
		.status = shown_status(m),
		.wanted = m->row.wanted, .gave_up = m->row.gave_up, .reason = managed_reason(m),
		.isolation = m->runs.current ? plugin_process_isolation(m->runs.current) : "",
	};
}

bool
managed_coming(const struct managed *m)
{
	return supervisor_table_coming(&m->row);
}

bool
managed_left(const struct managed *m)
{
	return m->record.left_ms && clock_mono_ms() - m->record.left_ms < m->shared->return_ms;
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
	return runs_any(&m->runs);
}

bool
managed_over(const struct managed *m)
{
	return !m->record.listed && !runs_any(&m->runs) && plugin_calls_count(m->held) == 0 &&
	       plugin_calls_slots(m->held) == 0;
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
	if (now) {
		apply_event(m, SUPERVISOR_NOW);
		runs_stop_old(&m->runs);
	}
}

void
managed_tick(struct managed *m)
{
	runs_tick(&m->runs);
}

struct managed *
managed_new(const struct managed_shared *shared, const char *id)
{
	struct managed *m = malloc(sizeof(*m));
	const struct runs_events ev = {
		on_managed_up, on_next_up, on_managed_down, on_next_down, on_managed_idle,
		m, shared->wake, shared->arg,
	};

	if (!m)
		return NULL;
	*m = (struct managed){ .shared = shared, .id = strdup(id) };
	m->held = plugin_calls_new(shared->process.loop, m->id, /* on_idle= */ NULL, NULL);
	if (!m->id || !m->held) {
		plugin_calls_free(m->held);
		free(m->id);
		free(m);
		return NULL;
	}
	plugin_record_init(&m->record, m->id);
	worker_report_init(&m->report, &m->record.plugin, &m->row, shared->process.config,
			   shared->on_plugin_event, shared->arg);
	runs_init(&m->runs, &shared->process, &m->record, &m->report, &ev);
	uv_timer_init(shared->process.loop, &m->timer);
	m->timer.data = m;
	return m;
}

static void
on_managed_closed(uv_handle_t *t)
{
	struct managed *m = t->data;

	worker_report_release(&m->report);
	plugin_record_release(&m->record);
	free(m->id);
	free(m);
}

void
managed_free(struct managed *m)
{
	runs_release(&m->runs);
	plugin_calls_free(m->held);
	uv_close((uv_handle_t *)&m->timer, on_managed_closed);
}
