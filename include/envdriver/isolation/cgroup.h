/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup: control groups (version 2) for children, one each, below one that was
 * delegated to this process: memory and processes of a child and all that it starts have
 * a limit, the processors are shared fairly, and all of it can be ended at once.
 *
 * One per process. Owns the groups that it makes.
 */
#ifndef ENVDRIVER_ISOLATION_CGROUP_H
#define ENVDRIVER_ISOLATION_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* `dir`: the delegated group; NULL: our own, when systemd says that it is delegated
 * (Delegate=yes). We move into a group "worker" below it, so that it can have others.
 * 0: there are groups from here on, or, without `dir`, there are none. ERR_IO: there are
 * none; the others then do nothing. */
int cgroup_start(const char *dir, struct err *reterr);
bool cgroup_works(void);

/* A new group, whose folder the caller frees and gives to cgroup_end; 0: no limit. Limits whose
 * controller is not there are left out. NULL: there is none. */
char *cgroup_new(uint64_t memory_max, size_t tasks_max);
/* Ends all that is in it, and removes it. Blocks for some ms; any thread. */
void cgroup_end(const char *folder);

#endif
