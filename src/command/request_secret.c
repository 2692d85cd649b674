/* SPDX-License-Identifier: Apache-2.0 */
#include "request_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command_check.h"
#include "envdriver/base/err.h"
#include "envdriver/command/outcome.h"

/* A value to be replaced, and by what: bytes `at` to `at` + `len` of
 * walk.texts, JSON text. */
struct edit {
	const char *from, *to;
	size_t at, len;
};

/* A reference {"type":"secret_ref","secretId":ID}, with all that is asked of it. */
struct reference {
	const char *from, *to;
	struct span id;			/* with its quotes */
	struct span version;		/* a number, or ptr NULL */
	size_t spot;			/* of walk.spots; SIZE_MAX: none */
};

/* A path that a schema names as a secret: bytes of walk.spot_texts. */
struct spot {
	size_t at, len;
	size_t order;			/* in the schema */
	const struct buf *texts;
};

/* An object or array that the scan is in. */
struct level {
	const char *from;
	bool is_object, want_key, is_typed;
	struct span key, id, version;	/* id and version as in struct reference */
	size_t index;			/* of the item of an array */
	size_t path_len;		/* of what leads here */
};

enum {
	LEVELS = JTEXT_DEPTH_MAX + 2,
	END_OF_NAME = 0xff,		/* in paths; neither is ever in UTF-8 */
	IN_ARRAY = 0xfe,
};

/* One way through a JSON value. It collects references, then edits; finish
 * writes the result. */
struct walk {
	const struct command *command;
	struct buf references;		/* of struct reference, by their ends */
	struct buf edits;		/* of struct edit */
	struct buf texts;
	struct buf path;		/* of the value in hand, each name ended; only with spots */
	struct buf spots;		/* of struct spot, sorted */
	struct buf spot_texts;
	struct outcome *failure;
};

/* A cheap "no" for nearly all text: without the word, and without an escape
 * that could spell it, there is no reference. */
static bool
may_hold(struct span json, const char *word)
{
	return memmem(json.ptr, json.len, word, strlen(word)) ||
	       memmem(json.ptr, json.len, "\\u", 2);
}

/* The text added to w->texts since `at` takes the place of `value`. */
static void
replace_value(struct walk *w, const struct reference *r, size_t at)
{
	struct edit e = { r->from, r->to, at, w->texts.len - at };

	buf_add(&w->edits, &e, sizeof(e));
}

static bool
out_of_memory(const struct walk *w)
{
	return w->edits.failed || w->texts.failed || w->path.failed || w->references.failed ||
	       w->spots.failed || w->spot_texts.failed;
}

static int
write_edited(struct walk *w, struct jtext json, struct buf *out)
{
	const struct edit *edits = (const struct edit *)(const void *)w->edits.data;
	const char *p = json.raw.ptr, *end = p + json.raw.len;

	if (out_of_memory(w))
		return ERR_NOMEM;
	for (size_t i = 0; i < w->edits.len / sizeof(*edits); i++) {
		jtext_add_flat(out, (struct span){ p, (size_t)(edits[i].from - p) });
		buf_add(out, w->texts.data + edits[i].at, edits[i].len);
		p = edits[i].to;
	}
	jtext_add_flat(out, (struct span){ p, (size_t)(end - p) });
	return out->failed ? ERR_NOMEM : 0;
}

static int
finish(struct walk *w, int ret, struct jtext json, struct buf *out)
{
	if (ret == 0)
		ret = write_edited(w, json, out);
	if (ret == ERR_NOMEM)
		outcome_fail(w->failure, CODE_INTERNAL, "out of memory");
	buf_release(&w->edits);
	buf_release(&w->texts);
	buf_release(&w->path);
	buf_release(&w->references);
	buf_release(&w->spots);
	buf_release(&w->spot_texts);
	return ret;
}

/* --- one pass over the text, whatever its depth --- */

