/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that did not fit into its result (P5): the result names a call
 * token, the pieces carry it. Either may be read first. Pieces of a token
 * that no result names, or only one with finalLogRecords 0, are left over
 * from an attempt that was lost. A piece may be there twice, the same (docs/engine.md
 * section 6), so each one's hash is kept.
 */
#include "ledger_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"

static const char *const stream_names[LEDGER_STREAMS] = { "stdout", "stderr" };

static struct output *
find_or_add(struct ledger *l, struct span token)
{
	struct output *o;

	HASH_FIND(hh, l->outputs, token.ptr, token.len, o);
	if (o)
		return o;
	o = buf_realloc(NULL, sizeof(*o) + token.len);
	if (!o)
		return NULL;
	memset(o, 0, sizeof(*o));
	memcpy(o->token, token.ptr, token.len);
	HASH_ADD_KEYPTR(hh, l->outputs, o->token, token.len, o);
	if (!o->hh.tbl) {
		free(o);
		return NULL;
	}
	return o;
}

static bool
complete(const struct output *o)
{
	int64_t count = 0;

	for (size_t i = 0; i < LEDGER_STREAMS; i++) {
		count += o->streams[i].count;
		if (o->cut[i] && !o->streams[i].last)
			return false;
	}
	return count >= o->records;
}

static void
keep_text(char *to, size_t size, struct span text)
{
	snprintf(to, size, "%.*s", SPAN_FMT(text));
}

/* What stands in the result must be all of it. */
static void
check_inline(struct ledger *l, const struct ledger_event *e)
{
	const struct ledger_output *out = e->output;

	for (size_t i = 0; i < LEDGER_STREAMS; i++)
		if (!out->streams[i].cut &&
		    out->streams[i].bytes != (int64_t)out->streams[i].inline_bytes)
			ledger_found(l, LEDGER_OUTPUT, &e->at, e->command_id, e->time_ms,
				     "%s: %zu bytes stand in the result, which says %" PRId64
				     " and that it is whole", stream_names[i],
				     out->streams[i].inline_bytes, out->streams[i].bytes);
}

int
ledger_output_tell(struct ledger *l, const struct ledger_event *e)
{
	const struct ledger_output *out = e->output;
	bool cut = out->streams[0].cut || out->streams[1].cut;
	struct output *o;

	check_inline(l, e);
	if (cut && !out->token.ptr)
		ledger_found(l, LEDGER_OUTPUT, &e->at, e->command_id, e->time_ms,
			     "its output is cut, and it has no callToken to find the rest by");
	if (!out->token.ptr)
		return 0;
	if (!cut && out->records <= 0)
		return 0;
	o = find_or_add(l, out->token);
	if (!o)
		return ERR_NOMEM;
	if (o->told)
		return 0;	/* a second event of it, which is said elsewhere */
	o->told = true;
	o->at = e->at;
	o->event_ms = e->time_ms;
	o->time_ms = out->time_ms;
	o->records = out->records;
	keep_text(o->command_id, sizeof(o->command_id), e->command_id);
	for (size_t i = 0; i < LEDGER_STREAMS; i++) {
		o->cut[i] = out->streams[i].cut;
		o->bytes[i] = out->streams[i].bytes;
		keep_text(o->expected[i], sizeof(o->expected[i]), out->streams[i].sha256);
	}
	l->sums.outputs += cut;
	l->unsettled += !complete(o);
	return 0;
}

static void
check_piece(struct stream *s, const struct ledger_piece *p)
{
	if (s->wrong[0])
		return;
	if (s->last)
		snprintf(s->wrong, sizeof(s->wrong), "piece %" PRId64 " follows the last one",
			 p->sequence);
	else if (p->sequence != s->count)
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " stands where %" PRId64 " is due", p->sequence,
			 s->count);
	else if (p->byte_offset != s->bytes)
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " says byte %" PRId64 ", %" PRId64 " stand before it",
			 p->sequence, p->byte_offset, s->bytes);
}

static uint64_t
sum_of(const struct ledger *l, const struct ledger_piece *p)
{
	return ledger_ids_hash(l->ids.seed, p->text) ^ (uint64_t)p->byte_offset << 1 ^ p->last;
}

