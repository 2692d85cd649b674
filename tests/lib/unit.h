/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit: what every test in C begins with: cmocka, in the order that it asks
 * for, and the words of tests that speak in tables of rows.
 */
#ifndef ENVDRIVER_TESTS_LIB_UNIT_H
#define ENVDRIVER_TESTS_LIB_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "envdriver/base/buf.h"

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))
#define EACH(row, rows) \
	for (size_t i_ = 0; i_ < COUNT(rows) && ((row) = &(rows)[i_]); i_++)

/* A span of a literal, in a table. */
#define S(lit) { lit, sizeof(lit) - 1 }

/* Each ends the test when it fails, and prints the name of the row. */
#define CHECK(name, cond) \
	do { \
		if (!(cond)) \
			fail_msg("%s: %s", (name), #cond); \
	} while (0)
#define CHECK_TEXT(name, got, want) \
	do { \
		if (strcmp((got), (want)) != 0) \
			fail_msg("%s: got '%s', want '%s'", (name), (got), (want)); \
	} while (0)
#define CHECK_INT(name, got, want) \
	do { \
		long got_ = (got); \
		if (got_ != (want)) \
			fail_msg("%s: got %ld, want %ld", (name), got_, (long)(want)); \
	} while (0)
/* Part of a text that must be there. */
#define CHECK_HAS(name, text, part) \
	do { \
		if (!strstr((text), (part))) \
			fail_msg("%s: no %s in %s", (name), (part), (text)); \
	} while (0)

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
