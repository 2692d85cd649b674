/* SPDX-License-Identifier: Apache-2.0 */
#include "mask_scan.h"

#include <stdlib.h>

#include "envdriver/base/utf8.h"

enum {
	LEVELS_MAX = 3,		/* of escapes */
	JOINED_MAX = 8,		/* line breaks in a row that are left out */
	RING = MATCHER_PATTERN_MAX + 1,
	/* What a pass has read: */
	SEEN_ESCAPE = 1, SEEN_LINE = 2, SEEN_PERCENT = 4,
};

/* How a pass reads. `levels` are on top of those that the kind of text has. */
static const struct pass {
	unsigned levels;
	bool percent, joined;	/* joined: line breaks are left out */
	/* When pass `of` has not seen what `lacks` names, pass `like` reads the same. */
	struct twin {
		unsigned lacks, of, like;
	} twins[2];
} passes[MASK_PASSES] = {
	{ 0, false, false, { { 0, 0, 0 } } },
	{ 0, false, true, { { SEEN_LINE, 0, 0 } } },
	{ 0, true, false, { { SEEN_PERCENT, 0, 0 } } },
	{ 1, false, false, { { SEEN_ESCAPE, 0, 0 } } },
	{ 1, false, true, { { SEEN_ESCAPE, 0, 1 }, { SEEN_LINE, 3, 3 } } },
	{ 2, false, false, { { SEEN_ESCAPE, 3, 3 } } },
};

/* A byte as a pass reads it, and the bytes of the text that it stands for. */
struct piece {
	unsigned char byte;
	const unsigned char *from, *to;
};

enum pull {
	PULL_BYTE,
	PULL_END,
	PULL_CUT,	/* the text ends inside an escape that begins at `from` */
};

/* The text on its way through a pass. A copy of it is a place to go back to. */
struct source {
	const unsigned char *p, *end;
	const struct pass *pass;
	unsigned levels;
	struct level {
		char out[UTF8_MAX];	/* of one escape */
		size_t at, len;
		const unsigned char *from, *to;
	} level[LEVELS_MAX];
};

static enum pull pull_level(struct source *s, unsigned level, struct piece *ret);

static int
hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `n` hexadecimal digits; ret_value is negative when others are there. */
static enum pull
pull_hex(struct source *s, unsigned level, int n, int *ret_value, struct piece *c)
{
	enum pull end;
	int digit;

	*ret_value = 0;
	for (int i = 0; i < n && *ret_value >= 0; i++) {
		if ((end = pull_level(s, level, c)) != PULL_BYTE)
			return end;
		digit = hex_digit(c->byte);
		*ret_value = digit < 0 ? -1 : *ret_value << 4 | digit;
	}
	return PULL_BYTE;
}

/* The second half of a surrogate pair; `*rune` stays when none is there. */
static enum pull
pull_low_surrogate(struct source *s, unsigned level, int *rune, struct piece *c)
{
	struct source saved = *s;
	struct piece piece;
	enum pull end = PULL_BYTE;
	int low = -1;

	for (const char *want = "\\u"; *want && end == PULL_BYTE; want++) {
		end = pull_level(s, level, &piece);
		if (end == PULL_BYTE && piece.byte != (unsigned char)*want)
			goto none;
	}
	if (end == PULL_BYTE)
		end = pull_hex(s, level, 4, &low, &piece);
	if (end != PULL_BYTE)
		return end;
	if (low < 0xdc00 || low > 0xdfff)
		goto none;
	*rune = 0x10000 + ((*rune - 0xd800) << 10) + (low - 0xdc00);
	*c = piece;
	return PULL_BYTE;
none:
	*s = saved;
	*rune = 0xfffd;
	return PULL_BYTE;
}

/* \uXXXX and \xXX: their letter is in `*c`. Without digits behind it the letter
 * stands for itself. */
