/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_jobs: what the consumer asks of the broker with calls that block,
 * done on uv's thread pool.
 *
 * Owns the client that reads offsets, and the jobs that run. A job holds what
 * it uses, so it may outlive us. Knows nothing of rebalances.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_JOBS_H
#define ENVDRIVER_KAFKA_CONSUMER_JOBS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct config;
struct consumer_job;
struct err;
struct offsets;

/* All called on the loop, never before the call that asked has returned. */
struct consumer_jobs_events {
	/* Of consumer_jobs_read_offsets: offset and metadata of each in the
	 * list, and where its log begins and ends (-1: could not be read). The
	 * list is NULL when memory ran out. */
	void (*on_offsets)(void *arg, rd_kafka_topic_partition_list_t *take_list,
			   const int64_t *starts, const int64_t *ends);
	/* Of consumer_jobs_read_log. */
	void (*on_log_read)(void *arg, int32_t partition, bool ok, int64_t start, int64_t end);
	/* Of consumer_jobs_reach. */
	void (*on_reached)(void *arg, bool yes);
	/* Of consumer_jobs_try: the topic and the offsets can be read. */
	void (*on_tried)(void *arg, bool yes);
	void *arg;
};

struct consumer_jobs {
	uv_loop_t *loop;
	const char *topic;		/* borrowed */
	struct consumer_jobs_events ev;
	struct offsets *offsets;
	LIST_HEAD(, consumer_job) running;
	struct consumer_job *reading;	/* the committed offsets; NULL: not now */
	bool reaching, trying;
};

int consumer_jobs_init(struct consumer_jobs *js, uv_loop_t *loop, const struct config *config,
		       const char *topic, const struct consumer_jobs_events *ev,
		       struct err *reterr);
/* No event comes any more. Also after a failed or missing init of a struct
 * that is all zero. */
void consumer_jobs_release(struct consumer_jobs *js);

/* The committed offsets and the ends of the logs of the partitions in `list`,
 * which is copied. One at a time. False when it could not be started. */
bool consumer_jobs_read_offsets(struct consumer_jobs *js,
				const rd_kafka_topic_partition_list_t *list);
/* Its event does not come any more. */
void consumer_jobs_stop_reading(struct consumer_jobs *js);
/* Why a read of offsets takes long; NO_ERROR without one. */
rd_kafka_resp_err_t consumer_jobs_wait_reason(const struct consumer_jobs *js);

/* Where the log of a partition begins and ends. False when it could not be
 * started. */
bool consumer_jobs_read_log(struct consumer_jobs *js, int32_t partition);

/* Whether a broker answers; nothing when that is being looked at already. */
void consumer_jobs_reach(struct consumer_jobs *js);
/* Whether the partition and the group's offsets can be read; nothing when that is
 * being looked at already. */
void consumer_jobs_try(struct consumer_jobs *js, int32_t partition);

#endif
