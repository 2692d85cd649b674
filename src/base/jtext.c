/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/jtext.h"

#include <string.h>

#include "envdriver/base/err.h"
#include "jtext_scan.h"
#include "envdriver/base/utf8.h"

enum { WORD_BITS = 64 };

/* One pass, no recursion: which containers are open is one bit a level. */
struct scan {
	const char *start, *p, *end;
	unsigned depth, max_depth;
	uint64_t *objects;	/* bit by depth: the container is an object */
	struct err *reterr;
};

static int
expected(struct scan *s, const char *what)
{
	size_t at = (size_t)(s->p - s->start);

	if (s->p == s->end)
		return err_set(s->reterr, ERR_INVALID, "expected %s at byte %zu, got the end", what,
			       at);
	return err_set(s->reterr, ERR_INVALID, "expected %s at byte %zu", what, at);
}

static bool
is_digit(const struct scan *s)
{
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static int
skip_digits(struct scan *s)
{
	if (!is_digit(s))
		return expected(s, "a digit");
	while (is_digit(s))
		s->p++;
	return 0;
}

static int
scan_number(struct scan *s)
{
	int ret;

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0') {
		s->p++;
	} else {
		ret = skip_digits(s);
		if (ret < 0)
			return ret;
	}
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		ret = skip_digits(s);
		if (ret < 0)
			return ret;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		return skip_digits(s);
	}
	return 0;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int
scan_escape(struct scan *s)
{
	s->p++;
	if (s->p < s->end && *s->p == 'u') {
		for (int i = 0; i < 4; i++) {
			s->p++;
			if (s->p == s->end || !is_hex(*s->p))
				return expected(s, "a hexadecimal digit");
		}
	} else if (s->p == s->end || !*s->p || !strchr("\"\\/bfnrt", *s->p)) {
		return expected(s, "an escape character");
	}
	s->p++;
	return 0;
}

static int
scan_string(struct scan *s)
{
	int n, ret;

	if (s->p == s->end || *s->p != '"')
		return expected(s, "'\"'");
	s->p++;
	for (;;) {
		s->p = jtext_skip_plain(s->p, s->end);
		if (s->p == s->end)
			return expected(s, "'\"'");
		if (*s->p == '"') {
			s->p++;
			return 0;
		}
		if (*s->p == '\\') {
			ret = scan_escape(s);
			if (ret < 0)
				return ret;
			continue;
		}
		if ((unsigned char)*s->p < 0x20)
			return err_set(s->reterr, ERR_INVALID,
				       "control character 0x%02x in a string at byte %zu",
				       (unsigned)*s->p, (size_t)(s->p - s->start));
		for (; s->p < s->end && (unsigned char)*s->p >= 0x80; s->p += n) {
			n = utf8_step(s->p, s->end);
			if (n < 0)
				return err_set(s->reterr, ERR_INVALID, "invalid UTF-8 at byte %zu",
					       (size_t)(s->p - s->start));
		}
	}
}

static int
scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return expected(s, "a value");
	s->p += len;
	return 0;
}

static int
scan_key(struct scan *s)
{
	int ret = scan_string(s);

	if (ret < 0)
		return ret;
	s->p = jtext_skip_space(s->p, s->end);
	if (s->p == s->end || *s->p != ':')
		return expected(s, "':'");
	s->p = jtext_skip_space(s->p + 1, s->end);
	return 0;
}

static void
push(struct scan *s, bool object)
{
	uint64_t *word = &s->objects[s->depth / WORD_BITS];
	uint64_t bit = UINT64_C(1) << s->depth % WORD_BITS;

	if (s->depth % WORD_BITS == 0)
		*word = 0;
	*word = object ? *word | bit : *word & ~bit;
	s->depth++;
}

/* Whether the innermost container is an object. */
static bool
in_object(const struct scan *s)
{
	return s->objects[(s->depth - 1) / WORD_BITS] >> (s->depth - 1) % WORD_BITS & 1;
}

static int
open_container(struct scan *s, bool *ret_opened)
{
	bool object = *s->p == '{';

	if (s->depth == s->max_depth)
		return err_set(s->reterr, ERR_LIMIT, "nested deeper than %u at byte %zu",
			       s->max_depth, (size_t)(s->p - s->start));
	s->p = jtext_skip_space(s->p + 1, s->end);
	if (s->p < s->end && *s->p == (object ? '}' : ']')) {
		s->p++;
		return 0;
	}
	push(s, object);
	*ret_opened = true;
	if (!object)
		return 0;
	if (s->p == s->end || *s->p != '"')
		return expected(s, "'\"' or '}'");
	return scan_key(s);
}

/* A scalar, an empty container, or the opening of another one, up to its
 * first value. */
static int
scan_value(struct scan *s, bool *ret_opened)
{
	*ret_opened = false;
	if (s->p == s->end)
		return expected(s, "a value");
	switch (*s->p) {
	case '"':
		return scan_string(s);
	case '{':
	case '[':
		return open_container(s, ret_opened);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (*s->p != '-' && !is_digit(s))
			return expected(s, "a value");
		return scan_number(s);
	}
}

/* What follows a value inside containers, up to the next value or to the end
 * of the outermost container. */
static int
scan_after(struct scan *s)
{
	while (s->depth > 0) {
		bool object = in_object(s);

		s->p = jtext_skip_space(s->p, s->end);
		if (s->p < s->end && *s->p == ',') {
			s->p = jtext_skip_space(s->p + 1, s->end);
			return object ? scan_key(s) : 0;
		}
		if (s->p == s->end || *s->p != (object ? '}' : ']'))
			return expected(s, object ? "',' or '}'" : "',' or ']'");
		s->p++;
		s->depth--;
	}
	return 0;
}

