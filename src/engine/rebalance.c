/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

/* --- the entries of a partition --- */

void
rebalance_link(struct partition *p, struct entry *e)
{
	e->all.prev = p->last;
	e->all.next = NULL;
	if (p->last)
		p->last->all.next = e;
	else
		p->first = e;
	p->last = e;
}

void
rebalance_unlink(struct partition *p, struct entry *e)
{
	if (e->all.prev)
		e->all.prev->all.next = e->all.next;
	else
		p->first = e->all.next;
	if (e->all.next)
		e->all.next->all.prev = e->all.prev;
	else
		p->last = e->all.prev;
	e->all = (struct entry_link){ NULL, NULL };
	e->part = NULL;
}

/* --- assign, docs/engine.md section 7 --- */

static bool
make_room(struct engine *f, int32_t id)
{
	struct partition **parts;
	size_t n = (size_t)id + 1;

	if (n <= f->n_parts)
		return true;
	parts = realloc(f->parts, n * sizeof(struct partition *));
	if (!parts)
		return false;
	memset(parts + f->n_parts, 0, (n - f->n_parts) * sizeof(struct partition *));
	f->parts = parts;
	f->n_parts = n;
	return true;
}

static void
partition_free(struct partition *p)
{
	if (!p)
		return;
	window_free(p->window);
	scheduler_free(p->scheduler);
	free(p);
}

/* Rewound, expired or made anew: what is committed lies below what was
 * certain once (docs/engine.md section 9). */
bool
rebalance_rewound(const struct partition *p, int64_t recorded)
{
	if (recorded < 0)
		return false;
	return p->committed < 0 || window_end(p->window) < recorded;
}

void
rebalance_say_held(const struct partition *p, int64_t recorded)
{
	log_error("partition %d is held: committed offset %lld is below what was done before "
		  "(%lld)",
		  (int)p->id, (long long)p->committed, (long long)recorded);
}

static struct partition *
partition_new(struct engine *f, const struct assigned *a, int64_t recorded)
{
	struct partition *p = calloc(1, sizeof(*p));
	int64_t start = a->log_start > 0 ? a->log_start : 0;
	bool foreign = false;

	if (!p)
		return NULL;
	p->id = a->partition;
	p->committed = a->committed;
	p->window = window_new(a->committed, start, a->metadata, &foreign);
	p->scheduler = scheduler_new(&f->runnable);
	if (!p->window || !p->scheduler) {
		partition_free(p);
		return NULL;
	}
	if (foreign)
		log_warn("partition %d has an offset that was committed by something else; the "
			 "claims decide what is done",
			 (int)p->id);
	p->held = rebalance_rewound(p, recorded);
	if (p->held)
		rebalance_say_held(p, recorded);
	if (a->log_start > 0)
		metrics_add(METRIC_RECORDS_GONE,
			    (int64_t)window_log_start(p->window, a->log_start));
	return p;
}

static void
drop_assigning(struct engine *f)
{
	for (size_t i = 0; i < f->n_assigning; i++)
		free((char *)f->assigning[i].metadata.ptr);
	free(f->assigning);
	f->assigning = NULL;
	f->n_assigning = 0;
}

/* The consumer ends its pauses of all and of these; the others' stay. */
static void
open_consumer(struct engine *f, const struct open_at *at, size_t n)
{
	f->paused_all = false;
	f->need_assign = false;
	consumer_open(f->consumer, at, n);
	engine_again(f);
}

/* `ends` NULL: Redis is away, all are held. */
static void
open_partitions(struct engine *f, const int64_t *ends)
{
	struct open_at *at = calloc(f->n_assigning + 1, sizeof(*at));
	size_t n = 0;

	for (size_t i = 0; at && i < f->n_assigning; i++) {
		const struct assigned *a = &f->assigning[i];
		struct partition *p;

		if (!make_room(f, a->partition) ||
		    !(p = partition_new(f, a, ends ? ends[i] : -1))) {
			engine_nomem(f);
			break;
		}
		partition_free(f->parts[a->partition]);
		f->parts[a->partition] = p;
		if (!ends)
			p->held = p->unchecked = true;
		if (p->held)
			continue;
		p->open = true;
		at[n++] = (struct open_at){ p->id, window_fetch_from(p->window) };
	}
	if (!at)
		engine_nomem(f);
	else
		open_consumer(f, at, n);
	free(at);
	log_info("partitions opened: %zu", n);
	drop_assigning(f);
}

