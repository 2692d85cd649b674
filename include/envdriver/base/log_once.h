/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeat: tells a text that was just said from a new one, so that what fails
 * fifty times a second is not logged fifty times a second.
 *
 * Owns a few fingerprints, no text. Says a text once, counts it for `quiet_ms`
 * and then says it again with the count. When more texts take turns than it
 * holds, it says too much rather than too little. Not for several threads:
 * the owner locks.
 */
#ifndef ENVDRIVER_BASE_LOG_ONCE_H
#define ENVDRIVER_BASE_LOG_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { LOG_ONCE_TEXTS = 16 };

struct log_once {
	int64_t quiet_ms;
	struct log_once_text {
		uint64_t print;		/* 0: free */
		int64_t said_at;
		unsigned more;		/* times since then that it was not said */
	} texts[LOG_ONCE_TEXTS];
};

/* Whether to say it; `ret_more` is how often it was not said before. */
bool log_once_due(struct log_once *r, struct span text, int64_t now_ms, unsigned *ret_more);

#endif