static enum jtext_kind
kind_at(const char *p, const char *end)
{
	static const enum jtext_kind kinds[256] = {
		['n'] = JTEXT_NULL, ['f'] = JTEXT_FALSE, ['t'] = JTEXT_TRUE,
		['-'] = JTEXT_NUMBER, ['0'] = JTEXT_NUMBER, ['1'] = JTEXT_NUMBER,
		['2'] = JTEXT_NUMBER, ['3'] = JTEXT_NUMBER, ['4'] = JTEXT_NUMBER,
		['5'] = JTEXT_NUMBER, ['6'] = JTEXT_NUMBER, ['7'] = JTEXT_NUMBER,
		['8'] = JTEXT_NUMBER, ['9'] = JTEXT_NUMBER, ['"'] = JTEXT_STRING,
		['['] = JTEXT_ARRAY, ['{'] = JTEXT_OBJECT,
	};

	return p < end ? kinds[(unsigned char)*p] : JTEXT_MISSING;
}

int
jtext_check(struct span text, unsigned max_depth, struct jtext *ret_value, struct err *reterr)
{
	/* An empty text may have no address, and a scan needs one. */
	const char *start = text.len ? text.ptr : "", *value;
	uint64_t objects[JTEXT_DEPTH_LIMIT / WORD_BITS];	/* word by word, by push */
	struct scan s = {
		.start = start, .end = start + text.len, .reterr = reterr, .objects = objects,
		.max_depth = max_depth < JTEXT_DEPTH_LIMIT ? max_depth : JTEXT_DEPTH_LIMIT,
	};
	bool opened;
	int ret;

	value = s.p = jtext_skip_space(start, s.end);
	do {
		do {
			ret = scan_value(&s, &opened);
			if (ret < 0)
				return ret;
		} while (opened);
		if (s.depth == 0)
			break;
		ret = scan_after(&s);
		if (ret < 0)
			return ret;
	} while (s.depth > 0);
	text = (struct span){ value, (size_t)(s.p - value) };
	s.p = jtext_skip_space(s.p, s.end);
	if (s.p != s.end)
		return expected(&s, "the end");
	if (ret_value)
		*ret_value = (struct jtext){ kind_at(value, s.end), text };
	return 0;
}

const char *
jtext_kind_name(enum jtext_kind kind)
{
	static const char *const names[] = {
		[JTEXT_MISSING] = "nothing", [JTEXT_NULL] = "null",
		[JTEXT_FALSE] = "boolean", [JTEXT_TRUE] = "boolean",
		[JTEXT_NUMBER] = "number", [JTEXT_STRING] = "string",
		[JTEXT_ARRAY] = "array", [JTEXT_OBJECT] = "object",
	};

	return names[kind];
}

/* Behind the bracket that closes the container at `p`, in accepted text. */
static const char *
skip_container(const char *p, const char *end)
{
	/* What changes the depth by what, and where a string starts. */
	static const signed char steps[256] = {
		['{'] = 1, ['['] = 1, ['}'] = -1, [']'] = -1, ['"'] = 2,
	};
	unsigned depth = 0;

	while (p < end) {
		int step = steps[(unsigned char)*p];

		if (step == 2) {
			p = jtext_skip_string(p, end);
			continue;
		}
		p++;
		depth += (unsigned)step;
		if (step < 0 && depth == 0)
			break;
	}
	return p;
}

const char *
jtext_scalar_end(const char *p, const char *end)
{
	if (p < end && *p == '"')
		return jtext_skip_string(p, end);
	while (p < end && *p != ',' && *p != ']' && *p != '}' && *p != ' ' && *p != '\n' &&
	       *p != '\r' && *p != '\t')
		p++;
	return p;
}

static const char *
skip_value(const char *p, const char *end, enum jtext_kind kind)
{
	return kind == JTEXT_ARRAY || kind == JTEXT_OBJECT ? skip_container(p, end)
							   : jtext_scalar_end(p, end);
}

void
jtext_iter_init(struct jtext_iter *it, struct jtext container)
{
	struct span raw = container.raw;

	*it = (struct jtext_iter){ .object = container.kind == JTEXT_OBJECT, .first = true };
	if (container.kind != JTEXT_OBJECT && container.kind != JTEXT_ARRAY)
		return;
	it->p = raw.ptr + 1;
	it->end = raw.ptr + raw.len - 1;
}

bool
jtext_iter_next(struct jtext_iter *it, struct span *ret_key, struct jtext *ret_value)
{
	const char *from;

	it->p = jtext_skip_space(it->p, it->end);
	if (it->p == it->end)
		return false;
	if (!it->first)
		it->p = jtext_skip_space(it->p + 1, it->end);	/* the comma */
	it->first = false;
	if (it->object) {
		from = it->p;
		it->p = jtext_skip_string(from, it->end);
		if (ret_key)
			*ret_key = (struct span){ from, (size_t)(it->p - from) };
		it->p = jtext_skip_space(it->p, it->end);
		if (it->p < it->end)
			it->p++;	/* the colon */
		it->p = jtext_skip_space(it->p, it->end);
	}
	from = it->p;
	ret_value->kind = kind_at(from, it->end);
	it->p = skip_value(from, it->end, ret_value->kind);
	ret_value->raw = (struct span){ from, (size_t)(it->p - from) };
	return true;
}

struct jtext
jtext_get(struct jtext object, const char *name)
{
	struct jtext found = { JTEXT_MISSING, SPAN_NULL }, value;
	struct jtext_iter it;
	struct span key;

	if (object.kind != JTEXT_OBJECT)
		return found;
	jtext_iter_init(&it, object);
	while (jtext_iter_next(&it, &key, &value))
		if (jtext_is((struct jtext){ JTEXT_STRING, key }, name))
			found = value;
	return found;
}
