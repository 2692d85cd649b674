/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execlog: which call an `execute.log` notification belongs to, and whether it
 * may be delivered (docs/protocol.md section 8).
 *
 * Owns nothing. Every worker sees the invocation ids of all its calls, so an
 * id alone proves nothing: output is delivered only while all executions
 * running on a worker are of one company.
 */
#ifndef ENVDRIVER_PLUGIN_EXECLOG_H
#define ENVDRIVER_PLUGIN_EXECLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/host/scope.h"

/* Of one notification, in UTF-16 units. */
enum { EXECLOG_CHUNK_MAX = 1000000 };

struct execlog_chunk {
	struct scope_entry *call;
	bool is_stderr;
	struct span output;	/* in `text`: UTF-8, or the bytes that came in base64 */
};

/* NULL: `*ret` is to be delivered (and counts as delivered); its text is in
 * `text`, which is emptied first. Else why not, for the debug log; static.
 * `total_max` is in bytes, for one call. */
const char *execlog_take(struct scope *s, const struct rpc_message *m, uint64_t total_max,
			 struct buf *text, struct execlog_chunk *ret);

#endif
