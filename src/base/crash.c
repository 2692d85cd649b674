/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/crash.h"

#ifdef ENVDRIVER_TEST

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
hit(void)
{
	const char *name = getenv("ENVDRIVER_CRASH_SIGNAL");

	/* raise: this very thread must not go on, not even for a moment. */
	if (name && strcmp(name, "TERM") == 0)
		kill(getpid(), SIGTERM);
	else if (name && strcmp(name, "STOP") == 0)
		raise(SIGSTOP);
	else
		raise(SIGKILL);
}

static bool
armed(void)
{
	const char *file = getenv("ENVDRIVER_CRASH_ARM");

	return !file || access(file, F_OK) == 0;
}

enum { HOLD_STEP_US = 2000 };

/* This thread stands still while the file that armed it exists: every time. */
static bool
hold(void)
{
	const char *name = getenv("ENVDRIVER_CRASH_SIGNAL"), *file = getenv("ENVDRIVER_CRASH_ARM");
	char held[4096];
	FILE *f;

	if (!name || !file || strcmp(name, "HOLD") != 0)
		return false;
	snprintf(held, sizeof(held), "%s.held", file);
	f = fopen(held, "w");
	if (f)
		fclose(f);
	while (access(file, F_OK) == 0)
		usleep(HOLD_STEP_US);
	return true;
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
	if (hold())
		return;
	if (want[n])
		at = (int)strtol(want + n + 1, NULL, 10);
	if (atomic_fetch_add(&passed, 1) + 1 == at)
		hit();
}

#else

/* ISO C wants a declaration in every file. */
typedef int crash_is_for_tests;

#endif
