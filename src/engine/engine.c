/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A record's way: intake makes an entry of it, the scheduler says when its key
 * is free, dispatch finds its plugin and has its claim sent, claiming reads
 * what the claim met, calling has the plugin do it, committing commits the
 * answer with the offset. When its partition goes meanwhile, leaving hands it
 * to the next owner.
 *
 * Three things say what happens to a command, and when: the table of states
 * (entry.c), the functions that its actions are (below), and the turn of the
 * loop (on_engine_turn). Callbacks of the modules below (startup.c wires them) report
 * events of entries, which core_step looks up in the table. It sets the state;
 * besides it only core_close_entry (GONE) does, and claiming_attach, for the
 * LEFT entry that comes back.
 */
#include <stdlib.h>

#include "answering.h"
#include "calling.h"
#include "claiming.h"
#include "command_log.h"
#include "committing.h"
#include "core.h"
#include "decoding.h"
#include "dispatch.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/plugin/supervisor_view.h"
#include "envdriver/redis/redis.h"
#include "held.h"
#include "intake.h"
#include "large_output.h"
#include "leaving.h"
#include "orphans.h"
#include "rebalance.h"
#include "scheduler.h"
#include "shutdown.h"
#include "stall.h"
#include "startup.h"
#include "status.h"
#include "unread.h"
#include "watching.h"
#include "window.h"

/* --- what happens to an entry: the actions of the table in entry.c --- */

static void
do_nothing(struct engine *eng, struct entry *e)
{
	(void)eng;
	(void)e;
}

/* Its offset is done, the next of its key may run. */
static void
finish_offset(struct engine *eng, struct entry *e)
{
	window_done(e->part->window, e->source.offset);
	scheduler_done(e->part->scheduler, e);
	core_close_entry(eng, e);
}

/* The record's end is certain elsewhere: only the window moves. */
static void
do_skip(struct engine *eng, struct entry *e)
{
	metrics_add(METRIC_REDELIVERED_DONE, 1);
	command_log_skipped(eng->limits.log_commands, e);
	core_release_slot(eng, e);
	e->part->dirty = true;
	finish_offset(eng, e);
}

static void
do_finish(struct engine *eng, struct entry *e)
{
	claiming_finish(eng, e);
	metrics_add(e->cmd ? METRIC_RESULTS : METRIC_DEAD_LETTERS, 1);
	command_log_ended(eng->limits.log_commands, e);
	finish_offset(eng, e);
}

static void
do_finish_gone(struct engine *eng, struct entry *e)
{
	claiming_finish(eng, e);
	core_close_entry(eng, e);
}

static void
do_orphan_and_ask(struct engine *eng, struct entry *e)
{
	orphans_add_of(eng, e);
	events_reset(&e->events);
	dispatch_ask_again(eng, e);
}

static void
do_orphan_and_drop(struct engine *eng, struct entry *e)
{
	log_warn("the answer of command '%s' came after its claim was taken over and is dropped",
		 e->cmd->id.ptr);
	orphans_add_of(eng, e);
	core_close_entry(eng, e);
}

static engine_action_fn *const actions[ENTRY_ACTION_COUNT] = {
	[DO_NOTHING] = do_nothing,
	[DO_DEAD_LETTER] = core_publish,	/* decoding_read has built it */
	[DO_CLAIM] = claiming_send,
	[DO_CLAIM_NO_CALL] = claiming_send,
	[DO_CALL] = calling_start,
	[DO_VERIFY_AND_CLAIM] = stall_verify,
	[DO_PUBLISH] = core_publish,
	[DO_DUPLICATE] = decoding_duplicate,
	[DO_SKIP] = do_skip,
	[DO_INTERRUPTED] = calling_interrupted,
	[DO_FETCH] = claiming_fetch,
	[DO_TAKE_OVER] = claiming_take_over,
	[DO_ASK_AGAIN] = dispatch_ask_again,
	[DO_ATTACH] = claiming_attach,
	[DO_WATCH] = watching_start,
	[DO_RECORD] = claiming_record,
	[DO_ORPHAN_AND_ASK] = do_orphan_and_ask,
	[DO_FINISH] = do_finish,
	[DO_DROP] = core_close_entry,
	[DO_RELEASE] = claiming_release,
	[DO_LEAVE] = leaving_leave,
	[DO_HAND_OVER] = leaving_hand_over,
	[DO_HAND_ON] = large_output_hand_over,
	[DO_FINISH_GONE] = do_finish_gone,
	[DO_ORPHAN_AND_DROP] = do_orphan_and_drop,
	[DO_TAKE_OWN] = leaving_take_own,
};

/* --- the turn of the loop --- */

