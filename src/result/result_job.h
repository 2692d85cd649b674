/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_job: one result in the making: result.c makes the job, result_record.c
 * writes its record, result_log.c its output.
 *
 * Owns nothing: what a job points to is borrowed until the event is made.
 * Belongs to the thread of its context.
 */
#ifndef ENVDRIVER_RESULT_RESULT_JOB_H
#define ENVDRIVER_RESULT_RESULT_JOB_H

#include <avro.h>
#include <stdbool.h>

#include "envdriver/base/digest.h"
#include "envdriver/kafka/event.h"
#include "envdriver/result/result.h"
#include "answer.h"

struct schema;

/* One reused avro-c value for each kind of record. */
struct result_record {
	const struct schema *schema;	/* NULL: not made yet */
	avro_value_t value;
};

struct result_ctx {
	const struct schemas *schemas;
	char *instance_id;
	struct result_limits limits;
	struct result_record records[TOPIC_COUNT];
	struct buf encoded;
	struct buf text;		/* scratch */
	struct buf credential_key;
	struct answer answer;
};

enum result_stream_id { RESULT_STDOUT, RESULT_STDERR, RESULT_STREAMS };

/* One output of an Execute. */
struct result_stream {
	struct span text;		/* all of it */
	size_t shown;			/* the bytes of it that stand in the result */
	struct span raw;		/* what `text` was made of; ptr NULL: it was UTF-8 */
	size_t raw_shown;
	char sha256[DIGEST_HEX_SIZE];	/* "" unless truncated */
};

struct result_job {
	struct result_ctx *ctx;
	const struct command *command;
	const struct chosen *chosen;
	const struct trace *trace;
	const struct outcome *outcome;
	const struct answer *answer;
	struct span lease_id;		/* of CommandRef; ptr NULL: null */
	struct result_stream streams[RESULT_STREAMS];
	int final_records;
	/* Writes the record's own fields; NULL: they keep their defaults. */
	bool (*own)(const struct result_job *job, avro_value_t *record);
	const void *arg;		/* of `own` */
	struct span credential_key;	/* ptr NULL: the answer brought none */
	size_t too_large, limit;	/* set with ERR_LIMIT */
};

/* The cleared record of this topic, or NULL when out of memory. */
avro_value_t *result_record_get(struct result_ctx *ctx, enum topic topic);
/* CommandRef, Outcome and Trace. */
bool result_record_command(const struct result_job *job, avro_value_t *record);
bool result_record_outcome(const struct result_job *job, avro_value_t *record);
bool result_record_trace(const struct result_job *job, avro_value_t *record);
/* The writer of a result topic's own fields. */
bool (*result_record_own(enum topic topic))(const struct result_job *, avro_value_t *);

/* Encodes the record of `topic` and appends it to `ret` with its headers.
 * ERR_LIMIT (with job->too_large and job->limit) when it is larger than
 * `limit`; 0: any size. */
int result_record_emit(struct result_job *job, enum topic topic, size_t limit,
		       struct events *ret);

/* Decides what of each stream is shown; the rest goes out as FINAL records,
 * appended to `ret`, in several sets when they are too much for one. */
int result_log_final(struct result_job *job, struct events *ret);

/* Turns a job into events; a result too large becomes RESULT_TOO_LARGE. */
int result_publish(struct result_job *job, struct events *ret);

#endif
