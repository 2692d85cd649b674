/* SPDX-License-Identifier: Apache-2.0 */
#include "rebalance.h"

#include <stdlib.h>
#include <string.h>

#include "committing.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "leaving.h"
#include "window.h"

struct rebalance {
	/* The assign event, until it is answered: */
	struct assigned *assigning;
	size_t n_assigning;
	int64_t assigning_since;	/* mono ms */
	bool reading, stale;		/* positions are being read; for another assign event */
	/* The revoke event: */
	bool lost;
	bool sealed;			/* the last batch was */
	int32_t *revoked;
	size_t n_revoked;
	int64_t deadline;		/* mono ms */
};

bool
rebalance_new(struct engine *eng)
{
	eng->rebalance = calloc(1, sizeof(*eng->rebalance));
	return eng->rebalance;
}

/* --- assign, docs/engine.md section 7 --- */

static void
free_assigning(struct rebalance *r)
{
	for (size_t i = 0; i < r->n_assigning; i++)
		free((char *)r->assigning[i].metadata.ptr);
	free(r->assigning);
	r->assigning = NULL;
	r->n_assigning = 0;
}

/* The consumer ends its pauses of all and of these; the others' stay. */
static void
open_consumer(struct engine *eng, const struct open_at *at, size_t n)
{
	eng->paused_all = false;
	eng->committing->need_assign = false;
	consumer_open(eng->consumer, at, n);
	core_again(eng);
}

/* `ends` NULL: Redis is away, all are held. */
static void
open_partitions(struct engine *eng, const int64_t *ends)
{
	struct rebalance *r = eng->rebalance;
	struct open_at *at = calloc(r->n_assigning + 1, sizeof(*at));
	size_t n = 0;

	for (size_t i = 0; at && i < r->n_assigning; i++) {
		struct partition *p = partition_new(&r->assigning[i], ends ? ends[i] : -1,
						    &eng->lists.runnable);

		if (!p || !partitions_put(&eng->partitions, p)) {
			core_nomem(eng);
			break;
		}
		if (!ends)
			p->held = p->unchecked = true;
		if (p->held)
			continue;
		p->open = true;
		at[n++] = (struct open_at){ p->id, window_fetch_from(p->window) };
	}
	if (!at)
		core_nomem(eng);
	else
		open_consumer(eng, at, n);
	free(at);
	log_info("partitions opened: %zu", n);
	free_assigning(r);
}

size_t
rebalance_waiting(const struct engine *eng, int64_t ms)
{
	const struct rebalance *r = eng->rebalance;

	return clock_mono_ms() - r->assigning_since >= ms ? r->n_assigning : 0;
}

void
rebalance_hold(struct engine *eng)
{
	eng->rebalance->stale = eng->rebalance->reading;
	open_partitions(eng, NULL);
}

static void
on_assign_positions(void *arg, bool ok, const int64_t *ends, size_t n)
{
	struct engine *eng = arg;
	struct rebalance *r = eng->rebalance;

	r->reading = false;
	if (r->stale || n != r->n_assigning) {
		r->stale = false;
		rebalance_retry_assign(eng);	/* another assign came meanwhile */
		return;
	}
	if (ok)
		open_partitions(eng, ends);
	/* else: Redis went away; retried when it is back */
}

/* The positions are in Redis: when it is away the partitions stay closed
 * until it is back. */
void
rebalance_retry_assign(struct engine *eng)
{
	struct rebalance *r = eng->rebalance;
	int32_t *ids;

	if (!r->assigning || r->reading || !redis_up(eng->redis))
		return;
	ids = calloc(r->n_assigning, sizeof(*ids));
	if (!ids) {
		core_nomem(eng);
		return;
	}
	for (size_t i = 0; i < r->n_assigning; i++)
		ids[i] = r->assigning[i].partition;
	r->reading = true;
	instance_positions(eng->instance, eng->topics[TOPIC_COMMANDS], ids, r->n_assigning,
			   on_assign_positions, eng);
	free(ids);
}

