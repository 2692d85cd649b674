/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_rebalance: answers librdkafka's assign and revoke events, one
 * after another (docs/engine.md section 7, rebalance).
 *
 * Owns the events not served yet and the group metadata taken at the last
 * assign event. Knows nothing of polling or of pauses for back-pressure.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_REBALANCE_H
#define ENVDRIVER_KAFKA_CONSUMER_REBALANCE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "envdriver/kafka/consumer.h"
#include "consumer_jobs.h"
#include "consumer_parts.h"
#include "consumer_state.h"

enum consumer_rebalance_step {
	CONSUMER_REBALANCE_NONE,
	CONSUMER_REBALANCE_READING,	/* an assign: the committed offsets are being read */
	CONSUMER_REBALANCE_OFFERED,	/* told, consumer_open is awaited */
	CONSUMER_REBALANCE_REVOKING,	/* told, consumer_unassign is awaited */
};

struct consumer_rebalance_event;

struct consumer_rebalance {
	struct consumer_parts *parts;	/* these are borrowed */
	struct consumer_jobs *jobs;
	struct consumer_state *state;
	const struct consumer_events *ev;

	enum consumer_rebalance_step step;
	int64_t reading_since_ms;
	STAILQ_HEAD(, consumer_rebalance_event) events;	/* not served yet */
	rd_kafka_topic_partition_list_t *moving;	/* of the event being served */
	bool moving_stays;	/* an implied revoke: librdkafka assigns anew anyway */
	struct group_meta *meta;	/* NULL: between revoke and open, or not usable */
};

void consumer_rebalance_init(struct consumer_rebalance *r, struct consumer_parts *parts,
			     struct consumer_jobs *jobs, struct consumer_state *state,
			     const struct consumer_events *ev);
/* No event is served any more. */
void consumer_rebalance_release(struct consumer_rebalance *r);

/* librdkafka's event; the list is copied. May call on_assign and on_revoke. */
void consumer_rebalance_event(struct consumer_rebalance *r, bool is_assign,
			      const rd_kafka_topic_partition_list_t *parts);
/* The committed offsets were read (struct consumer_jobs_events). */
void consumer_rebalance_offsets(struct consumer_rebalance *r,
				rd_kafka_topic_partition_list_t *take_list, const int64_t *starts,
				const int64_t *ends);
/* The owner's answers: see consumer_open, consumer_unassign, consumer_unhold. */
void consumer_rebalance_open(struct consumer_rebalance *r, const struct open_at *parts, size_t n);
void consumer_rebalance_unassign(struct consumer_rebalance *r);
bool consumer_rebalance_unhold(struct consumer_rebalance *r, const struct open_at *parts, size_t n);

/* An assign under way is answered with everything held, so that librdkafka
 * can go on to revoke it. */
void consumer_rebalance_hold(struct consumer_rebalance *r);
/* We left and no revoke event came: as if the partitions were lost. */
void consumer_rebalance_lose(struct consumer_rebalance *r);
/* Once a second. */
void consumer_rebalance_tick(struct consumer_rebalance *r);

#endif
