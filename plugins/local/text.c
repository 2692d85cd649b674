/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"	/* U+FFFD */

void
text_release(struct text *t)
{
	free(t->data);
	free(t->raw);
	memset(t, 0, sizeof(*t));
}

static bool
grow(char **data, size_t len, size_t *cap, size_t more)
{
	if (more <= *cap - len)
		return true;
	if (more > SIZE_MAX / 4 || len > SIZE_MAX / 4)
		return false;
	size_t size = *cap ? *cap : 256;
	while (size - len < more)
		size *= 2;
	char *grown = realloc(*data, size);
	if (!grown)
		return false;
	*data = grown;
	*cap = size;
	return true;
}

static bool
reserve(struct text *t, size_t more)
{
	return grow(&t->data, t->len, &t->cap, more);
}

static void
put_text(struct text *t, const void *utf8, size_t len)
{
	memcpy(t->data + t->len, utf8, len);
	t->len += len;
	t->escaped += len;
}

/* Without memory for the bytes their text has to do. */
static void
put_raw(struct text *t, const void *bytes, size_t len)
{
	if (!grow(&t->raw, t->raw_len, &t->raw_cap, len)) {
		free(t->raw);
		t->raw = NULL;
		return;
	}
	memcpy(t->raw + t->raw_len, bytes, len);
	t->raw_len += len;
}

/* The caller has made room. */
static void
put(struct text *t, const void *utf8, size_t len)
{
	put_text(t, utf8, len);
	if (t->raw)
		put_raw(t, utf8, len);
}

static void
put_ascii(struct text *t, unsigned char c)
{
	put(t, &c, 1);
	if (c == '"' || c == '\\' || (c >= '\b' && c <= '\r' && c != '\v'))
		t->escaped += 1;	/* \" \\ \b \t \n \f \r */
	else if (c < 0x20)
		t->escaped += 5;	/* \u00XX */
}

/* For `n` bytes of the command; the caller has made room for the text. */
static void
put_replacement(struct text *t, const unsigned char *bytes, size_t n)
{
	if (t->replaced == 0 && grow(&t->raw, 0, &t->raw_cap, t->len + n)) {
		memcpy(t->raw, t->data, t->len);	/* the same up to here */
		t->raw_len = t->len;
	}
	if (t->raw)
		put_raw(t, bytes, n);
	put_text(t, REPLACEMENT, 3);
	t->replaced += n;
}

/* The first byte of a character decides its length and narrows the second
 * byte, which is what keeps out overlong forms, surrogates and what lies
 * beyond U+10FFFF. */
static void
begin(struct text *t, unsigned char c)
{
	t->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	t->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	if (c >= 0xc2 && c <= 0xdf)
		t->need = 2;
	else if (c >= 0xe0 && c <= 0xef)
		t->need = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		t->need = 4;
	else
		put_replacement(t, &c, 1);
	t->part[0] = c;
	t->have = 1;
}

static void
take(struct text *t, unsigned char c)
{
	if (t->need && (c < t->low || c > t->high)) {
		put_replacement(t, t->part, t->have);
		t->need = 0;	/* and `c` begins something new */
	}
	if (t->need) {
		t->part[t->have++] = c;
		t->low = 0x80;
		t->high = 0xbf;
		if (t->have == t->need) {
			put(t, t->part, t->need);
			t->need = 0;
		}
	} else if (c < 0x80) {
		put_ascii(t, c);
	} else {
		begin(t, c);
	}
}

bool
text_add(struct text *t, const char *bytes, size_t len)
{
	/* No byte becomes more than three, but for one: the byte that ends a
	 * cut-off character may bring two U+FFFD. */
	if (len > SIZE_MAX / 8 || !reserve(t, 3 * len + 8))
		return false;
	for (size_t i = 0; i < len; i++)
		take(t, (unsigned char)bytes[i]);
	return true;
}

bool
text_end(struct text *t)
{
	if (!t->need)
		return true;
	if (!reserve(t, 3))
		return false;
	put_replacement(t, t->part, t->have);
	t->need = 0;
	return true;
}

size_t
text_bytes(const struct text *t)
{
	return t->raw ? t->raw_len : t->len;
}

char *
text_base64(const char *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = len < SIZE_MAX / 4 ? malloc((len + 2) / 3 * 4 + 1) : NULL, *out = text;
	for (size_t i = 0; text && i < len; i += 3) {
		size_t left = len - i;
		unsigned long v = (unsigned long)(unsigned char)bytes[i] << 16;
		if (left > 1)
			v |= (unsigned long)(unsigned char)bytes[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)bytes[i + 2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[v & 63] : '=';
	}
	if (text)
		*out = '\0';
	return text;
}

size_t
text_whole(const char *utf8, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)utf8[max] & 0xc0) == 0x80)
		max--;
	return max;
}

/* The value of "\uXXXX" at `p`, or -1 when that is not what is there. */
static long
escape_value(const char *p, size_t len)
{
	long value = 0;
	if (len < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		const char *d = p[i] ? strchr(digits, p[i]) : NULL;
		if (!d)
			return -1;
		long digit = d - digits;
		value = value * 16 + (digit < 16 ? digit : digit - 6);
	}
	return value;
}

void
text_mend_escapes(char *json, size_t len)
{
	size_t i = 0;
	while (i < len) {
		char *p = memchr(json + i, '\\', len - i);
		if (!p)
			return;
		i = (size_t)(p - json);
		long value = escape_value(p, len - i);
		if (value < 0) {
			i += 2;
			continue;
		}
		i += 6;
		if (value < 0xd800 || value > 0xdfff)
			continue;
		long next = value < 0xdc00 ? escape_value(json + i, len - i) : -1;
		if (next >= 0xdc00 && next <= 0xdfff)
			i += 6;
		else
			memcpy(p, "\\ufffd", 6);
	}
}
