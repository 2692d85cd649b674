/* SPDX-License-Identifier: Apache-2.0 */
#include "partition.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "scheduler.h"
#include "window.h"

static void
partition_free(struct partition *p)
{
	if (!p)
		return;
	window_free(p->window);
	scheduler_free(p->scheduler);
	free(p);
}

bool
partition_rewound(const struct partition *p, int64_t recorded)
{
	if (recorded < 0)
		return false;
	return p->committed < 0 || window_end(p->window) < recorded;
}

void
partition_say_held(const struct partition *p, int64_t recorded)
{
	log_error("partition %d is held: committed offset %lld is below what was done before "
		  "(%lld)",
		  (int)p->id, (long long)p->committed, (long long)recorded);
}

struct partition *
partition_new(const struct assigned *a, int64_t recorded, struct entry_list *runnable)
{
	struct partition *p = calloc(1, sizeof(*p));
	int64_t start = a->log_start > 0 ? a->log_start : 0;
	bool foreign = false;

	if (!p)
		return NULL;
	p->id = a->partition;
	p->committed = a->committed;
	TAILQ_INIT(&p->entries);
	entry_list_init(&p->unread);
	p->window = window_new(a->committed, start, a->metadata, &foreign);
	p->scheduler = scheduler_new(runnable);
	if (!p->window || !p->scheduler) {
		partition_free(p);
		return NULL;
	}
	if (foreign)
		log_warn("partition %d has an offset that something else committed; the claims "
			 "decide which commands are done",
			 (int)p->id);
	p->held = partition_rewound(p, recorded);
	if (p->held)
		partition_say_held(p, recorded);
	if (a->log_start > 0)
		metrics_add(METRIC_RECORDS_GONE,
			    (int64_t)window_log_start(p->window, a->log_start));
	return p;
}

void
partition_add(struct partition *p, struct entry *e)
{
	e->part = p;
	TAILQ_INSERT_TAIL(&p->entries, e, in_partition);
}

void
partition_remove(struct entry *e)
{
	scheduler_remove(e->part->scheduler, e);
	TAILQ_REMOVE(&e->part->entries, e, in_partition);
	e->part = NULL;
}

struct partition *
partitions_find(const struct partitions *all, int32_t id)
{
	return id >= 0 && (size_t)id < all->n ? all->at[id] : NULL;
}

struct partition *
partitions_next(const struct partitions *all, const struct partition *p)
{
	for (size_t i = p ? (size_t)p->id + 1 : 0; i < all->n; i++)
		if (all->at[i])
			return all->at[i];
	return NULL;
}

bool
partitions_put(struct partitions *all, struct partition *p)
{
	struct partition **at;
	size_t n = (size_t)p->id + 1;

	if (n > all->n) {
		at = realloc(all->at, n * sizeof(struct partition *));
		if (!at) {
			partition_free(p);
			return false;
		}
		memset(at + all->n, 0, (n - all->n) * sizeof(struct partition *));
		all->at = at;
		all->n = n;
	}
	partition_free(all->at[p->id]);
	all->at[p->id] = p;
	return true;
}

void
partitions_close(struct partitions *all, struct partition *p)
{
	all->at[p->id] = NULL;
	partition_free(p);
}

size_t
partitions_open(const struct partitions *all)
{
	struct partition *p = NULL;
	size_t n = 0;

	while ((p = partitions_next(all, p)))
		n += p->open;
	return n;
}

void
partitions_release(struct partitions *all)
{
	free(all->at);
	*all = (struct partitions){ NULL, 0 };
}
