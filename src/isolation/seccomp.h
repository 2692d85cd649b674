/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp: a filter of system calls: those by which a program reaches others,
 * the kernel's rare corners, or around the other rules. What is refused fails with an
 * errno; nothing is killed.
 *
 * Written by hand: it is one list of numbers and a dozen looks at arguments, the
 * same for two processors, and is made once. libseccomp would bring a library to every
 * host for that, and knows call numbers only as new as itself.
 *
 * Owns nothing: a value.
 */
#ifndef ENVDRIVER_ISOLATION_SECCOMP_H
#define ENVDRIVER_ISOLATION_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>

enum { SECCOMP_STEPS_MAX = 400 };

struct seccomp_filter {
	struct sock_filter steps[SECCOMP_STEPS_MAX];
	unsigned short n;
};

/* False and errno: the kernel takes no filters, or the processor is not one of those
 * whose numbers we know. */
bool seccomp_works(void);
/* `permits` as in jail.h. */
void seccomp_make(struct seccomp_filter *f, unsigned permits);
/* Async-signal-safe; no_new_privs must be set. -1 and errno. */
int seccomp_enter(const struct seccomp_filter *f);

#endif
