/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/secret_refs.h"

#include <inttypes.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"
#include "envdriver/secret/secret_spots.h"

enum { LEVELS = JTEXT_DEPTH_MAX + 2, PATH_MAX_LEN = 200 };

/* As struct secret_ref, with texts as bytes of `texts`. */
struct found {
	size_t from, to, spot;
	size_t id_at, id_len, version_len, path_at, path_len;
	bool bare;
};

struct secret_refs {
	unsigned owners;
	struct buf list;		/* of struct found, in the text's order */
	struct buf texts;
};

/* An object or array that the scan is in. */
struct level {
	const char *from;
	bool is_object, want_key, is_typed;
	struct span key;
	struct jtext id, version;	/* of its last members secretId and version */
	size_t index;			/* of the item of an array */
	struct secret_spots_set set;	/* what describes it */
};

/* One way through a JSON value. */
struct walk {
	const struct secret_refs_options *o;
	const char *text;		/* where offsets begin */
	struct secret_refs *refs;
	struct buf name;		/* a member's, decoded */
	struct level levels[LEVELS];
	size_t n;
	int ret;
	struct err *reterr;
};

/* A cheap "no" for nearly all text: without the word, and without an escape
 * that could spell it, there is no reference. */
static bool
may_hold(struct span json, const char *word)
{
	return memmem(json.ptr, json.len, word, strlen(word)) ||
	       memmem(json.ptr, json.len, "\\u", 2);
}

static struct level *
top_level(struct walk *w)
{
	return w->n ? &w->levels[w->n - 1] : NULL;
}

/* --- what was found --- */

/* Appends "prefix.name.0.name" of the value that the scan is at, of the `n` levels
 * around it. */
static void
write_path(struct walk *w, size_t n, struct buf *out)
{
	size_t from = out->len;

	buf_adds(out, w->o->prefix);
	for (size_t i = 0; i < n && out->len - from <= PATH_MAX_LEN; i++) {
		const struct level *l = &w->levels[i];

		if (out->len > from)
			buf_addch(out, '.');
		if (l->is_object)
			jtext_decode((struct jtext){ JTEXT_STRING, l->key }, out, NULL);
		else
			buf_addf(out, "%zu", l->index);
	}
	if (out->failed || out->len - from <= PATH_MAX_LEN)
		return;
	out->len = from + utf8_cut(out->data + from, out->len - from, PATH_MAX_LEN);
	buf_adds(out, "\xe2\x80\xa6");
}

static void
fail_at(struct walk *w, size_t n, enum err_code code, const char *why)
{
	struct buf path = BUF_INIT;

	write_path(w, n, &path);
	w->ret = err_set(w->reterr, code, "%s: %s", path.data ? path.data : "", why);
	buf_release(&path);
}

/* Those inside it were none, then. */
static void
drop_inner(struct secret_refs *refs, size_t from)
{
	const struct found *list = (const struct found *)(const void *)refs->list.data;
	size_t n = refs->list.len / sizeof(*list);

	while (n && list[n - 1].from > from)
		n--;
	refs->list.len = n * sizeof(*list);
}

static bool
make_list(struct walk *w)
{
	if (!w->refs) {
		w->refs = calloc(1, sizeof(*w->refs));
		if (w->refs)
			w->refs->owners = 1;
	}
	if (!w->refs)
		w->ret = err_nomem(w->reterr);
	return w->refs;
}

