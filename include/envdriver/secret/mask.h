/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mask: the secret values that were given to a plugin, and text in which they
 * stand as "***" (docs/decisions.md D21, secrets).
 *
 * Owns copies of the values. Knows nothing of where they come from, of plugins
 * or of calls. Who builds a request with resolved values adds each of them to
 * the mask of the call; the worker that is called adds these to its own, before
 * it sends them, and masks all that the plugin says from then on.
 *
 * A value is found as it is, line by line, with JSON escapes (of a JSON text
 * inside a JSON text too), in percent encoding, in hexadecimal, and in base64
 * wherever it lies there and however that is broken into lines.
 */
#ifndef ENVDRIVER_SECRET_MASK_H
#define ENVDRIVER_SECRET_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"

struct err;
struct mask;
struct mask_forms;

enum {
	MASK_VALUE_MIN = 6,		/* bytes; a shorter one would be found everywhere */
	MASK_VALUE_MAX = 64 << 10,
	MASK_VALUES_MAX = 1000,		/* of one mask, */
	MASK_BYTES_MAX = 128 << 10,	/* all together */
	MASK_CHANCE_MAX = 11,		/* so much of a value is in an identifier by chance */
	MASK_PASSES = 6,		/* ways to read a text */
	MASK_STREAM_WAIT_MS = 200,
};

/* NULL when out of memory. */
struct mask *mask_new(void);
/* Adds a value, once however often it is added. ERR_INVALID (shorter than
 * MASK_VALUE_MIN, or not UTF-8), ERR_LIMIT or ERR_NOMEM: it is not in, so it must
 * not be sent. The texts of errors do not have it. */
int mask_add(struct mask *m, struct span value, struct err *reterr);
/* Adds all values of `from` (NULL: none), or none when it fails, as mask_add. */
int mask_add_all(struct mask *m, const struct mask *from, struct err *reterr);
/* NULL has none. */
bool mask_empty(const struct mask *m);
/* More than three quarters of what it may have are in. */
bool mask_filling(const struct mask *m);
/* One more owner, of the same thread; each calls mask_free once. Accepts NULL. */
struct mask *mask_share(struct mask *m);
/* Overwrites the values when the last owner frees it. Accepts NULL. */
void mask_free(struct mask *m);


/*
 * What text is masked with: all the values that are in the mask now, compiled. It
 * stays as it is when values are added, and may be read on any thread.
 */
/* Compiles what was added since; then mask_forms has it. ERR_NOMEM. */
int mask_compile(struct mask *m, struct err *reterr);
/* What was compiled last; NULL: there is nothing to mask. Borrowed from `m`. */
struct mask_forms *mask_forms(const struct mask *m);
/* One more owner, of any thread. Accept NULL. */
struct mask_forms *mask_forms_share(struct mask_forms *f);
void mask_forms_free(struct mask_forms *f);

/* `text` with each value as "***": itself when there is none, else in `out`,
 * which is emptied first. Values that touch are one "***". Without memory all of
 * it is "***". */
struct span mask_text(const struct mask_forms *f, struct span text, struct buf *out);
/* The same in JSON text that is well formed, value by value; names of members
 * are masked too. A number that shows a value becomes the string "***". Of the `n`
 * parts of `json` in `keep`, in their order, nothing is masked. */
struct span mask_json(const struct mask_forms *f, struct span json, const struct span *keep,
		      size_t n, struct buf *out);
/* JSON text shows more of a value than MASK_CHANCE_MAX bytes. */
bool mask_shows(const struct mask_forms *f, struct span json);

/*
 * Text that comes in pieces, and is masked across their borders. What may be the
 * beginning of a value is held back until more comes: a few hundred bytes at most.
 * All zero is a new one.
 */
struct mask_stream {
	struct buf held;
	size_t starts[MASK_PASSES];	/* in `held`, where each pass goes on */
	struct buf spots;		/* what is known of `held` */
	bool in_mask;			/* what went out last was a mask */
};

/* What can go out now: the piece itself, or in `out`, which is emptied first. */
struct span mask_stream_add(struct mask_stream *s, const struct mask_forms *f, struct span piece,
			    struct buf *out);
/* No more comes: what is held back. With `cut` more would have come, so what may
 * be most of a value is masked, too. The stream is a new one then. */
struct span mask_stream_end(struct mask_stream *s, const struct mask_forms *f, bool cut,
			    struct buf *out);
/* Something is held back. */
static inline bool
mask_stream_holds(const struct mask_stream *s)
{
	return s->held.len > 0;
}
/* What is held back ends with a line, and goes out when no more comes for a while
 * (MASK_STREAM_WAIT_MS): a value is seldom cut there, and people wait for lines. */
bool mask_stream_ends_line(const struct mask_stream *s);
void mask_stream_release(struct mask_stream *s);

#endif
