/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: RFC 4648, standard alphabet, with padding and without.
 *
 * Owns nothing. Reading is strict: only what writing gives for some bytes is
 * accepted.
 */
#ifndef ENVDRIVER_BASE_BASE64_H
#define ENVDRIVER_BASE_BASE64_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

void base64_encode(struct buf *out, struct span bytes);
void base64_encode_unpadded(struct buf *out, struct span bytes);

/* Appends the bytes; false, and nothing appended, when `text` is wrong. */
bool base64_decode(struct buf *out, struct span text);
/* Writes at most text.len * 3 / 4 bytes. Returns their number, negative when
 * `text` is wrong. */
ptrdiff_t base64_decode_unpadded(struct span text, unsigned char *ret_bytes);

#endif
