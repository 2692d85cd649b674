/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions that are ours and are not read: Redis is away while they are
 * assigned, or their offset was rewound (docs/engine.md sections 7 and 9). */
#include "engine_impl.h"

#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"

enum { HOLD_AFTER_MS = 2000, LOOK_TICKS = 5 };

/* Without Redis nothing can be opened; an assign without an answer would hold
 * up the next rebalance of the whole group. */
static void
hold_assign(struct engine *f)
{
	if (!f->assigning || redis_up(f->redis) ||
	    clock_mono_ms() - f->assigning_since < HOLD_AFTER_MS)
		return;
	log_warn("Redis is away, %zu partitions are held until it is back", f->n_assigning);
	rebalance_hold(f);
}

/* --- is Redis back, has somebody accepted the rewind? --- */

struct held {
	struct engine *flow;
	struct open_at *at;
	size_t n;
	int32_t ids[];
};

static void
held_free(struct held *h)
{
	if (h)
		free(h->at);
	free(h);
}

static bool
may_be_read(struct partition *p, int64_t recorded)
{
	bool rewound = rebalance_rewound(p, recorded);

	if (rewound && p->unchecked)
		rebalance_say_held(p, recorded);
	p->unchecked = false;
	return !rewound;
}

static void
on_held(void *arg, bool ok, const int64_t *ends, size_t n)
{
	struct held *h = arg;
	struct engine *f = h->flow;
	size_t found = 0;

	f->looking_at_held = false;
	for (size_t i = 0; ok && i < n; i++) {
		struct partition *p = engine_partition(f, h->ids[i]);

		if (p && p->held && !p->beyond && may_be_read(p, ends[i]))
			h->at[found++] = (struct open_at){ p->id, window_fetch_from(p->window) };
	}
	/* All at once: eager, each call makes the whole assignment anew. */
	if (!found || !consumer_unhold(f->consumer, h->at, found))
		found = 0;	/* the next look */
	for (size_t i = 0; i < found; i++) {
		struct partition *p = engine_partition(f, h->at[i].partition);

		log_info("partition %d is held no longer, it is read from offset %lld",
			 (int)p->id, (long long)h->at[i].offset);
		p->held = false;
		p->open = true;
	}
	held_free(h);
}

void
held_look(struct engine *f)
{
	struct held *h;

	if (f->looking_at_held || !redis_up(f->redis) || f->stage != STAGE_RUNNING)
		return;
	h = malloc(sizeof(*h) + f->n_parts * sizeof(h->ids[0]));
	if (h)
		*h = (struct held){ f, calloc(f->n_parts + 1, sizeof(*h->at)), 0 };
	if (!h || !h->at) {
		held_free(h);
		engine_nomem(f);
		return;
	}
	for (size_t i = 0; i < f->n_parts; i++)
		if (f->parts[i] && f->parts[i]->held && !f->parts[i]->beyond)
			h->ids[h->n++] = (int32_t)i;
	if (h->n) {
		f->looking_at_held = true;
		instance_positions(f->instance, f->topics[TOPIC_COMMANDS], h->ids, h->n, on_held,
				   h);
	} else {
		held_free(h);
	}
}

void
held_tick(struct engine *f)
{
	hold_assign(f);
	if (f->ticks % LOOK_TICKS == 0)
		held_look(f);
}
