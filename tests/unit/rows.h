/* SPDX-License-Identifier: Apache-2.0 */
/* What tests that speak in tables of rows share. */
#ifndef ENVDRIVER_TESTS_UNIT_ROWS_H
#define ENVDRIVER_TESTS_UNIT_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "envdriver/base/buf.h"

/* A span of a literal, in a table. */
#define S(lit) { lit, sizeof(lit) - 1 }

#define EACH(row, rows) \
	for (size_t i_ = 0; i_ < sizeof(rows) / sizeof(*(rows)) && ((row) = &(rows)[i_]); i_++)

/* The text in memory of exactly its size, so that a read past its end shows;
 * the caller frees `ptr`. */
static inline struct span
exact(struct span text)
{
	char *copy = malloc(text.len ? text.len : 1);

	assert_non_null(copy);
	if (text.len)
		memcpy(copy, text.ptr, text.len);
	return (struct span){ copy, text.len };
}

#endif
