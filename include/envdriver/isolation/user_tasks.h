/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user_tasks: how many processes and threads a user has, which is what
 * RLIMIT_NPROC is compared with: a limit for one program must be above it.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_ISOLATION_USER_TASKS_H
#define ENVDRIVER_ISOLATION_USER_TASKS_H

#include <stddef.h>

/* Of the user that we are, as far as /proc shows them; blocks for some microseconds
 * per process of the host. */
size_t user_tasks_count(void);

#endif
