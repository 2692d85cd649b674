/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jtext: JSON as text. A validating scanner that allocates nothing and
 * yields spans, and a writer that appends to a buf.
 *
 * Written by hand because foreign JSON passes through byte for byte
 * (docs/decisions.md D15 (foreign JSON stays text)): a library that builds a
 * tree and dumps it again changes numbers and repeated members, and allocates
 * for each value of a command.
 *
 * Owns nothing. Knows nothing of jansson, which reads manifests and schemas,
 * where only the meaning counts. All spans are borrowed from the text that was
 * given. Everything but jtext_check expects text that jtext_check has accepted.
 */
#ifndef ENVDRIVER_BASE_JTEXT_H
#define ENVDRIVER_BASE_JTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct err;

enum jtext_kind {
	JTEXT_MISSING = 0,
	JTEXT_NULL,
	JTEXT_FALSE,
	JTEXT_TRUE,
	JTEXT_NUMBER,
	JTEXT_STRING,
	JTEXT_ARRAY,
	JTEXT_OBJECT,
};

enum {
	JTEXT_DEPTH_MAX = 64,		/* what commands and configs may have */
	JTEXT_DEPTH_LIMIT = 10240,	/* more cannot be asked for */
};

struct jtext {
	enum jtext_kind kind;
	struct span raw;	/* the value's own bytes, no white space around */
};

/*
 * Accepts exactly one JSON value (RFC 8259, UTF-8, nothing after it but white
 * space). Lone surrogates as \uD800 escapes and \u0000 are accepted: Node
 * emits both. `ret` may be NULL. ERR_INVALID names what was expected and the
 * byte offset; ERR_LIMIT when nested deeper than `max_depth` containers (at
 * most JTEXT_DEPTH_LIMIT, whatever is asked for).
 */
int jtext_check(struct span text, unsigned max_depth, struct jtext *ret, struct err *reterr);

/* "null", "boolean", "number", "string", "array", "object", "nothing". */
const char *jtext_kind_name(enum jtext_kind kind);

/* Walks the members of an object (key is the raw string with its quotes) or
 * the items of an array (key is left alone). `ret_key` may be NULL. */
struct jtext_iter {
	const char *p, *end;
	bool object, first;
};
void jtext_iter_init(struct jtext_iter *it, struct jtext container);
bool jtext_iter_next(struct jtext_iter *it, struct span *ret_key, struct jtext *ret_value);

/* Behind the string, number or word that begins at `p`. */
const char *jtext_scalar_end(const char *p, const char *end);

/* The member `name` (decoded comparison), the last one when it is repeated,
 * as JSON.parse has it; kind JTEXT_MISSING when absent or not an object. */
struct jtext jtext_get(struct jtext object, const char *name);

/* Appends the decoded text of a string. NUL bytes are legal in it. A lone
 * surrogate becomes U+FFFD and sets *ret_replaced (may be NULL; never
 * cleared). */
void jtext_decode(struct jtext string, struct buf *out, bool *ret_replaced);
/* Whether the string's decoded text is `text`. */
bool jtext_is(struct jtext string, const char *text);
/* An integer in the range of int64_t, however written (2, 2.0, 2e0). */
bool jtext_int(struct jtext number, int64_t *ret);
/* False when it is out of the range of a double. */
bool jtext_double(struct jtext number, double *ret);

/* Appends `text` as a JSON string with its quotes, as JSON.stringify writes
 * it (escapes only what must be; UTF-8 stays). `text` must be UTF-8. */
void jtext_add_string(struct buf *out, struct span text);
/* Appends a character as \uXXXX, or as two of them beyond U+FFFF. */
void jtext_add_escape(struct buf *out, unsigned rune);
/* Appends JSON text with CR, LF and TAB between tokens replaced by spaces:
 * a line break would let it forge protocol lines. */
void jtext_add_flat(struct buf *out, struct span json);

bool jtext_utf8_ok(struct span text);
/* Appends `text` with every invalid UTF-8 sequence as U+FFFD, as Node's
 * decoder does (maximal subparts). */
void jtext_add_repaired(struct buf *out, struct span text);

#endif
