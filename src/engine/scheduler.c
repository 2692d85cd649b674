/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <assert.h>
#include <stdlib.h>

#include "entry.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* The entries of one key, first one running. */
struct key_queue {
	UT_hash_handle hh;
	STAILQ_HEAD(, entry) entries;
	size_t n;
	size_t len;
	char key[];
};

struct scheduler {
	struct entry_list *runnable;
	struct key_queue *keys;
};

struct scheduler *
scheduler_new(struct entry_list *runnable)
{
	struct scheduler *s = calloc(1, sizeof(*s));

	if (s)
		s->runnable = runnable;
	return s;
}

void
scheduler_free(struct scheduler *s)
{
	if (!s)
		return;
	assert(!s->keys);
	free(s);
}

/* Made when there is none; NULL when out of memory. */
static struct key_queue *
queue_of(struct scheduler *s, struct span key)
{
	struct key_queue *q;

	HASH_FIND(hh, s->keys, key.ptr, key.len, q);
	if (q)
		return q;
	q = calloc(1, sizeof(*q) + key.len);
	if (!q)
		return NULL;
	STAILQ_INIT(&q->entries);
	memcpy(q->key, key.ptr, key.len);
	q->len = key.len;
	HASH_ADD_KEYPTR(hh, s->keys, q->key, q->len, q);
	if (!q->hh.tbl) {
		free(q);
		return NULL;
	}
	return q;
}

static void
free_if_empty(struct scheduler *s, struct key_queue *q)
{
	if (!STAILQ_EMPTY(&q->entries))
		return;
	HASH_DEL(s->keys, q);
	free(q);
}

bool
scheduler_add(struct scheduler *s, struct entry *e, struct span key)
{
	struct key_queue *q;

	if (!key.ptr) {
		entry_list_push(s->runnable, e);
		return true;
	}
	q = queue_of(s, key);
	if (!q)
		return false;
	e->key = q;
	if (STAILQ_EMPTY(&q->entries))
		entry_list_push(s->runnable, e);
	STAILQ_INSERT_TAIL(&q->entries, e, behind);
	q->n++;
	return true;
}

void
scheduler_done(struct scheduler *s, struct entry *e)
{
	struct key_queue *q = e->key;

	if (!q)
		return;
	assert(STAILQ_FIRST(&q->entries) == e);
	STAILQ_REMOVE_HEAD(&q->entries, behind);
	q->n--;
	e->key = NULL;
	if (!STAILQ_EMPTY(&q->entries))
		entry_list_push(s->runnable, STAILQ_FIRST(&q->entries));
	free_if_empty(s, q);
}

void
scheduler_replace(struct scheduler *s, struct entry *e, struct entry *stand_in)
{
	struct key_queue *q = e->key;

	(void)s;
	if (!q)
		return;
	assert(STAILQ_FIRST(&q->entries) == e);
	STAILQ_REMOVE_HEAD(&q->entries, behind);
	STAILQ_INSERT_HEAD(&q->entries, stand_in, behind);
	stand_in->key = q;
	e->key = NULL;
}

void
scheduler_remove(struct scheduler *s, struct entry *e)
{
	struct key_queue *q = e->key;

	if (!q)
		return;
	STAILQ_REMOVE(&q->entries, e, entry, behind);
	q->n--;
	e->key = NULL;
	free_if_empty(s, q);
}

struct span
scheduler_longest(const struct scheduler *s, size_t *ret_behind)
{
	const struct key_queue *longest = NULL;

	for (const struct key_queue *q = s->keys; q; q = q->hh.next)
		if (q->n > (longest ? longest->n : 1))
			longest = q;
	*ret_behind = longest ? longest->n - 1 : 0;
	return longest ? (struct span){ longest->key, longest->len } : SPAN_NULL;
}
