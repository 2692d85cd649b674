/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in which the values of a mask stand as "***". Apart from mask.c, which
 * holds the values and never looks at a text.
 *
 * Everything goes through `advance`: a text is searched in windows, and of each
 * that part goes out in which no further spot can begin.
 */
#include "envdriver/secret/mask.h"

#include "envdriver/base/jtext.h"
#include "mask_forms.h"
#include "mask_scan.h"

#define STARS SPAN_LIT("***")

/* Spots of one window are in memory together. */
enum { WINDOW = 1 << 20 };

/* A text on its way out. */
struct advance {
	struct mask_scan scan;
	bool in_mask;		/* what went out last was a mask */
	struct buf *out;
};

static void
add_stars(struct advance *a)
{
	if (!a->in_mask)
		buf_addspan(a->out, STARS);
	a->in_mask = true;
}

static void
add_clear(struct advance *a, struct span text)
{
	if (!text.len)
		return;
	buf_addspan(a->out, text);
	a->in_mask = false;
}

/* The first `len` bytes are out: what is known of the others stays. */
static void
move_on(struct mask_scan *s, size_t len)
{
	struct mask_spot *list = (struct mask_spot *)(void *)s->spots.data;
	size_t n = s->spots.len / sizeof(*list), kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (list[i].to <= len)
			continue;
		list[kept].from = list[i].from > len ? list[i].from - len : 0;
		list[kept++].to = list[i].to - len;
	}
	s->spots.len = kept * sizeof(*list);
	for (size_t i = 0; i < MASK_PASSES; i++)
		s->starts[i] -= len;
}

/* The first `len` bytes of the window go out. */
static void
put_out(struct advance *a, size_t len)
{
	const struct mask_spot *spot = (const void *)a->scan.spots.data;
	size_t n = a->scan.spots.len / sizeof(*spot), at = 0;

	for (; n > 0 && spot->from < len; n--, spot++) {
		if (spot->from > at)
			add_clear(a, (struct span){ a->scan.text.ptr + at, spot->from - at });
		add_stars(a);
		if (spot->to > at)
			at = spot->to < len ? spot->to : len;
	}
	if (at < len)
		add_clear(a, (struct span){ a->scan.text.ptr + at, len - at });
	move_on(&a->scan, len);
}

static size_t
lowest_start(const struct mask_scan *s)
{
	size_t lowest = s->starts[0];

	for (size_t i = 1; i < MASK_PASSES; i++)
		if (s->starts[i] < lowest)
			lowest = s->starts[i];
	return lowest;
}

/* Searches the window. Returns how much of it may go out. */
static size_t
search(struct advance *a)
{
	if (!mask_scan_run(&a->scan)) {
		a->out->failed = true;
		return a->scan.text.len;
	}
	return lowest_start(&a->scan);
}

static void
begin_text(struct advance *a, enum mask_text_kind kind)
{
	a->scan.kind = kind;
	a->in_mask = false;
	buf_reset(&a->scan.spots);
	memset(a->scan.starts, 0, sizeof(a->scan.starts));
}

/* The window of `text` that begins at `from`; true when it is the last one. */
static bool
set_window(struct advance *a, struct span text, size_t from)
{
	bool last = text.len - from <= WINDOW;

	a->scan.text = (struct span){ text.ptr + from, last ? text.len - from : WINDOW };
	return last;
}

static bool
shows_value(struct advance *a, enum mask_text_kind kind, struct span text)
{
	bool last = text.len < MASK_VALUE_MIN;
	size_t len;

	begin_text(a, kind);
	for (size_t from = 0; !last; from += len) {
		last = set_window(a, text, from);
		len = search(a);
		if (a->out->failed || a->scan.spots.len)
			return true;
		move_on(&a->scan, len);
	}
	return false;
}

static void
add_masked(struct advance *a, enum mask_text_kind kind, struct span text)
{
	bool last = text.len == 0;
	size_t len;

	begin_text(a, kind);
	for (size_t from = 0; !last && !a->out->failed; from += len) {
		last = set_window(a, text, from);
		len = search(a);
		if (last)
			len = a->scan.text.len;
		put_out(a, len);
	}
}

struct span
mask_text(const struct mask_forms *f, struct span text, struct buf *out)
{
	struct advance a = { .out = out };

	if (!f || !text.len)
		return text;
	buf_reset(out);
	a.scan.matcher = mask_forms_matcher(f);
	if (shows_value(&a, MASK_PLAIN, text)) {
		add_masked(&a, MASK_PLAIN, text);
		text = out->failed ? STARS : buf_span(out);
	}
	buf_release(&a.scan.spots);
	return text;
}

/* JSON, token by token */

/* The next string or number, behind `p`; empty at the end. */
static struct span
next_token(const char *p, const char *end)
{
	while (p < end && *p != '"' && *p != '-' && (*p < '0' || *p > '9'))
		p++;
	return (struct span){ p, p < end ? (size_t)(jtext_scalar_end(p, end) - p) : 0 };
}

static bool
token_shows(struct advance *a, struct span token)
{
	if (*token.ptr != '"')
		return shows_value(a, MASK_PLAIN, token);
	return shows_value(a, MASK_JSON_STRING, (struct span){ token.ptr + 1, token.len - 2 });
}

