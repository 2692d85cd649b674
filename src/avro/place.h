/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place: where in a record a walk stands, for error texts: "outcome.error",
 * "args[3]".
 *
 * Owns nothing: a place is a local variable of each step of the walk and
 * points up the call stack. Used by: prescan, plain. May use: nothing.
 */
#ifndef ENVDRIVER_AVRO_PLACE_H
#define ENVDRIVER_AVRO_PLACE_H

#include <stddef.h>
#include <stdint.h>

struct place {
	const struct place *up;	/* NULL: the outermost */
	const char *name;	/* NULL: an item */
	uint64_t item;
};

/* Writes the path, and ": " behind it, cut to fit; the outermost place
 * (NULL) has no path and writes an empty text. Returns `text`. */
char *place_text(const struct place *place, char *text, size_t size);

#endif
