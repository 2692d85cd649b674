/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode_unpadded(struct buf *out, struct span bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;
	uint32_t v = 0;
	int bits = 0;
	char *to;

	if (!buf_reserve(out, (bytes.len / 3 + 1) * 4))
		return;
	to = out->data + out->len;
	for (size_t i = 0; i < bytes.len; i++) {
		v = v << 8 | p[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*to++ = alphabet[v >> (bits - 6) & 63];
	}
	if (bits > 0)
		*to++ = alphabet[v << (6 - bits) & 63];
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

void
base64_encode(struct buf *out, struct span bytes)
{
	base64_encode_unpadded(out, bytes);
	buf_add(out, "==", (3 - bytes.len % 3) % 3);
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

ptrdiff_t
base64_decode_unpadded(struct span text, unsigned char *ret_bytes)
{
	unsigned char *to = ret_bytes;
	uint32_t v = 0;
	int bits = 0;

	if (text.len % 4 == 1)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		int six = value_of(text.ptr[i]);

		if (six < 0)
			return -1;
		v = v << 6 | (uint32_t)six;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (unsigned char)(v >> bits);
		}
	}
	/* The bits that are left over are zero. */
	return v & ((1u << bits) - 1) ? -1 : to - ret_bytes;
}

bool
base64_decode(struct buf *out, struct span text)
{
	size_t pad = 0;
	ptrdiff_t n;

	if (text.len % 4 || !buf_reserve(out, text.len))
		return false;
	while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	text.len -= pad;
	n = base64_decode_unpadded(text, (unsigned char *)out->data + out->len);
	if (n > 0)
		out->len += (size_t)n;
	out->data[out->len] = '\0';
	return n >= 0;
}
