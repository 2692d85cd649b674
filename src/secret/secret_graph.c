/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * The schema becomes a graph: a node for each subschema, an edge for each step
 * into it; `$ref` and the unions are edges that take no step. A node is made
 * once for each place of the text, so that cycles close. Nodes from which no
 * mark can be reached are cut off, so a config is looked at only where a secret
 * may be. Then a value is described by the set of nodes that lead to it.
 */
#include "secret_graph.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/jtext.h"

enum { DEPTH_MAX = 256, SCHEMA_MAX = 1 << 20 };

static size_t
count_nodes(const struct secret_graph *g)
{
	return g->nodes.len / sizeof(struct secret_node);
}

/* --- patterns --- */

/* A pattern of ECMAScript that POSIX has, too: nothing that could take long, and
 * \d, \w, \s. NULL: another one, which marks nothing. */
static regex_t *
compile_pattern(struct span pattern)
{
	char posix[8 * SECRET_GRAPH_PATTERN + 1], *to = posix;
	regex_t *ret;

	if (pattern.len > SECRET_GRAPH_PATTERN)
		return NULL;
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.ptr[i], next = i + 1 < pattern.len ? pattern.ptr[i + 1] : '\0';
		const char *class = NULL;

		if (c == '{' || c == '\0' || (c == '(' && next == '?'))
			return NULL;
		if (c != '\\') {
			*to++ = c;
			continue;
		}
		i++;
		if (next == 'd')
			class = "[0-9]";
		else if (next == 'w')
			class = "[A-Za-z0-9_]";
		else if (next == 's')
			class = "[ \t\r\n]";
		else if (next == '\0' || strchr("abcdefghijklmnopqrstuvwxyz"
						"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", next))
			return NULL;
		if (class) {
			to = stpcpy(to, class);
		} else {
			*to++ = '\\';
			*to++ = next;
		}
	}
	*to = '\0';
	ret = calloc(1, sizeof(*ret));
	if (ret && regcomp(ret, posix, REG_EXTENDED | REG_NOSUB) != 0) {
		free(ret);
		ret = NULL;
	}
	return ret;
}

static void
free_pattern(regex_t *pattern)
{
	if (pattern)
		regfree(pattern);
	free(pattern);
}

/* --- from schema to graph --- */

static void add_schema(struct secret_graph *g, struct jtext schema, struct secret_edge edge,
		       unsigned depth);

/* The node of a subschema, and whether it is new; SECRET_GRAPH_NODES: it is left out. */
static size_t
find_or_add_node(struct secret_graph *g, struct jtext schema, bool *ret_new)
{
	const struct secret_node n = { .text = schema.raw.ptr };
	size_t i, count = count_nodes(g);

	*ret_new = false;
	for (i = 0; i < count; i++)
		if (secret_graph_node(g, i)->text == schema.raw.ptr)
			return i;
	if (count >= SECRET_GRAPH_NODES)
		return SECRET_GRAPH_NODES;
	buf_add(&g->nodes, &n, sizeof(n));
	*ret_new = !g->nodes.failed;
	return *ret_new ? count : (size_t)SECRET_GRAPH_NODES;
}

/* What `#/a/b~1c/0` points at, within the schema. */
static struct jtext
follow_pointer(const struct secret_graph *g, struct span pointer)
{
	struct jtext at = { JTEXT_OBJECT, buf_span(&g->text) }, item;
	const char *p = pointer.ptr, *end = p + pointer.len;
	struct buf name = BUF_INIT;
	struct jtext_iter it;
	size_t index;

	if (p == end || *p++ != '#')
		return (struct jtext){ JTEXT_MISSING, SPAN_NULL };
	while (p < end && *p == '/' && at.kind >= JTEXT_ARRAY) {
		buf_reset(&name);
		for (p++; p < end && *p != '/'; p++) {
			bool escape = *p == '~' && p + 1 < end;

			p += escape;
			buf_addch(&name, !escape ? *p : *p == '1' ? '/' : '~');
		}
		if (name.failed || !name.data)
			break;
		if (at.kind == JTEXT_OBJECT) {
			at = jtext_get(at, name.data);
			continue;
		}
		index = (size_t)strtoul(name.data, NULL, 10);
		jtext_iter_init(&it, at);
		at = (struct jtext){ JTEXT_MISSING, SPAN_NULL };
		while (jtext_iter_next(&it, NULL, &item))
			if (index-- == 0)
				at = item;
	}
	buf_release(&name);
	return p == end ? at : (struct jtext){ JTEXT_MISSING, SPAN_NULL };
}

