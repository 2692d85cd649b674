/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespaces: a program in pid, ipc, uts and mount namespaces of its own, and
 * without network when it is to have none, by bwrap: it sees no other process,
 * and no files but those that are granted. In place of Landlock, which bwrap
 * cannot be run under; seccomp counts here, too.
 *
 * Owns two descriptors with what bwrap is told.
 */
#ifndef ENVDRIVER_ISOLATION_NAMESPACES_H
#define ENVDRIVER_ISOLATION_NAMESPACES_H

#include <stdbool.h>

struct err;
struct jail_rules;
struct namespaces;

enum { NAMESPACES_FDS = 2 };

/* Whether bwrap is there and can make them, tried by running it; blocks for some 20 ms the
 * first time. */
bool namespaces_work(void);
/* For argv, run in `dir`; `tmp` (may be NULL) becomes /tmp, and TMPDIR names it so. All are
 * borrowed; ports of the rules are not looked at. NULL: no memory, no descriptors. */
struct namespaces *namespaces_new(const struct jail_rules *rules, const char *tmp,
				  const char *dir, char *const *argv, struct err *reterr);
/* To be run in place of argv, with these descriptors inherited. */
char *const *namespaces_argv(const struct namespaces *n);
const int *namespaces_fds(const struct namespaces *n);
/* Accepts NULL. */
void namespaces_free(struct namespaces *n);

#endif
