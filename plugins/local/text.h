/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text: turns the bytes that a command writes into text that JSON can carry.
 *
 * A command may write anything; a JSON string may hold only UTF-8. Each run of
 * bytes that is not UTF-8 becomes U+FFFD, exactly as JavaScript's TextDecoder
 * would have it. NUL is legal and stays. From the first such run on, the bytes
 * are kept beside their text, for hosts that want them.
 *
 * Owns the text gathered so far. Knows nothing of JSON values, of pipes or of
 * limits.
 */
#ifndef LOCAL_TEXT_H
#define LOCAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *data;		/* well-formed UTF-8, not NUL-terminated */
	size_t len;
	size_t cap;
	size_t replaced;	/* bytes that were not UTF-8 */
	size_t escaped;		/* bytes that `data` takes inside a JSON string */
	/* What `data` was made of; NULL while that is the same, or when there was no
	 * memory for it. */
	char *raw;
	size_t raw_len;
	size_t raw_cap;
	/* The character that is not complete yet. */
	unsigned char part[4];
	unsigned have;		/* bytes of it seen */
	unsigned need;		/* bytes it has; 0: between two characters */
	unsigned char low;	/* what its next byte must not be below … */
	unsigned char high;	/* … or above */
};

/* A zeroed struct text is an empty one. */
void text_release(struct text *t);

/* Appends what can be decoded; a character that is cut off waits for the next
 * call. False when out of memory. */
bool text_add(struct text *t, const char *bytes, size_t len);

/* Nothing more comes: a character that is still cut off becomes U+FFFD. */
bool text_end(struct text *t);

/* How many bytes of the command it holds. */
size_t text_bytes(const struct text *t);

/* Standard base64 with padding, NUL-terminated; the caller frees it. NULL when out
 * of memory. */
char *text_base64(const char *bytes, size_t len);

/* How many bytes, at most `max` (4 or more), can be taken from the front of
 * well-formed UTF-8 without cutting a character in two. */
size_t text_whole(const char *utf8, size_t len, size_t max);

/* JSON.stringify may write one half of a surrogate pair as an escape, such as
 * \ud83d. No UTF-8 exists for that and jansson refuses the whole line, so each
 * such escape is overwritten, in place, with \ufffd. */
void text_mend_escapes(char *json, size_t len);

#endif
