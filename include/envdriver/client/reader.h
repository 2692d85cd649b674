/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: records of our topics, read_committed, for people: from a place in
 * the log to its end in the order of time, or on and on as they come.
 *
 * Owns a Kafka client that is in no group and commits nothing. Knows nothing
 * of what a record means.
 */
#ifndef ENVDRIVER_CLIENT_READER_H
#define ENVDRIVER_CLIENT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

struct config;
struct err;
struct reader;

/* Borrowed until the next reader_next or reader_free. */
struct reader_record {
	enum topic topic;
	const char *topic_name;	/* whole */
	int32_t partition;
	int64_t offset;
	int64_t timestamp;	/* Kafka's, wall ms; -1 unknown */
	struct span key, value;	/* ptr NULL: null */
	const void *message;	/* librdkafka's */
};

/* The last header of that name; ptr NULL when there is none. */
struct span reader_header(const struct reader_record *r, const char *name);

enum reader_at { READER_BEGINNING, READER_END, READER_TIME, READER_OFFSET };

struct reader_place {
	enum reader_at at;
	int64_t value;		/* wall ms, or offset */
};

/* "beginning", "end", RFC 3339, milliseconds since 1970, or a duration: that
 * long ago. ERR_INVALID. */
int reader_parse_place(const char *text, struct reader_place *ret, struct err *reterr);

/* The range between --from ("beginning" when NULL) and --to ("end"), or that
 * of --offsets: "10..20", both included; "10.." ends where the log does.
 * ERR_INVALID names the option. */
int reader_parse_range(const char *from, const char *to, const char *offsets,
		       struct reader_place *ret_from, struct reader_place *ret_to,
		       struct err *reterr);

/* "probe,lease,logs": topics by name, results also without "-results",
 * execution-logs as logs, plugin-events as events, all. ERR_INVALID names
 * the nearest. */
int reader_parse_topics(const char *text, bool ret[TOPIC_COUNT], struct err *reterr);

struct reader *reader_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void reader_free(struct reader *r);

/* All partitions of a topic, or one (-1: all). Looks the topics up at the
 * first call. */
int reader_add(struct reader *r, enum topic topic, int32_t partition, struct err *reterr);
/* The number of partitions of a topic that was added. */
int32_t reader_partitions(const struct reader *r, enum topic topic);

/* Fixes the places: reads from `from`; as far as `to` (exclusive) and at most
 * as far as the log reached now, in the order of time, or when `to` is NULL
 * on and on in the order of arrival. */
int reader_open(struct reader *r, const struct reader_place *from, const struct reader_place *to,
		struct err *reterr);

/* Offsets of one partition as reader_open found them: the log is [start, end),
 * [first, last) is read. Without an end `last` is where the log ended. False
 * when the partition was not added. */
struct reader_range {
	int64_t start, first, last, end;
};
bool reader_range(const struct reader *r, enum topic topic, int32_t partition,
		  struct reader_range *ret);
/* Where the log starts and ends now. Blocks. */
int reader_log(struct reader *r, enum topic topic, int32_t partition, int64_t *ret_start,
	       int64_t *ret_end, struct err *reterr);
/* Without an end: all that was there at reader_open was read. */
bool reader_caught_up(const struct reader *r);

/* 1: a record; 0: none within `timeout_ms`; READER_DONE: that was the last.
 * Without an end the brokers may go and come back; with one they may be away
 * for 30 s. */
enum { READER_DONE = 2 };
int reader_next(struct reader *r, int timeout_ms, struct reader_record *ret, struct err *reterr);

#endif
