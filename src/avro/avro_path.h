/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_path: where in a record a walk is, for error texts: "outcome.error",
 * "args[3]".
 *
 * Owns nothing: each step of the walk has a path as a local variable, which
 * points up the call stack.
 */
#ifndef ENVDRIVER_AVRO_AVRO_PATH_H
#define ENVDRIVER_AVRO_AVRO_PATH_H

#include <stddef.h>
#include <stdint.h>

struct avro_path {
	const struct avro_path *up;	/* NULL: the outermost */
	const char *name;	/* NULL: an item */
	uint64_t item;
};

/* Writes the path and ": ", cut to fit; an empty text for the outermost record
 * (NULL). Returns `text`. */
char *avro_path_text(const struct avro_path *path, char *text, size_t size);

#endif
