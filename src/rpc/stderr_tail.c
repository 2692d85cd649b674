/* SPDX-License-Identifier: Apache-2.0 */
#include "stderr_tail.h"

#include "envdriver/rpc/rpc.h"

enum {
	/* A UTF-16 unit takes at most 3 bytes of UTF-8. */
	NEEDED = STDERR_TAIL_EXCERPT_MAX * 3,
	KEPT_MAX = 4 * NEEDED,
};

void
stderr_tail_add(struct stderr_tail *t, struct span line)
{
	t->end += line.len + 1;
	if (line.len > KEPT_MAX) {
		line.ptr += line.len - KEPT_MAX;
		line.len = KEPT_MAX;
	}
	buf_addspan(&t->kept, line);
	buf_addch(&t->kept, '\n');
	if (t->kept.failed)
		buf_reset(&t->kept);
	else if (t->kept.len > KEPT_MAX)
		buf_consume(&t->kept, t->kept.len - NEEDED);
}

uint64_t
stderr_tail_end(const struct stderr_tail *t)
{
	return t->end;
}

/* The last `max` UTF-16 units of `text`. */
static struct span
last_units(struct span text, size_t max)
{
	const char *end = text.ptr + text.len, *p = end;
	size_t units = 0;

	while (p > text.ptr) {
		const char *from = p - 1;

		while (from > text.ptr && ((unsigned char)*from & 0xc0) == 0x80)
			from--;
		units += (unsigned char)*from >= 0xf0 ? 2 : 1;
		if (units > max)
			break;
		p = from;
	}
	return (struct span){ p, (size_t)(end - p) };
}

struct span
stderr_tail_excerpt(const struct stderr_tail *t, uint64_t from)
{
	struct span text = buf_span(&t->kept);
	uint64_t start = t->end - text.len;

	if (from >= t->end)
		return SPAN_LIT("");
	if (from > start) {
		size_t skip = (size_t)(from - start);
		const char *nl = memchr(text.ptr + skip - 1, '\n', text.len - skip + 1);

		text.len -= (size_t)(nl + 1 - text.ptr);
		text.ptr = nl + 1;
	}
	return rpc_trim(last_units(text, STDERR_TAIL_EXCERPT_MAX));
}

void
stderr_tail_release(struct stderr_tail *t)
{
	buf_release(&t->kept);
}
