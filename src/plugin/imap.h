/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap: an intrusive map from 64-bit keys to nodes that live in their owners'
 * structs: nothing is allocated for an entry.
 *
 * Owns the slots. Keys may repeat.
 */
#ifndef ENVDRIVER_PLUGIN_IMAP_H
#define ENVDRIVER_PLUGIN_IMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct imap_node {
	struct imap_node *next;
	uint64_t key;
};

struct imap {
	struct imap_node **slots;
	size_t n_slots;		/* a power of two, or 0 */
	size_t count;
};

/* False when out of memory; a map that cannot grow goes on with longer
 * chains. */
bool imap_add(struct imap *m, struct imap_node *node, uint64_t key);
/* NULL when there is none. */
struct imap_node *imap_find(const struct imap *m, uint64_t key);
/* The next one with the same key. */
struct imap_node *imap_more(const struct imap_node *node);
void imap_remove(struct imap *m, struct imap_node *node);
void imap_release(struct imap *m);

#endif
