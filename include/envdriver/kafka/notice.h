/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice: best-effort, non-transactional records: LIVE pieces of output and
 * plugin events. Never waits, never fails a command.
 *
 * Owns a plain producer with a bounded queue; what does not fit is dropped
 * and counted. Used by: flow, worker. May use: kafkaconf, event, config,
 * metrics, schema.
 */
#ifndef ENVDRIVER_KAFKA_NOTICE_H
#define ENVDRIVER_KAFKA_NOTICE_H

#include <stdbool.h>

#include "envdriver/kafka/event.h"

struct config;
struct err;
struct notices;
struct plugin_notice;
struct schemas;

/* `topics[]`: full names by enum topic, borrowed. */
struct notices *notices_new(const struct config *config, const struct schemas *schemas,
			    const char *instance_id, const char *const *topics,
			    struct err *reterr);
/* Sends every event of the set (execution logs and plugin events; others are
 * dropped); they are copied. */
void notices_send(struct notices *n, const struct events *events);
/* Encodes a PluginEvent and sends it. */
void notices_plugin(struct notices *n, const struct plugin_notice *p);
/* Serves delivery reports; called now and then from the loop. */
void notices_poll(struct notices *n);
/* Waits at most `timeout_ms` for what is queued (at the very end only). */
void notices_free(struct notices *n, int timeout_ms);

#endif
