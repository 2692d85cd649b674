/* SPDX-License-Identifier: Apache-2.0 */
/* prescan: from an avro-c schema to the nodes that the walk goes over. */
#include "prescan.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "prescan_shape.h"

enum { FIXED_A_VALUE = 64 };	/* bytes of a fixed that count as one value more */

static bool
grow(void **array, uint32_t *cap, uint32_t need, size_t size)
{
	uint32_t new_cap = *cap ? *cap : 16;
	void *p;

	if (need <= *cap)
		return true;
	while (new_cap < need)
		new_cap *= 2;
	p = realloc(*array, new_cap * size);
	if (!p)
		return false;
	*array = p;
	*cap = new_cap;
	return true;
}

static int
add_node(struct prescan *p, avro_schema_t schema, uint32_t kids, uint32_t *ret, struct err *reterr)
{
	if (p->node_count >= PRESCAN_NODES_MAX || kids > PRESCAN_NODES_MAX ||
	    p->edge_count + kids > 2 * PRESCAN_NODES_MAX)
		return err_set(reterr, ERR_LIMIT, "schema of more than %d types",
			       PRESCAN_NODES_MAX);
	if (!grow((void **)&p->nodes, &p->node_cap, p->node_count + 1, sizeof(*p->nodes)) ||
	    !grow((void **)&p->edges, &p->edge_cap, p->edge_count + kids, sizeof(*p->edges)))
		return err_nomem(reterr);
	*ret = p->node_count++;
	p->nodes[*ret] = (struct node){
		.schema = schema, .kids = p->edge_count, .kid_count = kids,
	};
	p->edge_count += kids;
	return 0;
}

static uint32_t
count_kids(avro_schema_t s)
{
	switch (avro_typeof(s)) {
	case AVRO_RECORD:
		return (uint32_t)avro_schema_record_size(s);
	case AVRO_UNION:
		return (uint32_t)avro_schema_union_size(s);
	case AVRO_ARRAY:
	case AVRO_MAP:
		return 1;
	default:
		return 0;
	}
}

static avro_schema_t
kid_of(avro_schema_t s, uint32_t i, const char **ret_name)
{
	avro_schema_t kid;

	*ret_name = NULL;
	switch (avro_typeof(s)) {
	case AVRO_RECORD:
		*ret_name = avro_schema_record_field_name(s, (int)i);
		kid = avro_schema_record_field_get_by_index(s, (int)i);
		break;
	case AVRO_UNION:
		kid = avro_schema_union_branch(s, (int)i);
		*ret_name = avro_schema_type_name(kid);
		break;
	case AVRO_ARRAY:
		kid = avro_schema_array_items(s);
		break;
	default:
		kid = avro_schema_map_values(s);
		break;
	}
	return is_avro_link(kid) ? avro_schema_link_target(kid) : kid;
}

/* What a type takes without its kids. */
static uint64_t
own_bytes(avro_schema_t s)
{
	switch (avro_typeof(s)) {
	case AVRO_NULL:
	case AVRO_RECORD:
		return 0;
	case AVRO_FLOAT:
		return 4;
	case AVRO_DOUBLE:
		return 8;
	case AVRO_FIXED:
		return (uint64_t)avro_schema_fixed_size(s);
	default:
		return 1;	/* a number, an index or an end mark */
	}
}

/* avro-c makes all values of a record when it makes the record: a few types
 * that hold the one before twice would be more than memory holds. */
static int
count_values(const struct prescan *p, struct node *n, struct err *reterr)
{
	uint64_t sum = 1;

	/* avro-c takes the NULL of an empty allocation for out of memory. */
	if (is_avro_fixed(n->schema) && avro_schema_fixed_size(n->schema) < 1)
		return err_set(reterr, ERR_LIMIT, "schema with a fixed of no bytes");
	if (is_avro_fixed(n->schema))
		sum += (uint64_t)avro_schema_fixed_size(n->schema) / FIXED_A_VALUE;
	for (uint32_t i = 0; is_avro_record(n->schema) && i < n->kid_count; i++)
		sum += p->nodes[p->edges[n->kids + i].node].values;
	if (sum > PRESCAN_VALUES_MAX)
		return err_set(reterr, ERR_LIMIT, "schema of more than %d values",
			       PRESCAN_VALUES_MAX);
	n->values = (uint32_t)sum;
	return 0;
}

