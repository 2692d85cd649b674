/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/utf8.h"

#include <stdint.h>
#include <string.h>

/* What may start a character: how many bytes follow, and the range of the
 * first of them (the others are 80..BF). */
static const struct lead {
	uint8_t from, to;
	uint8_t more;
	uint8_t low, high;
} leads[] = {
	{ 0xc2, 0xdf, 1, 0x80, 0xbf },
	{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf },
	{ 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf },
	{ 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf },
	{ 0xf4, 0xf4, 3, 0x80, 0x8f },
};

int
utf8_step(const char *text, const char *end)
{
	const uint8_t *p = (const uint8_t *)text, *stop = (const uint8_t *)end;
	const struct lead *lead = leads;
	int n;

	if (*p < 0x80)
		return 1;
	while (lead < leads + sizeof(leads) / sizeof(*leads) && *p > lead->to)
		lead++;
	if (lead == leads + sizeof(leads) / sizeof(*leads) || *p < lead->from)
		return -1;
	for (n = 1; n <= lead->more; n++) {
		uint8_t low = n == 1 ? lead->low : 0x80, high = n == 1 ? lead->high : 0xbf;

		if (p + n == stop || p[n] < low || p[n] > high)
			return -n;
	}
	return n;
}

const char *
utf8_find_bad(const char *p, const char *end)
{
	while (p < end) {
		uint64_t word;
		int n;

		while (end - p >= (ptrdiff_t)sizeof(word)) {
			memcpy(&word, p, sizeof(word));
			if (word & 0x8080808080808080u)
				break;
			p += sizeof(word);
		}
		if (p == end)
			break;
		n = utf8_step(p, end);
		if (n < 0)
			return p;
		p += n;
	}
	return end;
}

size_t
utf8_cut(const char *p, size_t len, size_t max)
{
	size_t cut = max;

	if (len <= max)
		return len;
	/* Back over the bytes that continue a character, of which none has more
	 * than three. */
	while (cut > 0 && max - cut < UTF8_MAX - 1 && ((uint8_t)p[cut] & 0xc0) == 0x80)
		cut--;
	return ((uint8_t)p[cut] & 0xc0) == 0x80 ? max : cut;
}

size_t
utf8_raw_len(const char *raw, size_t len, size_t text_len)
{
	const char *p = raw, *end = raw + len;
	size_t text = 0;

	while (p < end && text < text_len) {
		int n = utf8_step(p, end);

		text += n > 0 ? (size_t)n : strlen(UTF8_REPLACEMENT);
		p += n > 0 ? n : -n;
	}
	return (size_t)(p - raw);
}

void
utf8_trim(char *text)
{
	size_t len = strlen(text);

	for (size_t n = 1; n < UTF8_MAX && n <= len; n++) {
		const char *p = text + len - n;

		if (((uint8_t)*p & 0xc0) == 0x80)
			continue;
		if (utf8_step(p, text + len) < 0)
			text[len - n] = '\0';
		return;
	}
}

unsigned
utf8_get(const char *p, int len)
{
	static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned rune = (uint8_t)p[0] & masks[len];

	for (int i = 1; i < len; i++)
		rune = rune << 6 | ((uint8_t)p[i] & 0x3f);
	return rune;
}

bool
utf8_is_hidden(const char *p, int len)
{
	unsigned rune = utf8_get(p, len);

	return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || rune == 0x061c || rune == 0xfeff ||
	       (rune >= 0x200e && rune <= 0x200f) || (rune >= 0x2028 && rune <= 0x202e) ||
	       (rune >= 0x2060 && rune <= 0x206f) || (rune >= 0xfff9 && rune <= 0xfffb) ||
	       (rune >= 0xe0000 && rune <= 0xe007f);
}

size_t
utf8_put(char out[UTF8_MAX], unsigned rune)
{
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}
	if (rune < 0x800) {
		out[0] = (char)(0xc0 | rune >> 6);
		out[1] = (char)(0x80 | (rune & 0x3f));
		return 2;
	}
	if (rune < 0x10000) {
		out[0] = (char)(0xe0 | rune >> 12);
		out[1] = (char)(0x80 | (rune >> 6 & 0x3f));
		out[2] = (char)(0x80 | (rune & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | rune >> 18);
	out[1] = (char)(0x80 | (rune >> 12 & 0x3f));
	out[2] = (char)(0x80 | (rune >> 6 & 0x3f));
	out[3] = (char)(0x80 | (rune & 0x3f));
	return 4;
}
