/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/log_once.h"

bool
log_once_due(struct log_once *r, struct span text, int64_t now_ms, unsigned *ret_more)
{
	/* Never 0. Two texts of one print cost a line of a log. */
	uint64_t print = span_hash(text) | 1;
	struct log_once_text *oldest = r->texts;

	*ret_more = 0;
	for (struct log_once_text *t = r->texts; t < r->texts + LOG_ONCE_TEXTS; t++) {
		if (t->print == print) {
			if (now_ms - t->said_at < r->quiet_ms) {
				t->more++;
				return false;
			}
			*ret_more = t->more;
			*t = (struct log_once_text){ print, now_ms, 0 };
			return true;
		}
		if (!t->print || (oldest->print && t->said_at < oldest->said_at))
			oldest = t;
	}
	*oldest = (struct log_once_text){ print, now_ms, 0 };
	return true;
}