/* When the kids are known. */
static int
finish_node(struct prescan *p, uint32_t index, struct err *reterr)
{
	struct node *n = &p->nodes[index];
	uint64_t sum = 0, least = UINT32_MAX;
	uint32_t height = 0, values = 0;

	for (uint32_t i = 0; i < n->kid_count; i++) {
		const struct node *kid = &p->nodes[p->edges[n->kids + i].node];

		sum += kid->min_bytes;
		least = kid->min_bytes < least ? kid->min_bytes : least;
		height = kid->height > height ? kid->height : height;
		values += !is_avro_null(kid->schema);
	}
	n->height = height + 1;
	if (n->height > PRESCAN_DEPTH_MAX)
		return err_set(reterr, ERR_LIMIT, "schema deeper than %d levels",
			       PRESCAN_DEPTH_MAX);
	n->min_bytes = own_bytes(n->schema);
	if (is_avro_record(n->schema))
		n->min_bytes += sum;
	else if (is_avro_union(n->schema))
		n->min_bytes += n->kid_count ? least : 0;
	if (n->min_bytes > UINT32_MAX)
		n->min_bytes = UINT32_MAX;
	n->several = is_avro_union(n->schema) && values > 1;
	if (is_avro_enum(n->schema))
		n->size = (uint64_t)avro_schema_enum_number_of_symbols(n->schema);
	else if (is_avro_fixed(n->schema))
		n->size = (uint64_t)avro_schema_fixed_size(n->schema);
	return count_values(p, n, reterr);
}

/* Recursion is bounded by `depth`. */
static int
compile_node(struct prescan *p, avro_schema_t schema, unsigned depth, uint32_t *ret_node,
	struct err *reterr)
{
	bool named = is_avro_record(schema) || is_avro_enum(schema) || is_avro_fixed(schema);
	uint32_t index = 0, kid_node;
	const char *name;
	int ret;

	for (uint32_t i = 0; named && i < p->node_count; i++) {
		if (p->nodes[i].schema != schema)
			continue;
		if (p->nodes[i].height == 0)
			return err_set(reterr, ERR_LIMIT, "schema is recursive at '%s'",
				       avro_schema_name(schema));
		*ret_node = i;
		return 0;
	}
	if (depth > PRESCAN_DEPTH_MAX)
		return err_set(reterr, ERR_LIMIT, "schema deeper than %d levels",
			       PRESCAN_DEPTH_MAX);
	ret = add_node(p, schema, count_kids(schema), &index, reterr);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < p->nodes[index].kid_count; i++) {
		avro_schema_t kid = kid_of(schema, i, &name);

		ret = compile_node(p, kid, depth + 1, &kid_node, reterr);
		if (ret < 0)
			return ret;
		p->edges[p->nodes[index].kids + i] = (struct edge){ name, kid_node };
	}
	*ret_node = index;
	return finish_node(p, index, reterr);
}

struct prescan *
prescan_new(avro_schema_t schema, struct err *reterr)
{
	struct prescan *p = malloc(sizeof(*p));
	uint32_t root;

	if (!p) {
		err_nomem(reterr);
		return NULL;
	}
	*p = (struct prescan){ .schema = avro_schema_incref(schema) };
	if (compile_node(p, schema, 1, &root, reterr) < 0) {
		prescan_free(p);
		return NULL;
	}
	return p;
}

void
prescan_free(struct prescan *p)
{
	if (!p)
		return;
	avro_schema_decref(p->schema);
	free(p->nodes);
	free(p->edges);
	free(p);
}
