/* SPDX-License-Identifier: Apache-2.0 */
#include "held.h"

#include <stdlib.h>

#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "rebalance.h"
#include "window.h"

enum { HOLD_AFTER_MS = 2000, LOOK_TICKS = 5 };

/* Without Redis nothing can be opened; an assign without an answer would hold
 * up the next rebalance of the whole group. */
static void
hold_assign(struct engine *eng)
{
	size_t n = redis_up(eng->redis) ? 0 : rebalance_waiting(eng, HOLD_AFTER_MS);

	if (!n)
		return;
	log_warn("Redis is away; %zu partitions are held until it is back", n);
	rebalance_hold(eng);
}

/* --- is Redis back, was the rewind accepted? --- */

struct held_look {
	struct engine *engine;
	struct open_at *at;
	size_t n;
	int32_t ids[];
};

static void
held_look_free(struct held_look *h)
{
	if (h)
		free(h->at);
	free(h);
}

static bool
may_be_read(struct partition *p, int64_t recorded)
{
	bool rewound = partition_rewound(p, recorded);

	if (rewound && p->unchecked)
		partition_say_held(p, recorded);
	p->unchecked = false;
	return !rewound;
}

static void
on_held_positions(void *arg, bool ok, const int64_t *ends, size_t n)
{
	struct held_look *h = arg;
	struct engine *eng = h->engine;
	size_t found = 0;

	eng->looking_at_held = false;
	for (size_t i = 0; ok && i < n; i++) {
		struct partition *p = partitions_find(&eng->partitions, h->ids[i]);

		if (p && p->held && !p->beyond && may_be_read(p, ends[i]))
			h->at[found++] = (struct open_at){ p->id, window_fetch_from(p->window) };
	}
	/* All at once: eager, each call makes the whole assignment anew. */
	if (!found || !consumer_unhold(eng->consumer, h->at, found))
		found = 0;	/* the next look */
	for (size_t i = 0; i < found; i++) {
		struct partition *p = partitions_find(&eng->partitions, h->at[i].partition);

		log_info("partition %d is no longer held; reading from offset %lld",
			 (int)p->id, (long long)h->at[i].offset);
		p->held = false;
		p->open = true;
	}
	held_look_free(h);
}

void
held_look(struct engine *eng)
{
	struct partition *p = NULL;
	struct held_look *h;

	if (eng->looking_at_held || !redis_up(eng->redis) || eng->stage != STAGE_RUNNING)
		return;
	h = malloc(sizeof(*h) + eng->partitions.n * sizeof(h->ids[0]));
	if (h)
		*h = (struct held_look){ eng, calloc(eng->partitions.n + 1, sizeof(*h->at)), 0 };
	if (!h || !h->at) {
		held_look_free(h);
		core_nomem(eng);
		return;
	}
	while ((p = partitions_next(&eng->partitions, p)))
		if (p->held && !p->beyond)
			h->ids[h->n++] = p->id;
	if (h->n) {
		eng->looking_at_held = true;
		instance_positions(eng->instance, eng->topics[TOPIC_COMMANDS], h->ids, h->n,
				   on_held_positions, h);
	} else {
		held_look_free(h);
	}
}

void
held_tick(struct engine *eng)
{
	hold_assign(eng);
	if (eng->ticks % LOOK_TICKS == 0)
		held_look(eng);
}
