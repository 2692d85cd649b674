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

enum {
	MASK_VALUE_MIN = 6,		/* bytes; a shorter one would be found everywhere */
	MASK_VALUE_MAX = 64 << 10,
	MASK_VALUES_MAX = 1000,		/* of one mask, */
	MASK_BYTES_MAX = 128 << 10,	/* all together */
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
/* One more owner; each calls mask_free once. Accepts NULL. */
struct mask *mask_share(struct mask *m);
/* Overwrites the values when the last owner frees it. Accepts NULL. */
void mask_free(struct mask *m);

#endif
