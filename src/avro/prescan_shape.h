/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prescan_shape: a schema as an array of nodes, which prescan walks.
 *
 * Owns the nodes and a reference to the schema. A node's kids (fields, branches,
 * the items) are a run of edges. Named types that are referred to again share
 * their node, so the walk over a datum needs no links, and its recursion is
 * as deep as the schema: at most PRESCAN_DEPTH_MAX. A datum may not have many
 * more values than bytes, or a few bytes (of a schema that another tool
 * registered) would keep the reader busy for ever.
 */
#ifndef ENVDRIVER_AVRO_PRESCAN_SHAPE_H
#define ENVDRIVER_AVRO_PRESCAN_SHAPE_H

#include <avro.h>
#include <stdbool.h>
#include <stdint.h>

struct node {
	avro_schema_t schema;
	uint64_t size;		/* of a fixed; symbols of an enum */
	uint64_t min_bytes;	/* what its smallest datum takes */
	uint32_t kids, kid_count;
	uint32_t height;	/* 0: still being compiled */
	uint32_t values;	/* that avro-c makes at once for one value of it */
	bool several;		/* a union whose branch must be named in a path */
};

struct edge {
	const char *name;	/* of the field or branch; NULL: an item */
	uint32_t node;
};

struct prescan {
	avro_schema_t schema;
	struct node *nodes;
	struct edge *edges;
	uint32_t node_count, node_cap;
	uint32_t edge_count, edge_cap;
};

#endif
