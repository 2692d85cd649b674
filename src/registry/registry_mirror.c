/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "registry_impl.h"

enum { KEY_MAX = 512 + 32 + REGISTRY_TEXT_MAX };

struct registry *
registry_make(void)
{
	struct registry *r = buf_realloc(NULL, sizeof(*r));

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	if (!buf_reserve(&r->key, KEY_MAX)) {
		free(r);
		return NULL;
	}
	return r;
}

/* --- plugins --- */

struct item *
registry_item(const struct registry *r, struct span id)
{
	struct item *it = NULL;

	if (id.ptr)
		HASH_FIND(hh, r->items, id.ptr, id.len, it);
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
item_add(struct registry *r, struct span id)
{
	struct item *it = buf_realloc(NULL, sizeof(*it));

	if (!it)
		return NULL;
	memset(it, 0, sizeof(*it));
	it->registry = r;
	it->id = strndup(id.ptr, id.len);
	if (it->id)
		HASH_ADD_KEYPTR(hh, r->items, it->id, id.len, it);
	if (!it->id || !it->hh.tbl) {
		free(it->id);
		free(it);
		return NULL;
	}
	return it;
}

struct item *
registry_item_seen(struct registry *r, struct span id, double order)
{
	struct item *it;

	if (!is_id(id))
		return NULL;
	it = registry_item(r, id);
	if (!it)
		it = item_add(r, id);
	if (!it) {
		redis_fail(r->redis, "out of memory");
		return NULL;
	}
	if (it->order != order)
		registry_index_drop(r);
	it->order = order;
	it->round = r->round;
	return it;
}

void
registry_item_free(struct registry *r, struct item *it)
{
	if (it->record)
		r->bytes -= registry_record_bytes(it->record);
	registry_record_free(it->record);
	free(it->warned);
	free(it->id);
	free(it);
}

void
registry_items_sweep(struct registry *r)
{
	struct item *it, *next;

	HASH_ITER(hh, r->items, it, next) {
		if (it->round == r->round)
			continue;
		registry_index_drop(r);
		HASH_DEL(r->items, it);
		if (it->fetch.busy)
			it->gone = true;
		else
			registry_item_free(r, it);
	}
}

/* --- plugin-key:* --- */

struct alias *
registry_alias(const struct registry *r, struct span key)
{
	struct alias *a = NULL;

	if (key.ptr)
		HASH_FIND(hh, r->aliases, key.ptr, key.len, a);
	return a;
}

struct alias *
registry_alias_add(struct registry *r, struct span key)
{
	struct alias *a;

	if (!is_id(key) || HASH_COUNT(r->aliases) >= REGISTRY_ALIASES_MAX)
		return NULL;
	a = buf_realloc(NULL, sizeof(*a));
	if (!a)
		return NULL;
	memset(a, 0, sizeof(*a));
	a->registry = r;
	a->key = strndup(key.ptr, key.len);
	if (a->key)
		HASH_ADD_KEYPTR(hh, r->aliases, a->key, key.len, a);
	if (!a->key || !a->hh.tbl) {
		free(a->key);
		free(a);
		return NULL;
	}
	return a;
}

/* After a time without tracking each may have changed. Those that are gone
 * stay as absent; there are never more than REGISTRY_ALIASES_MAX. */
void
registry_aliases_refetch(struct registry *r)
{
	struct alias *a, *next;

	HASH_ITER(hh, r->aliases, a, next)
		registry_fetch_key(r, span_of(a->key), true);
}

/* --- the index --- */

void
registry_index_drop(struct registry *r)
{
	struct named *n, *next;

	HASH_ITER(hh, r->named, n, next) {
		HASH_DEL(r->named, n);
		free(n);
	}
	free(r->sorted);
	r->sorted = NULL;
	r->n_sorted = 0;
	r->indexed = false;
}

static int
by_order(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->id, y->id);
}

static bool
name_item(struct registry *r, struct item *it)
{
	const char *key = registry_record_plugin(it->record)->key;
	struct named *n = NULL;

	if (!key[0])
		return true;
	HASH_FIND(hh, r->named, key, strlen(key), n);
	if (n) {
		n->n++;
		return true;
	}
	n = buf_realloc(NULL, sizeof(*n));
	if (!n)
		return false;
	memset(n, 0, sizeof(*n));
	n->key = key;
	n->item = it;
	n->n = 1;
	HASH_ADD_KEYPTR(hh, r->named, n->key, strlen(n->key), n);
	if (n->hh.tbl)
		return true;
	free(n);
	return false;
}

/* The mirror is the same with and without its index: const for callers. */
static bool
index_make(const struct registry *cr)
{
	struct registry *r = (struct registry *)(uintptr_t)cr;
	size_t n = HASH_COUNT(r->items);
	struct item *it, *next;

	if (r->indexed)
		return true;
	r->sorted = buf_realloc(NULL, (n + 1) * sizeof(struct item *));
	if (!r->sorted)
		return false;
	HASH_ITER(hh, r->items, it, next) {
		if (!it->record)
			continue;
		registry_record_plugin(it->record)->order = it->order;
		r->sorted[r->n_sorted++] = it;
	}
	qsort(r->sorted, r->n_sorted, sizeof(struct item *), by_order);
	r->indexed = true;
	for (size_t i = 0; i < r->n_sorted; i++) {
		if (!name_item(r, r->sorted[i])) {
			registry_index_drop(r);
			return false;
		}
	}
	return true;
}

/* --- look-ups --- */

static const struct registry_plugin *
plugin_of(const struct registry *r, const struct item *it)
{
	if (!it || !it->record || !index_make(r))
		return NULL;
	return registry_record_plugin(it->record);
}

const struct registry_plugin *
registry_by_id(const struct registry *r, struct span id)
{
	return plugin_of(r, registry_item(r, id));
}

const struct registry_plugin *
registry_by_key(const struct registry *r, struct span key)
{
	const struct alias *a = registry_alias(r, key);
	const struct registry_plugin *p = a && a->id ? registry_by_id(r, span_of(a->id)) : NULL;
	struct named *n = NULL;

	/* The key may not be written yet, or name a plugin that is gone. */
	if (p || !key.ptr || !index_make(r))
		return p;
	HASH_FIND(hh, r->named, key.ptr, key.len, n);
	return n && n->n == 1 ? plugin_of(r, n->item) : NULL;
}

const struct registry_plugin *
registry_at(const struct registry *r, size_t i)
{
	return index_make(r) && i < r->n_sorted ? plugin_of(r, r->sorted[i]) : NULL;
}

const struct registry_driver *
registry_driver(const struct registry_plugin *p, struct span driver_key)
{
	size_t i;

	for (i = 0; i < p->n_drivers; i++)
		if (span_is(driver_key, p->drivers[i].driver_key))
			return &p->drivers[i];
	return NULL;
}

void
registry_free(struct registry *r)
{
	struct item *it, *next_item;
	struct alias *a, *next;

	if (!r)
		return;
	registry_index_drop(r);
	HASH_ITER(hh, r->items, it, next_item) {
		HASH_DEL(r->items, it);
		registry_item_free(r, it);
	}
	HASH_ITER(hh, r->aliases, a, next) {
		HASH_DEL(r->aliases, a);
		free(a->key);
		free(a->id);
		free(a);
	}
	buf_release(&r->key);
	free(r);
}
