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
heartbeat_see(struct heartbeat *h, int64_t asked_ms, int64_t answered_ms,
	      struct span incarnation, struct span count)
{
	bool gap = !h->seen || answered_ms - h->answered_ms > HEARTBEAT_GAP_MS;
	struct heartbeat now = *h;
	bool same, stands;

	keep(now.incarnation, sizeof(now.incarnation), incarnation);
	keep(now.count, sizeof(now.count), count);
	same = strcmp(h->incarnation, now.incarnation) == 0;
	stands = same && strcmp(h->count, now.count) == 0;
	if (gap || !stands) {
		now.moved = !gap && same;
		now.since_ms = answered_ms;
	}
	now.seen = true;
	now.asked_ms = asked_ms;
	now.answered_ms = answered_ms;
	*h = now;
}

int64_t
heartbeat_still_ms(const struct heartbeat *h)
{
	return h->seen && h->asked_ms > h->since_ms ? h->asked_ms - h->since_ms : 0;
}

bool
heartbeat_moved(const struct heartbeat *h)
{
	return h->moved;
}
