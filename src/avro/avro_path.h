/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: where in a record a walk stands, for error texts: "outcome.error",
 * "args[3]".
 *
 * Owns nothing: a place is a local variable of each step of the walk and
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

/* Writes the path, and ": " behind it, cut to fit; the outermost place
 * (NULL) has no path and writes an empty text. Returns `text`. */
char *avro_path_text(const struct avro_path *place, char *text, size_t size);

#endif
