/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limiter: lets a fixed number, and a fixed number of bytes, through per second,
 * and counts the others.
 *
 * Owns nothing. The clock is passed in.
 */
#ifndef ENVDRIVER_BASE_LIMITER_H
#define ENVDRIVER_BASE_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter {
	size_t per_second;
	size_t bytes_per_second;	/* 0: any */
	size_t burst;			/* bytes that a second may have beyond, once: */
	size_t saved;			/* what is left of them; a quiet second gives back */
	int64_t since_ms;		/* start of the current second */
	size_t passed, bytes, held;
};

/* Whether one more of so many bytes may pass now. When a new second begins and
 * the last one held some back, `*ret_held` says how many: the caller reports it. */
bool limiter_pass(struct limiter *l, int64_t now_ms, size_t bytes, size_t *ret_held);

#endif
