/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: RFC 4648, standard alphabet, with padding.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_BASE_BASE64_H
#define ENVDRIVER_BASE_BASE64_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

void base64_encode(struct buf *out, struct span bytes);
/* Appends the bytes; false, and nothing appended, when `text` is not exactly
 * what base64_encode would have written for some bytes. */
bool base64_decode(struct buf *out, struct span text);

#endif
