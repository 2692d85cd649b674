/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/offset_metadata.h"

#include <assert.h>

#include "envdriver/base/base64.h"

enum { VERSION = 0xE1, VARINT_MAX = 10 };

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

size_t
offset_metadata_room(size_t max_chars)
{
	/* Less the version, the distance to `end` and the first offset. */
	return max_chars * 3 / 4 - 2 - OFFSET_METADATA_STEP_MAX;
}

size_t
offset_metadata_size(int64_t difference)
{
	size_t n = 1;

	while (difference >>= 7)
		n++;
	return n;
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
	assert(!m->full);
	base64_encode_unpadded(out, (struct span){ (const char *)m->bytes, m->len });
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
	ptrdiff_t n = -1;
	size_t count = 0;

	if (metadata.ptr && committed >= 0 && metadata.len <= OFFSET_METADATA_MAX)
		n = base64_decode_unpadded(metadata, bytes);
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
