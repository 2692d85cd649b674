/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_refs: the references to secrets in a JSON text: objects
 * {"type":"secret_ref","secretId":ID[,"version":N]}, and strings where a schema
 * says `format: "secret-ref"`. Finds them in one pass over the text, and writes
 * the text with values in their places.
 *
 * Owns copies of the ids and of where they stand. Knows nothing of where values
 * come from, and of commands.
 */
#ifndef ENVDRIVER_SECRET_SECRET_REFS_H
#define ENVDRIVER_SECRET_SECRET_REFS_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"

struct err;
struct secret_graph;
struct secret_refs;

/* Of one text: a request with more of them is refused. */
enum { SECRET_REFS_MAX = 256 };

/* Borrowed from the list. */
struct secret_ref {
	size_t from, to;	/* its bytes in the text */
	struct span id;		/* decoded; "<secretId>@<version>" when it pins a version */
	struct span version;	/* the number; ptr NULL: none */
	struct span path;	/* "config.a.0.b", cut off when it is long */
	size_t spot;		/* which of the schema's, SIZE_MAX: of none */
	bool bare;		/* a string that only the schema makes a reference */
};

/* How a text is looked through. */
struct secret_refs_options {
	const char *prefix;			/* leads the paths: "" or "env" */
	const struct secret_graph *spots;	/* secret_spots_get; NULL: nothing is marked */
	bool only_spots;	/* objects elsewhere are no references, strings never */
};

/*
 * Finds the references in `text` from byte `from` on, which is one JSON value,
 * and appends them to *list, which is made when the first one is found. Of one
 * inside another the outer one counts. ERR_INVALID: a version is neither a whole
 * number nor "latest"; ERR_LIMIT: too many; ERR_NOMEM. The text of the error
 * names the path.
 */
int secret_refs_find(struct secret_refs **list, struct span text, size_t from,
		     const struct secret_refs_options *o, struct err *reterr);
/* 0 for NULL. */
size_t secret_refs_count(const struct secret_refs *list);
struct secret_ref secret_refs_at(const struct secret_refs *list, size_t i);
/* Appends the text that they were found in, from byte `from` on, in one line, with
 * the i-th reference replaced by values[i], as a JSON string; ptr NULL: it stays. */
void secret_refs_fill(const struct secret_refs *list, struct span text, size_t from,
		      const struct span *values, struct buf *out);
/* One more owner; each calls secret_refs_free once. Accepts NULL. */
struct secret_refs *secret_refs_share(struct secret_refs *list);
/* Accepts NULL. */
void secret_refs_free(struct secret_refs *list);

#endif
