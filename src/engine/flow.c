/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A record's way: flow_intake makes an entry of it, the scheduler says when
 * its key is free, flow_run finds its plugin and sends its claim, flow_claim
 * reads what the claim met, flow_call has the plugin do it, flow_seal
 * commits the answer with the offset. flow_step is the only place where an
 * entry changes its state; the table in entry.c says how.
 */
#include "flow_impl.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

typedef void action_fn(struct flow *f, struct entry *e);

static void
do_nothing(struct flow *f, struct entry *e)
{
	(void)f;
	(void)e;
}

/* The record's end is certain elsewhere: only the window moves. */
static void
do_skip(struct flow *f, struct entry *e)
{
	metrics_add(METRIC_REDELIVERED_DONE, 1);
	flow_run_give_slot(f, e);
	e->part->dirty = true;
	window_done(e->part->window, e->offset);
	scheduler_done(e->part->scheduler, e);
	flow_retire(f, e);
}

static void
do_finish(struct flow *f, struct entry *e)
{
	flow_claim_finish(f, e);
	metrics_add(e->cmd ? METRIC_RESULTS : METRIC_DEAD_LETTERS, 1);
	window_done(e->part->window, e->offset);
	scheduler_done(e->part->scheduler, e);
	flow_retire(f, e);
}

static void
do_finish_gone(struct flow *f, struct entry *e)
{
	flow_claim_finish(f, e);
	flow_retire(f, e);
}

static void
do_orphan_and_ask(struct flow *f, struct entry *e)
{
	flow_call_orphan(f, e);
	events_reset(&e->events);
	flow_run_ask_again(f, e);
}

static void
do_orphan_and_drop(struct flow *f, struct entry *e)
{
	log_warn("answer of command '%s' came after its claim was taken over, dropping it",
		 e->cmd->id.ptr);
	flow_call_orphan(f, e);
	flow_retire(f, e);
}

static action_fn *const actions[ENTRY_ACTION_COUNT] = {
	[DO_NOTHING] = do_nothing,
	[DO_DEAD_LETTER] = flow_intake_dead_letter,
	[DO_CLAIM] = flow_claim_send,
	[DO_CLAIM_NO_CALL] = flow_claim_send,
	[DO_CALL] = flow_call_start,
	[DO_VERIFY_AND_CLAIM] = flow_still_verify,
	[DO_PUBLISH] = flow_seal_publish,
	[DO_DUPLICATE] = flow_intake_duplicate,
	[DO_SKIP] = do_skip,
	[DO_INTERRUPTED] = flow_call_interrupted,
	[DO_FETCH] = flow_claim_fetch,
	[DO_TAKE_OVER] = flow_claim_take_over,
	[DO_ASK_AGAIN] = flow_run_ask_again,
	[DO_ATTACH] = flow_claim_attach,
	[DO_WATCH] = flow_claim_watch,
	[DO_RECORD] = flow_claim_record,
	[DO_ORPHAN_AND_ASK] = do_orphan_and_ask,
	[DO_FINISH] = do_finish,
	[DO_DROP] = flow_retire,
	[DO_RELEASE] = flow_claim_release,
	[DO_LEAVE] = flow_move_leave,
	[DO_HAND_OVER] = flow_move_hand_over,
	[DO_HAND_ON] = flow_pieces_hand_over,
	[DO_FINISH_GONE] = do_finish_gone,
	[DO_ORPHAN_AND_DROP] = do_orphan_and_drop,
	[DO_TAKE_OWN] = flow_move_take_own,
};

void
flow_step(struct flow *f, struct entry *e, enum entry_event event)
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
flow_exit(struct flow *f, int exit_code, const char *fmt, ...)
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
flow_nomem(struct flow *f)
{
	flow_exit(f, 75, "out of memory; nothing is lost, start again");
}

struct partition *
flow_partition(const struct flow *f, int32_t id)
{
	return id >= 0 && (size_t)id < f->n_parts ? f->parts[id] : NULL;
}

void
flow_count_bytes(struct flow *f, struct entry *e)
{
	size_t now = sizeof(*e) + e->raw.cap + events_memory(&e->events) + e->params.cap +
		     e->line_bytes +
		     (e->cmd ? e->cmd->bytes : 0) + (e->reject ? sizeof(*e->reject) : 0);

	f->bytes += now - e->bytes;
	e->bytes = now;
}

void
flow_retire(struct flow *f, struct entry *e)
{
	if (e->request) {
		claims_forget(e->request);
		e->request = NULL;
		f->recording -= e->recording;
		e->recording = false;
	}
	entry_list_remove(e);
	if (e->part) {
		flow_run_give_slot(f, e);
		scheduler_forget(e->part->scheduler, e);
		flow_move_unlink(e->part, e);
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
flow_again(struct flow *f)
{
	uv_idle_start(&f->again, nothing_to_do);
}

static void
on_soon(uv_timer_t *timer)
{
	(void)timer;	/* the turn follows by itself */
}

void
flow_soon(struct flow *f, int64_t ms)
{
	if (ms < 1)
		ms = 1;
	if (!uv_is_active((uv_handle_t *)&f->soon) ||
	    uv_timer_get_due_in(&f->soon) > (uint64_t)ms)
		uv_timer_start(&f->soon, on_soon, (uint64_t)ms, 0);
}

void
flow_turn(struct flow *f)
{
	uv_idle_stop(&f->again);
	flow_move_turn(f);
	flow_schema_turn(f);
	flow_run_turn(f);
	flow_intake_pressure(f);
	/* In turn: neither holds up the other. */
	if (!f->pieces_went)
		flow_pieces_turn(f);
	flow_seal_turn(f);
	flow_pieces_turn(f);
	if (!f->verifying)
		f->prepared_boot = clock_boot_ms();
}
