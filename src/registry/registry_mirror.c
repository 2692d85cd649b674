/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_mirror.h"

#include <stdlib.h>

#include "envdriver/base/err.h"

/* Plugins that have a pluginKey. */
struct named {
	UT_hash_handle hh;
	const char *key;	/* the first one's */
	struct item *item;
	size_t n;
};

/* The index is made again when it is next asked for. */
static void
release_index(struct registry_mirror *m)
{
	struct named *n, *next;

	HASH_ITER(hh, m->named, n, next) {
		HASH_DEL(m->named, n);
		free(n);
	}
	free(m->sorted);
	m->sorted = NULL;
	m->n_sorted = 0;
	m->indexed = false;
}

/* --- plugins --- */

struct item *
registry_mirror_item(const struct registry_mirror *m, struct span id)
{
	struct item *it = NULL;

	if (id.ptr)
		HASH_FIND(hh, m->items, id.ptr, id.len, it);
	return it;
}

/* An id goes into events and file names: text, and not endless. */
static bool
is_id(struct span id)
{
	return id.len > 0 && id.len <= REGISTRY_TEXT_MAX && !memchr(id.ptr, '\0', id.len) &&
	       jtext_utf8_ok(id);
}

static struct item *
add_item(struct registry_mirror *m, struct span id)
{
	struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->owner = m->owner;
	it->id = strndup(id.ptr, id.len);
	if (it->id)
		HASH_ADD_KEYPTR(hh, m->items, it->id, id.len, it);
	if (!it->id || !it->hh.tbl) {
		free(it->id);
		free(it);
		return NULL;
	}
	return it;
}

int
registry_mirror_see(struct registry_mirror *m, struct span id, double order, struct item **ret)
{
	struct item *it = NULL;

	if (is_id(id)) {
		it = registry_mirror_item(m, id);
		if (!it)
			it = add_item(m, id);
		if (!it)
			return ERR_NOMEM;
		if (it->order != order)
			release_index(m);
		it->order = order;
		it->round = m->round;
	}
	*ret = it;
	return 0;
}

void
registry_mirror_put(struct registry_mirror *m, struct item *it, struct registry_record *record)
{
	if (it->record)
		m->bytes -= registry_record_bytes(it->record);
	registry_record_free(it->record);
	it->record = record;
	m->bytes += registry_record_bytes(record);
	release_index(m);
}

bool
registry_mirror_note(struct item *it, const char *what)
{
	if (strcmp(it->warned ? it->warned : "", what) == 0)
		return false;
	free(it->warned);
	it->warned = strdup(what);
	return what[0];
}

void
registry_mirror_free_item(struct registry_mirror *m, struct item *it)
{
	if (it->record)
		m->bytes -= registry_record_bytes(it->record);
	registry_record_free(it->record);
	free(it->warned);
	free(it->id);
	free(it);
}

void
registry_mirror_sweep(struct registry_mirror *m)
{
	struct item *it, *next;

	HASH_ITER(hh, m->items, it, next) {
		if (it->round == m->round)
			continue;
		release_index(m);
		HASH_DEL(m->items, it);
		if (it->fetch.busy)
			it->gone = true;
		else
			registry_mirror_free_item(m, it);
	}
}

/* --- plugin-key:* --- */

struct alias *
registry_mirror_alias(const struct registry_mirror *m, struct span key)
{
	struct alias *a = NULL;

	if (key.ptr)
		HASH_FIND(hh, m->aliases, key.ptr, key.len, a);
	return a;
}

struct alias *
registry_mirror_add_alias(struct registry_mirror *m, struct span key)
{
	struct alias *a;

	if (!is_id(key) || HASH_COUNT(m->aliases) >= REGISTRY_ALIASES_MAX)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->owner = m->owner;
	a->key = strndup(key.ptr, key.len);
	if (a->key)
		HASH_ADD_KEYPTR(hh, m->aliases, a->key, key.len, a);
	if (!a->key || !a->hh.tbl) {
		free(a->key);
		free(a);
		return NULL;
	}
	return a;
}

/* --- the index --- */

static int
by_order(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->id, y->id);
}

static bool
name_item(struct registry_mirror *m, struct item *it)
{
	const char *key = registry_record_plugin(it->record)->key;
	struct named *n = NULL;

	if (!key[0])
		return true;
	HASH_FIND(hh, m->named, key, strlen(key), n);
	if (n) {
		n->n++;
		return true;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return false;
	n->key = key;
	n->item = it;
	n->n = 1;
	HASH_ADD_KEYPTR(hh, m->named, n->key, strlen(n->key), n);
	if (n->hh.tbl)
		return true;
	free(n);
	return false;
}

/* The mirror is the same with and without its index: const for callers. */
static bool
index_make(const struct registry_mirror *cm)
{
	struct registry_mirror *m = (struct registry_mirror *)(uintptr_t)cm;
	size_t n = HASH_COUNT(m->items);
	struct item *it, *next;

	if (m->indexed)
		return true;
	m->sorted = calloc(n + 1, sizeof(struct item *));
	if (!m->sorted)
		return false;
	HASH_ITER(hh, m->items, it, next) {
		if (!it->record)
			continue;
		registry_record_plugin(it->record)->order = it->order;
		m->sorted[m->n_sorted++] = it;
	}
	qsort(m->sorted, m->n_sorted, sizeof(struct item *), by_order);
	m->indexed = true;
	for (size_t i = 0; i < m->n_sorted; i++) {
		if (!name_item(m, m->sorted[i])) {
			release_index(m);
			return false;
		}
	}
	return true;
}

/* --- look-ups --- */

static const struct registry_plugin *
plugin_of(const struct registry_mirror *m, const struct item *it)
{
	if (!it || !it->record || !index_make(m))
		return NULL;
	return registry_record_plugin(it->record);
}

const struct registry_plugin *
registry_mirror_by_id(const struct registry_mirror *m, struct span id)
{
	return plugin_of(m, registry_mirror_item(m, id));
}

const struct registry_plugin *
registry_mirror_by_key(const struct registry_mirror *m, struct span key)
{
	const struct alias *a = registry_mirror_alias(m, key);
	struct span id = span_of(a ? a->id : NULL);
	const struct registry_plugin *p = registry_mirror_by_id(m, id);
	struct named *n = NULL;

	/* The key may not be written yet, or name a plugin that is gone. */
	if (p || !key.ptr || !index_make(m))
		return p;
	HASH_FIND(hh, m->named, key.ptr, key.len, n);
	return n && n->n == 1 ? plugin_of(m, n->item) : NULL;
}

const struct registry_plugin *
registry_mirror_at(const struct registry_mirror *m, size_t i)
{
	return index_make(m) && i < m->n_sorted ? plugin_of(m, m->sorted[i]) : NULL;
}

void
registry_mirror_release(struct registry_mirror *m)
{
	struct item *it, *next_item;
	struct alias *a, *next;

	release_index(m);
	HASH_ITER(hh, m->items, it, next_item) {
		HASH_DEL(m->items, it);
		registry_mirror_free_item(m, it);
	}
	HASH_ITER(hh, m->aliases, a, next) {
		HASH_DEL(m->aliases, a);
		free(a->key);
		free(a->id);
		free(a);
	}
}
