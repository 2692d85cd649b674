/* SPDX-License-Identifier: Apache-2.0 */
#include "cell.h"

#include <stdint.h>

#include "envdriver/base/utf8.h"

#define DOTS "\xe2\x80\xa6"

/* East Asian and emoji: enough for a table to stay in its lines. */
static const struct range {
	uint32_t first, last;
} wide[] = {
	{ 0x1100, 0x115f },   { 0x2e80, 0xa4cf },   { 0xac00, 0xd7a3 },	  { 0xf900, 0xfaff },
	{ 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },	  { 0x1f300, 0x1faff },
	{ 0x20000, 0x3fffd },
}, combining[] = {
	{ 0x300, 0x36f },     { 0x200b, 0x200d },   { 0x20d0, 0x20ff },	  { 0xfe00, 0xfe0f },
};

static bool
is_among(uint32_t c, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* Bytes of the character at `p`, which is UTF-8 as cli_add_safe makes it;
 * *ret_width are its columns. */
static size_t
step(const char *p, const char *end, size_t *ret_width)
{
	int len = utf8_step(p, end);
	uint32_t c = len > 0 ? utf8_get(p, len) : 0;

	*ret_width = is_among(c, combining, sizeof(combining) / sizeof(*combining)) ? 0
		     : is_among(c, wide, sizeof(wide) / sizeof(*wide))		     ? 2
										     : 1;
	return (size_t)(len > 0 ? len : -len);
}

size_t
cell_width(struct span text)
{
	size_t n = 0, w;

	for (size_t i = 0; i < text.len; n += w)
		i += step(text.ptr + i, text.ptr + text.len, &w);
	return n;
}

/* Bytes of the longest beginning in so many columns. */
static size_t
fitting(struct span text, size_t width)
{
	size_t i = 0, n = 0, w;

	while (i < text.len) {
		size_t len = step(text.ptr + i, text.ptr + text.len, &w);

		if (n + w > width)
			break;
		n += w;
		i += len;
	}
	return i;
}

void
cell_cut_end(struct buf *out, struct span text, size_t width)
{
	if (cell_width(text) <= width) {
		buf_addspan(out, text);
		return;
	}
	buf_add(out, text.ptr, fitting(text, width - 1));
	buf_adds(out, DOTS);
}

void
cell_cut_start(struct buf *out, struct span text, size_t width)
{
	size_t all = cell_width(text), w, i = 0;

	if (all <= width) {
		buf_addspan(out, text);
		return;
	}
	while (i < text.len && all > width - 1) {
		i += step(text.ptr + i, text.ptr + text.len, &w);
		all -= w;
	}
	buf_adds(out, DOTS);
	buf_add(out, text.ptr + i, text.len - i);
}

void
cell_cut_words(struct buf *out, struct span text, size_t width)
{
	size_t len;

	if (cell_width(text) <= width) {
		buf_addspan(out, text);
		return;
	}
	len = width > 1 ? cell_line(text, width - 1) : 0;
	buf_add(out, text.ptr, len);
	buf_adds(out, DOTS);
}

void
cell_cut_time(struct buf *out, struct span text, size_t width)
{
	const size_t date = sizeof("2026-") - 1, day = sizeof("2026-11-23") - 1;
	const size_t second = sizeof("2026-11-23T05:17:57") - 1;

	if (cell_width(text) <= width || text.len < second) {
		cell_cut_end(out, text, width);
		return;
	}
	buf_add(out, text.ptr + date, day - date);
	buf_addch(out, ' ');
	buf_add(out, text.ptr + day + 1, second - day - 1);
}

size_t
cell_line(struct span text, size_t width)
{
	size_t most = fitting(text, width), len = most;

	if (most == text.len || text.ptr[most] == ' ')
		return most;
	while (len && text.ptr[len - 1] != ' ')
		len--;
	while (len && text.ptr[len - 1] == ' ')
		len--;
	/* A word that is longer than a line; at least one character, to go on. */
	if (!len)
		len = most;
	return len ? len : step(text.ptr, text.ptr + text.len, &most);
}
