/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/crash.h"

#ifdef ENVDRIVER_TEST

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void
crash_at(const char *stage)
{
	static atomic_int passed;
	const char *want = getenv("ENVDRIVER_CRASH_AT");
	size_t n = strlen(stage);
	int at = 1;

	if (!want || strncmp(want, stage, n) != 0 || (want[n] && want[n] != ':'))
		return;
	if (want[n])
		at = (int)strtol(want + n + 1, NULL, 10);
	if (atomic_fetch_add(&passed, 1) + 1 == at)
		raise(SIGKILL);
}

#else

/* ISO C wants a declaration in every file. */
typedef int crash_is_for_tests;

#endif
