/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heartbeat: how long another instance's heartbeat provably stood still
 * (docs/engine.md section 7 c).
 *
 * Owns nothing: a value. Knows nothing of clocks; the times come from one
 * monotonic clock of the caller.
 *
 * An answer tells how things stood at some time between question and answer.
 * So a heartbeat stood still from the answer that first showed its count to
 * the last question that was answered with it, and no longer. A gap between
 * answers proves nothing, since Redis or this process may have stood still: the
 * count starts again.
 */
#ifndef ENVDRIVER_REGISTRY_HEARTBEAT_H
#define ENVDRIVER_REGISTRY_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { HEARTBEAT_GAP_MS = 3000 };

struct heartbeat {
	bool seen, moved;
	char incarnation[100];	/* "" and "": the record is absent */
	char count[24];
	int64_t since_ms;	/* answered: stands as it is from here on */
	int64_t asked_ms;	/* the last question that was answered so */
	int64_t answered_ms;
};

#define HEARTBEAT_INIT { .seen = false }

/* One look. An absent record is one that stands still: both ptr NULL. */
void heartbeat_see(struct heartbeat *h, int64_t asked_ms, int64_t answered_ms,
		   struct span incarnation, struct span count);
/* 0 before anything was seen. */
int64_t heartbeat_still_ms(const struct heartbeat *h);
/* It has advanced under one incarnation since the count began. */
bool heartbeat_moved(const struct heartbeat *h);

#endif
