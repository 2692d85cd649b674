/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock: the three system calls of Landlock, and which rights each version
 * (ABI) of it knows. The numbers stand here and not in a library or in
 * <linux/landlock.h>: the headers of a build host may be older than the kernel
 * that it runs on.
 *
 * Owns nothing: a rule set is a descriptor of its caller.
 */
#ifndef ENVDRIVER_ISOLATION_LANDLOCK_H
#define ENVDRIVER_ISOLATION_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum landlock_grant {
	LANDLOCK_LIST,		/* the names in a folder */
	LANDLOCK_READ,		/* and execute */
	LANDLOCK_DEVICE,	/* read, write, ioctl */
	LANDLOCK_WRITE,		/* everything but making devices */
};

/* The ABI; 0 and errno: there is none. */
int landlock_abi(void);
/* A rule set that grants nothing, close-on-exec and above 2; it limits signals and
 * abstract sockets to the domain where the ABI can. `ports`: it limits TCP
 * connections. -1 and errno. */
int landlock_new(int abi, bool ports);
/* What is not there grants nothing. -1 and errno. */
int landlock_grant(int ruleset, int abi, const char *path, enum landlock_grant grant);
int landlock_grant_port(int ruleset, uint16_t port);
/* Async-signal-safe; no_new_privs must be set. */
int landlock_enter(int ruleset);

#endif
