/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "calling.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/command/command.h"
#include "envdriver/command/request.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "envdriver/registry/registry.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/secret/secret_spots.h"
#include "resolver.h"
#include "stall.h"

/* A start that has had its time ends before those that wait for it. */
enum { START_SLACK_MS = 1000 };

struct dispatch {
	struct slot_wait *slot_waits;	/* by plugin id */
	bool slots_changed;		/* a slot may be free: look at them */
};

/* Entries that wait for a free slot of one plugin's worker. */
struct slot_wait {
	UT_hash_handle hh;
	struct entry_list entries;
	char plugin_id[];
};

/* --- slots --- */

static struct slot_wait *
slot_queue(struct engine *eng, const char *plugin_id)
{
	struct dispatch *d = eng->dispatch;
	struct slot_wait *w;
	size_t len = strlen(plugin_id);

	HASH_FIND_STR(d->slot_waits, plugin_id, w);
	if (w)
		return w;
	w = calloc(1, sizeof(*w) + len + 1);
	if (!w)
		return NULL;
	entry_list_init(&w->entries);
	memcpy(w->plugin_id, plugin_id, len + 1);
	HASH_ADD_KEYPTR(hh, d->slot_waits, w->plugin_id, len, w);
	if (!w->hh.tbl) {
		free(w);
		return NULL;
	}
	return w;
}

bool
dispatch_new(struct engine *eng)
{
	eng->dispatch = calloc(1, sizeof(*eng->dispatch));
	eng->spots = secret_spots_cache_new();
	return eng->dispatch && eng->spots;
}

void
dispatch_free(struct engine *eng)
{
	struct dispatch *d = eng->dispatch;
	struct slot_wait *w, *tmp;

	secret_spots_cache_free(eng->spots);
	if (!d)
		return;
	HASH_ITER(hh, d->slot_waits, w, tmp) {
		assert(!w->entries.n);
		HASH_DEL(d->slot_waits, w);
		free(w);
	}
	free(d);
}

/* --- one entry --- */

/* The event of its end is recorded with the claim itself. */
static void
end_without_call(struct engine *eng, struct entry *e, const struct outcome *o)
{
	e->claim.no_call = true;
	if (calling_fail(eng, e, o) == 0)
		core_step(eng, e, ON_RUN_NO_CALL);
}

static void
expire_entry(struct engine *eng, struct entry *e)
{
	struct outcome o = OUTCOME_INIT;
	char when[CLOCK_TEXT_MAX];

	outcome_fail(&o, CODE_EXPIRED, "Command expired at %s before it was started.",
		     clock_text(e->cmd->expires_at, when));
	end_without_call(eng, e, &o);
	outcome_release(&o);
}

static void
run_list_drivers(struct engine *eng, struct entry *e)
{
	struct trace t;

	if (!registry_fresh(eng->registry)) {
		entry_list_push(&eng->lists.starting, e);
		return;
	}
	e->claim.no_call = true;
	e->claim.attempt = 0;
	calling_trace(e, &t);
	events_reset(&e->events);
	if (result_drivers(eng->results, e->cmd, &t, eng->registry, eng->supervisor,
			   &e->events) < 0)
		core_nomem(eng);
	else
		core_step(eng, e, ON_RUN_NO_CALL);
}

/* Resolved: the parameters are built before the claim, so that what cannot
 * be sent is never claimed as calling. */
