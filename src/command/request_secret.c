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

/* One way through a JSON value. It collects edits; finish writes the result. */
struct walk {
	const struct command *command;
	struct buf edits;		/* of struct edit */
	struct buf texts;
	struct buf path;		/* of the value in hand, dots between */
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

/* Appends ".<key>" to the path; returns the length to cut it back to. */
static size_t
enter_path(struct walk *w, struct span raw_key)
{
	size_t len = w->path.len;

	if (len)
		buf_addch(&w->path, '.');
	jtext_decode((struct jtext){ JTEXT_STRING, raw_key }, &w->path, /* ret_replaced= */ NULL);
	return len;
}

static void
leave_path(struct walk *w, size_t len)
{
	w->path.len = len;
	if (w->path.data)
		w->path.data[len] = '\0';
}

/* The text added to w->texts since `at` takes the place of `value`. */
static void
replace_value(struct walk *w, struct jtext value, size_t at)
{
	struct edit e = { value.raw.ptr, value.raw.ptr + value.raw.len, at, w->texts.len - at };

	buf_add(&w->edits, &e, sizeof(e));
}

static int
compare_edits(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Two branches of a schema may name one path: the second edit is skipped. */
static int
write_edited(struct walk *w, struct jtext json, struct buf *out)
{
	struct edit *edits = (struct edit *)(void *)w->edits.data;
	const char *p = json.raw.ptr, *end = p + json.raw.len;
	size_t n = w->edits.len / sizeof(*edits), i;

	if (w->edits.failed || w->texts.failed || w->path.failed)
		return ERR_NOMEM;
	if (n)
		qsort(edits, n, sizeof(*edits), compare_edits);
	for (i = 0; i < n; i++) {
		if (edits[i].from < p)
			continue;
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
	return ret;
}

static int
collapse_value(struct walk *w, struct jtext value)
{
	struct jtext id = command_secret_id(value), version = jtext_get(value, "version");
	size_t at = w->texts.len;

	if (id.kind == JTEXT_MISSING)
		return 0;
	if (version.kind == JTEXT_NUMBER) {
		outcome_begin(w->failure, CODE_CONFIG_REJECTED);
		w->failure->may_have_run = false;	/* nothing is sent */
		buf_adds(&w->failure->message, "Secret binding at ");
		buf_addspan(&w->failure->message, buf_span(&w->path));
		buf_adds(&w->failure->message, " pins version ");
		buf_addspan(&w->failure->message, version.raw);
		buf_adds(&w->failure->message, "; sandbox provider secret references always "
					       "resolve the latest version.");
		return ERR_INVALID;
	}
	buf_addspan(&w->texts, id.raw);
	replace_value(w, value, at);
	return 0;
}

static int collapse(struct walk *w, struct jtext config, struct jtext schema, unsigned depth);

/* `schema` is what the driver's schema says of this one value. */
static int
collapse_property(struct walk *w, struct jtext value, struct jtext schema, unsigned depth)
{
	struct jtext format = jtext_get(schema, "format");
	int ret;

	if (format.kind == JTEXT_STRING && jtext_is(format, "secret-ref")) {
		ret = collapse_value(w, value);
		if (ret < 0)
			return ret;
	}
	return collapse(w, value, schema, depth);
}

/* `depth` counts both descents; accepted text bounds each to JTEXT_DEPTH_MAX. */
static int
collapse(struct walk *w, struct jtext config, struct jtext schema, unsigned depth)
{
	static const char *const unions[] = { "allOf", "anyOf", "oneOf" };
	struct jtext branches, branch, value;
	struct jtext_iter it;
	struct span key;
	size_t i, len;
	int ret = 0;

	if (config.kind != JTEXT_OBJECT || depth > 2 * JTEXT_DEPTH_MAX)
		return 0;
	for (i = 0; i < sizeof(unions) / sizeof(unions[0]); i++) {
		branches = jtext_get(schema, unions[i]);
		if (branches.kind != JTEXT_ARRAY)
			continue;
		jtext_iter_init(&it, branches);
		while (jtext_iter_next(&it, &key, &branch)) {
			ret = collapse(w, config, branch, depth + 1);
			if (ret < 0)
				return ret;
		}
	}
	branches = jtext_get(schema, "properties");
	if (branches.kind != JTEXT_OBJECT)
		return 0;
	jtext_iter_init(&it, branches);
	while (ret == 0 && jtext_iter_next(&it, &key, &branch)) {
		len = enter_path(w, key);
		value = jtext_get(config, w->path.failed ? "" : w->path.data + len + (len > 0));
		ret = collapse_property(w, value, branch, depth + 1);
		leave_path(w, len);
	}
	return ret;
}

int
request_secret_collapse(struct jtext json, struct jtext schema, struct buf *out,
			struct outcome *ret_failure)
{
	struct walk w = { .failure = ret_failure };
	int ret = 0;

	if (schema.kind == JTEXT_OBJECT && may_hold(json.raw, "secret_ref") &&
	    may_hold(schema.raw, "secret-ref"))
		ret = collapse(&w, json, schema, 0);
	return finish(&w, ret, json, out);
}

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

static int
resolve_value(struct walk *w, struct jtext value, struct jtext id)
{
	struct buf *message = &w->failure->message;
	struct buf name = BUF_INIT;
	size_t at = w->texts.len;
	int ret;

	jtext_decode(id, &name, /* ret_replaced= */ NULL);
	ret = name.failed ? ERR_NOMEM : find_secret(w->command, buf_span(&name), &w->texts);
	if (ret == 0) {
		replace_value(w, value, at);
	} else if (ret != ERR_NOMEM) {
		outcome_begin(w->failure, CODE_SECRET_UNRESOLVED);
		buf_adds(message, "Secret \"");
		buf_addspan(message, buf_span(&name));
		buf_adds(message, "\" could not be resolved for ");
		buf_addspan(message, buf_span(&w->path));
		buf_addch(message, '.');
	}
	buf_release(&name);
	return ret;
}

static int
resolve_all(struct walk *w, struct jtext value, unsigned depth)
{
	struct jtext id = command_secret_id(value), item;
	struct jtext_iter it;
	struct span key;
	char number[24];
	size_t i, len;
	int ret = 0;

	if ((value.kind != JTEXT_OBJECT && value.kind != JTEXT_ARRAY) || depth > JTEXT_DEPTH_MAX)
		return 0;
	if (id.kind != JTEXT_MISSING)
		return resolve_value(w, value, id);
	jtext_iter_init(&it, value);
	for (i = 0; ret == 0 && jtext_iter_next(&it, &key, &item); i++) {
		if (value.kind == JTEXT_ARRAY) {
			int n = snprintf(number, sizeof(number), "\"%zu\"", i);

			key = (struct span){ number, (size_t)n };
		}
		len = enter_path(w, key);
		ret = resolve_all(w, item, depth + 1);
		leave_path(w, len);
	}
	return ret;
}

int
request_secret_resolve(const struct command *c, struct jtext json, const char *prefix,
		       struct buf *out, struct outcome *ret_failure)
{
	struct walk w = { .command = c, .failure = ret_failure };
	int ret = 0;

	if (may_hold(json.raw, "secret_ref")) {
		buf_adds(&w.path, prefix);
		ret = resolve_all(&w, json, 0);
	}
	return finish(&w, ret, json, out);
}
