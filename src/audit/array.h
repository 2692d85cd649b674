/* SPDX-License-Identifier: Apache-2.0 */
/*
 * array: room for one more element.
 */
#ifndef ENVDRIVER_AUDIT_ARRAY_H
#define ENVDRIVER_AUDIT_ARRAY_H

#include "envdriver/base/buf.h"

enum { ARRAY_FIRST = 256 };

/* Makes *array, which has *cap elements of `size` bytes, longer than `n`; it
 * doubles. False when out of memory: nothing changed. */
static inline bool
array_grow(void **array, size_t *cap, size_t n, size_t size)
{
	size_t more = *cap ? 2 * *cap : ARRAY_FIRST;
	void *grown;

	if (n < *cap)
		return true;
	grown = realloc(*array, more * size);
	if (!grown)
		return false;
	*array = grown;
	*cap = more;
	return true;
}

#endif
