/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/base/utf8.h"

enum {
	FIRST_CAP = 4096,
	KEEP_CAP = 1 << 20,	/* more than this is given back after a line */
	SLACK = 8,
};

struct frame {
	enum frame_kind kind;
	size_t max;
	struct frame_events ev;
	char *data;		/* the begun line; UTF-8 but for its last `tail` bytes */
	size_t len, cap;
	size_t tail;		/* of a character that the next bytes may complete */
	bool repaired, dropping;
	bool after_cr;		/* a '\n' that comes next belongs to the line end before */
	bool cut;		/* all of a text line so far was handed over in pieces */
	bool taken;		/* the line's memory was: nothing more is fed */
	bool own;		/* the line that is handed over lies in `data` */
};

struct frame *
frame_new(enum frame_kind kind, size_t max_line, const struct frame_events *ev, struct err *reterr)
{
	struct frame *f = malloc(sizeof(*f));

	if (!f) {
		err_nomem(reterr);
		return NULL;
	}
	*f = (struct frame){ .kind = kind, .max = max_line, .ev = *ev };
	return f;
}

void
frame_free(struct frame *f)
{
	if (!f)
		return;
	free(f->data);
	free(f);
}

bool
frame_partial(const struct frame *f)
{
	return f->len > 0 || f->dropping;
}

size_t
frame_held(const struct frame *f)
{
	return f->dropping ? f->max : f->len;
}

/* By half, and never beyond the limit: realloc moves large blocks by
 * remapping them, so the old and the new one are not both resident. */
static bool
make_room(struct frame *f, size_t need)
{
	size_t cap = f->cap ? f->cap + f->cap / 2 : FIRST_CAP;
	char *data;

	if (need <= f->cap)
		return true;
	if (cap > f->max + SLACK)
		cap = f->max + SLACK;
	if (cap < need)
		cap = need;
	data = realloc(f->data, cap);
	if (!data)
		return false;
	f->data = data;
	f->cap = cap;
	return true;
}

static void
reset(struct frame *f)
{
	f->len = f->tail = 0;
	f->repaired = false;
	if (f->cap > KEEP_CAP) {
		free(f->data);
		f->data = NULL;
		f->cap = 0;
	}
}

static void
skip_line(struct frame *f)
{
	reset(f);
	f->dropping = true;
	if (f->ev.on_dropped)
		f->ev.on_dropped(f->ev.arg);
}

static void
append(struct frame *f, const char *p, size_t n)
{
	if (f->dropping)
		return;
	if (n > f->max - f->len || !make_room(f, f->len + n)) {
		skip_line(f);
		return;
	}
	if (n)
		memcpy(f->data + f->len, p, n);
	f->len += n;
}

/* Appends bytes, repaired. Those at the end that may be the start of a
 * character stay as they are, counted in `tail`. */
static void
add_repaired(struct frame *f, const char *p, const char *end)
{
	while (p < end) {
		const char *bad = utf8_find_bad(p, end);
		size_t n;

		append(f, p, (size_t)(bad - p));
		if (bad == end)
			return;
		n = (size_t)-utf8_step(bad, end);
		if (bad + n == end) {
			append(f, bad, n);
			f->tail = f->dropping ? 0 : n;
			return;
		}
		append(f, "\xef\xbf\xbd", 3);
		f->repaired = true;
		p = bad + n;
	}
}

/* The last bytes kept may go on with the new ones: looks at the two
 * together, in a copy that ends behind the first new characters. */
static const char *
join_tail(struct frame *f, const char *p, const char *end)
{
	char both[2 * UTF8_MAX];
	size_t old = f->tail, more = (size_t)(end - p), at = 0;
	int n;

	if (more > UTF8_MAX)
		more = UTF8_MAX;
	memcpy(both, f->data + f->len - old, old);
	memcpy(both + old, p, more);
	f->len -= old;
	f->tail = 0;
	while (at < old) {
		n = utf8_step(both + at, both + old + more);
		if (n < 0 && at + (size_t)-n == old + more) {
			add_repaired(f, both + at, both + old + more);
			return p + more;
		}
		if (n > 0) {
			append(f, both + at, (size_t)n);
			at += (size_t)n;
		} else {
			append(f, "\xef\xbf\xbd", 3);
			f->repaired = true;
			at += (size_t)-n;
		}
	}
	return p + (at - old);
}

