/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/repeat.h"

bool
repeat_say(struct repeat *r, struct span text, int64_t now_ms, unsigned *ret_more)
{
	/* Never 0. Two texts of one print cost a line of a log. */
	uint64_t print = span_hash(text) | 1;
	struct repeat_text *oldest = r->texts;

	*ret_more = 0;
	for (struct repeat_text *t = r->texts; t < r->texts + REPEAT_TEXTS; t++) {
		if (t->print == print) {
			if (now_ms - t->said_at < r->quiet_ms) {
				t->more++;
				return false;
			}
			*ret_more = t->more;
			*t = (struct repeat_text){ print, now_ms, 0 };
			return true;
		}
		if (!t->print || (oldest->print && t->said_at < oldest->said_at))
			oldest = t;
	}
	*oldest = (struct repeat_text){ print, now_ms, 0 };
	return true;
}
