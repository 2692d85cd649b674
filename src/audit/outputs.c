/* SPDX-License-Identifier: Apache-2.0 */
#include "outputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "array.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/hash.h"
#include "id_store.h"

enum { TEXT_MAX = 1200, ID_MAX = 200, WRONG_MAX = 128 };

/* Pieces of one stream, as they came. */
struct stream {
	struct digest *digest; /* NULL: none came, or the last one did */
	int64_t count, bytes;  /* of different pieces */
	uint64_t *sums;	       /* one a piece: what it held */
	size_t cap;
	bool last;
	char sha256[OUTPUTS_SHA256 + 1];
	char wrong[WRONG_MAX]; /* the first thing that was */
};

/* The result of one call token, and the pieces that came. */
struct output {
	UT_hash_handle hh;
	struct stream streams[OUTPUTS_STREAMS];
	bool told; /* the result was read; what follows is its */
	struct finding_position at;
	int64_t event_ms, time_ms, records, bytes[OUTPUTS_STREAMS];
	bool cut[OUTPUTS_STREAMS];
	char expected[OUTPUTS_STREAMS][OUTPUTS_SHA256 + 1];
	char command_id[ID_MAX + 1];
	char token[];
};

static const char *const stream_names[OUTPUTS_STREAMS] = {"stdout", "stderr"};

static struct output *
find_or_add_output(struct outputs *l, struct span token)
{
	struct output *o;

	HASH_FIND(hh, l->by_token, token.ptr, token.len, o);
	if (o)
		return o;
	o = malloc(sizeof(*o) + token.len);
	if (!o)
		return NULL;
	memset(o, 0, sizeof(*o));
	memcpy(o->token, token.ptr, token.len);
	HASH_ADD_KEYPTR(hh, l->by_token, o->token, token.len, o);
	if (!o->hh.tbl) {
		free(o);
		return NULL;
	}
	return o;
}

static bool
is_whole(const struct output *o)
{
	int64_t count = 0;

	for (size_t i = 0; i < OUTPUTS_STREAMS; i++) {
		count += o->streams[i].count;
		if (o->cut[i] && !o->streams[i].last)
			return false;
	}
	return count >= o->records;
}

static void
copy_text(char *to, size_t size, struct span text)
{
	snprintf(to, size, "%.*s", SPAN_FMT(text));
}

/* A stream that is not cut must be whole in the result. */
static void
check_inline(struct outputs *l, const struct finding *f, const struct outputs_result *r)
{
	for (size_t i = 0; i < OUTPUTS_STREAMS; i++)
		if (!r->streams[i].cut &&
		    r->streams[i].bytes != (int64_t)r->streams[i].inline_bytes)
			finding_add(l->findings, FINDING_OUTPUT, &f->at, f->command_id, f->time_ms,
				    "%s: the result holds %zu bytes, but says that %" PRId64
				    " bytes are all",
				    stream_names[i], r->streams[i].inline_bytes,
				    r->streams[i].bytes);
}

static void
expect(struct output *o, const struct finding *f, const struct outputs_result *r)
{
	o->told = true;
	o->at = f->at;
	o->event_ms = f->time_ms;
	o->time_ms = r->time_ms;
	o->records = r->records;
	copy_text(o->command_id, sizeof(o->command_id), f->command_id);
	for (size_t i = 0; i < OUTPUTS_STREAMS; i++) {
		o->cut[i] = r->streams[i].cut;
		o->bytes[i] = r->streams[i].bytes;
		copy_text(o->expected[i], sizeof(o->expected[i]), r->streams[i].sha256);
	}
}

bool
outputs_add_result(struct outputs *l, const struct finding *f, const struct outputs_result *r)
{
	bool cut = r->streams[0].cut || r->streams[1].cut;
	struct output *o;

	check_inline(l, f, r);
	if (cut && !r->token.ptr)
		finding_add(l->findings, FINDING_OUTPUT, &f->at, f->command_id, f->time_ms,
			    "its output is cut, but it has no callToken that leads to the rest");
	if (!r->token.ptr || (!cut && r->records <= 0))
		return true;
	o = find_or_add_output(l, r->token);
	if (!o)
		return false;
	if (o->told)
		return true; /* a second event of it is another finding */
	expect(o, f, r);
	l->n_cut += cut;
	l->n_unsettled += !is_whole(o);
	return true;
}

static void
check_piece(struct stream *s, const struct outputs_piece *p)
{
	if (s->wrong[0])
		return;
	if (s->last)
		snprintf(s->wrong, sizeof(s->wrong), "piece %" PRId64 " follows the last piece",
			 p->sequence);
	else if (p->sequence != s->count)
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " comes where piece %" PRId64 " is due", p->sequence,
			 s->count);
	else if (p->byte_offset != s->bytes)
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " claims to start at byte %" PRId64 ", but %" PRId64
			 " bytes precede it",
			 p->sequence, p->byte_offset, s->bytes);
}