static bool
is_name(struct span quoted, const char *name)
{
	return quoted.ptr && jtext_is((struct jtext){ JTEXT_STRING, quoted }, name);
}

/* A value of the member in hand; of repeated members the last one counts. */
static void
note_value(struct level *l, enum jtext_kind kind, struct span raw)
{
	if (!l || !l->is_object)
		return;
	if (is_name(l->key, "type"))
		l->is_typed = kind == JTEXT_STRING && is_name(raw, "secret_ref");
	else if (is_name(l->key, "secretId"))
		l->id = kind == JTEXT_STRING ? raw : SPAN_NULL;
	else if (is_name(l->key, "version"))
		l->version = kind == JTEXT_NUMBER ? raw : SPAN_NULL;
}

static void
note_name(struct walk *w, struct level *l, struct span quoted)
{
	l->want_key = false;
	l->key = quoted;
	if (!w->spots.len)
		return;
	w->path.len = l->path_len;
	jtext_decode((struct jtext){ JTEXT_STRING, quoted }, &w->path, /* ret_replaced= */ NULL);
	buf_addch(&w->path, (char)END_OF_NAME);
}

static int
compare_spots(const void *a, const void *b)
{
	const struct spot *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->texts->data + x->at, y->texts->data + y->at, x->len);
}

/* The schema's spot of the path that leads to the level; SIZE_MAX: none. */
static size_t
find_spot(const struct walk *w, size_t path_len)
{
	const struct spot wanted = { 0, path_len, 0, &w->path }, *found;

	if (!w->spots.len || !w->path.data)
		return SIZE_MAX;
	found = bsearch(&wanted, w->spots.data, w->spots.len / sizeof(wanted), sizeof(wanted),
			compare_spots);
	return found ? found->order : SIZE_MAX;
}

static void
end_level(struct walk *w, const struct level *l, const char *to)
{
	struct reference r = { l->from, to, l->id, l->version, SIZE_MAX };

	w->path.len = l->path_len;
	if (!l->is_object || !l->is_typed || !l->id.ptr)
		return;
	r.spot = find_spot(w, l->path_len);
	buf_add(&w->references, &r, sizeof(r));
}

static void
begin_level(struct walk *w, struct level *l, const char *from)
{
	*l = (struct level){ .from = from, .is_object = *from == '{', .want_key = *from == '{' };
	if (*from == '[' && w->spots.len)
		buf_addch(&w->path, (char)IN_ARRAY);
	l->path_len = w->path.len;
}

/* Behind the string or the bare word at `p`. */
static const char *
skip_scalar(const char *p, const char *end)
{
	if (*p != '"') {
		while (p < end && !strchr(",]} \t\r\n", *p))
			p++;
		return p;
	}
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	return p + 1;
}

/* The string, number or word from `p` to `to`. */
static void
note_scalar(struct walk *w, struct level *l, const char *p, const char *to)
{
	const struct span raw = { p, (size_t)(to - p) };
	enum jtext_kind kind = JTEXT_NULL;	/* or true, false: all the same here */

	if (*p == '"')
		kind = JTEXT_STRING;
	else if (*p == '-' || (*p >= '0' && *p <= '9'))
		kind = JTEXT_NUMBER;
	if (l && l->want_key)
		note_name(w, l, raw);
	else
		note_value(l, kind, raw);
}

/* Collects all references; or stops where one begins, and leaves in `levels`
 * what leads to it. Returns how many levels are open. */
static size_t
scan(struct walk *w, struct span json, const char *stop, struct level levels[LEVELS])
{
	const char *p = json.ptr, *end = p + json.len;
	size_t n = 0;

	while (p < end && p != stop) {
		struct level *top = n ? &levels[n - 1] : NULL;

		switch (*p) {
		case '{':
		case '[':
			note_value(top, JTEXT_OBJECT, SPAN_NULL);
			if (n == LEVELS)
				return n;	/* deeper than any text that is accepted */
			begin_level(w, &levels[n++], p++);
			break;
		case '}':
		case ']':
			end_level(w, top, ++p);
			n--;
			break;
		case ',':
			top->want_key = top->is_object;
			top->index++;
			p++;
			break;
		case ':':
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			p++;
			break;
		default:
			note_scalar(w, top, p, skip_scalar(p, end));
			p = skip_scalar(p, end);
		}
	}
	return n;
}

