/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jtext_text: what JSON strings and numbers stand for, and how strings are
 * written. Apart from jtext.c, which only finds where values begin and end.
 */
#include "envdriver/base/jtext.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jtext_scan.h"
#include "envdriver/base/utf8.h"

enum { RUNE_REPLACEMENT = 0xfffd };

static unsigned
hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return v;
}

/* `*p` stands on "\u"; leaves it behind the escape, or both escapes of a
 * surrogate pair. */
static unsigned
unicode_escape(const char **p, const char *end, bool *replaced)
{
	unsigned high, low;

	if (end - *p < 6) {
		*p = end;
		return RUNE_REPLACEMENT;
	}
	high = hex4(*p + 2);
	*p += 6;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		low = hex4(*p + 2);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	*replaced = true;
	return RUNE_REPLACEMENT;
}

/* `*p` stands on a '\'; writes what the escape stands for, returns its
 * length. */
static size_t
unescape(const char **p, const char *end, char out[UTF8_MAX], bool *replaced)
{
	static const char simple[128] = {
		['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
		['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
	};

	if (end - *p >= 2 && (*p)[1] == 'u')
		return utf8_put(out, unicode_escape(p, end, replaced));
	if (end - *p < 2) {
		*p = end;
		return 0;
	}
	out[0] = simple[(*p)[1] & 0x7f];
	*p += 2;
	return 1;
}

/* The text between the quotes. */
static struct span
inside(struct jtext string)
{
	if (string.kind != JTEXT_STRING || string.raw.len < 2)
		return SPAN_LIT("");
	return (struct span){ string.raw.ptr + 1, string.raw.len - 2 };
}

void
jtext_decode(struct jtext string, struct buf *out, bool *ret_replaced)
{
	struct span in = inside(string);
	const char *p = in.ptr, *end = p + in.len, *slash;
	bool replaced = false;
	char *to;

	/* Decoded text is never longer than its escapes. */
	if (!buf_reserve(out, in.len))
		return;
	to = out->data + out->len;
	while (p < end) {
		slash = *p == '\\' ? p : memchr(p, '\\', (size_t)(end - p));
		if (!slash)
			slash = end;
		memcpy(to, p, (size_t)(slash - p));
		to += slash - p;
		p = slash;
		if (p < end)
			to += unescape(&p, end, to, &replaced);
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
	if (replaced && ret_replaced)
		*ret_replaced = true;
}

bool
jtext_is(struct jtext string, const char *text)
{
	struct span in = inside(string);
	const char *p = in.ptr, *end = p + in.len;
	bool replaced;

	if (string.kind != JTEXT_STRING)
		return false;
	while (p < end) {
		char piece[UTF8_MAX];
		size_t n = 1;

		if (*p == '\\')
			n = unescape(&p, end, piece, &replaced);
		else
			piece[0] = *p++;
		for (size_t i = 0; i < n; i++, text++)
			if (!*text || *text != piece[i])
				return false;
	}
	return !*text;
}

/* A number taken apart: digits without leading and trailing zeros, times ten
 * to the `exp`. The digits may have the '.' among them. */
struct decimal {
	bool negative;
	const char *first, *last;	/* significant digits, both included; NULL: zero */
	int64_t count;			/* of digits from first to last */
	int64_t exp;			/* of `last` */
};

/* An exponent can have any number of digits; saturates far beyond what any
 * text's digits could make up for. */
static int64_t
read_exponent(const char *p, const char *end)
{
	const int64_t huge = INT64_C(1) << 60;
	bool negative = p < end && *p == '-';
	int64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (; p < end && v < huge / 16; p++)
		v = v * 10 + (*p - '0');
	if (p < end)
		v = huge;
	return negative ? -v : v;
}

static struct decimal
take_apart(struct span raw)
{
	struct decimal d = { 0 };
	const char *p = raw.ptr, *end = p + raw.len;
	int64_t place = 0, first_place = 0, last_place = 0;
	bool fraction = false;

	if (p < end && *p == '-') {
		d.negative = true;
		p++;
	}
	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			fraction = true;
			continue;
		}
		place++;
		d.exp -= fraction;
		if (*p == '0')
			continue;
		if (!d.first) {
			d.first = p;
			first_place = place;
		}
		d.last = p;
		last_place = place;
	}
	d.exp += place - last_place;
	d.count = last_place - first_place + 1;
	if (p < end)
		d.exp += read_exponent(p + 1, end);
	return d;
}

bool
jtext_int(struct jtext number, int64_t *ret)
{
	struct decimal d;
	int64_t v = 0;	/* negative: INT64_MIN has no positive twin */

	if (number.kind != JTEXT_NUMBER)
		return false;
	d = take_apart(number.raw);
	if (!d.first) {
		*ret = 0;
		return true;
	}
	if (d.exp < 0 || d.exp > 19 || d.count > 19)
		return false;
	for (const char *p = d.first; p <= d.last; p++)
		if (*p != '.' && (__builtin_mul_overflow(v, 10, &v) ||
				  __builtin_sub_overflow(v, *p - '0', &v)))
			return false;
	for (; d.exp > 0; d.exp--)
		if (__builtin_mul_overflow(v, 10, &v))
			return false;
	if (!d.negative && __builtin_sub_overflow(0, v, &v))
		return false;
	*ret = v;
	return true;
}

bool
jtext_double(struct jtext number, double *ret)
{
	/* No double, and no middle between two, has more digits than this; what
	 * follows only matters by being there. */
	enum { DIGITS = 800 };
	char text[DIGITS + 64];
	struct decimal d;
	size_t n = 0;
	int64_t left;
	double v;

	if (number.kind != JTEXT_NUMBER)
		return false;
	d = take_apart(number.raw);
	text[n++] = d.negative ? '-' : '+';
	left = d.first ? d.count : 0;
	for (const char *p = d.first; p && p <= d.last && n <= DIGITS; p++) {
		if (*p != '.') {
			text[n++] = *p;
			left--;
		}
	}
	if (left > 0) {
		text[n++] = '1';
		left--;
	}
	if (!d.first)
		text[n++] = '0';
	snprintf(text + n, sizeof(text) - n, "e%lld", (long long)(d.first ? d.exp + left : 0));
	v = strtod(text, NULL);
	if (!isfinite(v))
		return false;
	*ret = v;
	return true;
}

static size_t
escape(char c, char out[6])
{
	static const char simple[128] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
		['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
	};
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[1] = simple[c & 0x7f];
	if (out[1])
		return 2;
	memcpy(out + 1, "u00", 3);
	out[4] = hex[c >> 4 & 0xf];
	out[5] = hex[c & 0xf];
	return 6;
}

void
jtext_add_escape(struct buf *out, unsigned rune)
{
	if (rune > 0xffff)
		buf_addf(out, "\\u%04x\\u%04x", 0xd800 + ((rune - 0x10000) >> 10),
			 0xdc00 + ((rune - 0x10000) & 0x3ff));
	else
		buf_addf(out, "\\u%04x", rune);
}

void
jtext_add_string(struct buf *out, struct span text)
{
	const char *p = text.len ? text.ptr : "", *end = p + text.len, *from = p;
	char piece[6];

	buf_reserve(out, text.len + 2);
	buf_addch(out, '"');
	while (p < end) {
		p = jtext_skip_plain(p, end);
		while (p < end && (unsigned char)*p >= 0x80)
			p++;
		if (p == end || !jtext_is_special(*p))
			continue;
		buf_add(out, from, (size_t)(p - from));
		buf_add(out, piece, escape(*p, piece));
		from = ++p;
	}
	buf_add(out, from, (size_t)(end - from));
	buf_addch(out, '"');
}

void
jtext_add_flat(struct buf *out, struct span json)
{
	size_t from = out->len;

	buf_addspan(out, json);
	if (out->failed)
		return;
	/* Accepted text has these characters nowhere but between tokens. */
	for (char *p = out->data + from, *end = out->data + out->len; p < end; p++)
		*p = *p == '\n' || *p == '\r' || *p == '\t' ? ' ' : *p;
}

bool
jtext_utf8_ok(struct span text)
{
	return text.len == 0 || utf8_find_bad(text.ptr, text.ptr + text.len) == text.ptr + text.len;
}

void
jtext_add_repaired(struct buf *out, struct span text)
{
	const char *p = text.len ? text.ptr : "", *end = p + text.len, *bad;

	while (p < end) {
		bad = utf8_find_bad(p, end);
		buf_add(out, p, (size_t)(bad - p));
		if (bad == end)
			break;
		buf_adds(out, "\xef\xbf\xbd");
		p = bad - utf8_step(bad, end);
	}
}
