/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_watch: why Redis is not there for us, as it changes: for /readyz at any
 * time, and a log line when it changes.
 *
 * Owns the last reason and what was logged. A connection that comes up and is
 * lost again at once, again and again, is no Redis to work with (a command that
 * is not permitted ends it, the greeting is): not ready until it stays. Knows
 * nothing of the engine; times are clock_mono_ms.
 */
#ifndef ENVDRIVER_REDIS_REDIS_WATCH_H
#define ENVDRIVER_REDIS_REDIS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/log_once.h"

struct buf;

enum { REDIS_WATCH_TEXT = 320, REDIS_WATCH_STEADY_MS = 10000 };

/* All zero to begin with. */
struct redis_watch {
	struct log_once said;
	char why[REDIS_WATCH_TEXT];	/* the last reason; stays when it is up */
	bool up;
	int64_t up_ms;			/* since when it is or was up; 0: never was */
	unsigned short_lived;		/* connections in a row that did not last */
};

/* What is so now, `why` "" when up: at each change, and once a second. Logs. */
void redis_watch_see(struct redis_watch *w, bool up, const char *why, int64_t now_ms);
/* Appends why we are not ready, a line; nothing when we are. */
void redis_watch_why(const struct redis_watch *w, int64_t now_ms, struct buf *out);

#endif