static int
compare_references(const void *a, const void *b)
{
	const struct reference *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* By their beginnings. */
static struct reference *
sorted_references(struct walk *w, size_t *ret_n)
{
	struct reference *list = (struct reference *)(void *)w->references.data;

	*ret_n = w->references.failed ? 0 : w->references.len / sizeof(*list);
	if (*ret_n)
		qsort(list, *ret_n, sizeof(*list), compare_references);
	return list;
}

/* --- collapse --- */

static void
add_spot(struct walk *w)
{
	struct spot s = { w->spot_texts.len, w->path.len, w->spots.len / sizeof(s),
			  &w->spot_texts };

	buf_addspan(&w->spot_texts, buf_span(&w->path));
	buf_add(&w->spots, &s, sizeof(s));
}

/* Collects the spots of a schema. `depth` counts both descents; accepted text
 * bounds each to JTEXT_DEPTH_MAX. */
static void
compile_schema(struct walk *w, struct jtext schema, unsigned depth)
{
	static const char *const unions[] = { "allOf", "anyOf", "oneOf" };
	struct jtext branches, branch, format;
	struct jtext_iter it;
	struct span key;
	size_t len = w->path.len;

	if (depth > 2 * JTEXT_DEPTH_MAX)
		return;
	for (size_t i = 0; i < sizeof(unions) / sizeof(unions[0]); i++) {
		branches = jtext_get(schema, unions[i]);
		if (branches.kind != JTEXT_ARRAY)
			continue;
		jtext_iter_init(&it, branches);
		while (jtext_iter_next(&it, &key, &branch))
			compile_schema(w, branch, depth + 1);
	}
	branches = jtext_get(schema, "properties");
	if (branches.kind != JTEXT_OBJECT)
		return;
	jtext_iter_init(&it, branches);
	while (jtext_iter_next(&it, &key, &branch)) {
		jtext_decode((struct jtext){ JTEXT_STRING, key }, &w->path, NULL);
		buf_addch(&w->path, (char)END_OF_NAME);
		format = jtext_get(branch, "format");
		if (format.kind == JTEXT_STRING && jtext_is(format, "secret-ref"))
			add_spot(w);
		compile_schema(w, branch, depth + 1);
		w->path.len = len;
	}
}

static int
refuse_pinned(struct walk *w, const struct reference *r)
{
	const struct spot *s = (const struct spot *)(const void *)w->spots.data;
	struct buf *message = &w->failure->message;

	while (s->order != r->spot)
		s++;
	outcome_begin(w->failure, CODE_CONFIG_REJECTED);
	w->failure->may_have_run = false;	/* nothing is sent */
	buf_adds(message, "Secret binding at ");
	for (size_t i = 0; i + 1 < s->len; i++) {
		char c = w->spot_texts.data[s->at + i];

		buf_addch(message, c == (char)END_OF_NAME ? '.' : c);
	}
	buf_adds(message, " pins version ");
	buf_addspan(message, r->version);
	buf_adds(message, "; sandbox provider secret references always resolve the latest "
			  "version.");
	return ERR_INVALID;
}

/* Of those that pin a version the first one of the schema is named. */
static int
collapse_all(struct walk *w, struct jtext json)
{
	const struct reference *list, *pinned = NULL;
	struct level levels[LEVELS];
	const char *done = json.raw.ptr;
	size_t n;

	w->path.len = 0;
	(void)scan(w, json.raw, NULL, levels);
	list = sorted_references(w, &n);
	if (out_of_memory(w))
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct reference *r = &list[i];
		size_t at = w->texts.len;

		if (r->spot == SIZE_MAX || r->from < done)
			continue;
		if (r->version.ptr && (!pinned || r->spot < pinned->spot))
			pinned = r;
		buf_addspan(&w->texts, r->id);
		replace_value(w, r, at);
		done = r->to;
	}
	return pinned ? refuse_pinned(w, pinned) : 0;
}

