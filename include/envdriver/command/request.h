/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: the parameters that are sent to a plugin, to the byte
 * (docs/schemas.md, "Rules for all records"; tests/golden).
 *
 * Owns nothing. Knows nothing of the plugin but its driver's config schema.
 */
#ifndef ENVDRIVER_COMMAND_REQUEST_H
#define ENVDRIVER_COMMAND_REQUEST_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct command;
struct outcome;

/*
 * Appends the params object of the command's RPC. `config_schema` is the
 * driver's JSON Schema (kind MISSING when unknown); it says which fields have
 * `format: "secret-ref"`. Returns 0, or negative with *ret_failure filled:
 * CONFIG_REJECTED (a pinned version), SECRET_UNRESOLVED, or INTERNAL (out of
 * memory). Then nothing is to be sent, and `out` is as it was.
 */
int request_params(const struct command *c, struct jtext config_schema, struct buf *out,
		   struct outcome *ret_failure);

/* The config inside params that request_params wrote: borrowed from them. */
struct span request_config(struct span params);

#endif
