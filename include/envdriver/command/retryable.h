/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retryable: whether an error of a plugin may pass by itself: what the plugin says
 * of it, or what its code, the names and the words in it mean
 * (docs/operations.md, "Retryable errors").
 *
 * Owns the table. Pure: knows nothing of commands and answers.
 */
#ifndef ENVDRIVER_COMMAND_RETRYABLE_H
#define ENVDRIVER_COMMAND_RETRYABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

/* An error as it came, all borrowed. */
struct retryable_error {
	struct jtext code;	/* of any kind; MISSING when there is none, here and below */
	struct jtext data;
	struct span message;	/* decoded */
};

bool retryable_error(const struct retryable_error *e);

/* The table: the first row that fits decides, and no row means no. */
enum retryable_kind {
	RETRYABLE_CODE,		/* the error's code, or the status in its data */
	RETRYABLE_STATUS,	/* an HTTP status in the message, said to be one */
	RETRYABLE_NAME,		/* a word of code, data or message, in these letters */
	RETRYABLE_WORDS,	/* words of the message, whatever the case of letters */
	RETRYABLE_WHOLE,	/* the whole message, likewise */
};

struct retryable_row {
	enum retryable_kind kind;
	bool retryable;
	const char *what;	/* what fits, with '|' between; "500-599", "throttl*" */
};
/* NULL past the last one. */
const struct retryable_row *retryable_row(size_t i);

#endif
