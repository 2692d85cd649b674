/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limiter: lets a fixed number through per second, and counts the others.
 *
 * Owns nothing. The clock is passed in.
 */
#ifndef ENVDRIVER_PLUGIN_LIMITER_H
#define ENVDRIVER_PLUGIN_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter {
	size_t per_second;
	int64_t since_ms;	/* start of the current second */
	size_t passed, held;
};

/* Whether one more may pass now. When a new second begins and the last one
 * held some back, `*ret_held` says how many: the caller reports it. */
bool limiter_pass(struct limiter *l, int64_t now_ms, size_t *ret_held);

#endif
