/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/backoff.h"

#include <sys/random.h>

int64_t
backoff_ms(const struct backoff *b, unsigned failures)
{
	int64_t ms = b->min_ms;

	for (unsigned i = 1; i < failures && ms < b->max_ms; i++)
		ms *= 2;
	return ms < b->max_ms ? ms : b->max_ms;
}

int64_t
backoff_spread(int64_t wait_ms, double dice)
{
	return wait_ms + (int64_t)((double)wait_ms * 0.25 * dice);
}

double
backoff_dice(void)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t)sizeof(n))
		return 0;
	return (double)n / (UINT32_MAX / 2.0) - 1;
}
