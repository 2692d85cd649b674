/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_once: tells whether a text was logged a moment ago, so that a failure
 * that comes fifty times a second is not logged fifty times a second.
 *
 * Owns a few fingerprints, no text. A text is due once, then counted for
 * `quiet_ms`, then due again together with the count. With more different
 * texts than it holds, too much is logged rather than too little. Not thread
 * safe: the owner locks.
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
		unsigned more;		/* times since then that it was left out */
	} texts[LOG_ONCE_TEXTS];
};

/* Whether to log it; `ret_more` is how often it was left out since the last
 * time. */
bool log_once_due(struct log_once *r, struct span text, int64_t now_ms, unsigned *ret_more);

#endif