static enum pull
pull_number(struct source *s, unsigned level, struct level *l, struct piece *c)
{
	struct source saved = *s;
	struct piece first = *c;
	int rune = -1;
	enum pull end = pull_hex(s, level, c->byte == 'u' ? 4 : 2, &rune, c);

	if (end == PULL_BYTE && rune >= 0xd800 && rune < 0xdc00)
		end = pull_low_surrogate(s, level, &rune, c);
	if (end != PULL_BYTE)
		return end;
	if (rune < 0) {
		*s = saved;
		*c = first;
	} else if (first.byte == 'x') {
		*l->out = (char)rune;
	} else {
		l->len = utf8_put(l->out, rune >= 0xdc00 && rune < 0xe000 ? 0xfffd :
							      (unsigned)rune);
	}
	return PULL_BYTE;
}

/* What the escape stands for whose letter is in `*c`; also those of other
 * languages than JSON. Of an unknown letter: the letter. */
static enum pull
pull_escape(struct source *s, unsigned level, struct level *l, struct piece *c)
{
	static const char meant[256] = {
		['n'] = '\n', ['r'] = '\r', ['t'] = '\t', ['b'] = '\b', ['f'] = '\f',
		['a'] = '\a', ['e'] = '\x1b',
	};
	enum pull end = PULL_BYTE;

	l->at = 0;
	l->len = 1;
	*l->out = meant[c->byte] ? meant[c->byte] : (char)c->byte;
	if (c->byte == 'u' || c->byte == 'x')
		end = pull_number(s, level, l, c);
	l->to = c->to;
	return end;
}

static void
take_out(struct level *l, struct piece *ret)
{
	*ret = (struct piece){ (unsigned char)l->out[l->at++], l->from, l->to };
}

/* The next byte with `level` levels of escapes undone. */
static enum pull
pull_level(struct source *s, unsigned level, struct piece *ret)
{
	struct level *l;
	enum pull end;

	if (level == 0) {
		if (s->p == s->end)
			return PULL_END;
		*ret = (struct piece){ *s->p, s->p, s->p + 1 };
		s->p++;
		return PULL_BYTE;
	}
	l = &s->level[level - 1];
	if (l->at < l->len) {
		take_out(l, ret);
		return PULL_BYTE;
	}
	end = pull_level(s, level - 1, ret);
	if (end != PULL_BYTE || ret->byte != '\\')
		return end;
	l->from = ret->from;
	end = pull_level(s, level - 1, ret);
	if (end == PULL_BYTE) {
		struct level made = *l;

		/* Apart: going back to a copy of the source must not undo it. */
		end = pull_escape(s, level - 1, &made, ret);
		*l = made;
	}
	if (end != PULL_BYTE) {
		ret->from = l->from;
		return PULL_CUT;
	}
	take_out(l, ret);
	return PULL_BYTE;
}

/* The next byte that the pass reads. */
static enum pull
pull(struct source *s, struct piece *ret)
{
	enum pull end = pull_level(s, s->levels, ret);
	struct piece last;
	struct source saved;
	int value;

	for (int i = 0; i < JOINED_MAX && s->pass->joined && end == PULL_BYTE &&
			(ret->byte == '\n' || ret->byte == '\r'); i++)
		end = pull_level(s, s->levels, ret);
	if (!s->pass->percent || end != PULL_BYTE || ret->byte != '%')
		return end;
	saved = *s;
	end = pull_hex(s, s->levels, 2, &value, &last);
	if (end != PULL_BYTE)
		return PULL_CUT;
	if (value < 0) {
		*s = saved;
	} else {
		ret->byte = (unsigned char)value;
		ret->to = last.to;
	}
	return PULL_BYTE;
}

static bool
between_escapes(const struct source *s)
{
	for (unsigned i = 0; i < s->levels; i++)
		if (s->level[i].at < s->level[i].len)
			return false;
	return true;
}

static unsigned
kind_of_byte(unsigned char byte)
{
	switch (byte) {
	case '\\':
		return SEEN_ESCAPE;
	case '\n':
	case '\r':
		return SEEN_LINE;
	case '%':
		return SEEN_PERCENT;
	default:
		return 0;
	}
}

/* Ends come in order, so in its pass a spot can only touch the last ones. Those of
 * the pass are behind `first`. */