void
rebalance_hold(struct engine *f)
{
	f->positions_stale = f->reading_positions;
	open_partitions(f, NULL);
}

static void
on_positions(void *arg, bool ok, const int64_t *ends, size_t n)
{
	struct engine *f = arg;

	f->reading_positions = false;
	if (f->positions_stale || n != f->n_assigning) {
		f->positions_stale = false;
		rebalance_retry_assign(f);	/* another assign came meanwhile */
		return;
	}
	if (ok)
		open_partitions(f, ends);
	/* else: Redis went away; retried when it is back */
}

/* The positions are in Redis: when it is away the partitions stay closed
 * until it is back. */
void
rebalance_retry_assign(struct engine *f)
{
	int32_t *ids;

	if (!f->assigning || f->reading_positions || !redis_up(f->redis))
		return;
	ids = calloc(f->n_assigning, sizeof(*ids));
	if (!ids) {
		engine_nomem(f);
		return;
	}
	for (size_t i = 0; i < f->n_assigning; i++)
		ids[i] = f->assigning[i].partition;
	f->reading_positions = true;
	instance_positions(f->instance, f->topics[TOPIC_COMMANDS], ids, f->n_assigning,
			   on_positions, f);
	free(ids);
}

void
rebalance_assign(void *arg, const struct assigned *parts, size_t n)
{
	struct engine *f = arg;

	metrics_add(METRIC_REBALANCES, 1);
	drop_assigning(f);
	f->positions_stale = f->reading_positions;
	if (n == 0) {
		open_consumer(f, NULL, 0);
		return;
	}
	f->assigning = calloc(n, sizeof(*f->assigning));
	if (!f->assigning) {
		engine_nomem(f);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct assigned *a = &f->assigning[i];

		*a = parts[i];
		if (!parts[i].metadata.ptr)
			continue;
		a->metadata.ptr = strndup(parts[i].metadata.ptr, parts[i].metadata.len);
		if (!a->metadata.ptr)
			engine_nomem(f);
	}
	f->n_assigning = n;
	f->assigning_since = clock_mono_ms();
	rebalance_retry_assign(f);
}

void
rebalance_gap(void *arg, int32_t partition, int64_t log_start, bool beyond)
{
	struct engine *f = arg;
	struct partition *p = engine_partition(f, partition);

	if (!p)
		return;
	if (beyond) {
		p->held = p->beyond = true;
		log_error("partition %d is held: our offset is past the end of the log",
			  (int)partition);
		return;
	}
	log_warn("partition %d: the log starts at %lld now, what was before is gone",
		 (int)partition, (long long)log_start);
	metrics_add(METRIC_RECORDS_GONE, (int64_t)window_log_start(p->window, log_start));
	p->dirty = true;
}

/* --- revoke, docs/engine.md section 7 --- */

void
rebalance_revoke(void *arg, const int32_t *partitions, size_t n, bool lost)
{
	struct engine *f = arg;

	metrics_add(METRIC_REBALANCES, 1);
	drop_assigning(f);
	f->positions_stale = f->reading_positions;
	free(f->revoked);
	f->revoked = calloc(n ? n : 1, sizeof(*f->revoked));
	if (!f->revoked) {
		engine_nomem(f);
		return;
	}
	f->n_revoked = n;
	memcpy(f->revoked, partitions, n * sizeof(*partitions));
	for (size_t i = 0; i < n; i++) {
		struct partition *p = engine_partition(f, partitions[i]);

		if (p)
			p->open = false;
	}
	f->revoking = true;
	f->revoke_lost = lost;
	f->revoke_sealed = lost;
	f->revoke_deadline = clock_mono_ms() + f->limits.revoke_drain;
	engine_soon(f, f->limits.revoke_drain);
	engine_again(f);
}

static enum entry_event
leaving_event(const struct entry *e)
{
	switch (e->state) {
	case ENTRY_CALLING:
		return e->recording ? ON_REVOKED_RECORDING : ON_REVOKED;
	case ENTRY_READY:
	case ENTRY_SEALED:
		return e->own ? ON_REVOKED : ON_REVOKED_FOREIGN;
	default:
		return ON_REVOKED;
	}
}

/* Every entry leaves by the table; the window goes. */
static void
close_partition(struct engine *f, int32_t id)
{
	struct partition *p = engine_partition(f, id);
	struct entry *next;

	if (!p)
		return;
	for (struct entry *e = p->first; e; e = next) {
		next = e->all.next;
		engine_step(f, e, leaving_event(e));
	}
	f->parts[id] = NULL;
	partition_free(p);
}