static void
add_ref(struct secret_graph *g, struct jtext value, size_t from, unsigned depth)
{
	struct buf pointer = BUF_INIT;

	if (value.kind == JTEXT_STRING) {
		jtext_decode(value, &pointer, /* ret_replaced= */ NULL);
		add_schema(g, follow_pointer(g, buf_span(&pointer)),
			   (struct secret_edge){ STEP_NONE, .from = (uint16_t)from }, depth);
		g->nodes.failed |= pointer.failed;
	}
	buf_release(&pointer);
}

/* The members of an object, or items of an array, each of which is a schema. */
static void
add_each(struct secret_graph *g, struct jtext list, enum secret_step step, size_t from,
	 unsigned depth)
{
	struct secret_edge e = { step, .from = (uint16_t)from };
	struct jtext_iter it;
	struct jtext one;
	struct span key = SPAN_NULL;

	if (list.kind < JTEXT_ARRAY)
		return;
	jtext_iter_init(&it, list);
	for (size_t i = 0; jtext_iter_next(&it, &key, &one); i++) {
		e.index = i;
		e.name_at = g->names.len;
		if (list.kind == JTEXT_OBJECT)
			jtext_decode((struct jtext){ JTEXT_STRING, key }, &g->names, NULL);
		e.name_len = g->names.len - e.name_at;
		e.pattern = NULL;
		if (step == STEP_PATTERN && !g->names.failed) {
			e.pattern = compile_pattern((struct span){
				g->names.len ? g->names.data + e.name_at : "", e.name_len });
			if (!e.pattern)
				continue;
		}
		add_schema(g, one, e, depth);
	}
}

static size_t
count_listed(struct jtext array)
{
	struct jtext_iter it;
	struct jtext one;
	size_t n = 0;

	if (array.kind != JTEXT_ARRAY)
		return 0;
	jtext_iter_init(&it, array);
	while (jtext_iter_next(&it, NULL, &one))
		n++;
	return n;
}

/* Unions come first, as the original has them. */
static const struct keyword {
	const char *name;
	bool each;		/* its value holds schemas, rather than being one */
	enum secret_step step;
} keywords[] = {
	{ "\"allOf\"", true, STEP_NONE },
	{ "\"anyOf\"", true, STEP_NONE },
	{ "\"oneOf\"", true, STEP_NONE },
	{ "\"if\"", false, STEP_NONE },
	{ "\"then\"", false, STEP_NONE },
	{ "\"else\"", false, STEP_NONE },
	{ "\"dependentSchemas\"", true, STEP_NONE },
	{ "\"properties\"", true, STEP_PROPERTY },
	{ "\"patternProperties\"", true, STEP_PATTERN },
	{ "\"additionalProperties\"", false, STEP_OTHER },
	{ "\"unevaluatedProperties\"", false, STEP_OTHER },
	{ "\"prefixItems\"", true, STEP_ITEM },
	{ "\"items\"", false, STEP_ITEMS },
	{ "\"additionalItems\"", false, STEP_ITEMS },
	{ "\"contains\"", false, STEP_ITEMS },
};

enum { KEYWORDS = sizeof(keywords) / sizeof(*keywords) };

/* What a subschema says, found in one walk through it. */
struct subschema {
	struct jtext ref, format, of[KEYWORDS];
};

static void
read_subschema(struct jtext schema, struct subschema *ret)
{
	struct jtext_iter it;
	struct jtext value;
	struct span key;

	*ret = (struct subschema){ .ref = { JTEXT_MISSING, SPAN_NULL } };
	jtext_iter_init(&it, schema);
	while (jtext_iter_next(&it, &key, &value)) {
		if (span_is(key, "\"$ref\""))
			ret->ref = value;
		else if (span_is(key, "\"format\""))
			ret->format = value;
		for (size_t i = 0; i < KEYWORDS; i++)
			if (span_is(key, keywords[i].name))
				ret->of[i] = value;
	}
}

static void
add_keyword(struct secret_graph *g, const struct subschema *sub, size_t i, size_t from,
	    unsigned depth)
{
	const struct keyword *k = &keywords[i];
	struct jtext value = sub->of[i];
	/* Items are all; behind prefixItems, the rest. An array of `items` is what
	 * prefixItems is called in older drafts. */
	bool listed = k->step == STEP_ITEMS && value.kind == JTEXT_ARRAY;
	struct secret_edge e = { k->step, .from = (uint16_t)from };

	if (k->step == STEP_ITEMS && !span_is(span_of(k->name), "\"contains\""))
		for (size_t j = 0; j < KEYWORDS; j++)
			if (j != i && (keywords[j].step == STEP_ITEM ||
				       keywords[j].step == STEP_ITEMS))
				e.index += count_listed(sub->of[j]);
	if (k->each || listed)
		add_each(g, value, listed ? STEP_ITEM : k->step, from, depth);
	else
		add_schema(g, value, e, depth);
}

