/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/excerpt.h"

#include <string.h>

#include "envdriver/base/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"
enum { ELLIPSIS_LEN = 3, REPLACEMENT_LEN = 3 };

/* What one character of the text becomes; a blank stands for any gap. Returns
 * how many bytes of the text it was. */
static size_t
clean_one(const char *p, const char *end, const char **ret, size_t *ret_len)
{
	int n = utf8_step(p, end);

	*ret = p;
	*ret_len = n > 0 ? (size_t)n : REPLACEMENT_LEN;
	if (n < 0)
		*ret = UTF8_REPLACEMENT;
	else if (utf8_is_hidden(p, n) || *p == ' ') {
		*ret = " ";
		*ret_len = 1;
	}
	return (size_t)(n > 0 ? n : -n);
}

/* The whole of it, without a limit. */
static void
clean_all(struct buf *out, struct span text)
{
	const char *p = text.ptr, *end = text.ptr + text.len, *one;
	size_t len;
	bool gap = false;

	while (p < end) {
		p += clean_one(p, end, &one, &len);
		if (*one == ' ') {
			gap = out->len > 0;
			continue;
		}
		if (gap)
			buf_addch(out, ' ');
		gap = false;
		buf_add(out, one, len);
	}
}

/* From `at` on, to the next beginning of a character. */
static size_t
next_character(struct span text, size_t at)
{
	while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
		at++;
	return at;
}

void
excerpt_line(char *ret, size_t size, struct span text)
{
	struct buf all = BUF_INIT;
	struct span s;
	size_t head, tail;

	clean_all(&all, text);
	s = all.failed ? SPAN_LIT("out of memory") : buf_span(&all);
	if (s.len < size) {
		if (s.len)
			memcpy(ret, s.ptr, s.len);
		ret[s.len] = '\0';
	} else {
		head = utf8_cut(s.ptr, s.len, (size - 1 - ELLIPSIS_LEN) / 2);
		tail = next_character(s, s.len - (size - 1 - ELLIPSIS_LEN - head));
		memcpy(ret, s.ptr, head);
		memcpy(ret + head, ELLIPSIS, ELLIPSIS_LEN);
		memcpy(ret + head + ELLIPSIS_LEN, s.ptr + tail, s.len - tail);
		ret[head + ELLIPSIS_LEN + s.len - tail] = '\0';
	}
	buf_release(&all);
}
