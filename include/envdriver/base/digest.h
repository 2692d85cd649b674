/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 as lower-case hex.
 *
 * Owns nothing. Used by: result, deadletter, plugin packages. May use: buf,
 * libcrypto.
 */
#ifndef ENVDRIVER_BASE_DIGEST_H
#define ENVDRIVER_BASE_DIGEST_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

enum { DIGEST_HEX_SIZE = 65 };	/* with the NUL */

/* False when libcrypto is out of memory; `ret` is then "". */
bool digest_sha256_hex(struct span bytes, char ret[DIGEST_HEX_SIZE]);

#endif