static void
run_resolved(struct engine *eng, struct entry *e, const struct resolved *r)
{
	struct outcome o = OUTCOME_INIT;
	const struct secret_graph *spots;
	struct slot_wait *w;
	bool nomem = false;

	if (!supervisor_slot_take(eng->supervisor, r->plugin_id)) {
		e->start_deadline = 0;	/* the wait for a start begins anew */
		w = slot_queue(eng, r->plugin_id);
		if (w)
			entry_list_push(&w->entries, e);
		else
			core_nomem(eng);
		return;
	}
	snprintf(e->call.plugin_id, sizeof(e->call.plugin_id), "%s", r->plugin_id);
	snprintf(e->call.plugin_key, sizeof(e->call.plugin_key), "%s", r->plugin_key);
	e->call.has_slot = true;
	e->call.limit = time_limit_of(eng->time_limits, e->cmd, r->plugin_key, r->driver);
	buf_reset(&e->call.params);
	secret_refs_free(e->call.secrets);
	spots = r->driver ? secret_spots_get(eng->spots, r->driver->config_schema, &nomem) : NULL;
	if (request_params(e->cmd, spots, &e->call.params, &e->call.secrets, &o) < 0) {
		core_release_slot(eng, e);
		end_without_call(eng, e, &o);
	} else if (nomem || e->call.params.failed) {
		core_nomem(eng);
	} else {
		e->claim.no_call = false;
		core_step(eng, e, ON_RUN);
	}
	outcome_release(&o);
}

static bool
may_start(struct engine *eng, struct entry *e)
{
	int64_t now = clock_mono_ms(), start = eng->limits.start_timeout + START_SLACK_MS;

	if (!e->start_deadline) {
		e->start_deadline = now + eng->limits.start_wait;
		e->start_limit = e->start_deadline > now + start ? e->start_deadline : now + start;
	}
	return now < e->start_deadline;
}

/* While its worker is coming up it waits as long as a start may take, and when
 * that has failed once more as long as for one that is down. */
static bool
may_wait(struct engine *eng, struct entry *e, bool coming)
{
	int64_t now = clock_mono_ms(), down = now + eng->limits.start_wait;

	if (coming)
		e->start_deadline = e->start_limit;
	else if (e->start_deadline == e->start_limit && e->start_limit > down)
		e->start_deadline = down;
	return now < e->start_deadline;
}

/* It could not be resolved yet: its turn comes again with each change. */
static void
wait_for_start(struct engine *eng, struct entry *e)
{
	entry_list_push(&eng->lists.starting, e);
	core_soon(eng, e->start_deadline ? e->start_deadline - clock_mono_ms() : ENGINE_TICK_MS);
}

static void
run_entry(struct engine *eng, struct entry *e)
{
	struct resolved r = { 0 };
	struct outcome o = OUTCOME_INIT;
	enum resolution way;

	if (!e->part->open) {
		core_step(eng, e, ON_REVOKED);	/* going: no claim any more */
		return;
	}
	if (e->cmd->expires_at >= 0 && clock_wall_ms() >= e->cmd->expires_at) {
		expire_entry(eng, e);
		return;
	}
	if (!e->cmd->op->rpc) {
		run_list_drivers(eng, e);
		return;
	}
	way = resolver_resolve(eng->registry, eng->supervisor, e->cmd, may_start(eng, e), &r, &o);
	switch (way) {
	case RESOLUTION_FOUND:
		run_resolved(eng, e, &r);
		break;
	case RESOLUTION_STALE:
		e->start_deadline = 0;	/* our own wait is not the worker's */
		wait_for_start(eng, e);
		break;
	case RESOLUTION_STARTING:
	case RESOLUTION_DOWN:
		if (may_wait(eng, e, way == RESOLUTION_STARTING)) {
			wait_for_start(eng, e);
			break;
		}
		/* fall through */
	case RESOLUTION_FAILED:
		end_without_call(eng, e, &o);
		break;
	}
	outcome_release(&o);
}

/* Nothing is claimed while Redis or our own record is in doubt, nor after a
 * stall that was not looked into (docs/engine.md section 3, CLAIMING). */
static bool
may_claim(struct engine *eng)
{
	return eng->stage == STAGE_RUNNING && !eng->exiting && redis_up(eng->redis) &&
	       instance_ready(eng->instance) && !stall_in_doubt(eng);
}

