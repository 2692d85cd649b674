/* SPDX-License-Identifier: Apache-2.0 */
#include "watching.h"

#include <string.h>

#include "claiming.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/command/command.h"
#include "envdriver/command/request.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "resolver.h"

static void
holder_dead(struct engine *eng, struct entry *e, const char *why)
{
	log_warn("command '%s': its holder '%s' %s", e->cmd->id.ptr, e->holder.instance, why);
	core_step(eng, e, ON_HOLDER_DEAD);
}

/* docs/engine.md section 7, WAITING. */
static void
judge_holder(struct engine *eng, struct entry *e)
{
	/* Longer than a reply that the holder has not heard yet can take. */
	int64_t bound = e->call.limit.ms + eng->limits.handover + ENGINE_STOOD_STILL_MS;
	int64_t now = clock_mono_ms();
	bool self = strcmp(e->holder.incarnation, instance_incarnation(eng->instance)) == 0;

	if (!self && instance_judge(eng->instance, span_of(e->holder.instance),
				    span_of(e->holder.incarnation),
				    e->holder.waiting_since) == INSTANCE_DEAD)
		holder_dead(eng, e, "is dead");
	else if (now - e->holder.waiting_since > bound &&
		 now - eng->ticked_at < ENGINE_STOOD_STILL_MS)
		holder_dead(eng, e, "has not answered within its time");
}

static void
on_claim_looked_at(void *arg, const struct claim *found)
{
	struct entry *e = arg;
	struct engine *eng = e->engine;
	struct claim_record record = claiming_key(e);

	e->claim.request = NULL;
	if (found && found->state == CLAIM_CALLING && span_is(found->token, e->holder.token) &&
	    claim_record_eq(&found->record, &record)) {
		judge_holder(eng, e);
		return;
	}
	entry_list_remove(e);
	core_step(eng, e, ON_CLAIM_CHANGED);
}

static void
look_at_claim(struct engine *eng, struct entry *e)
{
	if (e->claim.request)
		return;
	e->claim.request = claims_look(eng->claims, e->cmd->id, on_claim_looked_at, e);
	if (!e->claim.request)
		core_nomem(eng);
}

void
watching_start(struct engine *eng, struct entry *e)
{
	core_release_slot(eng, e);
	e->holder.waiting_since = clock_mono_ms();
	/* Its own look-up may have failed: then the limit of the call that it waits for
	 * is that of the driver that it means. */
	if (!e->call.limit.ms)
		e->call.limit = time_limit_of(eng->time_limits, e->cmd,
					      e->cmd->plugin_key.ptr ? e->cmd->plugin_key.ptr : "",
					      resolver_driver(eng->registry, e->cmd));
	entry_list_push(&eng->lists.waiting, e);
}

void
watching_handover(void *arg, struct span message)
{
	struct engine *eng = arg;

	for (struct entry *e = entry_list_first(&eng->lists.waiting); e; e = entry_list_next(e))
		if (span_eq(message, e->cmd->id))
			look_at_claim(eng, e);
}

/* After a stall (judge_holder sees it, too, when a reply is read before this)
 * the wait for a holder begins anew: the partition may be another's by now,
 * and its call one that must not be taken over. */
static void
wait_anew(struct engine *eng)
{
	int64_t now = clock_mono_ms(), before = eng->ticked_at;

	eng->ticked_at = now;
	if (now - before < ENGINE_STOOD_STILL_MS)
		return;
	for (struct entry *e = entry_list_first(&eng->lists.waiting); e; e = entry_list_next(e))
		e->holder.waiting_since = now;
}

void
watching_tick(struct engine *eng)
{
	wait_anew(eng);
	if (!redis_up(eng->redis))
		return;
	for (struct entry *e = entry_list_first(&eng->lists.waiting); e; e = entry_list_next(e))
		look_at_claim(eng, e);
}
