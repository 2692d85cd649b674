/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/offset_metadata.h"

#include <assert.h>

enum { VERSION = 0xE1, VARINT_MAX = 10 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
put(struct offset_metadata *m, uint64_t v)
{
	unsigned char bytes[VARINT_MAX];
	size_t n = 0;

	do {
		bytes[n] = (unsigned char)(v & 0x7f);
		v >>= 7;
		if (v)
			bytes[n] |= 0x80;
		n++;
	} while (v);
	if (m->full || m->len + n > m->max) {
		m->full = true;
		return;
	}
	memcpy(m->bytes + m->len, bytes, n);
	m->len += n;
}

void
offset_metadata_begin(struct offset_metadata *m, size_t max_chars, int64_t committed, int64_t end)
{
	assert(max_chars <= OFFSET_METADATA_MAX && committed <= end);
	m->bytes[0] = VERSION;
	m->len = 1;
	m->max = max_chars * 3 / 4;
	m->full = false;
	m->last = committed;
	put(m, (uint64_t)(end - committed));
}

void
offset_metadata_add(struct offset_metadata *m, int64_t offset)
{
	put(m, (uint64_t)(offset - m->last));
	m->last = offset;
}

void
offset_metadata_write(const struct offset_metadata *m, struct buf *out)
{
	size_t i;

	assert(!m->full);
	for (i = 0; i < m->len; i += 3) {
		size_t left = m->len - i;
		unsigned v = (unsigned)m->bytes[i] << 16;
		char text[4];

		v |= left > 1 ? (unsigned)m->bytes[i + 1] << 8 : 0;
		v |= left > 2 ? m->bytes[i + 2] : 0;
		text[0] = digits[v >> 18];
		text[1] = digits[v >> 12 & 63];
		text[2] = digits[v >> 6 & 63];
		text[3] = digits[v & 63];
		buf_add(out, text, left > 2 ? 4 : left + 1);
	}
}

static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Returns the number of bytes, negative when it is not what
 * offset_metadata_write writes. */
static int
unbase64(struct span text, unsigned char bytes[OFFSET_METADATA_BYTES])
{
	unsigned v = 0;
	int bits = 0, n = 0;
	size_t i;

	if (text.len > OFFSET_METADATA_MAX || text.len % 4 == 1)
		return -1;
	for (i = 0; i < text.len; i++) {
		int d = digit(text.ptr[i]);

		if (d < 0)
			return -1;
		v = (v << 6 | (unsigned)d) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[n++] = (unsigned char)(v >> bits);
		}
	}
	return v & ((1u << bits) - 1) ? -1 : n;
}

/* False at the end, for a varint longer than need be, and beyond int64_t. */
static bool
take(const unsigned char **p, const unsigned char *end, int64_t *ret)
{
	uint64_t v = 0;
	int shift;

	for (shift = 0; *p < end && shift < 63; shift += 7) {
		unsigned char b = *(*p)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = (int64_t)v;
			return b || shift == 0;
		}
	}
	return false;
}

int
offset_metadata_read(struct span metadata, int64_t committed, int64_t *ret_end,
		     int64_t *ret_offsets, size_t max)
{
	unsigned char bytes[OFFSET_METADATA_BYTES];
	const unsigned char *p = bytes + 1, *stop;
	int64_t distance, step, at = committed, end;
	int n = metadata.ptr && committed >= 0 ? unbase64(metadata, bytes) : -1;
	size_t count = 0;

	if (n < 2 || bytes[0] != VERSION)
		return -1;
	stop = bytes + n;
	if (!take(&p, stop, &distance) || distance > INT64_MAX - committed)
		return -1;
	end = committed + distance;
	for (; p < stop; count++) {
		if (!take(&p, stop, &step) || (step == 0) != (count == 0) || step >= end - at)
			return -1;
		at += step;
		if (ret_offsets && count < max)
			ret_offsets[count] = at;
	}
	if ((count == 0) != (distance == 0))
		return -1;
	if (ret_end)
		*ret_end = end;
	return (int)count;
}
