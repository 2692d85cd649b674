/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offsets: the group's committed offsets and their metadata, read until they
 * are definite (docs/engine.md section 7, assign step 1; section 6, RECONCILE).
 *
 * Owns a read_committed consumer of our group that never joins it: with such a
 * client a pending transaction makes the read wait, instead of giving what was
 * committed before (F3). Its calls block, so they belong on other threads than
 * the loop's; any number of threads may read at the same time. Knows nothing
 * of windows.
 */
#ifndef ENVDRIVER_KAFKA_OFFSETS_H
#define ENVDRIVER_KAFKA_OFFSETS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct err;
struct offsets;

enum { OFFSETS_STEP_MS = 1000 };	/* one try; a reader asks `stop` between them */

/* One reference. NULL and ERR_CONFIG, ERR_UNAVAILABLE, ERR_NOMEM. */
struct offsets *offsets_new(const struct config *config, struct err *reterr);
/* For a job that may outlive its owner. */
struct offsets *offsets_ref(struct offsets *o);
/* Does not block; accepts NULL. */
void offsets_unref(struct offsets *o);

struct offsets_watch {
	/* Asked before every try; true ends the read. */
	bool (*stop)(void *arg);
	/* Why it takes longer; may be NULL. */
	void (*on_wait)(void *arg, rd_kafka_resp_err_t why);
	void *arg;
};

/*
 * Fills offset and metadata of every partition in `list`; nothing committed
 * is RD_KAFKA_OFFSET_INVALID. Blocks until all of them are definite. 0, or
 * ERR_CLOSED when it was stopped, ERR_NOMEM; then the list is as it was.
 */
int offsets_read(struct offsets *o, rd_kafka_topic_partition_list_t *list,
		 const struct offsets_watch *watch, struct err *reterr);

/* The first offset of the log and one past its last, as the leader has them;
 * when it goes away, the next leader is asked. Blocks at most `timeout_ms`;
 * false when it could not be read. */
bool offsets_log(struct offsets *o, const char *topic, int32_t partition, int timeout_ms,
		 int64_t *ret_start, int64_t *ret_end);

/* The same by a client of the caller's, of the leader that it knows. Blocks
 * at most `timeout_ms`. */
rd_kafka_resp_err_t offsets_edges(rd_kafka_t *rk, const char *topic, int32_t partition,
				  int timeout_ms, int64_t *ret_start, int64_t *ret_end);

/* Reads the group's offset and the end of that log, with a client that is made for
 * it: NO_ERROR when both are permitted and there. Blocks at most `timeout_ms` and
 * OFFSETS_STEP_MS; _TIMED_OUT. */
rd_kafka_resp_err_t offsets_try(struct offsets *o, const char *topic, int32_t partition,
				int timeout_ms);

/* True when a broker answers within `timeout_ms`. */
bool offsets_reach(struct offsets *o, int timeout_ms);

#endif
