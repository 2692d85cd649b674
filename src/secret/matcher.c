/* SPDX-License-Identifier: Apache-2.0 */
#include "matcher.h"

#include <stdlib.h>

enum {
	FIRST_CAP = 256,
	BYTES = 256,
	/* Of a node: its first child is the next node; it has others, in `edges`. */
	NEXT = 1, MORE = 2,
};

/* From a node to a child that is not its first one. */
struct edge {
	uint32_t parent, child;		/* child 0: a free place */
};

struct matcher {
	uint32_t count, cap;		/* of nodes; node 0 is the root */
	/* By node: */
	unsigned char *byte;		/* that leads here */
	unsigned char *kind;
	uint16_t *depth, *longest;
	uint32_t *fail;			/* the longest proper end that is a node */

	uint32_t root[BYTES];		/* the root's children */
	struct edge *edges;		/* an open hash table */
	uint32_t n_edges, edges_cap;	/* a power of two */
	uint8_t pairs[BYTES * BYTES / 8];	/* the first two bytes of patterns */
};

struct matcher *
matcher_new(void)
{
	struct matcher *m = calloc(1, sizeof(*m));

	if (m)
		m->count = 1;
	return m;
}

void
matcher_free(struct matcher *m)
{
	if (!m)
		return;
	free(m->byte);
	free(m->kind);
	free(m->depth);
	free(m->longest);
	free(m->fail);
	free(m->edges);
	free(m);
}

/* `*array` grows to `count` elements; those that are new are not set. */
static bool
grow_array(void *array, uint32_t count, size_t size)
{
	void *old = *(void **)array, *data = realloc(old, count * size);

	if (data)
		*(void **)array = data;
	return data;
}

static bool
grow_nodes(struct matcher *m)
{
	uint32_t cap = m->cap ? m->cap * 2 : FIRST_CAP;

	if (m->count < m->cap)
		return true;
	if (!grow_array(&m->byte, cap, sizeof(*m->byte)) ||
	    !grow_array(&m->kind, cap, sizeof(*m->kind)) ||
	    !grow_array(&m->depth, cap, sizeof(*m->depth)) ||
	    !grow_array(&m->longest, cap, sizeof(*m->longest)) ||
	    !grow_array(&m->fail, cap, sizeof(*m->fail)))
		return false;
	if (!m->cap)
		m->kind[0] = m->depth[0] = m->longest[0] = m->fail[0] = 0;
	m->cap = cap;
	return true;
}

/* The place of the edge, or a free one. */
static struct edge *
find_edge(const struct matcher *m, uint32_t parent, unsigned char byte)
{
	uint32_t at = (parent * BYTES + byte) * UINT32_C(2654435769) & (m->edges_cap - 1);

	while (m->edges[at].child &&
	       (m->edges[at].parent != parent || m->byte[m->edges[at].child] != byte))
		at = (at + 1) & (m->edges_cap - 1);
	return &m->edges[at];
}

static bool
add_edge(struct matcher *m, uint32_t parent, uint32_t child)
{
	struct edge *old = m->edges;
	uint32_t old_cap = m->edges_cap;

	if (m->n_edges >= old_cap / 2) {
		m->edges_cap = old_cap ? old_cap * 2 : FIRST_CAP;
		m->edges = calloc(m->edges_cap, sizeof(*m->edges));
		if (!m->edges) {
			m->edges = old;
			m->edges_cap = old_cap;
			return false;
		}
		for (uint32_t i = 0; i < old_cap; i++)
			if (old[i].child)
				*find_edge(m, old[i].parent, m->byte[old[i].child]) = old[i];
		free(old);
	}
	*find_edge(m, parent, m->byte[child]) = (struct edge){ parent, child };
	m->n_edges++;
	m->kind[parent] |= MORE;
	return true;
}

/* 0: none. */
static inline uint32_t
child_of(const struct matcher *m, uint32_t node, unsigned char byte)
{
	if (node == 0)
		return m->root[byte];
	if (m->kind[node] & NEXT && m->byte[node + 1] == byte)
		return node + 1;
	return m->kind[node] & MORE ? find_edge(m, node, byte)->child : 0;
}

static uint32_t
add_child(struct matcher *m, uint32_t parent, unsigned char byte)
{
	uint32_t node = m->count;

	if (!grow_nodes(m))
		return 0;
	m->byte[node] = byte;
	m->kind[node] = 0;
	m->depth[node] = (uint16_t)(m->depth[parent] + 1);
	m->longest[node] = 0;
	/* Its parent, until matcher_finish. */
	m->fail[node] = parent;
	if (parent == 0)
		m->root[byte] = node;
	else if (parent == node - 1)
		m->kind[parent] |= NEXT;
	else if (!add_edge(m, parent, node))
		return 0;
	m->count++;
	return node;
}

bool
matcher_add(struct matcher *m, struct span pattern)
{
	const unsigned char *p = (const unsigned char *)pattern.ptr;
	uint32_t node = 0, child;
	unsigned pair = p[0] * BYTES + p[1];

	for (size_t i = 0; i < pattern.len; i++) {
		child = child_of(m, node, p[i]);
		if (!child && !(child = add_child(m, node, p[i])))
			return false;
		node = child;
	}
	m->longest[node] = m->depth[node];
	m->pairs[pair / 8] |= (uint8_t)(1u << pair % 8);
	return true;
}

/* All nodes but the root, by depth; malloc'ed. */
static uint32_t *
nodes_by_depth(const struct matcher *m)
{
	uint32_t from[MATCHER_PATTERN_MAX + 2] = { 0 };
	uint32_t *order = malloc(m->count * sizeof(*order));

	if (!order)
		return NULL;
	for (uint32_t node = 1; node < m->count; node++)
		from[m->depth[node] + 1]++;
	for (size_t d = 1; d < sizeof(from) / sizeof(*from); d++)
		from[d] += from[d - 1];
	for (uint32_t node = 1; node < m->count; node++)
		order[from[m->depth[node]]++] = node;
	return order;
}

bool
matcher_finish(struct matcher *m)
{
	uint32_t *order = grow_nodes(m) ? nodes_by_depth(m) : NULL;

	if (!order)
		return false;
	/* A node's parent is in `fail` until its turn; the parent's own turn was
	 * before. */
	for (uint32_t i = 0; i + 1 < m->count; i++) {
		uint32_t node = order[i], parent = m->fail[node];

		m->fail[node] = parent ? matcher_step(m, m->fail[parent], m->byte[node]) : 0;
		if (!m->longest[node])
			m->longest[node] = m->longest[m->fail[node]];
	}
	free(order);
	return true;
}

matcher_state
matcher_step(const struct matcher *m, matcher_state state, unsigned char byte)
{
	uint32_t child;

	while (!(child = child_of(m, state, byte)) && state)
		state = m->fail[state];
	return child;
}

size_t
matcher_depth(const struct matcher *m, matcher_state state)
{
	return m->depth[state];
}

size_t
matcher_longest(const struct matcher *m, matcher_state state)
{
	return m->longest[state];
}

const unsigned char *
matcher_skip(const struct matcher *m, const unsigned char *p, const unsigned char *end,
	     const bool *stops)
{
	for (; end - p > 1 && !stops[*p]; p++) {
		unsigned pair = p[0] * BYTES + p[1];

		if (m->pairs[pair / 8] >> pair % 8 & 1 || (m->root[*p] && stops[p[1]]))
			break;
	}
	return p;
}
