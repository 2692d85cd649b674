/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/redis/redis_watch.h"

#include <stdio.h>
#include <string.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/log.h"

enum { QUIET_MS = 30000, FLAPS = 2 };

static bool
is_flapping(const struct redis_watch *w, int64_t now_ms)
{
	return w->short_lived >= FLAPS && (!w->up || now_ms - w->up_ms < REDIS_WATCH_STEADY_MS);
}

static void
see_up(struct redis_watch *w, int64_t now_ms)
{
	if (!w->up) {
		w->up = true;
		w->up_ms = now_ms;
		if (!is_flapping(w, now_ms))
			log_info("connected to Redis");
	} else if (w->short_lived && now_ms - w->up_ms >= REDIS_WATCH_STEADY_MS) {
		if (w->short_lived >= FLAPS)
			log_info("the connection to Redis holds again");
		w->short_lived = 0;
	}
}

static void
see_down(struct redis_watch *w, const char *why, int64_t now_ms)
{
	bool lost = w->up;
	unsigned more = 0;

	if (lost) {
		w->up = false;
		w->short_lived = now_ms - w->up_ms < REDIS_WATCH_STEADY_MS ? w->short_lived + 1 : 0;
	} else if (strcmp(w->why, why) == 0) {
		return;
	}
	snprintf(w->why, sizeof(w->why), "%s", why);
	w->said.quiet_ms = QUIET_MS;
	if (!log_once_due(&w->said, span_of(w->why), now_ms, &more))
		return;
	if (more)
		log_warn("Redis is away (%s; %u times more since this was last logged); commands "
			 "wait", w->why, more);
	else
		log_warn("Redis is away (%s); commands wait", w->why);
}

void
redis_watch_see(struct redis_watch *w, bool up, const char *why, int64_t now_ms)
{
	if (up)
		see_up(w, now_ms);
	else
		see_down(w, why, now_ms);
}

void
redis_watch_why(const struct redis_watch *w, int64_t now_ms, struct buf *out)
{
	if (!w->up && !w->why[0])
		buf_adds(out, "Redis was not reached yet\n");
	else if (!w->up)
		buf_addf(out, "Redis is away: %s\n", w->why);
	else if (is_flapping(w, now_ms))
		buf_addf(out, "Redis is lost again and again: %s\n", w->why);
}
