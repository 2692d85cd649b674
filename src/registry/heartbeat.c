/* SPDX-License-Identifier: Apache-2.0 */
#include "heartbeat.h"

#include <stdio.h>

static void
keep(char *to, size_t size, struct span text)
{
	snprintf(to, size, "%.*s", text.len < size ? (int)text.len : (int)size,
		 text.ptr ? text.ptr : "");
}

void
heartbeat_see(struct heartbeat *b, int64_t asked_ms, int64_t answered_ms, struct span incarnation,
	 struct span count)
{
	bool gap = !b->seen || answered_ms - b->answered_ms > HEARTBEAT_GAP_MS;
	struct heartbeat now = *b;
	bool same, stands;

	keep(now.incarnation, sizeof(now.incarnation), incarnation);
	keep(now.count, sizeof(now.count), count);
	same = strcmp(b->incarnation, now.incarnation) == 0;
	stands = same && strcmp(b->count, now.count) == 0;
	if (gap || !stands) {
		now.moved = !gap && same;
		now.since_ms = answered_ms;
	}
	now.seen = true;
	now.asked_ms = asked_ms;
	now.answered_ms = answered_ms;
	*b = now;
}

int64_t
heartbeat_still_ms(const struct heartbeat *b)
{
	return b->seen && b->asked_ms > b->since_ms ? b->asked_ms - b->since_ms : 0;
}

bool
heartbeat_moved(const struct heartbeat *b)
{
	return b->moved;
}
