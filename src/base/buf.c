/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 64 };

void
buf_release(struct buf *b)
{
	if (b->wipes && b->data)
		explicit_bzero(b->data, b->cap);
	free(b->data);
	*b = (struct buf){ .wipes = b->wipes };
}

void
buf_reset(struct buf *b)
{
	if (b->wipes && b->data)
		explicit_bzero(b->data, b->cap);
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

/* realloc, which would leave behind what it moves. */
static char *
move_wiping(struct buf *b, size_t cap)
{
	char *data = malloc(cap);

	if (data && b->data) {
		memcpy(data, b->data, b->len + 1);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	return data;
}

bool
buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	char *data;

	if (b->failed || more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
		b->failed = true;
		return false;
	}
	if (b->data && b->len + more + 1 <= b->cap)
		return true;
	while (cap < b->len + more + 1)
		cap *= 2;
	data = b->wipes ? move_wiping(b, cap) : realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	data[b->len] = '\0';
	b->data = data;
	b->cap = cap;
	return true;
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_addch(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void
buf_addspan(struct buf *b, struct span s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if (buf_reserve(b, (size_t)n)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

char *
buf_take(struct buf *b, size_t *ret_len)
{
	char *data;

	if (!buf_reserve(b, 0)) {
		buf_release(b);
		return NULL;
	}
	data = b->data;
	if (ret_len)
		*ret_len = b->len;
	*b = (struct buf){ .wipes = b->wipes };
	return data;
}