/* A piece that was there before must say the same. */
static void
check_again(const struct ledger *l, struct stream *s, const struct ledger_piece *p)
{
	if (!s->wrong[0] && s->sums[p->sequence] != sum_of(l, p))
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " is there twice, and not the same", p->sequence);
}

static int
add_piece(const struct ledger *l, struct stream *s, const struct ledger_piece *p)
{
	check_piece(s, p);
	if (!ledger_grow((void **)&s->sums, &s->cap, (size_t)s->count, sizeof(*s->sums)))
		return ERR_NOMEM;
	if (!s->digest && !s->last) {
		s->digest = digest_new();
		if (!s->digest)
			return ERR_NOMEM;
	}
	digest_add(s->digest, p->text);
	s->sums[s->count++] = sum_of(l, p);
	s->bytes += (int64_t)p->text.len;
	if (!p->last || !s->digest)
		return 0;
	if (!digest_end(s->digest, s->sha256))
		return ERR_NOMEM;
	digest_free(s->digest);
	s->digest = NULL;
	s->last = true;
	return 0;
}

int
ledger_piece(struct ledger *l, const struct ledger_piece *p, struct err *reterr)
{
	struct output *o = find_or_add(l, p->token);
	struct stream *s;
	bool was;

	if (!o)
		return err_nomem(reterr);
	s = &o->streams[p->stream];
	if (p->sequence >= 0 && p->sequence < s->count) {
		check_again(l, s, p);
		return 0;
	}
	was = o->told && !complete(o);
	if (add_piece(l, s, p) < 0)
		return err_nomem(reterr);
	l->unsettled -= was && complete(o);
	return 0;
}

/* What is wrong with a stream whose whole is in pieces; false: nothing. */
static bool
stream_wrong(const struct output *o, size_t i, char text[TEXT_MAX])
{
	const struct stream *s = &o->streams[i];

	if (s->wrong[0])
		snprintf(text, TEXT_MAX, "%s", s->wrong);
	else if (!s->count)
		snprintf(text, TEXT_MAX, "its FINAL pieces are not there");
	else if (!s->last)
		snprintf(text, TEXT_MAX, "the last piece is not there: %" PRId64 " of %" PRId64
			 " bytes in %" PRId64 " pieces", s->bytes, o->bytes[i], s->count);
	else if (s->bytes != o->bytes[i])
		snprintf(text, TEXT_MAX, "its pieces have %" PRId64 " bytes, the result says %"
			 PRId64, s->bytes, o->bytes[i]);
	else if (strcmp(s->sha256, o->expected[i]) != 0)
		snprintf(text, TEXT_MAX, "SHA-256 of its pieces is %s, the result says %s",
			 s->sha256, o->expected[i]);
	else
		return false;
	return true;
}

static void
judge(struct ledger *l, const struct output *o)
{
	enum ledger_kind kind = LEDGER_OUTPUT;
	char text[TEXT_MAX];
	int64_t count = 0;
	bool wrong = false;

	if (!complete(o) && o->time_ms <= l->horizons[TOPIC_EXECUTION_LOGS])
		kind = LEDGER_GONE;
	for (size_t i = 0; i < LEDGER_STREAMS; i++) {
		count += o->streams[i].count;
		if (!o->cut[i] || !stream_wrong(o, i, text))
			continue;
		wrong = true;
		ledger_found(l, kind, &o->at, span_of(o->command_id), o->event_ms, "%s: %s%s",
			     stream_names[i], text,
			     kind == LEDGER_GONE ? " (those of its time were deleted)" : "");
	}
	if (!wrong && count != o->records)
		ledger_found(l, kind, &o->at, span_of(o->command_id), o->event_ms,
			     "%" PRId64 " FINAL pieces have its callToken, finalLogRecords is %"
			     PRId64, count, o->records);
}

void
ledger_output_end(struct ledger *l)
{
	for (struct output *o = l->outputs; o; o = o->hh.next)
		if (o->told)
			judge(l, o);
}

static void
stream_release(struct stream *s)
{
	digest_free(s->digest);
	free(s->sums);
}

void
ledger_output_release(struct ledger *l)
{
	struct output *o, *next;

	HASH_ITER(hh, l->outputs, o, next) {
		HASH_DELETE(hh, l->outputs, o);
		for (size_t i = 0; i < LEDGER_STREAMS; i++)
			stream_release(&o->streams[i]);
		free(o);
	}
}
