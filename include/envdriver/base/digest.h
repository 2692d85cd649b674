/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 as lower-case hex, of bytes at once or piece by piece.
 *
 * Owns the state between pieces.
 */
#ifndef ENVDRIVER_BASE_DIGEST_H
#define ENVDRIVER_BASE_DIGEST_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct digest;

enum { DIGEST_HEX_SIZE = 65 };	/* with the NUL */

/* False when libcrypto is out of memory; `ret` is then "". */
bool digest_sha256_hex(struct span bytes, char ret[DIGEST_HEX_SIZE]);

/* HMAC-SHA256 of the bytes under `key`. */
bool digest_hmac_hex(struct span key, struct span bytes, char ret[DIGEST_HEX_SIZE]);
/* In a time that does not tell how much of `text` fits. */
bool digest_hex_is(const char hex[DIGEST_HEX_SIZE], struct span text);

/* Piece by piece. A step that fails is remembered, so that one check at the
 * end is enough. Returns NULL when out of memory; the others accept that. */
struct digest *digest_new(void);
void digest_free(struct digest *d);
void digest_add(struct digest *d, struct span bytes);
/* Of all that was added; nothing can be added behind it. False, and "", when
 * any step failed. */
bool digest_end(struct digest *d, char ret[DIGEST_HEX_SIZE]);

#endif
