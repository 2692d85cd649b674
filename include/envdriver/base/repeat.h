/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeat: tells a text that was just said from a new one, so that what fails
 * fifty times a second is not logged fifty times a second.
 *
 * Owns a few fingerprints, no text. Says a text once, counts it for `quiet_ms`
 * and then says it again with the count. When more texts take turns than it
 * holds, it says too much rather than too little. Not for several threads:
 * the owner locks. Used by: kafkaconf. May use: buf.
 */
#ifndef ENVDRIVER_BASE_REPEAT_H
#define ENVDRIVER_BASE_REPEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { REPEAT_TEXTS = 16 };

struct repeat {
	int64_t quiet_ms;
	struct repeat_text {
		uint64_t print;		/* 0: free */
		int64_t said_at;
		unsigned more;		/* times since then that it was not said */
	} texts[REPEAT_TEXTS];
};

/* Whether to say it; `ret_more` is how often it was not said before. */
bool repeat_say(struct repeat *r, struct span text, int64_t now_ms, unsigned *ret_more);

#endif