/* The value from `from` to `to`, with `n` levels around it. */
static void
add_reference(struct walk *w, size_t n, struct span value, struct jtext id, int64_t version,
	      size_t spot)
{
	struct found f = { .from = (size_t)(value.ptr - w->text), .spot = spot };
	struct buf *texts;

	if (!make_list(w))
		return;
	f.to = f.from + value.len;
	f.bare = value.ptr == id.raw.ptr;
	drop_inner(w->refs, f.from);
	if (w->refs->list.len / sizeof(f) >= SECRET_REFS_MAX) {
		fail_at(w, n, ERR_LIMIT, "there are more references than a request may have");
		return;
	}
	texts = &w->refs->texts;
	f.id_at = texts->len;
	jtext_decode(id, texts, /* ret_replaced= */ NULL);
	f.version_len = texts->len;
	if (version >= 0)
		buf_addf(texts, "@%" PRId64, version);
	f.version_len = texts->len - f.version_len - (version >= 0);
	f.id_len = texts->len - f.id_at;
	f.path_at = texts->len;
	write_path(w, n, texts);
	f.path_len = texts->len - f.path_at;
	buf_add(&w->refs->list, &f, sizeof(f));
	if (texts->failed || w->refs->list.failed)
		w->ret = err_nomem(w->reterr);
}

/* --- one pass over the text, whatever its depth --- */

static bool
key_is(struct span quoted, const char *name)
{
	return quoted.ptr && jtext_is((struct jtext){ JTEXT_STRING, quoted }, name);
}

/* What describes the value that begins now. */
static void
describe_value(struct walk *w, struct secret_spots_set *ret)
{
	const struct level *l = top_level(w);

	ret->n = 0;
	if (!l) {
		secret_spots_root(w->o->spots, ret);
	} else if (l->set.n && l->is_object) {
		buf_reset(&w->name);
		jtext_decode((struct jtext){ JTEXT_STRING, l->key }, &w->name, NULL);
		secret_spots_member(w->o->spots, &l->set, buf_span(&w->name), ret);
	} else if (l->set.n) {
		secret_spots_item(w->o->spots, &l->set, l->index, ret);
	}
}

/* A value of the member in hand; of repeated members the last one counts. */
static void
note_value(struct level *l, struct jtext value)
{
	if (!l || !l->is_object)
		return;
	if (key_is(l->key, "type"))
		l->is_typed = jtext_is(value, "secret_ref");
	else if (key_is(l->key, "secretId"))
		l->id = value;
	else if (key_is(l->key, "version"))
		l->version = value;
}

/* The version that a reference pins; -1: none. */
static bool
read_version(struct jtext version, int64_t *ret)
{
	*ret = -1;
	if (version.kind <= JTEXT_NULL || jtext_is(version, "latest"))
		return true;
	return version.kind == JTEXT_NUMBER && jtext_int(version, ret) && *ret >= 0;
}

/* The top one ends before `to`. */
static void
end_level(struct walk *w, const char *to)
{
	const struct level *l = &w->levels[--w->n];
	size_t spot = secret_spots_order(w->o->spots, &l->set);
	int64_t version;

	if (!l->is_object || !l->is_typed || l->id.kind != JTEXT_STRING ||
	    (w->o->only_spots && spot == SIZE_MAX))
		return;
	if (!read_version(l->version, &version))
		fail_at(w, w->n, ERR_INVALID, "its version must be a whole number or \"latest\"");
	else
		add_reference(w, w->n, (struct span){ l->from, (size_t)(to - l->from) }, l->id,
			      version, spot);
}

static void
begin_level(struct walk *w, const char *from)
{
	struct secret_spots_set set;

	if (w->n == LEVELS) {
		w->ret = err_set(w->reterr, ERR_LIMIT, "it is nested too deep");
		return;
	}
	describe_value(w, &set);
	note_value(top_level(w), (struct jtext){ JTEXT_OBJECT, SPAN_NULL });
	w->levels[w->n++] = (struct level){
		.from = from, .is_object = *from == '{', .want_key = *from == '{', .set = set,
	};
}

static bool
is_blank(struct span quoted)
{
	for (size_t i = 1; i + 1 < quoted.len; i++)
		if (quoted.ptr[i] != ' ')
			return false;
	return true;
}

