/* SPDX-License-Identifier: Apache-2.0 */
/*
 * death: the words of a worker's death (docs/protocol.md section 7).
 *
 * Owns nothing. Knows nothing of processes.
 */
#ifndef ENVDRIVER_PLUGIN_DEATH_H
#define ENVDRIVER_PLUGIN_DEATH_H

#include "envdriver/base/buf.h"

struct worker_end;

/* Writes "Worker process exited (code=5, signal=null)" and, unless `excerpt` is empty,
 * what the worker wrote to stderr. Returns `out`'s text. */
const char *death_write(struct buf *out, const struct worker_end *end, struct span excerpt);

#endif
