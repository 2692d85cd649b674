/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share. A target is one LLVMFuzzerTestOneInput: with clang
 * (`make fuzz`) libFuzzer calls it, in every `make check` replay.c does, over
 * tests/fuzz/corpus/<target>/.
 */
#ifndef ENVDRIVER_TESTS_FUZZ_FUZZ_H
#define ENVDRIVER_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold of every input. */
#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

/* A NULL that was printed as text, and was not in the input itself. */
static inline int
fuzz_printed_null(const char *text, const uint8_t *data, size_t size)
{
	static const char null[] = "(null)";

	return strstr(text, null) && !memmem(data, size, null, sizeof(null) - 1);
}

#endif