static void
wake_slots(struct engine *eng, struct slot_wait *w)
{
	struct entry *e;
	size_t others;

	/* Its plugin is gone for good: they find that out by themselves. */
	while (supervisor_status(eng->supervisor, w->plugin_id) == WORKER_NONE &&
	       (e = entry_list_pop(&w->entries)))
		entry_list_push(&eng->lists.runnable, e);
	/* Only as many as find a slot: the others keep their place. */
	while ((e = entry_list_first(&w->entries)) &&
	       supervisor_slot_take(eng->supervisor, w->plugin_id)) {
		supervisor_slot_give(eng->supervisor, w->plugin_id);
		entry_list_remove(e);
		others = w->entries.n;
		run_entry(eng, e);	/* it may be gone by now */
		if (w->entries.n > others)
			break;
	}
}

static void
end_start_waits(struct engine *eng)
{
	int64_t now = eng->lists.starting.n ? clock_mono_ms() : 0;
	struct entry *next;

	for (struct entry *e = entry_list_first(&eng->lists.starting); e; e = next) {
		next = entry_list_next(e);
		if (e->start_deadline && now >= e->start_deadline) {
			entry_list_remove(e);
			entry_list_push(&eng->lists.runnable, e);
		}
	}
}

void
dispatch_turn(struct engine *eng)
{
	struct slot_wait *w, *tmp;
	struct entry *e;

	end_start_waits(eng);
	if (!may_claim(eng))
		return;
	if (eng->dispatch->slots_changed) {
		eng->dispatch->slots_changed = false;
		HASH_ITER(hh, eng->dispatch->slot_waits, w, tmp)
		wake_slots(eng, w);
	}
	for (size_t n = eng->lists.runnable.n; n > 0 && (e = entry_list_pop(&eng->lists.runnable));
	     n--)
		run_entry(eng, e);
	if (eng->lists.runnable.n)
		core_again(eng);
}

/* --- what waited may go on --- */

void
dispatch_plugin_changed(struct engine *eng)
{
	struct entry *e;

	while ((e = entry_list_pop(&eng->lists.starting)))
		entry_list_push(&eng->lists.runnable, e);
	eng->dispatch->slots_changed = true;
	core_again(eng);
}

static void
run_expired(struct engine *eng, struct entry_list *waiting)
{
	int64_t now = clock_wall_ms();
	struct entry *next;

	for (struct entry *e = entry_list_first(waiting); e; e = next) {
		next = entry_list_next(e);
		if (e->cmd->expires_at >= 0 && now >= e->cmd->expires_at) {
			entry_list_remove(e);
			entry_list_push(&eng->lists.runnable, e);
		}
	}
}

void
dispatch_tick(struct engine *eng)
{
	struct entry_list *starting = &eng->lists.starting;
	struct slot_wait *w, *tmp;

	eng->dispatch->slots_changed = true;
	HASH_ITER(hh, eng->dispatch->slot_waits, w, tmp)
	run_expired(eng, &w->entries);
	run_expired(eng, starting);
	while (registry_fresh(eng->registry) && starting->n &&
	       !entry_list_first(starting)->start_deadline)
		entry_list_push(&eng->lists.runnable, entry_list_pop(starting));
}

void
dispatch_ask_again(struct engine *eng, struct entry *e)
{
	core_release_slot(eng, e);
	e->own = false;
	e->claim.no_call = false;
	e->start_deadline = 0;
	e->claim.token[0] = '\0';
	buf_reset(&e->lease_id);
	entry_list_push(&eng->lists.runnable, e);
	core_again(eng);
}

const char *
dispatch_longest(const struct engine *eng, size_t *ret_n)
{
	const struct slot_wait *longest = NULL;

	for (const struct slot_wait *w = eng->dispatch->slot_waits; w; w = w->hh.next)
		if (w->entries.n > (longest ? longest->entries.n : 0))
			longest = w;
	*ret_n = longest ? longest->entries.n : 0;
	return longest ? longest->plugin_id : NULL;
}

void
dispatch_release_read(struct engine *eng)
{
	struct partition *p = NULL;
	struct entry *e, *next;

	while ((p = partitions_next(&eng->partitions, p))) {
		for (e = TAILQ_FIRST(&p->entries); e; e = next) {
			next = TAILQ_NEXT(e, in_partition);
			if (e->state == ENTRY_READ)
				core_step(eng, e, ON_REVOKED);
		}
	}
}
