/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_secrets: the secrets that one worker, or one before it, was given, and its
 * live output, in which they stand as "***" also across the pieces in which it
 * comes (docs/decisions.md D21, secrets; docs/protocol.md section 8).
 *
 * Owns the worker's mask, and the timer that lets lines go which are held back.
 * Knows nothing of messages. A worker without secrets costs nothing.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_SECRETS_H
#define ENVDRIVER_PLUGIN_WORKER_SECRETS_H

#include <stdbool.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct err;
struct mask;
struct scope;
struct worker_invocation;
struct worker_secrets;

/* `scope` has the calls; it outlives worker_secrets_free. `given`: what the plugin was
 * given before, which is shared; NULL: nothing. */
struct worker_secrets *worker_secrets_new(uv_loop_t *loop, struct scope *scope,
					  struct mask *given, struct err *reterr);
/* Lives until worker_secrets_free. */
const struct mask *worker_secrets_mask(const struct worker_secrets *s);
/* Before the plugin is given the values (NULL: none). Negative: it must not be. */
int worker_secrets_add(struct worker_secrets *s, const struct mask *values, struct err *reterr);

/* A piece of the call's live output: on_chunk gets what can go out now. */
void worker_secrets_chunk(struct worker_secrets *s, struct worker_invocation *c, bool is_stderr,
			  struct span piece);
/* The call ended: on_chunk gets what was held back. `cut`: the plugin had not ended. */
void worker_secrets_flush(struct worker_secrets *s, struct worker_invocation *c, bool cut);
/* The same without on_chunk. */
void worker_secrets_release(struct worker_invocation *c);
/* After the worker's pipes were closed. The memory is given back when the loop has
 * turned. Accepts NULL. */
void worker_secrets_free(struct worker_secrets *s);

#endif