static void
add_token(struct advance *a, struct span token)
{
	buf_addch(a->out, '"');
	if (*token.ptr == '"')
		add_masked(a, MASK_JSON_STRING, (struct span){ token.ptr + 1, token.len - 2 });
	else
		buf_addspan(a->out, STARS);
	buf_addch(a->out, '"');
}

struct span
mask_json(const struct mask_forms *f, struct span json, const struct span *keep, size_t n,
	  struct buf *out)
{
	const char *done = json.ptr, *end = json.ptr + json.len;
	struct advance a = { .out = out };
	struct span token;

	if (!f)
		return json;
	buf_reset(out);
	a.scan.matcher = mask_forms_matcher(f);
	for (token = next_token(json.ptr, end); token.len && !out->failed;
	     token = next_token(token.ptr + token.len, end)) {
		for (; n > 0 && token.ptr >= keep->ptr + keep->len; n--)
			keep++;
		if ((n > 0 && token.ptr >= keep->ptr) || !token_shows(&a, token))
			continue;
		buf_add(out, done, (size_t)(token.ptr - done));
		add_token(&a, token);
		done = token.ptr + token.len;
	}
	buf_release(&a.scan.spots);
	if (out->failed)
		return SPAN_LIT("\"***\"");
	if (done == json.ptr)
		return json;
	buf_add(out, done, (size_t)(end - done));
	return out->failed ? SPAN_LIT("\"***\"") : buf_span(out);
}

bool
mask_shows(const struct mask_forms *f, struct span json)
{
	struct buf none = BUF_INIT;
	struct advance a = { .out = &none, .scan.shortest = MASK_CHANCE_MAX + 1 };
	struct span token = { NULL, 0 };
	bool shows = false;

	if (!f || !json.len)
		return false;
	a.scan.matcher = mask_forms_matcher(f);
	for (token = next_token(json.ptr, json.ptr + json.len); token.len && !shows;
	     token = next_token(token.ptr + token.len, json.ptr + json.len))
		shows = token_shows(&a, token);
	buf_release(&a.scan.spots);
	return shows;
}

/* Streams */

void
mask_stream_release(struct mask_stream *s)
{
	buf_release(&s->held);
	buf_release(&s->spots);
	*s = (struct mask_stream){ .in_mask = false };
}

bool
mask_stream_ends_line(const struct mask_stream *s)
{
	return s->held.len && strchr("\r\n", s->held.data[s->held.len - 1]);
}

/* Searches `text`, which is all that is held back and what came now. Returns how
 * much of it may go out. */
static size_t
resume(struct mask_stream *s, const struct mask_forms *f, struct span text, struct advance *a)
{
	a->scan.matcher = mask_forms_matcher(f);
	a->scan.spots = s->spots;
	s->spots = (struct buf)BUF_INIT;
	a->in_mask = s->in_mask;
	memcpy(a->scan.starts, s->starts, sizeof(s->starts));
	a->scan.text = text;
	return search(a);
}

/* What is behind `len` is held back. */
static void
hold_back(struct mask_stream *s, struct advance *a, size_t len)
{
	struct span text = a->scan.text;

	s->in_mask = a->in_mask;
	memcpy(s->starts, a->scan.starts, sizeof(s->starts));
	s->spots = a->scan.spots;
	if (s->held.len)
		buf_consume(&s->held, len);
	else
		buf_add(&s->held, text.ptr + len, text.len - len);
}

struct span
mask_stream_add(struct mask_stream *s, const struct mask_forms *f, struct span piece,
		struct buf *out)
{
	struct advance a = { .out = out };
	struct span text = piece;
	bool held = s->held.len > 0;
	size_t len;

	if (!f || !piece.len)
		return piece;
	buf_reset(out);
	if (held) {
		buf_addspan(&s->held, piece);
		text = buf_span(&s->held);
	}
	len = resume(s, f, text, &a);
	if (held || a.scan.spots.len || len < text.len) {
		put_out(&a, len);
		piece = buf_span(out);
	} else {
		a.in_mask = false;
		move_on(&a.scan, len);
	}
	hold_back(s, &a, len);
	if (!s->held.failed && !s->spots.failed && !out->failed)
		return piece;
	mask_stream_release(s);
	return STARS;
}

/* Where what may be most of a value begins; `len` when there is none. */
static size_t
find_begun(const struct mask_scan *s, size_t len)
{
	size_t begun = len;

	for (size_t i = 0; i < MASK_PASSES; i++)
		if (len - s->starts[i] >= MASK_VALUE_MIN && s->starts[i] < begun)
			begun = s->starts[i];
	return begun;
}

struct span
mask_stream_end(struct mask_stream *s, const struct mask_forms *f, bool cut, struct buf *out)
{
	struct span text = buf_span(&s->held);
	struct advance a = { .out = out };
	struct mask_spot begun;

	buf_reset(out);
	if (f && text.len) {
		(void)resume(s, f, text, &a);
		begun = (struct mask_spot){ find_begun(&a.scan, text.len), text.len };
		if (cut && begun.from < begun.to)
			buf_add(&a.scan.spots, &begun, sizeof(begun));
		out->failed = out->failed || a.scan.spots.failed;
		put_out(&a, text.len);
		buf_release(&a.scan.spots);
	}
	mask_stream_release(s);
	return out->failed ? STARS : buf_span(out);
}
