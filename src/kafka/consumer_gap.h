/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_gap: a partition whose next record the log does not have, because
 * the log begins later by now or ends before it. Looks where it begins and
 * ends; then reads on from there, or holds the partition.
 *
 * Owns nothing. Knows nothing of rebalances: its caller says when one is
 * under way.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_GAP_H
#define ENVDRIVER_KAFKA_CONSUMER_GAP_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/kafka/consumer.h"
#include "consumer_jobs.h"
#include "consumer_parts.h"

/* All borrowed. */
struct consumer_gap {
	struct consumer_parts *parts;
	struct consumer_jobs *jobs;
	const struct consumer_events *ev;
};

/* librdkafka says so of that partition. */
void consumer_gap_found(struct consumer_gap *g, int32_t partition);
/* The log was read (consumer_jobs_read_log). `busy`: a rebalance is under
 * way, so it is looked at again later. May call on_gap. */
void consumer_gap_read(struct consumer_gap *g, int32_t partition, bool busy, bool ok,
		       int64_t start, int64_t end);
/* Once a second: looks again at what could not be mended. */
void consumer_gap_tick(struct consumer_gap *g);

#endif