static uint64_t
sum_of(const struct outputs *l, const struct outputs_piece *p)
{
	return id_store_hash(l->seed, p->text) ^ (uint64_t)p->byte_offset << 1 ^ p->last;
}

/* A piece that comes again must say the same. */
static void
check_again(const struct outputs *l, struct stream *s, const struct outputs_piece *p)
{
	if (!s->wrong[0] && s->sums[p->sequence] != sum_of(l, p))
		snprintf(s->wrong, sizeof(s->wrong),
			 "piece %" PRId64 " exists twice with different contents", p->sequence);
}

static bool
append_piece(const struct outputs *l, struct stream *s, const struct outputs_piece *p)
{
	check_piece(s, p);
	if (!array_grow((void **)&s->sums, &s->cap, (size_t)s->count, sizeof(*s->sums)))
		return false;
	if (!s->digest && !s->last) {
		s->digest = digest_new();
		if (!s->digest)
			return false;
	}
	digest_add(s->digest, p->text);
	s->sums[s->count++] = sum_of(l, p);
	s->bytes += (int64_t)p->text.len;
	if (!p->last || !s->digest)
		return true;
	if (!digest_end(s->digest, s->sha256))
		return false;
	digest_free(s->digest);
	s->digest = NULL;
	s->last = true;
	return true;
}

bool
outputs_add_piece(struct outputs *l, const struct outputs_piece *p)
{
	struct output *o = find_or_add_output(l, p->token);
	struct stream *s;
	bool was_due;

	if (!o)
		return false;
	s = &o->streams[p->stream];
	if (p->sequence >= 0 && p->sequence < s->count) {
		check_again(l, s, p);
		return true;
	}
	was_due = o->told && !is_whole(o);
	if (!append_piece(l, s, p))
		return false;
	l->n_unsettled -= was_due && is_whole(o);
	return true;
}

/* The text of what is wrong with a stream in pieces; false: nothing is. */
static bool
stream_wrong(const struct output *o, size_t i, char text[TEXT_MAX])
{
	const struct stream *s = &o->streams[i];

	if (s->wrong[0])
		snprintf(text, TEXT_MAX, "%s", s->wrong);
	else if (!s->count)
		snprintf(text, TEXT_MAX, "its FINAL pieces are missing");
	else if (!s->last)
		snprintf(text, TEXT_MAX,
			 "the last piece is missing: %" PRId64 " of %" PRId64 " bytes in %" PRId64
			 " pieces",
			 s->bytes, o->bytes[i], s->count);
	else if (s->bytes != o->bytes[i])
		snprintf(text, TEXT_MAX,
			 "its pieces hold %" PRId64 " bytes, but the result says %" PRId64,
			 s->bytes, o->bytes[i]);
	else if (strcmp(s->sha256, o->expected[i]) != 0)
		snprintf(text, TEXT_MAX, "the SHA-256 of its pieces is %s, but the result says %s",
			 s->sha256, o->expected[i]);
	else
		return false;
	return true;
}

static void
judge_output(struct outputs *l, const struct output *o, int64_t horizon_ms)
{
	enum finding_kind kind = FINDING_OUTPUT;
	char text[TEXT_MAX];
	int64_t count = 0;
	bool wrong = false;

	if (!is_whole(o) && o->time_ms <= horizon_ms)
		kind = FINDING_GONE;
	for (size_t i = 0; i < OUTPUTS_STREAMS; i++) {
		count += o->streams[i].count;
		if (!o->cut[i] || !stream_wrong(o, i, text))
			continue;
		wrong = true;
		finding_add(l->findings, kind, &o->at, span_of(o->command_id), o->event_ms,
			    "%s: %s%s", stream_names[i], text,
			    kind == FINDING_GONE ? " (log records of that time have been deleted)"
						 : "");
	}
	if (!wrong && count != o->records)
		finding_add(l->findings, kind, &o->at, span_of(o->command_id), o->event_ms,
			    "%" PRId64
			    " FINAL pieces have its callToken, but finalLogRecords is %" PRId64,
			    count, o->records);
}

void
outputs_end(struct outputs *l, int64_t horizon_ms)
{
	for (struct output *o = l->by_token; o; o = o->hh.next)
		if (o->told)
			judge_output(l, o, horizon_ms);
}

static void
stream_release(struct stream *s)
{
	digest_free(s->digest);
	free(s->sums);
}

void
outputs_release(struct outputs *l)
{
	struct output *o, *next;

	HASH_ITER(hh, l->by_token, o, next)
	{
		HASH_DELETE(hh, l->by_token, o);
		for (size_t i = 0; i < OUTPUTS_STREAMS; i++)
			stream_release(&o->streams[i]);
		free(o);
	}
}
