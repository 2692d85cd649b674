/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_log: output as ExecutionLog records: LIVE pieces while a call runs, and
 * FINAL ones for what does not fit into its result.
 */
#include "envdriver/avro/avro_field.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"
#include "envdriver/command/command.h"
#include "result_job.h"

enum {
	PIECE_MAX = 512 * 1024,
	ROOM = 64 * 1024,	/* for ids and headers at most */
	HEAD = 4 * 1024,	/* for ids and headers as a rule */
};

static const char *const stream_names[RESULT_STREAMS] = { "STDOUT", "STDERR" };

/* One ExecutionLog record. */
struct piece {
	bool final, last;
	enum result_stream_id stream;
	int64_t sequence, byte_offset;
	struct span text;
	struct span raw;	/* what it was made of; ptr NULL: it was UTF-8 */
};

/* Takes the piece `text` from the front of a stream and the bytes that it was
 * made of. */
static void
cut_piece(struct piece *p, struct span *text, struct span *raw, size_t max)
{
	size_t len = 0;

	p->text = (struct span){ text->ptr, utf8_cut(text->ptr, text->len, max) };
	text->ptr += p->text.len;
	text->len -= p->text.len;
	p->raw = SPAN_NULL;
	if (!raw->ptr)
		return;
	len = utf8_raw_len(raw->ptr, raw->len, p->text.len);
	p->raw = (struct span){ raw->ptr, len };
	raw->ptr += len;
	raw->len -= len;
	if (span_eq(p->raw, p->text))
		p->raw = SPAN_NULL;
}

static void
pass_piece(struct piece *p)
{
	p->sequence++;
	p->byte_offset += (int64_t)p->text.len;
}

static int
emit_piece(struct result_job *job, const struct piece *p, struct events *ret)
{
	const struct trace *t = job->trace;
	avro_value_t *record = result_record_get(job->ctx, TOPIC_EXECUTION_LOGS);
	int64_t at = t->finished_at ? t->finished_at : clock_wall_ms();

	if (!record || !result_record_command(job, record) ||
	    !avro_field_set_enum(record, "origin", p->final ? "FINAL" : "LIVE") ||
	    !avro_field_set_enum(record, "stream", stream_names[p->stream]) ||
	    !avro_field_set_int(record, "attempt", t->attempt) ||
	    !avro_field_set_text(record, "callToken", t->call_token ? t->call_token : "") ||
	    !avro_field_set_int(record, "sequence", p->sequence) ||
	    !avro_field_set_int(record, "byteOffset", p->byte_offset) ||
	    !avro_field_set_span(record, "text", p->text) ||
	    !avro_field_set_span(record, "raw", p->raw) ||
	    !avro_field_set_bool(record, "last", p->last) ||
	    !avro_field_set_text(record, "instanceId", job->ctx->instance_id) ||
	    !avro_field_set_int(record, "recordedAt", at))
		return ERR_NOMEM;
	return result_record_emit(job, TOPIC_EXECUTION_LOGS, 0, ret);
}

/* In a small record, ids and headers may take half. Of bytes that are not UTF-8
 * there is their text, too, which is never shorter. */
static size_t
piece_max(const struct result_ctx *ctx, struct span raw)
{
	size_t record = ctx->limits.record_bytes;

	return (record >= PIECE_MAX + ROOM ? PIECE_MAX : record / 2) / (raw.ptr ? 2 : 1);
}

static int
emit_stream(struct result_job *job, enum result_stream_id stream, struct events *ret)
{
	struct span rest = job->streams[stream].text, raw = job->streams[stream].raw;
	struct piece p = { .final = true, .stream = stream };
	size_t max = piece_max(job->ctx, raw);
	int r;

	while (rest.len) {
		cut_piece(&p, &rest, &raw, max);
		p.last = !rest.len;
		/* Full: the rest goes out in a transaction of its own. */
		if (ret->packed.len + p.text.len + p.raw.len + HEAD >
			    job->ctx->limits.set_bytes &&
		    !events_cut(ret))
			return ERR_NOMEM;
		r = emit_piece(job, &p, ret);
		if (r < 0)
			return r;
		job->final_records++;
		pass_piece(&p);
	}
	return 0;
}

int
result_log_final(struct result_job *job, struct events *ret)
{
	const struct result_limits *limits = &job->ctx->limits;
	bool any_raw = job->streams[RESULT_STDOUT].raw.ptr || job->streams[RESULT_STDERR].raw.ptr;
	/* Whatever was configured, both streams must fit in one record. */
	size_t shown = limits->record_bytes / (any_raw ? 6 : 3);
	int i, r;

	if (limits->inline_bytes < shown)
		shown = limits->inline_bytes;
	for (i = 0; i < RESULT_STREAMS; i++) {
		struct result_stream *s = &job->streams[i];

		s->shown = utf8_cut(s->text.ptr, s->text.len, shown);
		s->raw_shown = s->raw.ptr ? utf8_raw_len(s->raw.ptr, s->raw.len, s->shown) : 0;
		if (s->shown == s->text.len)
			continue;
		if (!digest_sha256_hex(s->text, s->sha256))
			return ERR_NOMEM;
		r = emit_stream(job, i, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
emit_live(struct result_job *job, const struct result_live *piece, struct span text,
	  struct span raw, struct events *ret)
{
	size_t max = piece_max(job->ctx, raw);
	struct piece p = {
		.stream = piece->is_stderr ? RESULT_STDERR : RESULT_STDOUT,
		.sequence = *piece->sequence,
		.byte_offset = *piece->byte_offset,
	};

	while (text.len) {
		cut_piece(&p, &text, &raw, max);
		if (emit_piece(job, &p, ret) < 0)
			return ERR_NOMEM;
		pass_piece(&p);
		*piece->sequence = p.sequence;
		*piece->byte_offset = p.byte_offset;
	}
	return 0;
}

int
result_live(struct result_ctx *ctx, const struct result_live *piece, struct events *ret)
{
	struct result_job job = {
		.ctx = ctx,
		.command = piece->command,
		.chosen = piece->chosen,
		.trace = piece->trace,
		.lease_id = piece->command->lease_id,
	};
	struct buf *repaired = &ctx->text;

	if (jtext_utf8_ok(piece->output))
		return emit_live(&job, piece, piece->output, SPAN_NULL, ret);
	buf_reset(repaired);
	jtext_add_repaired(repaired, piece->output);
	if (repaired->failed)
		return ERR_NOMEM;
	return emit_live(&job, piece, buf_span(repaired), piece->output, ret);
}
