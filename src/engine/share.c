/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

bool
share_full(size_t mine, size_t all, size_t limit, bool paused)
{
	size_t left = limit / 2 > all ? limit / 2 - all : 0;

	return mine > 0 && mine >= (paused ? left - left / 4 : left);
}
