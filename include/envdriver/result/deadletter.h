/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadletter: a record that could not be read as a command, byte for byte, with
 * the reason (docs/schemas.md, DeadLetter and its headers).
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_RESULT_DEADLETTER_H
#define ENVDRIVER_RESULT_DEADLETTER_H

#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

struct first_record;
struct reject;
struct schemas;
struct source;

/* `ret` is emptied first, then holds the letter. When it would not fit in
 * `max_bytes`, the value is cut, then headers from the end, then the key; the
 * message says which headers or how much of the key were cut. `first` (may be
 * NULL): the record that a duplicate repeats. Negative only when out of
 * memory. */
int deadletter_build(const struct schemas *schemas, const char *instance_id, size_t max_bytes,
		     const struct source *src, const struct reject *why,
		     const struct first_record *first, struct events *ret);

#endif
