/* SPDX-License-Identifier: Apache-2.0 */
#include "entries.h"

#include <stdlib.h>

#include "array.h"

bool
entries_init(struct entries *l, int32_t n_parts, uint64_t seed)
{
	*l = (struct entries){.n_parts = n_parts, .ids = {.seed = seed}};
	l->parts = calloc((size_t)n_parts + 1, sizeof(*l->parts));
	return l->parts;
}

void
entries_release(struct entries *l)
{
	for (int32_t p = 0; l->parts && p < l->n_parts; p++) {
		free(l->parts[p].numbers);
		free(l->parts[p].gaps);
	}
	id_store_release(&l->ids);
	free(l->parts);
	free(l->at);
}

static bool
make_entry_room(struct entries *l, struct entries_part *p)
{
	return l->n < UINT32_MAX - 1 &&
	       array_grow((void **)&p->numbers, &p->cap, p->n, sizeof(*p->numbers)) &&
	       array_grow((void **)&l->at, &l->cap, l->n, sizeof(*l->at));
}

struct entry *
entries_add(struct entries *l, int32_t partition, int64_t offset, struct span id)
{
	struct entries_part *p = &l->parts[partition];
	struct entry *e, *first;
	uint32_t first_number;

	if (!make_entry_room(l, p) || !id_store_add(&l->ids, id, &first_number))
		return NULL;
	e = &l->at[l->n];
	*e = (struct entry){
		.offset = offset,
		.partition = partition,
		.event_topic = TOPIC_COUNT,
	};
	if (first_number) {
		first = &l->at[first_number - 1];
		first->flags |= ENTRY_TWIN;
		e->flags |= ENTRY_TWIN | ENTRY_LATER;
		e->twin = first->twin;
		first->twin = (uint32_t)l->n + 1;
	}
	p->numbers[p->n++] = (uint32_t)l->n++;
	return e;
}

/* The index of the partition's first entry at or behind `offset`. */
static size_t
lower_bound(const struct entries *l, const struct entries_part *p, int64_t offset)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->at[p->numbers[mid]].offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool
entries_leave_out(struct entries *l, int32_t partition, int64_t offset)
{
	struct entries_part *p = &l->parts[partition];
	struct entries_gap *gap = p->n_gaps ? &p->gaps[p->n_gaps - 1] : NULL;

	/* A gap goes on until the next entry. */
	if (gap && (!p->n || l->at[p->numbers[p->n - 1]].offset < gap->first)) {
		gap->last = offset + 1;
		return true;
	}
	if (!array_grow((void **)&p->gaps, &p->cap_gaps, p->n_gaps, sizeof(*p->gaps)))
		return false;
	p->gaps[p->n_gaps++] = (struct entries_gap){offset, offset + 1};
	return true;
}

bool
entries_left_out(const struct entries_part *p, int64_t offset)
{
	size_t low = 0, high = p->n_gaps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->gaps[mid].last <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->n_gaps && p->gaps[low].first <= offset;
}

struct entry *
entries_find(const struct entries *l, int64_t partition, int64_t offset)
{
	const struct entries_part *p;
	size_t i;

	if (partition < 0 || partition >= l->n_parts)
		return NULL;
	p = &l->parts[partition];
	i = lower_bound(l, p, offset);
	if (i == p->n || l->at[p->numbers[i]].offset != offset)
		return NULL;
	return &l->at[p->numbers[i]];
}

struct finding_position
entries_position(const struct entry *e)
{
	return (struct finding_position){TOPIC_COMMANDS, e->partition, e->offset};
}

struct span
entries_id(const struct entries *l, const struct entry *e, char keep[ID_STORE_KEEP])
{
	return id_store_text(&l->ids, (size_t)(e - l->at), keep);
}

bool
entries_same_id(const struct entries *l, const struct entry *a, const struct entry *b)
{
	return id_store_same(&l->ids, (size_t)(a - l->at), (size_t)(b - l->at));
}

size_t
entries_bytes(const struct entries *l)
{
	size_t bytes = id_store_bytes(&l->ids);

	for (int32_t p = 0; p < l->n_parts; p++)
		bytes += l->parts[p].n_gaps * sizeof(struct entries_gap);
	return bytes + l->n * (sizeof(*l->at) + sizeof(*l->parts->numbers));
}
