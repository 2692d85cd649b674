/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_secret: references to secrets in a command's request (docs/decisions.md
 * D21 (secrets), docs/operations.md, "Secrets").
 *
 * Owns nothing. Works on JSON text; knows which references are refused, and
 * nothing of values.
 */
#ifndef ENVDRIVER_COMMAND_REQUEST_SECRET_H
#define ENVDRIVER_COMMAND_REQUEST_SECRET_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct outcome;
struct secret_graph;
struct secret_refs;

/*
 * Both return 0, or negative with *ret_failure filled and `out` unusable.
 *
 * collapse appends `json` in one line; where `spots` has a secret, a reference
 * becomes its bare id (a provider's ValidateConfig). Strings, and references
 * elsewhere, stay. A reference that pins a version is CONFIG_REJECTED.
 *
 * find adds the references of `out` from byte `from` on to *refs; `prefix` ("" or
 * "env") leads the paths in error texts. A provider's that pin a version at a
 * spot are CONFIG_REJECTED; what is no proper reference is SECRET_UNRESOLVED.
 */
int request_secret_collapse(struct jtext json, const struct secret_graph *spots, struct buf *out,
			    struct outcome *ret_failure);
int request_secret_find(const struct buf *out, size_t from, const char *prefix,
			const struct secret_graph *spots, bool provider,
			struct secret_refs **refs, struct outcome *ret_failure);

#endif
