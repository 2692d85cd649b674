/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/secret_spots.h"

#include <stdlib.h>
#include <string.h>

#include "secret_graph.h"

enum { CACHED_MAX = 64 };	/* schemas */

struct secret_spots_cache {
	struct secret_graph *list[CACHED_MAX];
	size_t n;
};

/* --- the cache --- */

struct secret_spots_cache *
secret_spots_cache_new(void)
{
	return calloc(1, sizeof(struct secret_spots_cache));
}

static void
clear_cache(struct secret_spots_cache *c)
{
	while (c->n)
		secret_graph_free(c->list[--c->n]);
}

void
secret_spots_cache_free(struct secret_spots_cache *c)
{
	if (!c)
		return;
	clear_cache(c);
	free(c);
}

const struct secret_graph *
secret_spots_get(struct secret_spots_cache *c, struct jtext schema, bool *ret_nomem)
{
	struct secret_graph *g = NULL;

	if (schema.kind != JTEXT_OBJECT)
		return NULL;
	for (size_t i = 0; i < c->n && !g; i++)
		if (span_eq(buf_span(&c->list[i]->text), schema.raw))
			g = c->list[i];
	if (!g) {
		g = secret_graph_new(schema.raw);
		if (!g) {
			*ret_nomem = true;
			return NULL;
		}
		if (c->n == CACHED_MAX)
			clear_cache(c);
		c->list[c->n++] = g;
	}
	return g->n_marked ? g : NULL;
}

/* --- what describes a value --- */

/* The first edge of a node. */
static size_t
first_edge(const struct secret_graph *g, size_t node)
{
	size_t from = 0, to = secret_graph_edges(g);

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (secret_graph_edge(g, middle)->from < node)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* With all that it is a union of. */
static void
add_to_set(const struct secret_graph *g, size_t node, struct secret_spots_set *set)
{
	size_t n = secret_graph_edges(g), done = set->n;

	if (node == SECRET_GRAPH_NODES || !secret_graph_node(g, node)->leads)
		return;
	for (size_t i = 0; i < set->n; i++)
		if (set->at[i] == node)
			return;
	if (set->n == SECRET_SPOTS_AT_ONCE)
		return;
	set->at[set->n++] = (uint16_t)node;
	for (; done < set->n; done++) {
		for (size_t i = first_edge(g, set->at[done]);
		     i < n && secret_graph_edge(g, i)->from == set->at[done] &&
		     secret_graph_edge(g, i)->step == STEP_NONE; i++) {
			size_t to = secret_graph_edge(g, i)->to, j = 0;

			while (j < set->n && set->at[j] != to)
				j++;
			if (j == set->n && j < SECRET_SPOTS_AT_ONCE &&
			    secret_graph_node(g, to)->leads)
				set->at[set->n++] = (uint16_t)to;
		}
	}
}

void
secret_spots_root(const struct secret_graph *g, struct secret_spots_set *ret)
{
	ret->n = 0;
	if (g)
		add_to_set(g, 0, ret);
}

static bool
pattern_matches(const struct secret_edge *e, struct span name)
{
	char text[SECRET_GRAPH_PATTERN + 1];

	if (name.len > SECRET_GRAPH_PATTERN || memchr(name.ptr, '\0', name.len))
		return false;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	return regexec(e->pattern, text, 0, NULL, 0) == 0;
}

/* Of one node of the set. */
static void
add_member_spots(const struct secret_graph *g, size_t node, struct span name,
	   struct secret_spots_set *ret)
{
	bool named = false;

	for (size_t i = first_edge(g, node); i < secret_graph_edges(g); i++) {
		const struct secret_edge *e = secret_graph_edge(g, i);
		bool hit = false;

		if (e->from != node)
			break;
		if (e->step == STEP_PROPERTY)
			hit = e->name_len == name.len &&
			      memcmp(g->names.data + e->name_at, name.ptr, name.len) == 0;
		else if (e->step == STEP_PATTERN)
			hit = pattern_matches(e, name);
		named |= hit;
		if (hit || (e->step == STEP_OTHER && !named))
			add_to_set(g, e->to, ret);
	}
}

void
secret_spots_member(const struct secret_graph *g, const struct secret_spots_set *set,
		    struct span name, struct secret_spots_set *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < set->n; i++)
		add_member_spots(g, set->at[i], name, ret);
}

void
secret_spots_item(const struct secret_graph *g, const struct secret_spots_set *set, size_t index,
		  struct secret_spots_set *ret)
{
	ret->n = 0;
	for (size_t j = 0; j < set->n; j++) {
		for (size_t i = first_edge(g, set->at[j]); i < secret_graph_edges(g); i++) {
			const struct secret_edge *e = secret_graph_edge(g, i);

			if (e->from != set->at[j])
				break;
			if ((e->step == STEP_ITEM && e->index == index) ||
			    (e->step == STEP_ITEMS && index >= e->index))
				add_to_set(g, e->to, ret);
		}
	}
}

size_t
secret_spots_order(const struct secret_graph *g, const struct secret_spots_set *set)
{
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < set->n; i++) {
		const struct secret_node *n = secret_graph_node(g, set->at[i]);

		if (n->marked && n->order < least)
			least = n->order;
	}
	return least;
}