/* A string where the schema wants a secret. */
static void
note_bare(struct walk *w, struct jtext value)
{
	struct secret_spots_set set;
	size_t spot;

	if (w->o->only_spots || !w->o->spots || is_blank(value.raw))
		return;
	describe_value(w, &set);
	spot = secret_spots_order(w->o->spots, &set);
	if (spot != SIZE_MAX)
		add_reference(w, w->n, value.raw, value, /* version= */ -1, spot);
}

/* The string, number or word from `p` to `to`. */
static void
note_scalar(struct walk *w, const char *p, const char *to)
{
	struct jtext value = { JTEXT_NULL, { p, (size_t)(to - p) } };
	struct level *l = top_level(w);

	if (l && l->want_key) {
		l->want_key = false;
		l->key = value.raw;
		return;
	}
	if (*p == '"')
		value.kind = JTEXT_STRING;
	else if (*p == '-' || (*p >= '0' && *p <= '9'))
		value.kind = JTEXT_NUMBER;
	else if (*p != 'n')
		value.kind = JTEXT_TRUE;	/* or false: all the same here */
	note_value(l, value);
	if (value.kind == JTEXT_STRING)
		note_bare(w, value);
}

static void
scan_json(struct walk *w, struct span json)
{
	const char *p = json.ptr, *end = p + json.len, *to;

	while (p < end && w->ret == 0) {
		switch (*p) {
		case '{':
		case '[':
			begin_level(w, p++);
			break;
		case '}':
		case ']':
			end_level(w, ++p);
			break;
		case ',':
			top_level(w)->want_key = top_level(w)->is_object;
			top_level(w)->index++;
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
			to = jtext_scalar_end(p, end);
			note_scalar(w, p, to);
			p = to;
		}
	}
}

int
secret_refs_find(struct secret_refs **list, struct span text, size_t from,
		 const struct secret_refs_options *o, struct err *reterr)
{
	struct span json = { text.ptr + from, text.len - from };
	struct walk *w;
	int ret;

	if (!may_hold(json, "secret_ref") && (!o->spots || o->only_spots))
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_nomem(reterr);
	w->o = o;
	w->text = text.ptr;
	w->refs = *list;
	w->reterr = reterr;
	scan_json(w, json);
	if (w->name.failed)
		w->ret = err_nomem(reterr);
	*list = w->refs;
	ret = w->ret;
	buf_release(&w->name);
	free(w);
	return ret;
}

/* --- the list --- */

size_t
secret_refs_count(const struct secret_refs *list)
{
	return list ? list->list.len / sizeof(struct found) : 0;
}

struct secret_ref
secret_refs_at(const struct secret_refs *list, size_t i)
{
	const struct found *f = (const struct found *)(const void *)list->list.data + i;
	const char *texts = list->texts.data;
	size_t version_at = f->id_at + f->id_len - f->version_len;

	return (struct secret_ref){
		.from = f->from, .to = f->to,
		.id = { texts + f->id_at, f->id_len },
		.version = { f->version_len ? texts + version_at : NULL, f->version_len },
		.path = { texts + f->path_at, f->path_len },
		.spot = f->spot, .bare = f->bare,
	};
}

void
secret_refs_fill(const struct secret_refs *list, struct span text, size_t from,
		 const struct span *values, struct buf *out)
{
	size_t n = secret_refs_count(list);

	for (size_t i = 0; i < n; i++) {
		struct secret_ref r = secret_refs_at(list, i);

		if (!values[i].ptr)
			continue;
		jtext_add_flat(out, (struct span){ text.ptr + from, r.from - from });
		jtext_add_string(out, values[i]);
		from = r.to;
	}
	jtext_add_flat(out, (struct span){ text.ptr + from, text.len - from });
}

struct secret_refs *
secret_refs_share(struct secret_refs *list)
{
	if (list)
		list->owners++;
	return list;
}

void
secret_refs_free(struct secret_refs *list)
{
	if (!list || --list->owners)
		return;
	buf_release(&list->list);
	buf_release(&list->texts);
	free(list);
}
