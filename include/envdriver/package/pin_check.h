/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_check: whether a package's files are still those that it is pinned to, found out
 * on a thread of the pool.
 *
 * Owns itself until it has answered or was cancelled. Knows nothing of workers.
 */
#ifndef ENVDRIVER_PACKAGE_PIN_CHECK_H
#define ENVDRIVER_PACKAGE_PIN_CHECK_H

#include <uv.h>

struct err;
struct pin_check;

/* `fn` is called once, from the loop; `err` NULL: they are. NULL: see reterr, and `fn`
 * is not called. */
struct pin_check *pin_check_new(uv_loop_t *loop, const char *dir, const char *pin,
				void (*fn)(void *arg, const struct err *err), void *arg,
				struct err *reterr);
/* `fn` is not called any more. Accepts NULL; not after `fn`. */
void pin_check_cancel(struct pin_check *c);

#endif
