/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail_tries: what a program in a jail tries, one row each, and what must come
 * of it.
 */
#ifndef ENVDRIVER_TESTS_UNIT_JAIL_TRIES_H
#define ENVDRIVER_TESTS_UNIT_JAIL_TRIES_H

#include <limits.h>
#include <sys/types.h>

enum { JAIL_CANNOT = 200, JAIL_PORT = 4711 };

/* The folders of a test, with a file "file" in each: "own" may be written,
 * "given" read, "secret" neither; and the process outside. */
extern struct jail_place {
	char own[PATH_MAX], given[PATH_MAX], secret[PATH_MAX], root[PATH_MAX - 100];
	pid_t parent;
} jail_place;

struct jail_try {
	const char *name;	/* NULL: behind the last one */
	int (*try)(void);	/* returns an errno, or 0 */
	int expected;		/* errno */
	unsigned permits;	/* enum jail_permit */
	int permitted;		/* errno, when these are given */
};

extern const struct jail_try jail_tries[];

#endif
