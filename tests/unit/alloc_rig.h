/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc_rig: runs a case with its first allocation failing, then with the
 * second one, and so on until it passes: with only that one failing, or with
 * all from there on. The case must say that it failed, and the sanitizer sees
 * what it leaves behind.
 *
 * The linker sends malloc and its like of everything linked in here to the
 * functions below (--wrap in the Makefile); not those of the shared libraries,
 * since avro-c does not survive it.
 */
#ifndef ENVDRIVER_TESTS_ALLOC_RIG_H
#define ENVDRIVER_TESTS_ALLOC_RIG_H

#include "unit.h"

struct alloc_row {
	const char *name;
	bool (*use)(void);	/* true when all went well, false when it said not */
	int at_least;		/* allocations that it makes */
};

void alloc_run(const struct alloc_row *row, bool for_good);

#endif
