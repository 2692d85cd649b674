/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/crash.h"

#ifdef ENVDRIVER_TEST

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
wanted_signal(void)
{
	const char *name = getenv("ENVDRIVER_CRASH_SIGNAL");

	if (name && strcmp(name, "TERM") == 0)
		return SIGTERM;
	if (name && strcmp(name, "STOP") == 0)
		return SIGSTOP;
	return SIGKILL;
}

static bool
armed(void)
{
	const char *file = getenv("ENVDRIVER_CRASH_ARM");

	return !file || access(file, F_OK) == 0;
}

void
crash_at(const char *stage)
{
	static atomic_int passed;
	const char *want = getenv("ENVDRIVER_CRASH_AT");
	size_t n = strlen(stage);
	int at = 1;

	if (!want || strncmp(want, stage, n) != 0 || (want[n] && want[n] != ':') || !armed())
		return;
	if (want[n])
		at = (int)strtol(want + n + 1, NULL, 10);
	if (atomic_fetch_add(&passed, 1) + 1 == at)
		kill(getpid(), wanted_signal());
}

#else

/* ISO C wants a declaration in every file. */
typedef int crash_is_for_tests;

#endif
