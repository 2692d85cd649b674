/* SPDX-License-Identifier: Apache-2.0 */
/*
 * best_effort: sends records outside transactions: LIVE pieces of output and
 * plugin events. Never waits, never fails a command.
 *
 * Owns a producer with a bounded queue; records that do not fit are dropped and
 * counted. One that had a fatal error is replaced. Knows nothing of what a record
 * means.
 */
#ifndef ENVDRIVER_KAFKA_BEST_EFFORT_H
#define ENVDRIVER_KAFKA_BEST_EFFORT_H

#include <stdbool.h>

#include "envdriver/kafka/event.h"

struct config;
struct err;
struct best_effort;

/* `topics[]`: full names by enum topic, borrowed. */
struct best_effort *best_effort_new(const struct config *config, const char *const *topics,
				    struct err *reterr);
/* Sends every event of the set (execution logs and plugin events; others are
 * dropped); they are copied. */
void best_effort_send(struct best_effort *b, const struct events *events);
/* A record of `topic` could not even be encoded: counts it as dropped. */
void best_effort_dropped(struct best_effort *b, enum topic topic);
/* Serves delivery reports; called now and then from the loop. */
void best_effort_poll(struct best_effort *b);
/* Waits at most `timeout_ms` for what is queued (at the very end only). */
void best_effort_free(struct best_effort *b, int timeout_ms);

#endif
