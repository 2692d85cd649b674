/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/deadline.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"

enum { FIRST_CAP = 64 };

static void
put_at(struct deadlines *h, struct deadline *d, size_t position)
{
	h->heap[position - 1] = d;
	d->position = position;
}

static void
up(struct deadlines *h, struct deadline *d, size_t position)
{
	while (position > 1 && h->heap[position / 2 - 1]->at_ms > d->at_ms) {
		put_at(h, h->heap[position / 2 - 1], position);
		position /= 2;
	}
	put_at(h, d, position);
}

static void
down(struct deadlines *h, struct deadline *d, size_t position)
{
	size_t child;

	while ((child = position * 2) <= h->count) {
		if (child < h->count && h->heap[child]->at_ms < h->heap[child - 1]->at_ms)
			child++;
		if (h->heap[child - 1]->at_ms >= d->at_ms)
			break;
		put_at(h, h->heap[child - 1], position);
		position = child;
	}
	put_at(h, d, position);
}

bool
deadline_add(struct deadlines *h, struct deadline *d, int64_t at_ms)
{
	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
		struct deadline **heap = realloc(h->heap, cap * sizeof(struct deadline *));

		if (!heap)
			return false;
		h->heap = heap;
		h->cap = cap;
	}
	d->at_ms = at_ms;
	up(h, d, ++h->count);
	return true;
}

void
deadline_remove(struct deadlines *h, struct deadline *d)
{
	size_t position = d->position;
	struct deadline *last;

	if (!position)
		return;
	last = h->heap[--h->count];
	d->position = 0;
	if (last == d)
		return;
	if (position > 1 && h->heap[position / 2 - 1]->at_ms > last->at_ms)
		up(h, last, position);
	else
		down(h, last, position);
}

struct deadline *
deadline_first(const struct deadlines *h)
{
	return h->count ? h->heap[0] : NULL;
}

void
deadline_release(struct deadlines *h)
{
	free(h->heap);
	*h = (struct deadlines){ 0 };
}
