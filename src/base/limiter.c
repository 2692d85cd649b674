/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/limiter.h"

/* What the seconds since then did not use is there for a burst. */
static void
begin_second(struct limiter *l, int64_t now_ms, size_t *ret_held)
{
	size_t quiet = 0;

	if (l->bytes < l->bytes_per_second)
		quiet = l->bytes_per_second - l->bytes;
	if (l->since_ms == 0 || now_ms - l->since_ms >= 60000 || l->saved + quiet > l->burst)
		l->saved = l->burst;
	else
		l->saved += quiet;
	*ret_held = l->held;
	l->since_ms = now_ms;
	l->passed = l->bytes = l->held = 0;
}

/* Room among the bytes of the second, and then of the burst. */
static bool
take_bytes(struct limiter *l, size_t bytes)
{
	size_t left = l->bytes_per_second - l->bytes;

	if (l->bytes_per_second == 0)
		return true;
	if (bytes > left + l->saved)
		return false;
	if (bytes > left) {
		l->saved -= bytes - left;
		bytes = left;
	}
	l->bytes += bytes;
	return true;
}

bool
limiter_pass(struct limiter *l, int64_t now_ms, size_t bytes, size_t *ret_held)
{
	*ret_held = 0;
	if (l->since_ms == 0 || now_ms - l->since_ms >= 1000 || now_ms < l->since_ms)
		begin_second(l, now_ms, ret_held);
	if (l->passed >= l->per_second || !take_bytes(l, bytes)) {
		l->held++;
		return false;
	}
	l->passed++;
	return true;
}
