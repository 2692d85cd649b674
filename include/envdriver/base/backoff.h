/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff: how long to wait after a failure: twice as long after each one in a
 * row, between two limits.
 *
 * Owns nothing: the caller counts the failures, and sets the count back to 0
 * when it has succeeded. Knows nothing of timers. All times are milliseconds.
 */
#ifndef ENVDRIVER_BASE_BACKOFF_H
#define ENVDRIVER_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t min_ms, max_ms;
};

/* The wait after the n-th failure in a row. 0 counts as 1. */
int64_t backoff_ms(const struct backoff *b, unsigned failures);

/* Spreads a wait by up to a quarter of itself, so that clients that failed
 * together do not come back together. `dice` is in [-1, 1]. */
int64_t backoff_spread(int64_t wait_ms, double dice);

/* A random number in [-1, 1]; 0 when the system has none to give. */
double backoff_dice(void);

#endif
