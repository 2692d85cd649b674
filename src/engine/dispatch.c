/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <assert.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/command/request.h"
#include "resolver.h"

struct slot_wait {
	UT_hash_handle hh;
	struct entry_list entries;
	char plugin_id[];
};

/* --- slots --- */

static struct slot_wait *
slot_queue(struct engine *f, const char *plugin_id)
{
	struct slot_wait *w;
	size_t len = strlen(plugin_id);

	HASH_FIND_STR(f->slot_waits, plugin_id, w);
	if (w)
		return w;
	w = calloc(1, sizeof(*w) + len + 1);
	if (!w)
		return NULL;
	memcpy(w->plugin_id, plugin_id, len + 1);
	HASH_ADD_KEYPTR(hh, f->slot_waits, w->plugin_id, len, w);
	if (!w->hh.tbl) {
		free(w);
		return NULL;
	}
	return w;
}

void
dispatch_give_slot(struct engine *f, struct entry *e)
{
	if (!e->has_slot)
		return;
	e->has_slot = false;
	supervisor_slot_give(f->supervisor, e->plugin_id);
}

void
dispatch_free(struct engine *f)
{
	struct slot_wait *w, *tmp;

	HASH_ITER(hh, f->slot_waits, w, tmp) {
		assert(!w->entries.n);
		HASH_DEL(f->slot_waits, w);
		free(w);
	}
}

/* --- one entry --- */

/* The event of its end is recorded with the claim itself. */
static void
end_without_call(struct engine *f, struct entry *e, const struct outcome *o)
{
	e->no_call = true;
	if (calling_fail(f, e, o) == 0)
		engine_step(f, e, ON_RUN_NO_CALL);
}

static void
expire(struct engine *f, struct entry *e)
{
	struct outcome o = OUTCOME_INIT;
	char when[CLOCK_TEXT_MAX];

	outcome_fail(&o, CODE_EXPIRED, "Command expired at %s before it was started.",
		     clock_text(e->cmd->expires_at, when));
	end_without_call(f, e, &o);
	outcome_release(&o);
}

static void
not_supported(struct engine *f, struct entry *e)
{
	struct outcome o = OUTCOME_INIT;

	outcome_fail(&o, CODE_OPERATION_NOT_SUPPORTED,
		     "Operation %s is not supported by this version.", e->cmd->op->name);
	end_without_call(f, e, &o);
	outcome_release(&o);
}

static void
list_drivers(struct engine *f, struct entry *e)
{
	struct trace t;

	if (!registry_fresh(f->registry)) {
		entry_list_push(&f->starting, e);
		return;
	}
	e->no_call = true;
	e->attempt = 0;
	calling_trace(f, e, &t);
	events_reset(&e->events);
	if (result_drivers(f->results, e->cmd, &t, f->registry, f->supervisor, &e->events) < 0)
		engine_nomem(f);
	else
		engine_step(f, e, ON_RUN_NO_CALL);
}

/* Resolved: the parameters are built before the claim, so that what cannot
 * be sent is never claimed as calling. */
static void
run_resolved(struct engine *f, struct entry *e, const struct resolved *r)
{
	struct outcome o = OUTCOME_INIT;
	struct slot_wait *w;

	if (!supervisor_slot_take(f->supervisor, r->plugin_id)) {
		e->start_deadline = 0;	/* the wait for a start begins anew */
		w = slot_queue(f, r->plugin_id);
		if (w)
			entry_list_push(&w->entries, e);
		else
			engine_nomem(f);
		return;
	}
	snprintf(e->plugin_id, sizeof(e->plugin_id), "%s", r->plugin_id);
	snprintf(e->plugin_key, sizeof(e->plugin_key), "%s", r->plugin_key);
	e->has_slot = true;
	buf_reset(&e->params);
	if (request_params(e->cmd, r->config_schema, &e->params, &o) < 0) {
		dispatch_give_slot(f, e);
		end_without_call(f, e, &o);
	} else if (e->params.failed) {
		engine_nomem(f);
	} else {
		e->no_call = false;
		engine_step(f, e, ON_RUN);
	}
	outcome_release(&o);
}

static bool
may_start(struct engine *f, struct entry *e)
{
	if (!e->start_deadline)
		e->start_deadline = clock_mono_ms() + f->limits.start_wait;
	return clock_mono_ms() < e->start_deadline;
}