static void
keep(struct frame *f, const char *p, size_t n)
{
	const char *end = p + n;

	if (f->dropping)
		return;
	if (n > f->max - f->len) {
		skip_line(f);
		return;
	}
	if (f->tail && n)
		p = join_tail(f, p, end);
	add_repaired(f, p, end);
}

static bool
blank(const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end && (*p == ' ' || *p == '\t' || *p == '\v' || *p == '\f'))
		p++;
	return p == end;
}

static void
hand_over(struct frame *f, const char *p, size_t n)
{
	if (f->kind == FRAME_TEXT || !blank(p, n))
		f->ev.on_line(f->ev.arg, (struct span){ n ? p : "", n }, f->repaired);
}

/* The begun line is complete. */
static void
finish(struct frame *f)
{
	if (f->tail) {
		f->len -= f->tail;
		f->tail = 0;
		append(f, "\xef\xbf\xbd", 3);
		f->repaired = true;
	}
	f->own = true;
	if (!f->dropping)
		hand_over(f, f->data, f->len);
	f->own = f->dropping = false;
	reset(f);
}

char *
frame_take(struct frame *f)
{
	char *data = f->own ? f->data : NULL;

	if (!data)
		return NULL;
	f->taken = true;
	f->data = NULL;
	f->cap = 0;
	return data;
}

/* As many bytes of text as surely find room: each may become a U+FFFD. */
static size_t
text_piece(const struct frame *f, const char *p, size_t n)
{
	size_t room = f->max - f->len;

	if (n > room)
		n = room;
	if (f->tail == 0 && utf8_find_bad(p, p + n) == p + n)
		return n;
	room = room / 3 - UTF8_MAX / 2;
	return n < room ? n : room;
}

/* FRAME_TEXT: in lines of at most `max`. */
static void
keep_text(struct frame *f, const char *p, size_t n)
{
	while (n > 0) {
		size_t piece = text_piece(f, p, n);

		keep(f, p, piece);
		p += piece;
		n -= piece;
		f->cut = f->max - f->len < 3 * UTF8_MAX;
		if (f->cut)
			finish(f);
	}
}

static void
part(struct frame *f, const char *p, size_t n)
{
	if (f->kind == FRAME_TEXT)
		keep_text(f, p, n);
	else
		keep(f, p, n);
}

/* The end of a line: most lines lie in one read and are not copied. */
static void
last_part(struct frame *f, const char *p, size_t n)
{
	if (!frame_partial(f) && !f->cut && n <= f->max && utf8_find_bad(p, p + n) == p + n) {
		hand_over(f, p, n);
		return;
	}
	part(f, p, n);
	if (!f->cut)
		finish(f);
	f->cut = false;
}

static const char *
find_byte(const char *p, const char *end, char c)
{
	const char *at = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;

	return at ? at : end;
}

size_t
frame_feed(struct frame *f, const char *data, size_t len)
{
	const char *p = data, *end = data + len, *nl, *cr, *eol;

	if (len == 0)
		return 0;
	f->taken = false;
	if (f->after_cr && *p == '\n')
		p++;
	f->after_cr = false;
	/* Each is looked for again only when it was passed: every byte is
	 * looked at twice, however the lines lie. */
	nl = find_byte(p, end, '\n');
	cr = find_byte(p, end, '\r');
	while ((eol = nl < cr ? nl : cr) < end) {
		last_part(f, p, (size_t)(eol - p));
		p = eol + 1;
		if (*eol == '\r') {
			f->after_cr = p == end;
			if (p < end && *p == '\n')
				p++;
		}
		if (f->taken)
			return (size_t)(p - data);
		if (nl < p)
			nl = find_byte(p, end, '\n');
		if (cr < p)
			cr = find_byte(p, end, '\r');
	}
	if (p < end)
		part(f, p, (size_t)(end - p));
	return len;
}

void
frame_end(struct frame *f)
{
	if (f->len > 0)
		finish(f);
	f->dropping = false;
}
