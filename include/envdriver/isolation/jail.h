/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail: what a program and all that it starts may reach, by Landlock (files,
 * TCP, signals) and seccomp (system calls), without privileges.
 *
 * Prepared before the fork, entered in the child between fork and exec, where
 * only async-signal-safe calls are allowed. One jail may be entered by any
 * number of children; entering one inside another takes away more, never less.
 * The rules of files hold for what is there when the jail is made: a file that
 * is granted by itself and then replaced is not granted any more, one below a
 * granted folder is. Owns one descriptor. Knows nothing of plugins, namespaces
 * or control groups.
 */
#ifndef ENVDRIVER_ISOLATION_JAIL_H
#define ENVDRIVER_ISOLATION_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct jail;

enum { JAIL_PORTS_MAX = 64, JAIL_LANDLOCK_PORTS = 4 /* the ABI that limits them */ };

/* What the kernel offers, asked for by system calls; seccomp also needs a
 * processor whose call numbers are known (x86-64, arm64). */
struct jail_support {
	int landlock;		/* its ABI; 0: none */
	int landlock_errno;	/* why there is none */
	bool seccomp;
	int seccomp_errno;
};

/* Beyond what every program may. */
enum jail_permit {
	JAIL_UNIX = 1,		/* unix sockets other than pairs */
	JAIL_INET = 2,		/* IPv4 and IPv6 sockets */
	JAIL_PTRACE = 4,	/* of what is in the same jail */
	JAIL_NAMESPACES = 8,	/* new namespaces, mounts, chroot: for bwrap and its like */
};

enum jail_layer { JAIL_LANDLOCK = 1, JAIL_SECCOMP = 2 };

/* Borrowed for jail_new. Lists end with NULL, may be NULL, and what is not there
 * is passed over; folders count with all that is below them. */
struct jail_rules {
	unsigned layers;	/* of enum jail_layer; those that are not there are left out */
	unsigned permits;	/* of enum jail_permit */
	/* Read and execute: the system's programs and libraries, of /etc what
	 * everybody may read, /proc, the processors; read and write: /dev/null and
	 * its like, terminals. */
	bool system;
	const char *const *read;	/* and execute */
	const char *const *write;	/* and read and execute; no device can be made there */
	/* TCP ports that may be connected to; without any, all (from Landlock 4 on). */
	const uint16_t *ports;
	size_t n_ports;
	bool keep_capabilities;	/* of root; else all are dropped */
};

/* Asks the kernel the first time. */
const struct jail_support *jail_support(void);
/* Whether all layers of `wanted` are there. Else the text says which are missing and
 * why: "Landlock: Function not implemented; seccomp: …". */
bool jail_supports(unsigned wanted, char *ret_missing, size_t size);

/* What lies in this folder is no part of `system`, also where it is below /etc and its
 * modes let everybody read it. For all jails, and namespaces, that are made from now on;
 * looked up once, so it must be there. Accepts NULL. */
void jail_hide(const char *folder);

/* Opens what is granted; blocks as long as that takes (some ms for `system`). NULL:
 * out of memory or descriptors, or ports that cannot be limited here. */
struct jail *jail_new(const struct jail_rules *rules, struct err *reterr);
void jail_free(struct jail *j);
/* The layers that it has. */
unsigned jail_layers(const struct jail *j);

/*
 * In the child, single-threaded: no way leads back. Also sets no_new_privs. 0;
 * or -1 with errno, and what failed in *ret_what: do not go on then.
 * Async-signal-safe. The jail's descriptor is close-on-exec and must still be
 * open.
 */
int jail_enter(const struct jail *j, const char **ret_what);

#endif
