/* SPDX-License-Identifier: Apache-2.0 */
#include "limiter.h"

bool
limiter_pass(struct limiter *l, int64_t now_ms, size_t *ret_held)
{
	*ret_held = 0;
	if (now_ms - l->since_ms >= 1000 || now_ms < l->since_ms) {
		*ret_held = l->held;
		l->since_ms = now_ms;
		l->passed = l->held = 0;
	}
	if (l->passed >= l->per_second) {
		l->held++;
		return false;
	}
	l->passed++;
	return true;
}
