/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake: the texts of `initialize`, the first request of every worker
 * (docs/protocol.md section 2).
 *
 * Owns nothing. Knows nothing of pipes or of time.
 */
#ifndef ENVDRIVER_RPC_HANDSHAKE_H
#define ENVDRIVER_RPC_HANDSHAKE_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct rpc_answer;

/* The release of the original whose host we stand for; plugins may ask for one that is
 * no older (minimumHostVersion). */
#define HANDSHAKE_HOST_VERSION "2026.916.1"

/* Appends the parameters. `manifest` is a JSON object. */
void handshake_add_params(struct buf *out, struct span manifest, const char *instance_id);
/* True when the plugin said yes; its supportedMethods (a JSON array) are then
 * appended to `methods`, nothing when it names none: those of known names, 64 at
 * most. */
bool handshake_read(const struct rpc_answer *a, struct buf *methods);
/* Appends, to the words of an end without an answer, what the usual cause is. */
void handshake_add_end(struct buf *out, int exit_code, size_t ignored_lines);
/* Appends why it did not; of a time-out, what came in place of an answer. */
void handshake_add_failure(struct buf *out, const struct rpc_answer *a, size_t partial_bytes,
			   size_t ignored_lines);

#endif
