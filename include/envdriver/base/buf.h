/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: a growing run of bytes; span: a borrowed one.
 *
 * Owns its bytes. Knows nothing of text encodings. An allocation that fails
 * marks the buf as failed; further appends do nothing, so that a writer
 * checks once, at the end.
 */
#ifndef ENVDRIVER_BASE_BUF_H
#define ENVDRIVER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes; `ptr` NULL means "null" where a value may be null.
 * Not NUL-terminated unless its giver says so. */
struct span {
	const char *ptr;
	size_t len;
};

#define SPAN_NULL ((struct span){ NULL, 0 })
#define SPAN_LIT(s) ((struct span){ (s), sizeof(s) - 1 })
/* For printf's "%.*s". */
#define SPAN_FMT(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct span
span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && !a.ptr == !b.ptr &&
	       (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
span_is(struct span a, const char *text)
{
	return a.ptr && a.len == strlen(text) &&
	       (a.len == 0 || memcmp(a.ptr, text, a.len) == 0);
}

/* FNV-1a. Not for keys that an attacker may choose to collide. */
static inline uint64_t
span_hash(struct span s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
	return h;
}

struct buf {
	char *data;		/* NUL-terminated when not NULL */
	size_t len;		/* without the NUL */
	size_t cap;
	bool failed;		/* an allocation failed: contents unusable */
	bool wipes;		/* memory is overwritten before it is given back */
};

#define BUF_INIT { NULL, 0, 0, false, false }
/* For secrets: nothing of it is left behind, also when it grows. */
#define BUF_WIPES { NULL, 0, 0, false, true }

void buf_release(struct buf *b);
/* Empties it, keeps the memory (overwritten, when it wipes), clears `failed`. */
void buf_reset(struct buf *b);
/* Makes room for `more` bytes beyond `len`; false when out of memory. */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_addch(struct buf *b, char c);
void buf_adds(struct buf *b, const char *text);
void buf_addspan(struct buf *b, struct span s);
void buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Removes the first `n` bytes, or all when there are fewer; `failed` stays. */
void buf_consume(struct buf *b, size_t n);
/* Gives the bytes (malloc'ed, NUL-terminated) to the caller and leaves the
 * buf empty; NULL when the buf has failed. */
char *buf_take(struct buf *b, size_t *ret_len);

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->data ? b->data : "", b->len };
}

#endif
