/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_gap.h"

static void
look_at_log(struct consumer_gap *g, struct consumer_part *p)
{
	p->gap_again = !consumer_jobs_read_log(g->jobs, p->number);
}

void
consumer_gap_found(struct consumer_gap *g, int32_t partition)
{
	struct consumer_part *p = consumer_parts_find(g->parts, partition);

	if (!p || !p->open || p->gap)
		return;
	p->gap = true;
	look_at_log(g, p);
}

/* Our offset is past the end of the log. */
static void
hold_beyond(struct consumer_gap *g, struct consumer_part *p, int64_t start)
{
	p->open = false;
	p->held = true;
	consumer_backlog_clear(&g->parts->backlog, &p->backlog);
	consumer_parts_align_pauses(g->parts);
	g->ev->on_gap(g->ev->arg, p->number, start, /* beyond= */ true);
}

void
consumer_gap_read(struct consumer_gap *g, int32_t partition, bool busy, bool ok, int64_t start,
		  int64_t end)
{
	struct consumer_part *p = consumer_parts_find(g->parts, partition);

	if (!p || !p->gap)
		return;
	/* In a rebalance, a new assignment would be taken for our answer to it.
	 * Records that were read before the gap go first. */
	if (!ok || busy || (!STAILQ_EMPTY(&p->backlog) && p->next < start)) {
		p->gap_again = true;
		return;
	}
	p->gap = false;
	if (!p->open)
		return;
	if (p->next > end) {
		hold_beyond(g, p, start);
	} else if (p->next < start) {
		p->next = start;
		consumer_parts_restart(g->parts, partition);
		g->ev->on_gap(g->ev->arg, partition, start, /* beyond= */ false);
	} else {	/* it is there after all */
		consumer_parts_restart(g->parts, partition);
	}
}

void
consumer_gap_tick(struct consumer_gap *g)
{
	for (size_t i = 0; i < g->parts->n; i++) {
		struct consumer_part *p = g->parts->at[i];

		if (!p->gap_again)
			continue;
		p->gap_again = false;
		if (p->gap)
			look_at_log(g, p);
	}
}