void
rebalance_assign(void *arg, const struct assigned *parts, size_t n)
{
	struct engine *eng = arg;
	struct rebalance *r = eng->rebalance;

	metrics_add(METRIC_REBALANCES, 1);
	free_assigning(r);
	r->stale = r->reading;
	if (n == 0) {
		open_consumer(eng, NULL, 0);
		return;
	}
	r->assigning = calloc(n, sizeof(*r->assigning));
	if (!r->assigning) {
		core_nomem(eng);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct assigned *a = &r->assigning[i];

		*a = parts[i];
		if (!parts[i].metadata.ptr)
			continue;
		a->metadata.ptr = strndup(parts[i].metadata.ptr, parts[i].metadata.len);
		if (!a->metadata.ptr)
			core_nomem(eng);
	}
	r->n_assigning = n;
	r->assigning_since = clock_mono_ms();
	rebalance_retry_assign(eng);
}

void
rebalance_gap(void *arg, int32_t partition, int64_t log_start, bool beyond)
{
	struct engine *eng = arg;
	struct partition *p = partitions_find(&eng->partitions, partition);

	if (!p)
		return;
	if (beyond) {
		p->held = p->beyond = true;
		log_error("partition %d is held: our offset is past the end of the log",
			  (int)partition);
		return;
	}
	log_warn("partition %d: the log starts at %lld now; what was before is gone",
		 (int)partition, (long long)log_start);
	metrics_add(METRIC_RECORDS_GONE, (int64_t)window_log_start(p->window, log_start));
	p->dirty = true;
}

/* --- revoke, docs/engine.md section 7 --- */

void
rebalance_revoke(void *arg, const int32_t *partitions, size_t n, bool lost)
{
	struct engine *eng = arg;
	struct rebalance *r = eng->rebalance;

	metrics_add(METRIC_REBALANCES, 1);
	free_assigning(r);
	r->stale = r->reading;
	free(r->revoked);
	r->revoked = calloc(n ? n : 1, sizeof(*r->revoked));
	if (!r->revoked) {
		core_nomem(eng);
		return;
	}
	r->n_revoked = n;
	memcpy(r->revoked, partitions, n * sizeof(*partitions));
	for (size_t i = 0; i < n; i++) {
		struct partition *p = partitions_find(&eng->partitions, partitions[i]);

		if (p)
			p->open = false;
	}
	eng->revoking = true;
	r->lost = lost;
	r->sealed = lost;
	r->deadline = clock_mono_ms() + eng->limits.revoke_drain;
	core_soon(eng, eng->limits.revoke_drain);
	core_again(eng);
}

static void
close_revoked(struct engine *eng)
{
	struct rebalance *r = eng->rebalance;

	for (size_t i = 0; i < r->n_revoked; i++) {
		struct partition *p = partitions_find(&eng->partitions, r->revoked[i]);

		if (p)
			leaving_close(eng, p);
	}
	log_info("partitions revoked: %zu%s; %zu calls run on", r->n_revoked,
		 r->lost ? " (lost)" : "", eng->lists.left.n);
	free(r->revoked);
	r->revoked = NULL;
	r->n_revoked = 0;
	eng->revoking = false;
	consumer_unassign(eng->consumer);
}

void
rebalance_turn(struct engine *eng)
{
	struct rebalance *r = eng->rebalance;
	bool late;

	if (!eng->revoking)
		return;
	late = clock_mono_ms() >= r->deadline;
	/* Step 2: with a lost assignment a transaction in flight runs on. */
	if (eng->committing->batch && !late && !r->lost)
		return;
	/* Step 3: one more batch, of what is READY. */
	if (!r->sealed && !late && committing_last(eng)) {
		r->sealed = true;
		if (eng->committing->batch)
			return;
	}
	close_revoked(eng);
}

void
rebalance_free(struct engine *eng)
{
	if (!eng->rebalance)
		return;
	free_assigning(eng->rebalance);
	free(eng->rebalance->revoked);
	free(eng->rebalance);
}
