/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster: what must be known of the Kafka cluster before the work starts
 * (docs/engine.md section 9, start, steps 4 to 6): its id, whether our topics
 * exist, how the command topic is cleaned.
 *
 * Owns an admin client while a look is under way. Runs off the loop.
 */
#ifndef ENVDRIVER_KAFKA_CLUSTER_H
#define ENVDRIVER_KAFKA_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/err.h"

struct cluster_job;
struct config;

struct cluster_facts {
	bool reached;		/* false: `err` says why; try again */
	struct err err;
	int exit_code;		/* 77 or 78 when it makes no sense to try again, else 0 */
	char cluster_id[64];
	char missing[1024];	/* topics that do not exist, ", " between; "" none */
	int64_t retention_ms;	/* of the command topic; -1 unlimited, -2 unknown */
	bool compacted;		/* its cleanup.policy is not "delete" */
};

/* One look, at most `timeout_ms`; `fn` on the loop, after which the job is
 * gone. NULL when it could not be started. */
struct cluster_job *cluster_look(uv_loop_t *loop, const struct config *config, int timeout_ms,
			       void (*fn)(void *arg, const struct cluster_facts *facts),
			       void *arg, struct err *reterr);
/* `fn` is not called any more; `config` must live until the loop has turned.
 * Accepts NULL. */
void cluster_free(struct cluster_job *job);

#endif