static void
insert_spot(struct buf *spots, size_t first, struct mask_spot spot)
{
	const struct mask_spot *last;

	while (spots->len > first) {
		last = (const void *)(spots->data + spots->len - sizeof(*last));
		if (spot.from > last->to)
			break;
		spot.from = last->from < spot.from ? last->from : spot.from;
		spot.to = last->to > spot.to ? last->to : spot.to;
		spots->len -= sizeof(*last);
	}
	buf_add(spots, &spot, sizeof(spot));
}

/* Goes from starts[n] to the end of the text. Returns what it has seen. */
static unsigned
run_pass(struct mask_scan *s, size_t n)
{
	const struct matcher *m = s->matcher;
	const unsigned char *text = (const unsigned char *)s->text.ptr, *ring[RING];
	struct source src = {
		.p = text + s->starts[n], .end = text + s->text.len, .pass = &passes[n],
		.levels = passes[n].levels + (s->kind == MASK_JSON_STRING),
	};
	const bool stops[256] = {
		['\\'] = src.levels > 0, ['%'] = passes[n].percent,
		['\n'] = passes[n].joined, ['\r'] = passes[n].joined,
	};
	size_t first = s->spots.len, count = 0, len;
	matcher_state state = 0;
	struct piece c = { 0 };
	unsigned seen = 0;
	enum pull end;

	for (;;) {
		if (state == 0 && between_escapes(&src))
			src.p = matcher_skip(m, src.p, src.end, stops);
		end = pull(&src, &c);
		if (end != PULL_BYTE)
			break;
		seen |= kind_of_byte(c.byte);
		ring[count++ % RING] = c.from;
		state = matcher_step(m, state, c.byte);
		len = matcher_longest(m, state);
		if (len && len >= s->shortest)
			insert_spot(&s->spots, first,
				 (struct mask_spot){
					 (size_t)(ring[(count - len) % RING] - text),
					 (size_t)(c.to - text) });
	}
	len = matcher_depth(m, state);
	if (len)
		s->starts[n] = (size_t)(ring[(count - len) % RING] - text);
	else
		s->starts[n] = end == PULL_CUT ? (size_t)(c.from - text) : s->text.len;
	return seen;
}

static int
spot_order(const void *a, const void *b)
{
	const struct mask_spot *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return (x->to > y->to) - (x->to < y->to);
}

/* The spots of several passes become one list. */
static void
join_spots(struct buf *spots)
{
	struct mask_spot *list = (struct mask_spot *)(void *)spots->data;
	size_t n = spots->len / sizeof(*list), kept = 0;

	if (n < 2)
		return;
	qsort(list, n, sizeof(*list), spot_order);
	for (size_t i = 1; i < n; i++) {
		if (list[i].from > list[kept].to)
			list[++kept] = list[i];
		else if (list[i].to > list[kept].to)
			list[kept].to = list[i].to;
	}
	spots->len = (kept + 1) * sizeof(*list);
}

/* What the first pass may have skipped. The others come as escapes in JSON. */
static unsigned
look_for_kinds(enum mask_text_kind kind, const char *p, size_t len)
{
	unsigned seen = memchr(p, '%', len) ? SEEN_PERCENT : 0;

	if (kind == MASK_PLAIN && memchr(p, '\\', len))
		seen |= SEEN_ESCAPE;
	if (kind == MASK_PLAIN && (memchr(p, '\n', len) || memchr(p, '\r', len)))
		seen |= SEEN_LINE;
	return seen;
}

bool
mask_scan_run(struct mask_scan *s)
{
	unsigned seen[MASK_PASSES];
	size_t before[MASK_PASSES];

	memcpy(before, s->starts, sizeof(before));
	for (unsigned n = 0; n < MASK_PASSES; n++) {
		unsigned like = n;

		for (size_t i = 0; i < 2; i++) {
			const struct twin *t = &passes[n].twins[i];

			if (n && t->lacks && !(seen[t->of] & t->lacks) &&
			    before[n] == before[t->like])
				like = t->like;
		}
		if (like != n) {
			s->starts[n] = s->starts[like];
			seen[n] = seen[like];
			continue;
		}
		seen[n] = run_pass(s, n);
		seen[n] |= n ? seen[0] & SEEN_LINE :
			       look_for_kinds(s->kind, s->text.ptr + before[0],
					      s->text.len - before[0]);
	}
	join_spots(&s->spots);
	return !s->spots.failed;
}
