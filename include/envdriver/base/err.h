/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: an error as a value: a code to decide with, a line of text to read.
 *
 * Owns nothing: a value. Knows nothing of logging: a function either logs or
 * returns an err, never both.
 */
#ifndef ENVDRIVER_BASE_ERR_H
#define ENVDRIVER_BASE_ERR_H

#include <stdbool.h>

enum err_code {
	ERR_NOMEM = -1,		/* allocation failed */
	ERR_LIMIT = -2,		/* a configured or protocol limit was passed */
	ERR_CLOSED = -3,	/* the object takes no more */
	ERR_INVALID = -4,	/* input from outside is wrong */
	ERR_IO = -5,		/* a system call failed */
	ERR_NOTFOUND = -6,	/* what was named does not exist */
	ERR_TIMEOUT = -7,	/* a deadline passed */
	ERR_UNAVAILABLE = -8,	/* a peer (broker, Redis, plugin) is away */
	ERR_CONFIG = -9,	/* configuration is wrong */
	ERR_DENIED = -10,	/* not permitted */
	ERR_BUG = -11,		/* an impossible state */
};

struct err {
	enum err_code code;
	bool retriable;		/* the same call may succeed later */
	char text[400];		/* one line, no newline, no trailing full stop */
};

/*
 * Fills `reterr` (which may be NULL) and returns `code`, so that a caller can
 * `return err_set(...)`. A text that does not fit is cut between two
 * characters, line breaks in it become spaces.
 */
int err_set(struct err *reterr, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns ERR_NOMEM with the fixed text "out of memory". */
int err_nomem(struct err *reterr);

/* Puts "<what>: " before the text that is there. */
void err_prefix(struct err *reterr, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
