/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/repeat.h"

/* FNV-1a; never 0. Two texts of one print cost a line of a log. */
static uint64_t
print_of(struct span text)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.ptr[i]) * 0x100000001b3;
	return h | 1;
}

bool
repeat_say(struct repeat *r, struct span text, int64_t now_ms, unsigned *ret_more)
{
	uint64_t print = print_of(text);
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