int
request_secret_collapse(struct jtext json, struct jtext schema, struct buf *out,
			struct outcome *ret_failure)
{
	struct walk w = { .failure = ret_failure };
	int ret = 0;

	if (schema.kind == JTEXT_OBJECT && may_hold(json.raw, "secret_ref") &&
	    may_hold(schema.raw, "secret-ref")) {
		compile_schema(&w, schema, 0);
		if (w.spots.len && !out_of_memory(&w))
			qsort(w.spots.data, w.spots.len / sizeof(struct spot),
			      sizeof(struct spot), compare_spots);
		if (w.spots.len && !out_of_memory(&w))
			ret = collapse_all(&w, json);
	}
	return finish(&w, ret, json, out);
}

/* --- resolve --- */

/*
 * Appends the value of secret `id` as a JSON string to `out`. The one place
 * where secrets come in (docs/decisions.md D21, secrets); until they are
 * offered, none resolves.
 */
static int
find_secret(const struct command *c, struct span id, struct buf *out)
{
	(void)c;
	(void)id;
	(void)out;
	return ERR_NOTFOUND;
}

/* Appends "prefix.name.0.name" of the value at `from`. */
static void
add_path(struct walk *w, struct span json, const char *from, const char *prefix, struct buf *out)
{
	struct level levels[LEVELS];
	size_t n = scan(w, json, from, levels);

	buf_adds(out, prefix);
	for (size_t i = 0; i < n; i++) {
		if (i || *prefix)
			buf_addch(out, '.');
		if (levels[i].is_object)
			jtext_decode((struct jtext){ JTEXT_STRING, levels[i].key }, out, NULL);
		else
			buf_addf(out, "%zu", levels[i].index);
	}
}

static int
resolve_one(struct walk *w, struct span json, const struct reference *r, const char *prefix)
{
	struct buf *message = &w->failure->message;
	struct buf name = BUF_INIT;
	size_t at = w->texts.len;
	int ret;

	jtext_decode((struct jtext){ JTEXT_STRING, r->id }, &name, /* ret_replaced= */ NULL);
	ret = name.failed ? ERR_NOMEM : find_secret(w->command, buf_span(&name), &w->texts);
	if (ret == 0) {
		replace_value(w, r, at);
	} else if (ret != ERR_NOMEM) {
		outcome_begin(w->failure, CODE_SECRET_UNRESOLVED);
		buf_adds(message, "Secret \"");
		buf_addspan(message, buf_span(&name));
		buf_adds(message, "\" could not be resolved for ");
		add_path(w, json, r->from, prefix, message);
		buf_addch(message, '.');
	}
	buf_release(&name);
	return ret;
}

int
request_secret_resolve(const struct command *c, struct jtext json, const char *prefix,
		       struct buf *out, struct outcome *ret_failure)
{
	struct walk w = { .command = c, .failure = ret_failure };
	const char *done = json.raw.ptr;
	const struct reference *list;
	struct level levels[LEVELS];
	size_t n = 0;
	int ret = 0;

	if (may_hold(json.raw, "secret_ref"))
		(void)scan(&w, json.raw, NULL, levels);
	list = sorted_references(&w, &n);
	for (size_t i = 0; i < n && ret == 0; i++) {
		if (list[i].from < done)
			continue;	/* in another one */
		ret = resolve_one(&w, json.raw, &list[i], prefix);
		done = list[i].to;
	}
	return finish(&w, ret, json, out);
}
