/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_read.h"

#include <stdio.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/client/record.h"
#include "envdriver/command/operation.h"
#include "ledger.h"

/* A record without a command, or with one that this version does not know,
 * can only end as a dead letter. */
static enum topic
answers_of(const struct record *r)
{
	const struct operation *op = operation_by_name(r->operation);

	return op ? op->result : TOPIC_DEAD_LETTERS;
}

int
audit_read_command(const struct audit_read *a, const struct reader_record *raw, struct err *reterr)
{
	struct span id = SPAN_NULL;
	struct record r;
	bool command;
	int ret;

	ret = record_open(a->schemas, raw, &r, reterr);
	if (ret < 0)
		return ret;
	command = r.schema && strcmp(schema_name(r.schema), topic_record(TOPIC_COMMANDS)) == 0;
	if (command)
		id = r.command_id;
	ret = ledger_command(a->ledger, raw->partition, raw->offset, raw->timestamp, id,
			     command ? answers_of(&r) : TOPIC_DEAD_LETTERS, reterr);
	record_release(&r);
	return ret;
}

static int64_t
int_field(const avro_value_t *v, const char *field)
{
	int64_t n = -1;

	(void)avro_field_get_int(v, field, &n);
	return n;
}

static void
read_source(const avro_value_t *v, struct ledger_event *e)
{
	e->source_topic = avro_field_get_span(v, "sourceTopic");
	e->source_partition = int_field(v, "sourcePartition");
	e->source_offset = int_field(v, "sourceOffset");
}

static void
read_result_output(const struct record *r, const avro_value_t *trace, struct outputs_result *out)
{
	static const struct {
		const char *text, *bytes, *cut, *sha256;
	} streams[OUTPUTS_STREAMS] = {
		{"stdout", "stdoutBytes", "stdoutTruncated", "stdoutSha256"},
		{"stderr", "stderrBytes", "stderrTruncated", "stderrSha256"},
	};
	const avro_value_t *v = &r->value;

	out->token = r->token;
	out->time_ms = int_field(trace, "finishedAt");
	out->records = int_field(v, "finalLogRecords");
	for (size_t i = 0; i < OUTPUTS_STREAMS; i++) {
		out->streams[i].inline_bytes = avro_field_get_span(v, streams[i].text).len;
		out->streams[i].bytes = int_field(v, streams[i].bytes);
		(void)avro_field_get_bool(v, streams[i].cut, &out->streams[i].cut);
		out->streams[i].sha256 = avro_field_get_span(v, streams[i].sha256);
	}
}

/* False when the record does not name its command's position. */
static bool
read_final(const struct record *r, struct ledger_event *e, struct outputs_result *out)
{
	const avro_value_t *v = &r->value;
	avro_value_t trace;

	e->command_id = r->command_id;
	if (r->raw->topic == TOPIC_DEAD_LETTERS) {
		read_source(v, e);
		e->refused = span_is(r->code, "DUPLICATE_COMMAND");
		e->first_topic = avro_field_get_span(v, "firstTopic");
		e->first_partition = int_field(v, "firstPartition");
		e->first_offset = int_field(v, "firstOffset");
		return true;
	}
	if (!avro_field_open(v, "trace", NULL, &trace))
		return false;
	read_source(&trace, e);
	if (r->raw->topic == TOPIC_EXECUTION_RESULTS) {
		read_result_output(r, &trace, out);
		e->output = out;
	}
	return true;
}

/* Before an event counts as an orphan, asks where the command log ends now. */
static int
add_event(const struct audit_read *a, const struct ledger_event *e, struct err *reterr)
{
	int ret = ledger_event(a->ledger, e, /* sure= */ false, reterr);
	int64_t start, end;

	if (ret != LEDGER_ASK)
		return ret;
	ret = reader_log(a->reader, TOPIC_COMMANDS, (int32_t)e->source_partition, &start, &end,
			 reterr);
	if (ret < 0)
		return ret;
	ledger_log(a->ledger, (int32_t)e->source_partition, start, end);
	return ledger_event(a->ledger, e, /* sure= */ true, reterr);
}

static int
read_piece(const struct audit_read *a, const struct record *r, struct err *reterr)
{
	const char *origin = avro_field_get_enum(&r->value, "origin");
	const char *stream = avro_field_get_enum(&r->value, "stream");
	struct outputs_piece p = {
		.token = r->token,
		.stream = stream && strcmp(stream, "STDERR") == 0,
		.sequence = int_field(&r->value, "sequence"),
		.byte_offset = int_field(&r->value, "byteOffset"),
		.text = avro_field_get_span(&r->value, "text"),
	};

	if (!origin || strcmp(origin, "FINAL") != 0 || !p.token.ptr)
		return 0;
	(void)avro_field_get_bool(&r->value, "last", &p.last);
	return ledger_piece(a->ledger, &p, reterr);
}

static int
read_event_record(const struct audit_read *a, const struct record *r, struct err *reterr)
{
	const struct reader_record *raw = r->raw;
	struct outputs_result out = {.records = 0};
	struct ledger_event e = {
		.at = { raw->topic, raw->partition, raw->offset },
		.time_ms = raw->timestamp,
	};
	char why[256];

	if (!r->schema) {
		ledger_unreadable(a->ledger, &e.at, raw->timestamp, r->command_id, r->why.data);
		return 0;
	}
	if (strcmp(schema_name(r->schema), topic_record(raw->topic)) != 0) {
		snprintf(why, sizeof(why), "it is a %s, which does not belong on this topic",
			 schema_name(r->schema));
		ledger_unreadable(a->ledger, &e.at, raw->timestamp, r->command_id, why);
		return 0;
	}
	if (raw->topic == TOPIC_EXECUTION_LOGS)
		return read_piece(a, r, reterr);
	if (read_final(r, &e, &out))
		return add_event(a, &e, reterr);
	ledger_unreadable(a->ledger, &e.at, raw->timestamp, r->command_id, "it has no trace");
	return 0;
}

int
audit_read_event(const struct audit_read *a, const struct reader_record *raw, struct err *reterr)
{
	struct record r;
	int ret;

	ret = record_open(a->schemas, raw, &r, reterr);
	if (ret < 0)
		return ret;
	ret = read_event_record(a, &r, reterr);
	record_release(&r);
	return ret;
}
