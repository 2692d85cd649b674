/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct buf *out, struct span bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;
	size_t left = bytes.len;
	char *to;

	if (!buf_reserve(out, (left / 3 + 1) * 4))
		return;
	to = out->data + out->len;
	for (; left > 0; left -= left < 3 ? left : 3, p += 3, to += 4) {
		uint32_t v = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0) |
			     (left > 2 ? p[2] : 0);

		to[0] = alphabet[v >> 18];
		to[1] = alphabet[v >> 12 & 63];
		to[2] = left > 1 ? alphabet[v >> 6 & 63] : '=';
		to[3] = left > 2 ? alphabet[v & 63] : '=';
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(struct buf *out, struct span text)
{
	size_t from = out->len, pad = 0;
	uint32_t v = 0;

	if (text.len % 4)
		return false;
	while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < text.len; i++) {
		int six = i >= text.len - pad ? 0 : value_of(text.ptr[i]);

		if (six < 0)
			goto wrong;
		v = v << 6 | (uint32_t)six;
		if (i % 4 == 3) {
			bool last = i + 1 == text.len;
			char three[] = { (char)(v >> 16), (char)(v >> 8), (char)v };

			/* The bits that the padding leaves unused are zero. */
			if (last && pad && (v & (pad == 2 ? 0xffff : 0xff)))
				goto wrong;
			buf_add(out, three, 3 - (last ? pad : 0));
			v = 0;
		}
	}
	return true;
wrong:
	out->len = from;
	if (out->data)
		out->data[from] = '\0';
	return false;
}