/* Adds the subschema that `edge` leads to, and the edge. */
static void
add_schema(struct secret_graph *g, struct jtext schema, struct secret_edge edge, unsigned depth)
{
	struct subschema sub;
	size_t node = SECRET_GRAPH_NODES;
	bool is_new = false;

	if (schema.kind == JTEXT_OBJECT && depth <= DEPTH_MAX)
		node = find_or_add_node(g, schema, &is_new);
	if (node == SECRET_GRAPH_NODES && edge.step != STEP_PROPERTY) {
		free_pattern(edge.pattern);
		return;
	}
	/* A property that marks nothing is none of the other ones, all the same. */
	edge.to = (uint16_t)node;
	buf_add(&g->edges, &edge, sizeof(edge));
	if (!is_new)
		return;
	read_subschema(schema, &sub);
	if (sub.format.kind == JTEXT_STRING && jtext_is(sub.format, "secret-ref")) {
		secret_graph_node(g, node)->marked = secret_graph_node(g, node)->leads = true;
		secret_graph_node(g, node)->order = g->n_marked++;
	}
	for (size_t i = 0; i < KEYWORDS; i++)
		if (sub.of[i].kind)
			add_keyword(g, &sub, i, node, depth + 1);
	add_ref(g, sub.ref, node, depth + 1);
}

/* --- cut down to what leads somewhere --- */

static void
find_leads(struct secret_graph *g)
{
	size_t n = secret_graph_edges(g);
	bool again = true;

	while (again) {
		again = false;
		/* Backwards: what is below was added later, mostly. */
		for (size_t i = n; i-- > 0;) {
			const struct secret_edge *e = secret_graph_edge(g, i);

			if (e->to == SECRET_GRAPH_NODES || !secret_graph_node(g, e->to)->leads ||
			    secret_graph_node(g, e->from)->leads)
				continue;
			secret_graph_node(g, e->from)->leads = true;
			again = true;
		}
	}
}

static bool
is_needed(const struct secret_graph *g, const struct secret_edge *e)
{
	if (e->to != SECRET_GRAPH_NODES && secret_graph_node(g, e->to)->leads)
		return true;
	/* The names that additionalProperties is not about. */
	return (e->step == STEP_PROPERTY || e->step == STEP_PATTERN) &&
	       secret_graph_node(g, e->from)->leads;
}

static void
cut_edges(struct secret_graph *g)
{
	size_t n = secret_graph_edges(g), kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct secret_edge e = *secret_graph_edge(g, i);

		if (is_needed(g, &e))
			*secret_graph_edge(g, kept++) = e;
		else
			free_pattern(e.pattern);
	}
	g->edges.len = kept * sizeof(struct secret_edge);
}

static int
compare_edges(const void *a, const void *b)
{
	const struct secret_edge *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->step > y->step) - (x->step < y->step);
}

void
secret_graph_free(struct secret_graph *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < secret_graph_edges(g); i++)
		free_pattern(secret_graph_edge(g, i)->pattern);
	buf_release(&g->text);
	buf_release(&g->nodes);
	buf_release(&g->edges);
	buf_release(&g->names);
	free(g);
}

struct secret_graph *
secret_graph_new(struct span text)
{
	struct secret_graph *g = calloc(1, sizeof(*g));
	struct jtext root = { JTEXT_OBJECT, SPAN_NULL };

	if (!g)
		return NULL;
	buf_addspan(&g->text, text);	/* what is asked for, whatever becomes of it */
	if (!g->text.failed && text.len <= SCHEMA_MAX &&
	    (memmem(text.ptr, text.len, "secret-ref", strlen("secret-ref")) ||
	     memmem(text.ptr, text.len, "\\u", 2))) {
		root.raw = buf_span(&g->text);
		add_schema(g, root, (struct secret_edge){ STEP_NONE, .from = 0 }, 0);
	}
	if (g->text.failed || g->nodes.failed || g->edges.failed || g->names.failed) {
		secret_graph_free(g);
		return NULL;
	}
	if (g->n_marked) {
		find_leads(g);
		cut_edges(g);
		qsort(g->edges.data, secret_graph_edges(g), sizeof(struct secret_edge),
		      compare_edges);
	}
	return g;
}
