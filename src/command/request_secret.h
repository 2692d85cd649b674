/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_secret: references to secrets on their way to a plugin (docs/decisions.md
 * D21 (secrets), docs/operations.md, ValidateConfig).
 *
 * Owns nothing. Works on JSON text; of a command it knows only that a secret is
 * looked up for one.
 */
#ifndef ENVDRIVER_COMMAND_REQUEST_SECRET_H
#define ENVDRIVER_COMMAND_REQUEST_SECRET_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct command;
struct outcome;

/*
 * Both append `json` in one line (jtext_add_flat) with references replaced,
 * and return 0, or negative with *ret_failure filled and `out` unusable.
 *
 * collapse: where `schema` says `format: "secret-ref"`, a reference becomes
 * its bare id (a provider's ValidateConfig). Strings, and references elsewhere,
 * stay. A reference that pins a version is CONFIG_REJECTED.
 *
 * resolve: every reference becomes its value; `prefix` ("" or "env") leads
 * the path in error texts. SECRET_UNRESOLVED when there is no such secret.
 */
int request_secret_collapse(struct jtext json, struct jtext schema, struct buf *out,
			    struct outcome *ret_failure);
int request_secret_resolve(const struct command *c, struct jtext json, const char *prefix,
			   struct buf *out, struct outcome *ret_failure);

#endif
