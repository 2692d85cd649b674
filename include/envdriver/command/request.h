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
struct secret_graph;
struct secret_refs;

/*
 * Appends the params object of the command's RPC. `spots` are those of the
 * driver's JSON Schema (secret_spots_get; NULL: none, or the schema is unknown).
 * *ret_refs has the references to secrets in `out`, which are still to be replaced
 * (NULL: none; always of ValidateConfig, which sees ids); the caller frees it.
 * Returns 0, or negative with *ret_failure filled: CONFIG_REJECTED (a pinned
 * version), SECRET_UNRESOLVED, or INTERNAL (out of memory). Then nothing is to be
 * sent, and `out` is as it was.
 */
int request_params(const struct command *c, const struct secret_graph *spots, struct buf *out,
		   struct secret_refs **ret_refs, struct outcome *ret_failure);

/* Appends only the config, as request_params has it of every operation but
 * ValidateConfig, and adds its references to *refs. `provider`: its target is one.
 * Returns and fails as request_params; what was appended is then to be dropped. */
int request_add_config(struct jtext config, bool provider, const struct secret_graph *spots,
		       struct buf *out, struct secret_refs **refs, struct outcome *ret_failure);

/* The config inside params that request_params wrote: borrowed from them. */
struct span request_config(struct span params);

#endif
