/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"

#include <assert.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/metrics.h"
#include "envdriver/package/pin_check.h"
#include "envdriver/secret/mask.h"
#include "plugin_calls.h"
#include "plugin_record.h"
#include "worker_record.h"
#include "worker_report.h"

/* So many may be ending when a successor is started; the rest is for successors that
 * are replaced before they run. */
enum { DRAINING_MAX = 8 };

/* Older ones */

static void
add_old(struct runs *r, struct plugin_process *p)
{
	assert(r->n_old < RUNS_OLD_MAX);
	r->old[r->n_old++] = p;
}

static bool
is_old(const struct runs *r, const struct plugin_process *p)
{
	for (size_t i = 0; i < r->n_old; i++)
		if (r->old[i] == p)
			return true;
	return false;
}

static void
remove_old(struct runs *r, const struct plugin_process *p)
{
	for (size_t i = 0; i < r->n_old; i++) {
		if (r->old[i] != p)
			continue;
		memmove(&r->old[i], &r->old[i + 1], (r->n_old - i - 1) * sizeof(r->old[0]));
		r->n_old--;
		return;
	}
}

/* What processes say */

static void
on_run_up(void *arg, struct plugin_process *p)
{
	struct runs *r = arg;

	if (p == r->current)
		r->ev.on_up(r->ev.arg);
	else if (p == r->next)
		r->ev.on_next_up(r->ev.arg);
}

static void
on_run_dead(void *arg, struct plugin_process *p, const struct worker_end *end)
{
	struct runs *r = arg;
	int pid = worker_pid(plugin_process_worker(p));

	if (p == r->current) {
		r->current = NULL;
		add_old(r, p);
		r->ev.on_down(r->ev.arg, pid, end, /* why= */ NULL);
	} else if (p == r->next) {
		r->next = NULL;
		add_old(r, p);
		r->ev.on_next_down(r->ev.arg, pid, end, /* why= */ NULL);
	} else {
		worker_report_old_ended(r->report, pid, end);
	}
}

static void
on_run_over(void *arg, struct plugin_process *p)
{
	struct runs *r = arg;

	remove_old(r, p);
	plugin_process_free(p);
	r->ev.wake(r->ev.wake_arg);
}

static void
on_run_idle(void *arg, struct plugin_process *p)
{
	struct runs *r = arg;

	if (p == r->current)
		r->ev.on_idle(r->ev.arg);
	else if (is_old(r, p) && !plugin_process_dead(p))
		worker_stop(plugin_process_worker(p));
}

/* Starting */

static void
run_failed(struct runs *r, bool is_next, const char *why)
{
	if (is_next)
		r->ev.on_next_down(r->ev.arg, /* pid= */ 0, /* end= */ NULL, why);
	else
		r->ev.on_down(r->ev.arg, /* pid= */ 0, /* end= */ NULL, why);
}

/* What was given to one process may be known to the next: the plugin can have kept it.
 * A worker that somebody else runs is the same one: of it nothing is forgotten. */
static struct mask *
given_so_far(struct runs *r)
{
	if (r->given && (r->record->endpoint || !mask_filling(r->given)))
		return r->given;
	mask_free(r->given);
	r->given = mask_new();
	return r->given;
}

bool
runs_filling(const struct runs *r)
{
	return r->given && mask_filling(r->given) && !r->next && !r->check;
}

static void
open_process(struct runs *r, bool is_next)
{
	const struct plugin_process_events ev = {
		on_run_up, on_run_dead, on_run_over, on_run_idle, r,
	};
	struct err err = { 0 };
	struct plugin_process *p = NULL;

	if (given_so_far(r))
		p = plugin_process_new(r->shared, r->record, r->report, &r->next_id, r->given,
				       &ev, &err);
	else
		err_nomem(&err);
	if (!p) {
		run_failed(r, is_next, err.text);
		return;
	}
	*(is_next ? &r->next : &r->current) = p;
	metrics_add(METRIC_PLUGIN_STARTS, 1);
	worker_report_starting(r->report, worker_pid(plugin_process_worker(p)));
}

static void
on_pin_checked(void *arg, const struct err *err)
{
	struct runs *r = arg;
	bool is_next = r->check_is_next;

	r->check = NULL;
	if (err)
		run_failed(r, is_next, err->text);
	else
		open_process(r, is_next);
}

