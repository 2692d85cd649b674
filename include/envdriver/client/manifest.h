/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest: what a plugin package says about itself, read from its folder and
 * checked (docs/protocol.md section 11).
 *
 * Owns nothing. Knows nothing of Redis and of running plugins.
 *
 * Which file of a package holds it: envdriver/package/package.h. A manifest in
 * JavaScript is read by running `node`.
 */
#ifndef ENVDRIVER_CLIENT_MANIFEST_H
#define ENVDRIVER_CLIENT_MANIFEST_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct err;

/* Writes the manifest's JSON on one line into `out`, which is empty; *ret is that
 * JSON, borrowed from it. `dir` is an absolute path. Blocks, with node at most
 * 20 s. ERR_INVALID names the file and the mistake; ERR_NOTFOUND: there is no
 * package. */
int manifest_read(const char *dir, struct buf *out, struct jtext *ret, struct err *reterr);

/* ERR_INVALID names the path: "environmentDrivers[0].kind: …". */
int manifest_check(struct jtext manifest, struct err *reterr);

/* Appends JSON without white space between its tokens. */
void manifest_add_compact(struct buf *out, struct span json);

/* ^[a-z0-9][a-z0-9._-]*$ */
bool manifest_key_ok(struct span key);

#endif
