/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: committed records of our topics: from a place in the log to another
 * in the order of time, or without an end as they arrive.
 *
 * Owns a Kafka client that is in no group and commits nothing. Knows nothing
 * of what a record means. Blocks, so it is not for a loop.
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

/* The last header of that name, borrowed like the record; ptr NULL when there is
 * none. */
struct span reader_header(const struct reader_record *r, const char *name);

enum reader_at { READER_BEGINNING, READER_END, READER_TIME, READER_OFFSET };

struct reader_place {
	enum reader_at at;
	int64_t value;		/* wall ms, or offset */
};

/* "beginning", "end", an RFC 3339 time, milliseconds since 1970, or a duration
 * ago. ERR_INVALID. */
int reader_parse_place(const char *text, struct reader_place *ret, struct err *reterr);

/* The range between --from ("beginning" when NULL) and --to ("end"), or that
 * of --offsets: "10..20", both included; "10.." ends where the log does.
 * ERR_INVALID names the option. */
int reader_parse_range(const char *from, const char *to, const char *offsets,
		       struct reader_place *ret_from, struct reader_place *ret_to,
		       struct err *reterr);

/* "probe,lease,logs": topics by name: results also without "-results",
 * execution-logs also as logs, plugin-events as events, and all. ERR_INVALID
 * names the nearest. */
int reader_parse_topics(const char *text, bool ret[TOPIC_COUNT], struct err *reterr);

/* Does not connect yet. NULL on error. `config` is borrowed until reader_free. */
struct reader *reader_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void reader_free(struct reader *r);

/* Adds all partitions of a topic (-1), or one. The first call looks the topics
 * up. ERR_NOTFOUND, ERR_DENIED, ERR_UNAVAILABLE; ERR_INVALID: no such partition. */
int reader_add(struct reader *r, enum topic topic, int32_t partition, struct err *reterr);
/* The number of partitions of a topic that was added. */
int32_t reader_partitions(const struct reader *r, enum topic topic);

/* Fixes the range: from `from` to `to` (exclusive), but not past the end that
 * the log has now; or, when `to` is NULL, without an end in the order of
 * arrival, and what arrives from now on is not judged by its time. The range
 * from a time on, or between two, has all records whose Kafka time lies in it,
 * wherever they are in the log. With an end partitions are merged in the order of
 * time; each keeps the order of its log. */
int reader_open(struct reader *r, const struct reader_place *from, const struct reader_place *to,
		struct err *reterr);

/* Is called from reader_next for each record that lies between those of the
 * range, in the order of the partition. A negative error ends reader_next.
 * Before reader_open. */
typedef int reader_skip_fn(void *arg, enum topic topic, int32_t partition, int64_t offset,
			   struct err *reterr);
void reader_on_skip(struct reader *r, reader_skip_fn *skip, void *arg);

/* Records of the range so far that lie behind one that is later than its end,
 * because clocks of producers differ; the first such place. NULL: none. */
struct reader_late {
	size_t count;
	const char *topic_name;
	int32_t partition;
	int64_t offset;		/* of the later record */
};
const struct reader_late *reader_late(const struct reader *r);

/* Offsets of one partition as reader_open found them: the log was [start, end),
 * and [first, last) is read. Without an end `last` is where the log ended; it
 * moves on when reader_next finds records of the range behind it.
 * False when the partition was not added. */
struct reader_range {
	int64_t start, first, last, end;
};
bool reader_range(const struct reader *r, enum topic topic, int32_t partition,
		  struct reader_range *ret);
/* Where the log starts and ends now. */
int reader_log(struct reader *r, enum topic topic, int32_t partition, int64_t *ret_start,
	       int64_t *ret_end, struct err *reterr);
/* Without an end: everything that existed at reader_open has been read. */
bool reader_caught_up(const struct reader *r);

/* 1: a record; 0: none within `timeout_ms`; READER_DONE: there are no more.
 * Without an end the brokers may be away for any time, with one for 30 s. */
enum { READER_DONE = 2 };
int reader_next(struct reader *r, int timeout_ms, struct reader_record *ret, struct err *reterr);

#endif