static void
run_entry(struct engine *f, struct entry *e)
{
	struct resolved r = { 0 };
	struct outcome o = OUTCOME_INIT;

	if (!e->part->open) {
		engine_step(f, e, ON_REVOKED);	/* going: no claim any more */
		return;
	}
	if (e->cmd->expires_at >= 0 && clock_wall_ms() >= e->cmd->expires_at) {
		expire(f, e);
		return;
	}
	if (!e->cmd->op->supported) {
		not_supported(f, e);
		return;
	}
	if (!e->cmd->op->rpc) {
		list_drivers(f, e);
		return;
	}
	switch (resolver_resolve(f->registry, f->supervisor, e->cmd, may_start(f, e), &r, &o)) {
	case RESOLUTION_FOUND:
		run_resolved(f, e, &r);
		break;
	case RESOLUTION_FAILED:
		end_without_call(f, e, &o);
		break;
	case RESOLUTION_STALE:
		e->start_deadline = 0;	/* our own wait is not the worker's */
		/* fall through */
	case RESOLUTION_STARTING:
		entry_list_push(&f->starting, e);
		engine_soon(f, e->start_deadline ? e->start_deadline - clock_mono_ms() :
						 ENGINE_TICK_MS);
		break;
	}
	outcome_release(&o);
}

/* Nothing is claimed while Redis or our own record is in doubt, nor after a
 * stand-still that was not looked into (docs/engine.md section 3, CLAIMING). */
static bool
may_claim(struct engine *f)
{
	if (f->stage != STAGE_RUNNING || f->exiting || !redis_up(f->redis) ||
	    !instance_ready(f->instance) || f->verifying || f->verify_failed)
		return false;
	if (clock_boot_ms() - f->prepared_boot < ENGINE_STOOD_STILL_MS)
		return true;
	stall_check(f);
	return false;
}

static void
wake_slots(struct engine *f, struct slot_wait *w)
{
	struct entry *e;
	size_t others;

	/* Its plugin is gone for good: they find that out by themselves. */
	while (supervisor_status(f->supervisor, w->plugin_id) == WORKER_NONE &&
	       (e = entry_list_pop(&w->entries)))
		entry_list_push(&f->runnable, e);
	/* Only as many as find a slot: the others keep their place. */
	while ((e = w->entries.head) && supervisor_slot_take(f->supervisor, w->plugin_id)) {
		supervisor_slot_give(f->supervisor, w->plugin_id);
		entry_list_remove(e);
		others = w->entries.n;
		run_entry(f, e);	/* it may be gone by now */
		if (w->entries.n > others)
			break;
	}
}

static void
end_start_waits(struct engine *f)
{
	int64_t now = f->starting.n ? clock_mono_ms() : 0;
	struct entry *next;

	for (struct entry *e = f->starting.head; e; e = next) {
		next = e->queue.next;
		if (e->start_deadline && now >= e->start_deadline) {
			entry_list_remove(e);
			entry_list_push(&f->runnable, e);
		}
	}
}

void
dispatch_turn(struct engine *f)
{
	struct slot_wait *w, *tmp;
	struct entry *e;

	end_start_waits(f);
	if (!may_claim(f))
		return;
	if (f->slots_changed) {
		f->slots_changed = false;
		HASH_ITER(hh, f->slot_waits, w, tmp)
			wake_slots(f, w);
	}
	for (size_t n = f->runnable.n; n > 0 && (e = entry_list_pop(&f->runnable)); n--)
		run_entry(f, e);
	if (f->runnable.n)
		engine_again(f);
}

/* --- what waited may go on --- */

void
dispatch_plugin_changed(void *arg, const char *plugin_id)
{
	struct engine *f = arg;
	struct entry *e;

	(void)plugin_id;	/* what waits for another one finds that out again */
	while ((e = entry_list_pop(&f->starting)))
		entry_list_push(&f->runnable, e);
	f->slots_changed = true;
	engine_again(f);
}

/* Commands that wait for a slot or a start expire on time. */
void
dispatch_tick(struct engine *f)
{
	struct slot_wait *w, *tmp;
	int64_t now = clock_wall_ms();

	f->slots_changed = true;
	HASH_ITER(hh, f->slot_waits, w, tmp) {
		for (struct entry *e = w->entries.head; e;) {
			struct entry *next = e->queue.next;

			if (e->cmd->expires_at >= 0 && now >= e->cmd->expires_at) {
				entry_list_remove(e);
				entry_list_push(&f->runnable, e);
			}
			e = next;
		}
	}
	while (registry_fresh(f->registry) && f->starting.head &&
	       !f->starting.head->start_deadline)
		entry_list_push(&f->runnable, entry_list_pop(&f->starting));
}

/* Asked again through the claim: it still stands at the head of its key. */
void
dispatch_ask_again(struct engine *f, struct entry *e)
{
	dispatch_give_slot(f, e);
	e->own = false;
	e->no_call = false;
	e->start_deadline = 0;
	e->token[0] = '\0';
	buf_reset(&e->lease_id);
	entry_list_push(&f->runnable, e);
	engine_again(f);
}

/* Shutdown: what was not claimed yet is somebody else's. */
void
dispatch_drop_read(struct engine *f)
{
	for (size_t i = 0; i < f->n_parts; i++) {
		struct entry *next;

		for (struct entry *e = f->parts[i] ? f->parts[i]->first : NULL; e; e = next) {
			next = e->all.next;
			if (e->state == ENTRY_READ)
				engine_step(f, e, ON_REVOKED);
		}
	}
}
