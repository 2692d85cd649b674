/* SPDX-License-Identifier: Apache-2.0 */
#include "deadline.h"

#include <stdlib.h>

#include "envdriver/base/buf.h"

enum { FIRST_CAP = 64 };

static void
put(struct deadlines *h, struct deadline *d, size_t place)
{
	h->heap[place - 1] = d;
	d->place = place;
}

static void
up(struct deadlines *h, struct deadline *d, size_t place)
{
	while (place > 1 && h->heap[place / 2 - 1]->at_ms > d->at_ms) {
		put(h, h->heap[place / 2 - 1], place);
		place /= 2;
	}
	put(h, d, place);
}

static void
down(struct deadlines *h, struct deadline *d, size_t place)
{
	size_t child;

	while ((child = place * 2) <= h->count) {
		if (child < h->count && h->heap[child]->at_ms < h->heap[child - 1]->at_ms)
			child++;
		if (h->heap[child - 1]->at_ms >= d->at_ms)
			break;
		put(h, h->heap[child - 1], place);
		place = child;
	}
	put(h, d, place);
}

bool
deadline_add(struct deadlines *h, struct deadline *d, int64_t at_ms)
{
	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
		struct deadline **heap = buf_realloc(h->heap, cap * sizeof(struct deadline *));

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
	size_t place = d->place;
	struct deadline *last;

	if (!place)
		return;
	last = h->heap[--h->count];
	d->place = 0;
	if (last == d)
		return;
	if (place > 1 && h->heap[place / 2 - 1]->at_ms > last->at_ms)
		up(h, last, place);
	else
		down(h, last, place);
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
