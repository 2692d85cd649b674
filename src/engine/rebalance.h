/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebalance: partitions come and go (docs/engine.md section 7, the assign and
 * revoke events). What becomes of their entries is leaving.h's.
 *
 * Owns the assign and the revoke event that are not answered yet.
 */
#ifndef ENVDRIVER_ENGINE_REBALANCE_H
#define ENVDRIVER_ENGINE_REBALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct assigned;
struct engine;

bool rebalance_new(struct engine *eng);
/* Accepts that rebalance_new failed or was not called. */
void rebalance_free(struct engine *eng);

/* consumer's events; `arg` is the engine. */
void rebalance_assign(void *arg, const struct assigned *parts, size_t n);
void rebalance_revoke(void *arg, const int32_t *partitions, size_t n, bool lost);
void rebalance_gap(void *arg, int32_t partition, int64_t log_start, bool beyond);

/* Answers the revoke event once nothing of its partitions is to be committed,
 * or its time is over. */
void rebalance_turn(struct engine *eng);
/* Redis is back: positions that could not be read are. */
void rebalance_retry_assign(struct engine *eng);
/* How many partitions of an assign event have waited for `ms` or longer. */
size_t rebalance_waiting(const struct engine *eng, int64_t ms);
/* Answers that assign event with everything held. */
void rebalance_hold(struct engine *eng);

#endif