static void
let_go(struct engine *f)
{
	for (size_t i = 0; i < f->n_revoked; i++)
		close_partition(f, f->revoked[i]);
	log_info("partitions given up: %zu%s; %zu calls run on", f->n_revoked,
		 f->revoke_lost ? " (lost)" : "", f->left.n);
	free(f->revoked);
	f->revoked = NULL;
	f->n_revoked = 0;
	f->revoking = false;
	consumer_unassign(f->consumer);
}

void
rebalance_give_all_up(struct engine *f)
{
	for (size_t i = 0; i < f->n_parts; i++)
		close_partition(f, (int32_t)i);
}

void
rebalance_turn(struct engine *f)
{
	bool late;

	if (!f->revoking)
		return;
	late = clock_mono_ms() >= f->revoke_deadline;
	/* Step 2: with a lost assignment a transaction in flight runs on. */
	if (f->batch && !late && !f->revoke_lost)
		return;
	if (!f->revoke_sealed && !late && f->ready.n && committing_possible(f)) {
		f->revoke_sealed = true;
		committing_last(f);
		if (f->batch)
			return;
	}
	let_go(f);
}

/* --- calls that outlive their partition --- */

static void
unlink_entry(struct engine *f, struct entry *e)
{
	entry_list_remove(e);
	if (!e->part)
		return;
	scheduler_forget(e->part->scheduler, e);
	rebalance_unlink(e->part, e);
	f->entries--;
}

/* The new owner keeps the order; the slot stays taken while the call runs. */
void
rebalance_leave(struct engine *f, struct entry *e)
{
	unlink_entry(f, e);
	e->left_since = clock_mono_ms();
	entry_list_push(e->state == ENTRY_LEFT ? &f->left : &f->handing, e);
}

void
rebalance_hand_over(struct engine *f, struct entry *e)
{
	unlink_entry(f, e);
	if (!e->left_since)
		e->left_since = clock_mono_ms();
	metrics_add(METRIC_HANDED_OVER, 1);
	entry_list_push(&f->handing, e);
	large_output_hand_over(f, e);
}

static void
on_own_taken(void *arg, bool taken, int attempt)
{
	struct engine *f = arg;

	(void)taken, (void)attempt;
	f->owning--;
}

/* At handover.timeout we take our own claim over, so that nobody has to wait
 * for us to be judged; then the plugin's answer is not waited for. */
void
rebalance_take_own(struct engine *f, struct entry *e)
{
	log_warn("call of command '%s' ran past handover.timeout, it is given up",
		 e->cmd->id.ptr);
	if (claiming_seize(f, e, span_of(e->token), on_own_taken, f))
		f->owning++;
	else
		engine_nomem(f);
	calling_orphan(f, e);
	calling_abandon(f, e);
	dispatch_give_slot(f, e);
	engine_retire(f, e);
}

static void
give_up_old(struct engine *f, struct entry_list *l, int64_t limit)
{
	int64_t now = clock_mono_ms();
	struct entry *next;

	for (struct entry *e = l->head; e; e = next) {
		next = e->queue.next;
		/* Its batch may be committed: its lease is its reader's then. */
		if (!e->in_batch && now - e->left_since >= limit)
			engine_step(f, e, ON_GIVE_UP);
	}
}

/* Nothing is published any more: their large output cannot go ahead. */
static void
give_up_unsent(struct engine *f)
{
	struct entry *next;

	for (struct entry *e = f->handing.head; e; e = next) {
		next = e->queue.next;
		if (!e->recording && !e->in_batch)
			engine_step(f, e, ON_GIVE_UP);
	}
}

void
rebalance_tick(struct engine *f)
{
	int64_t limit = f->limits.handover;

	give_up_old(f, &f->left, limit);
	give_up_old(f, &f->handing, limit);
	if (f->exit_code)
		give_up_unsent(f);
	/* We will be judged dead after 15 s without a beat. */
	if (f->redis_down_since && clock_mono_ms() - f->redis_down_since >= ENGINE_REDIS_GONE_MS)
		rebalance_give_up_left(f);
}

void
rebalance_give_up_left(struct engine *f)
{
	give_up_old(f, &f->left, 0);
}

void
rebalance_free(struct engine *f)
{
	drop_assigning(f);
	free(f->revoked);
	for (size_t i = 0; i < f->n_parts; i++) {
		struct partition *p = f->parts[i];

		while (p && p->first)
			engine_retire(f, p->first);
		partition_free(p);
	}
	free(f->parts);
}