static void
begin_run(struct runs *r, bool is_next)
{
	struct err err = { 0 };

	if (!r->record->pin || !r->record->package || r->record->endpoint) {
		open_process(r, is_next);
		return;
	}
	r->check_is_next = is_next;
	r->check = pin_check_new(r->shared->loop, r->record->package, r->record->pin,
				 on_pin_checked, r, &err);
	if (!r->check)
		run_failed(r, is_next, err.text);
}

void
runs_begin(struct runs *r)
{
	assert(!r->current && !r->next && !r->check);
	begin_run(r, /* is_next= */ false);
}

void
runs_begin_next(struct runs *r)
{
	runs_drop_next(r);
	if (r->n_old >= DRAINING_MAX)
		run_failed(r, /* is_next= */ true,
			   "too many of its older workers still have calls");
	else
		begin_run(r, /* is_next= */ true);
}

/* Changing places and ending */

void
runs_promote(struct runs *r)
{
	struct plugin_process *p = r->current;
	int pid = worker_pid(plugin_process_worker(r->next));

	/* Before any call: the plugin reads its companies' configs first. */
	plugin_process_push(r->next, r->record->plugin.config);
	worker_report_up(r->report, pid, /* again= */ false, plugin_process_isolation(r->next));
	worker_report_renewed(r->report, pid, worker_pid(plugin_process_worker(p)));
	r->current = r->next;
	r->next = NULL;
	add_old(r, p);
	plugin_process_retire(p, clock_mono_ms() + r->shared->drain_ms);
	if (plugin_calls_count(plugin_process_calls(p)) == 0)
		worker_stop(plugin_process_worker(p));
}

void
runs_adopt(struct runs *r)
{
	assert(!r->current);
	r->current = r->next;
	r->next = NULL;
	r->check_is_next = false;
}

void
runs_drop_next(struct runs *r)
{
	if (r->check && r->check_is_next) {
		pin_check_cancel(r->check);
		r->check = NULL;
	}
	if (!r->next)
		return;
	add_old(r, r->next);
	worker_stop(plugin_process_worker(r->next));
	r->next = NULL;
}

void
runs_stop(struct runs *r)
{
	if (r->current) {
		worker_stop(plugin_process_worker(r->current));
	} else if (r->check && !r->check_is_next) {
		pin_check_cancel(r->check);
		r->check = NULL;
		run_failed(r, /* is_next= */ false, "it was stopped");
	}
}

void
runs_stop_old(struct runs *r)
{
	for (size_t i = 0; i < r->n_old; i++)
		worker_stop(plugin_process_worker(r->old[i]));
}

void
runs_tick(struct runs *r)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < r->n_old; i++)
		if (plugin_process_overdue(r->old[i], now))
			worker_stop(plugin_process_worker(r->old[i]));
}

void
runs_refresh(struct runs *r, bool up, struct span configs)
{
	if (r->current)
		plugin_process_refresh(r->current);
	if (r->next)
		plugin_process_refresh(r->next);
	for (size_t i = 0; i < r->n_old; i++)
		plugin_process_refresh(r->old[i]);
	if (up && configs.len)
		plugin_process_push(r->current, (struct jtext){ JTEXT_OBJECT, configs });
}

void
runs_show(const struct runs *r, struct worker_record *out)
{
	struct worker *w;

	if (!r->current)
		return;
	w = plugin_process_worker(r->current);
	out->pid = worker_pid(w);
	out->started_at = plugin_process_started_at(r->current);
	out->methods = worker_methods(w).raw;
	out->isolation = plugin_process_isolation(r->current);
}

bool
runs_any(const struct runs *r)
{
	return r->current || r->next || r->check || r->n_old > 0;
}

bool
runs_idle(const struct runs *r)
{
	return !r->current || plugin_calls_count(plugin_process_calls(r->current)) == 0;
}

void
runs_init(struct runs *r, const struct plugin_process_shared *shared,
	  const struct plugin_record *record, struct worker_report *report,
	  const struct runs_events *ev)
{
	*r = (struct runs){ .shared = shared, .record = record, .report = report, .ev = *ev,
			    .next_id = 1 };
}

void
runs_release(struct runs *r)
{
	pin_check_cancel(r->check);
	plugin_process_free(r->current);
	plugin_process_free(r->next);
	for (size_t i = 0; i < r->n_old; i++)
		plugin_process_free(r->old[i]);
	mask_free(r->given);
	r->given = NULL;
	r->check = NULL;
	r->current = r->next = NULL;
	r->n_old = 0;
}
