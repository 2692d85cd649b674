/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: commands of one partition that share an ordering key run one
 * after another, in log order; all others side by side (P2).
 *
 * Owns the key queues of one partition. Knows nothing of plugins or Redis:
 * what may run is pushed to the list given at scheduler_new.
 */
#ifndef ENVDRIVER_ENGINE_SCHEDULER_H
#define ENVDRIVER_ENGINE_SCHEDULER_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct entry;
struct entry_list;
struct scheduler;

/* `runnable` is borrowed for the scheduler's life. */
struct scheduler *scheduler_new(struct entry_list *runnable);
/* Every entry must have been removed. Accepts NULL. */
void scheduler_free(struct scheduler *s);

/* Queues the entry behind its key (ptr NULL: none); pushes it to runnable
 * when it is the first. False when out of memory. */
bool scheduler_add(struct scheduler *s, struct entry *e, struct span key);
/* The entry is done: the next of its key becomes runnable. */
void scheduler_done(struct scheduler *s, struct entry *e);
/* `stand_in` takes the place of `e` at the head of its key. */
void scheduler_replace(struct scheduler *s, struct entry *e, struct entry *stand_in);
/* Takes the entry out wherever it stands, without running the next: its
 * partition is going. */
void scheduler_remove(struct scheduler *s, struct entry *e);

/* The key with the most commands behind its first one; *ret_behind says how
 * many. ptr NULL when nothing waits behind any. Borrowed until the next
 * change. Looks at every key, so it is not for each command. */
struct span scheduler_longest(const struct scheduler *s, size_t *ret_behind);

#endif
