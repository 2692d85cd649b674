/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A record's way: flow_intake makes an entry of it, the scheduler says when
 * its key is free, flow_run finds its plugin and sends its claim, flow_claim
 * reads what the claim met, engine_call has the plugin do it, flow_seal
 * commits the answer with the offset. engine_step is the only place where an
 * entry changes its state; the table in entry.c says how.
 */
#include "engine_impl.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

typedef void action_fn(struct engine *f, struct entry *e);

static void
do_nothing(struct engine *f, struct entry *e)
{
	(void)f;
	(void)e;
}

/* The record's end is certain elsewhere: only the window moves. */
static void
do_skip(struct engine *f, struct entry *e)
{
	metrics_add(METRIC_REDELIVERED_DONE, 1);
	dispatch_give_slot(f, e);
	e->part->dirty = true;
	window_done(e->part->window, e->offset);
	scheduler_done(e->part->scheduler, e);
	engine_retire(f, e);
}

static void
do_finish(struct engine *f, struct entry *e)
{
	claiming_finish(f, e);
	metrics_add(e->cmd ? METRIC_RESULTS : METRIC_DEAD_LETTERS, 1);
	window_done(e->part->window, e->offset);
	scheduler_done(e->part->scheduler, e);
	engine_retire(f, e);
}

static void
do_finish_gone(struct engine *f, struct entry *e)
{
	claiming_finish(f, e);
	engine_retire(f, e);
}

static void
do_orphan_and_ask(struct engine *f, struct entry *e)
{
	calling_orphan(f, e);
	events_reset(&e->events);
	dispatch_ask_again(f, e);
}

static void
do_orphan_and_drop(struct engine *f, struct entry *e)
{
	log_warn("answer of command '%s' came after its claim was taken over, dropping it",
		 e->cmd->id.ptr);
	calling_orphan(f, e);
	engine_retire(f, e);
}

static action_fn *const actions[ENTRY_ACTION_COUNT] = {
	[DO_NOTHING] = do_nothing,
	[DO_DEAD_LETTER] = intake_dead_letter,
	[DO_CLAIM] = claiming_send,
	[DO_CLAIM_NO_CALL] = claiming_send,
	[DO_CALL] = calling_start,
	[DO_VERIFY_AND_CLAIM] = stall_verify,
	[DO_PUBLISH] = committing_publish,
	[DO_DUPLICATE] = intake_duplicate,
	[DO_SKIP] = do_skip,
	[DO_INTERRUPTED] = calling_interrupted,
	[DO_FETCH] = claiming_fetch,
	[DO_TAKE_OVER] = claiming_take_over,
	[DO_ASK_AGAIN] = dispatch_ask_again,
	[DO_ATTACH] = claiming_attach,
	[DO_WATCH] = claiming_watch,
	[DO_RECORD] = claiming_record,
	[DO_ORPHAN_AND_ASK] = do_orphan_and_ask,
	[DO_FINISH] = do_finish,
	[DO_DROP] = engine_retire,
	[DO_RELEASE] = claiming_release,
	[DO_LEAVE] = rebalance_leave,
	[DO_HAND_OVER] = rebalance_hand_over,
	[DO_HAND_ON] = large_output_hand_over,
	[DO_FINISH_GONE] = do_finish_gone,
	[DO_ORPHAN_AND_DROP] = do_orphan_and_drop,
	[DO_TAKE_OWN] = rebalance_take_own,
};

void
engine_step(struct engine *f, struct entry *e, enum entry_event event)
{
	const struct entry_row *row = entry_row(e->state, event);

	if (!row) {
		log_error("bug: '%s' in state %s, partition %d offset %lld",
			  entry_event_name(event), entry_state_name(e->state), (int)e->partition,
			  (long long)e->offset);
		assert(row);
	}
	e->state = row->next;
	actions[row->action](f, e);
}

void
engine_exit(struct engine *f, int exit_code, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (f->exiting)
		return;
	f->exiting = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->ev.on_exit(f->ev.arg, exit_code, text);
}

void
engine_nomem(struct engine *f)
{
	engine_exit(f, 75, "out of memory; nothing is lost, start again");
}

void
engine_plugin_event(struct engine *f, const struct plugin_event *p)
{
	struct events events = EVENTS_INIT;

	if (plugin_event_record_build(f->schemas, instance_id(f->instance), p, &events) == 0)
		best_effort_send(f->notices, &events);
	else
		best_effort_dropped(f->notices, TOPIC_PLUGIN_EVENTS);
	events_release(&events);
}

struct partition *
engine_partition(const struct engine *f, int32_t id)
{
	return id >= 0 && (size_t)id < f->n_parts ? f->parts[id] : NULL;
}

void
engine_count_bytes(struct engine *f, struct entry *e)
{
	size_t now = sizeof(*e) + e->raw.cap + events_memory(&e->events) + e->params.cap +
		     e->line_bytes +
		     (e->cmd ? e->cmd->bytes : 0) + (e->reject ? sizeof(*e->reject) : 0);

	f->bytes += now - e->bytes;
	e->bytes = now;
}

void
engine_retire(struct engine *f, struct entry *e)
{
	if (e->request) {
		claims_cancel(e->request);
		e->request = NULL;
		f->recording -= e->recording;
		e->recording = false;
	}
	entry_list_remove(e);
	if (e->part) {
		dispatch_give_slot(f, e);
		scheduler_forget(e->part->scheduler, e);
		rebalance_unlink(e->part, e);
		f->entries--;
	}
	e->state = ENTRY_GONE;
	if (e->in_batch || e->shaping)
		return;		/* the verdict, or the thread, comes back to it */
	f->bytes -= e->bytes;
	entry_free(e);
}

/* --- the turn of the loop --- */

static void
nothing_to_do(uv_idle_t *idle)
{
	/* An active idle handle keeps the loop from waiting: that is all. */
	(void)idle;
}

void
engine_again(struct engine *f)
{
	uv_idle_start(&f->again, nothing_to_do);
}

static void
on_soon(uv_timer_t *timer)
{
	(void)timer;	/* the turn follows by itself */
}

void
engine_soon(struct engine *f, int64_t ms)
{
	if (ms < 1)
		ms = 1;
	if (!uv_is_active((uv_handle_t *)&f->soon) ||
	    uv_timer_get_due_in(&f->soon) > (uint64_t)ms)
		uv_timer_start(&f->soon, on_soon, (uint64_t)ms, 0);
}

void
engine_turn(struct engine *f)
{
	uv_idle_stop(&f->again);
	rebalance_turn(f);
	unread_turn(f);
	dispatch_turn(f);
	intake_pressure(f);
	/* In turn: neither holds up the other. */
	if (!f->pieces_went)
		large_output_turn(f);
	committing_turn(f);
	large_output_turn(f);
	if (!f->verifying)
		f->prepared_boot = clock_boot_ms();
}
