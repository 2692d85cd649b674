/* SPDX-License-Identifier: Apache-2.0 */
#include "leaving.h"

#include "calling.h"
#include "claiming.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/command/command.h"
#include "large_output.h"
#include "orphans.h"

/* --- a partition goes --- */

static enum entry_event
leaving_event(const struct entry *e)
{
	switch (e->state) {
	case ENTRY_CALLING:
		return e->claim.recording ? ON_REVOKED_RECORDING : ON_REVOKED;
	case ENTRY_READY:
	case ENTRY_SEALED:
		return e->own ? ON_REVOKED : ON_REVOKED_FOREIGN;
	default:
		return ON_REVOKED;
	}
}

void
leaving_close(struct engine *eng, struct partition *p)
{
	struct entry *next;

	for (struct entry *e = TAILQ_FIRST(&p->entries); e; e = next) {
		next = TAILQ_NEXT(e, in_partition);
		core_step(eng, e, leaving_event(e));
	}
	partitions_close(&eng->partitions, p);
}

void
leaving_close_all(struct engine *eng)
{
	struct partition *p;

	while ((p = partitions_next(&eng->partitions, NULL)))
		leaving_close(eng, p);
}

/* --- calls that outlive their partition --- */

static void
leave_partition(struct engine *eng, struct entry *e)
{
	entry_list_remove(e);
	if (!e->part)
		return;
	partition_remove(e);
	eng->entries--;
}

void
leaving_leave(struct engine *eng, struct entry *e)
{
	leave_partition(eng, e);
	e->left_since = clock_mono_ms();
	entry_list_push(e->state == ENTRY_LEFT ? &eng->lists.left : &eng->lists.handing, e);
}

void
leaving_hand_over(struct engine *eng, struct entry *e)
{
	leave_partition(eng, e);
	if (!e->left_since)
		e->left_since = clock_mono_ms();
	metrics_add(METRIC_HANDED_OVER, 1);
	entry_list_push(&eng->lists.handing, e);
	large_output_hand_over(eng, e);
}

static void
on_own_claim_taken(void *arg, bool taken, int attempt)
{
	struct engine *eng = arg;

	(void)taken, (void)attempt;
	eng->owning--;
}

void
leaving_take_own(struct engine *eng, struct entry *e)
{
	log_warn("the call of command '%s' ran past handover.timeout and is given up",
		 e->cmd->id.ptr);
	if (claiming_seize(eng, e, span_of(e->claim.token), on_own_claim_taken, eng))
		eng->owning++;
	else
		core_nomem(eng);
	orphans_add_of(eng, e);
	calling_close(eng, e);
	core_release_slot(eng, e);
	core_close_entry(eng, e);
}

static void
give_up_old(struct engine *eng, struct entry_list *l, int64_t limit)
{
	int64_t now = clock_mono_ms();
	struct entry *next;

	for (struct entry *e = entry_list_first(l); e; e = next) {
		next = entry_list_next(e);
		/* Its batch may be committed: its lease is its reader's then. */
		if (!e->commit.in_batch && now - e->left_since >= limit)
			core_step(eng, e, ON_GIVE_UP);
	}
}

/* Nothing is published any more: their large output cannot go ahead. */
static void
give_up_unsent(struct engine *eng)
{
	struct entry *next;

	for (struct entry *e = entry_list_first(&eng->lists.handing); e; e = next) {
		next = entry_list_next(e);
		if (!e->claim.recording && !e->commit.in_batch)
			core_step(eng, e, ON_GIVE_UP);
	}
}

void
leaving_give_up_left(struct engine *eng)
{
	give_up_old(eng, &eng->lists.left, 0);
}

static bool
redis_gone(const struct engine *eng)
{
	return eng->redis_down_since &&
	       clock_mono_ms() - eng->redis_down_since >= ENGINE_REDIS_GONE_MS;
}

bool
leaving_redis_gone(const struct engine *eng)
{
	return !eng->lists.left.n && redis_gone(eng);
}

void
leaving_tick(struct engine *eng)
{
	int64_t limit = eng->limits.handover;

	give_up_old(eng, &eng->lists.left, limit);
	give_up_old(eng, &eng->lists.handing, limit);
	if (eng->exit_code)
		give_up_unsent(eng);
	/* We will be judged dead after 15 s without a heartbeat. */
	if (redis_gone(eng))
		leaving_give_up_left(eng);
}
