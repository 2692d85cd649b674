/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition: one partition of the command topic while it is assigned to this
 * worker, with its window, its scheduler and its entries; and the table of all
 * of them.
 *
 * Owns the window and the scheduler. The entries are only linked here: they
 * belong to the engine (core_close_entry). Knows nothing of Kafka's consumer,
 * of Redis or of plugins.
 */
#ifndef ENVDRIVER_ENGINE_PARTITION_H
#define ENVDRIVER_ENGINE_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "entry.h"

struct assigned;
struct scheduler;
struct window;

/* Entries that wait and are not worked on: READ (behind their key, for a slot,
 * for a start, for a schema) and WAITING. */
struct idle {
	size_t n, bytes;
};

struct partition {
	int32_t id;
	bool open;			/* ours, between step 4 of assign and revoke */
	bool held;			/* its offset was rewound, or lies beyond the log's end */
	bool beyond;			/* the latter */
	bool unchecked;			/* held: Redis was away, its position is not known */
	int64_t committed;		/* at the assign, -1: nothing */
	bool paused;			/* as the consumer was told */
	int64_t said_paused;		/* mono ms, when the log said so; 0: never */
	bool dirty;			/* offsets alone want a commit */
	struct idle idle;
	struct window *window;
	struct scheduler *scheduler;
	TAILQ_HEAD(, entry) entries;	/* through `in_partition`, in log order */
	struct entry_list unread;	/* the first one's schema is not known yet */
};

/* By id; NULL: not ours. All zero: empty. */
struct partitions {
	struct partition **at;
	size_t n;
};

/* As it was assigned: held when its committed offset lies below `recorded`
 * (docs/engine.md section 9; -1: nothing is recorded), which is logged. Its
 * scheduler pushes to `runnable`, borrowed. NULL when out of memory. */
struct partition *partition_new(const struct assigned *a, int64_t recorded,
				struct entry_list *runnable);

/* At the end: entries come in log order. */
void partition_add(struct partition *p, struct entry *e);
/* From all its lists; e->part is NULL then. */
void partition_remove(struct entry *e);

/* Rewound, expired or made anew: what is committed lies below what was certain
 * once (docs/engine.md section 9). */
bool partition_rewound(const struct partition *p, int64_t recorded);
/* Logs that it is held for that reason. */
void partition_say_held(const struct partition *p, int64_t recorded);

/* NULL when it is not ours. */
struct partition *partitions_find(const struct partitions *all, int32_t id);
/* The first one after `p` (NULL: of all) by id, NULL at the end. `p` may have
 * left the table, but must not have been freed. */
struct partition *partitions_next(const struct partitions *all, const struct partition *p);
/* Takes `p`, which replaces (and frees) what stood under its id. False when out of memory:
 * `p` is freed. */
bool partitions_put(struct partitions *all, struct partition *p);
/* Takes it out of the table and frees it. */
void partitions_close(struct partitions *all, struct partition *p);
/* How many are open. */
size_t partitions_open(const struct partitions *all);
/* The table only: every partition must be closed. */
void partitions_release(struct partitions *all);

#endif
