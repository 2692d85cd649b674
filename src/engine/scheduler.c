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
	struct entry *head, *tail;
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

static struct key_queue *
find(struct scheduler *s, struct span key)
{
	struct key_queue *q;

	HASH_FIND(hh, s->keys, key.ptr, key.len, q);
	return q;
}

static struct key_queue *
find_or_make(struct scheduler *s, struct span key)
{
	struct key_queue *q = find(s, key);

	if (q)
		return q;
	q = calloc(1, sizeof(*q) + key.len);
	if (!q)
		return NULL;
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
drop_if_empty(struct scheduler *s, struct key_queue *q)
{
	if (q->head)
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
	q = find_or_make(s, key);
	if (!q)
		return false;
	e->key = q;
	e->key_next = NULL;
	if (q->tail) {
		q->tail->key_next = e;
	} else {
		q->head = e;
		entry_list_push(s->runnable, e);
	}
	q->tail = e;
	return true;
}

void
scheduler_done(struct scheduler *s, struct entry *e)
{
	struct key_queue *q = e->key;

	if (!q)
		return;
	assert(q->head == e);
	q->head = e->key_next;
	e->key = NULL;
	e->key_next = NULL;
	if (q->head)
		entry_list_push(s->runnable, q->head);
	else
		q->tail = NULL;
	drop_if_empty(s, q);
}

void
scheduler_replace(struct scheduler *s, struct entry *e, struct entry *stand_in)
{
	struct key_queue *q = e->key;

	(void)s;
	if (!q)
		return;
	assert(q->head == e);
	stand_in->key = q;
	stand_in->key_next = e->key_next;
	q->head = stand_in;
	if (q->tail == e)
		q->tail = stand_in;
	e->key = NULL;
	e->key_next = NULL;
}

void
scheduler_forget(struct scheduler *s, struct entry *e)
{
	struct key_queue *q = e->key;
	struct entry *before = NULL;

	if (!q)
		return;
	for (struct entry *at = q->head; at != e; at = at->key_next)
		before = at;
	if (before)
		before->key_next = e->key_next;
	else
		q->head = e->key_next;
	if (q->tail == e)
		q->tail = before;
	e->key = NULL;
	e->key_next = NULL;
	drop_if_empty(s, q);
}
