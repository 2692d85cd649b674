/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_source: where the values of secrets come from: a table of sources,
 * asked in its order (docs/decisions.md D21, secrets). A company and the id of a
 * secret name one value; the first source that has it counts.
 *
 * Owns the places to look at, as they were configured; holds no value. Knows
 * nothing of references, requests and plugins. What it reads is the caller's,
 * who adds it to the mask of the call that it is for, and wipes it.
 */
#ifndef ENVDRIVER_SECRET_SECRET_SOURCE_H
#define ENVDRIVER_SECRET_SECRET_SOURCE_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct err;

enum {
	SECRET_MIN = 6,			/* bytes: a shorter one could not be masked */
	SECRET_MAX = 64 << 10,		/* bytes, without the line break at its end */
	SECRET_NAME_MAX = 255,		/* of an id and of a company, bytes */
};

/* Texts are borrowed. NULL: this source is off. */
struct secret_source {
	const char *dir;		/* secrets.dir: DIR/<company>/<id> */
	const char *credentials;	/* $CREDENTIALS_DIRECTORY: DIR/secrets_<company>_<id> */
	char *const *env;		/* ENVDRIVER_SECRET_<COMPANY>__<ID>, for development */
};

/*
 * Appends the value of the company's secret `id` to `out` (one that wipes). May be called from any
 * thread; blocks as long as the file system does.
 *
 * ERR_NOTFOUND: no source has it. ERR_INVALID: the company or the id is no name,
 * or the value is not one that can be used. ERR_DENIED: its file may not be
 * read, or others may write it. ERR_IO, retriable: the source failed. The text
 * says which sources were asked and the way out, never a value.
 */
int secret_source_read(const struct secret_source *s, struct span company, struct span id,
		       struct buf *out, struct err *reterr);

#endif
