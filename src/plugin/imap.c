/* SPDX-License-Identifier: Apache-2.0 */
#include "imap.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/buf.h"

enum { FIRST_SLOTS = 16 };

static struct imap_node **
slot(const struct imap *m, uint64_t key)
{
	/* Serial numbers stand side by side, hashes are spread already. */
	return &m->slots[(key ^ key >> 32) & (m->n_slots - 1)];
}

static bool
grow(struct imap *m)
{
	size_t n = m->n_slots ? m->n_slots * 2 : FIRST_SLOTS;
	struct imap old = *m;
	struct imap_node **slots = buf_realloc(NULL, n * sizeof(struct imap_node *));

	if (!slots)
		return m->n_slots > 0;
	memset(slots, 0, n * sizeof(struct imap_node *));
	m->slots = slots;
	m->n_slots = n;
	for (size_t i = 0; i < old.n_slots; i++) {
		struct imap_node *node = old.slots[i], *next;

		for (; node; node = next) {
			next = node->next;
			node->next = *slot(m, node->key);
			*slot(m, node->key) = node;
		}
	}
	free(old.slots);
	return true;
}

bool
imap_add(struct imap *m, struct imap_node *node, uint64_t key)
{
	if (m->count >= m->n_slots && !grow(m))
		return false;
	node->key = key;
	node->next = *slot(m, key);
	*slot(m, key) = node;
	m->count++;
	return true;
}

struct imap_node *
imap_more(const struct imap_node *node)
{
	struct imap_node *n = node->next;

	while (n && n->key != node->key)
		n = n->next;
	return n;
}

struct imap_node *
imap_find(const struct imap *m, uint64_t key)
{
	struct imap_node *n;

	if (m->count == 0)
		return NULL;
	n = *slot(m, key);
	return !n || n->key == key ? n : imap_more(&(struct imap_node){ n, key });
}

void
imap_remove(struct imap *m, struct imap_node *node)
{
	struct imap_node **at = slot(m, node->key);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	m->count--;
}

void
imap_release(struct imap *m)
{
	free(m->slots);
	*m = (struct imap){ 0 };
}
