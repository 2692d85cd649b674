/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc_rig: lets allocations fail.
 *
 * The linker sends malloc and its like of everything linked into a test to the
 * functions of alloc_rig.c (--wrap in the Makefile); not those of the shared
 * libraries, since avro-c does not survive it. Not thread safe.
 */
#ifndef ENVDRIVER_TESTS_ALLOC_RIG_H
#define ENVDRIVER_TESTS_ALLOC_RIG_H

#include "unit.h"

/* From here on `fn` is asked for all memory, with NULL or with what is to grow;
 * what it allocates itself is not asked for. NULL: as usual again. */
void alloc_replace(void *(*fn)(void *ptr, size_t size));

/* A case that is run with its first allocation failing, then with the second
 * one, and so on until it passes: with only that one failing, or with all from
 * there on. The case must say that it failed, and the sanitizer sees what it
 * leaves behind. */
struct alloc_row {
	const char *name;
	bool (*use)(void);	/* true when all went well, false when it said not */
	int at_least;		/* allocations that it makes */
};

void alloc_run(const struct alloc_row *row, bool for_good);

#endif
