/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_graph: a JSON Schema as a graph of its subschemas, cut down to those
 * that lead to `format: "secret-ref"`.
 *
 * Owns a copy of the schema's text, which the graph points into. Knows nothing of
 * configs.
 */
#ifndef ENVDRIVER_SECRET_SECRET_GRAPH_H
#define ENVDRIVER_SECRET_SECRET_GRAPH_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { SECRET_GRAPH_NODES = 2000, SECRET_GRAPH_PATTERN = 256 };

/* In this order among the edges of a node. NONE: the same value. OTHER: a member
 * that no edge before it names. */
enum secret_step { STEP_NONE, STEP_PROPERTY, STEP_PATTERN, STEP_OTHER, STEP_ITEM, STEP_ITEMS };

struct secret_edge {
	enum secret_step step;
	uint16_t from, to;		/* `to` SECRET_GRAPH_NODES: it marks nothing */
	size_t name_at, name_len;	/* PROPERTY: in `names` */
	size_t index;			/* ITEM: this one; ITEMS: from this one on */
	regex_t *pattern;		/* PATTERN, of names that are not longer than the limit */
};

/* One subschema. */
struct secret_node {
	const char *text;
	bool marked;			/* by its format */
	bool leads;			/* it is marked, or something below it */
	size_t order;			/* of those that are marked, as they are written */
};

/* `edges` is sorted by their beginnings. Node 0 is the schema. */
struct secret_graph {
	struct buf text;
	struct buf nodes, edges, names;	/* of struct secret_node, of struct secret_edge, bytes */
	size_t n_marked;		/* 0: nothing else is to be looked at */
};

/* Of an object's text. NULL when out of memory. */
struct secret_graph *secret_graph_new(struct span schema);
/* Accepts NULL. */
void secret_graph_free(struct secret_graph *g);

static inline struct secret_node *
secret_graph_node(const struct secret_graph *g, size_t i)
{
	return (struct secret_node *)(void *)g->nodes.data + i;
}

static inline struct secret_edge *
secret_graph_edge(const struct secret_graph *g, size_t i)
{
	return (struct secret_edge *)(void *)g->edges.data + i;
}

static inline size_t
secret_graph_edges(const struct secret_graph *g)
{
	return g->edges.len / sizeof(struct secret_edge);
}

#endif
