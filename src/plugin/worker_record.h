/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_record: the state of a plugin's worker in Redis, for others to see
 * (docs/schemas.md, `worker:<pluginId>:<instanceId>`).
 *
 * Owns nothing. A record that is not written again expires after
 * WORKER_RECORD_EXPIRY_MS. While Redis is away nothing is written.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_RECORD_H
#define ENVDRIVER_PLUGIN_WORKER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct redis;

enum { WORKER_RECORD_EXPIRY_MS = 15000 };

struct worker_record {
	const char *plugin_id, *instance_id, *incarnation;
	const char *status;
	int pid;			/* 0: absent, as the other times */
	int64_t started_at, last_crash_at, next_restart_at;	/* wall ms */
	int consecutive_crashes, total_crashes;
	struct span methods;		/* JSON array; ptr NULL: absent */
	const char *isolation;		/* layers around it; NULL: absent */
	const char *reason;		/* why it does not run; "": absent */
	bool gave_up;			/* crashed too often to be started again */
};

void worker_record_write(struct redis *redis, const struct worker_record *r);
void worker_record_remove(struct redis *redis, const char *plugin_id, const char *instance_id);

#endif