/* Runs before the loop waits, after all callbacks of this turn. */
static void
on_engine_turn(uv_prepare_t *prepare)
{
	struct engine *eng = prepare->data;

	/* Start-up: the next step, once the one before is through. */
	startup_turn(eng);
	uv_idle_stop(&eng->handles.again);

	/* A revoke event: what is READY is committed, then its partitions go.
	 * First, so that nothing of them is claimed or sealed any more. */
	rebalance_turn(eng);

	/* Schemas have become known: the commands that waited are read. */
	unread_turn(eng);

	/* Entries whose key is free find a plugin and a slot; claims are sent. */
	dispatch_turn(eng);

	/* Back-pressure, by what is in flight now. */
	intake_pressure(eng);

	/* One batch: answers with their offsets, or a set of large output.
	 * They take turns, so that neither holds up the other. */
	if (!eng->committing->pieces_went)
		large_output_turn(eng);
	committing_turn(eng);
	large_output_turn(eng);

	/* Shutdown: the next stage, when nothing is owed in this one. */
	shutdown_turn(eng);

	/* Ready for the first time? */
	status_turn(eng);

	/* The loop goes to wait: a stall is counted from here. */
	stall_waiting(eng);
	status_measure_turn(eng);
}

/* Every second: what has no event of its own. */
static void
on_engine_tick(uv_timer_t *timer)
{
	struct engine *eng = timer->data;

	eng->ticks++;
	startup_tick(eng);
	dispatch_tick(eng);
	stall_tick(eng);
	watching_tick(eng);
	leaving_tick(eng);
	held_tick(eng);
	orphans_tick(eng);
	unread_tick(eng);
	intake_tick(eng);
	best_effort_poll(eng->best_effort);
	status_tick(eng);
}

/* --- made and unmade --- */

static void
init_engine_handles(struct engine *eng)
{
	struct engine_handles *h = &eng->handles;

	uv_prepare_init(eng->loop, &h->prepare);
	uv_timer_init(eng->loop, &h->tick);
	uv_timer_init(eng->loop, &h->soon);
	uv_idle_init(eng->loop, &h->again);
	h->prepare.data = eng;
	h->tick.data = eng;
	h->soon.data = eng;
	h->again.data = eng;
}

static void
init_lists(struct engine_lists *l)
{
	entry_list_init(&l->runnable);
	entry_list_init(&l->starting);
	entry_list_init(&l->verify);
	entry_list_init(&l->waiting);
	entry_list_init(&l->ready);
	entry_list_init(&l->large);
	entry_list_init(&l->left);
	entry_list_init(&l->handing);
}

struct engine *
engine_new(uv_loop_t *loop, const struct config *config, const struct engine_events *ev,
	   struct err *reterr)
{
	struct engine *eng = calloc(1, sizeof(*eng));

	if (!eng) {
		err_nomem(reterr);
		return NULL;
	}
	eng->loop = loop;
	eng->config = config;
	eng->ev = *ev;
	eng->actions = actions;
	init_lists(&eng->lists);
	init_engine_handles(eng);
	if (!status_new(eng)) {
		err_nomem(reterr);
		engine_free(eng);
		return NULL;
	}
	if (startup_new(eng, reterr) < 0) {
		engine_free(eng);
		return NULL;
	}
	return eng;
}

void
engine_start(struct engine *eng)
{
	uv_prepare_start(&eng->handles.prepare, on_engine_turn);
	uv_timer_start(&eng->handles.tick, on_engine_tick, 0, ENGINE_TICK_MS);
	redis_start(eng->redis);
}

void
engine_stop(struct engine *eng)
{
	shutdown_start(eng);
}

bool
engine_ready(const struct engine *eng, struct buf *reasons)
{
	return status_ready(eng, reasons);
}

void
engine_plugins(const struct engine *eng, struct buf *out)
{
	supervisor_view_add_lines(eng->supervisor, out);
}

void
engine_status(const struct engine *eng, struct buf *out)
{
	status_json(eng, out);
}

static void
close_entries(struct engine *eng, struct entry_list *l)
{
	struct entry *e;

	while ((e = entry_list_first(l))) {
		calling_close(eng, e);
		core_close_entry(eng, e);
	}
}

static void
close_partitions(struct engine *eng)
{
	struct partition *p;
	struct entry *e;

	while ((p = partitions_next(&eng->partitions, NULL))) {
		while ((e = TAILQ_FIRST(&p->entries)))
			core_close_entry(eng, e);
		partitions_close(&eng->partitions, p);
	}
	partitions_release(&eng->partitions);
}

static void
on_engine_handle_closed(uv_handle_t *handle)
{
	struct engine *eng = handle->data;

	if (--eng->handles.closing == 0)
		free(eng);
}

static void
close_engine_handles(struct engine_handles *h)
{
	uv_handle_t *const handles[] = {
		(uv_handle_t *)&h->prepare,
		(uv_handle_t *)&h->tick,
		(uv_handle_t *)&h->soon,
		(uv_handle_t *)&h->again,
	};

	h->closing = sizeof(handles) / sizeof(handles[0]);
	for (int i = h->closing - 1; i >= 0; i--)
		uv_close(handles[i], on_engine_handle_closed);
}

void
engine_free(struct engine *eng)
{
	if (!eng)
		return;
	close_entries(eng, &eng->lists.left);
	close_entries(eng, &eng->lists.handing);
	answering_free(eng);
	buf_release(&eng->credential_prefix);
	calling_free_late(eng);
	orphans_free(eng);
	close_partitions(eng);
	dispatch_free(eng);
	startup_free(eng);
	rebalance_free(eng);
	committing_free(eng);
	calling_free(eng);
	stall_free(eng);
	shutdown_free(eng);
	status_free(eng);
	close_engine_handles(&eng->handles);
}
