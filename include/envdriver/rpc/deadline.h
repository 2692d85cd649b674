/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadline: points in time that lie in their owners' structs, sorted so that
 * one timer serves them all.
 *
 * Owns a heap of pointers to them. Knows nothing of clocks.
 */
#ifndef ENVDRIVER_RPC_DEADLINE_H
#define ENVDRIVER_RPC_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline {
	int64_t at_ms;
	size_t position;		/* in the heap, from 1; 0: in none */
};

struct deadlines {
	struct deadline **heap;
	size_t count, cap;
};

/* `d` must be in no heap. False when out of memory. */
bool deadline_add(struct deadlines *h, struct deadline *d, int64_t at_ms);
/* Nothing happens when it is in none. */
void deadline_remove(struct deadlines *h, struct deadline *d);
/* NULL when there is none. */
struct deadline *deadline_first(const struct deadlines *h);
void deadline_release(struct deadlines *h);

#endif
