/* SPDX-License-Identifier: Apache-2.0 */
#include "host_metric.h"

#include <ctype.h>
#include <stdlib.h>

#include "envdriver/base/utf8.h"

/* One tag; in a scratch buffer, which may move: offsets. */
struct tag {
	size_t name, name_len, value, value_len;
};

/* Letters, digits and what else names are made of; anything else is '_'. */
static void
add_metric_name(struct buf *out, struct span text, const char *also)
{
	for (size_t i = 0; i < text.len && i < HOST_METRIC_NAME_MAX; i++) {
		char c = text.ptr[i];

		buf_addch(out, isalnum((unsigned char)c) || (c && strchr(also, c)) ? c : '_');
	}
}

/* A label's value: no control characters, and escaped as Prometheus wants it. */
static void
add_label_value(struct buf *out, struct span text)
{
	if (text.len > HOST_METRIC_NAME_MAX)
		text.len = (size_t)(utf8_find_bad(text.ptr, text.ptr + HOST_METRIC_NAME_MAX) -
				    text.ptr);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '"' || c == '\\')
			buf_addch(out, '\\');
		buf_addch(out, c < ' ' || c == 0x7f ? '_' : (char)c);
	}
}

/* A string's text, another value as JSON. */
static void
add_plain(struct buf *out, struct jtext value)
{
	if (value.kind == JTEXT_STRING)
		jtext_decode(value, out, /* ret_replaced= */ NULL);
	else
		buf_addspan(out, value.raw);
}

static struct span
text_at(const struct buf *b, size_t at, size_t len)
{
	return (struct span){ b->data + at, len };
}

/* A tag that stands twice counts as it stands last; the company is none. */
static bool
is_wanted(const struct tag *tags, size_t n, const struct buf *texts, struct span company)
{
	const struct tag *new = &tags[n];
	struct span value = text_at(texts, new->value, new->value_len);

	if (!new->name_len || (company.len && span_eq(value, company)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (span_eq(text_at(texts, tags[i].name, tags[i].name_len),
			    text_at(texts, new->name, new->name_len)))
			return false;
	return true;
}

static size_t
read_tags(struct jtext object, struct tag tags[HOST_METRIC_TAGS_MAX + 1], struct buf *texts,
	  struct span company)
{
	struct buf text = BUF_INIT;
	struct jtext_iter it;
	struct jtext value;
	struct span key;
	size_t n = 0;

	if (object.kind != JTEXT_OBJECT)
		return 0;
	jtext_iter_init(&it, object);
	while (n < HOST_METRIC_TAGS_MAX && jtext_iter_next(&it, &key, &value)) {
		struct tag *t = &tags[n];

		buf_reset(&text);
		add_plain(&text, (struct jtext){ JTEXT_STRING, key });
		t->name = texts->len;
		add_metric_name(texts, buf_span(&text), "_");
		t->name_len = texts->len - t->name;
		t->value = texts->len;
		add_plain(texts, value);
		t->value_len = texts->len - t->value;
		if (texts->failed || text.failed)
			break;
		n += is_wanted(tags, n, texts, company);
	}
	buf_release(&text);
	return n;
}

static void
sort_tags(struct tag *tags, size_t n, const struct buf *texts)
{
	for (size_t i = 1; i < n; i++) {
		struct tag one = tags[i];
		size_t k = i;

		for (; k > 0; k--) {
			const struct tag *p = &tags[k - 1];
			size_t len = p->name_len < one.name_len ? p->name_len : one.name_len;
			int order = memcmp(texts->data + p->name, texts->data + one.name, len);

			if (order < 0 || (order == 0 && p->name_len < one.name_len))
				break;
			tags[k] = *p;
		}
		tags[k] = one;
	}
}

void
host_metric_add_labels(struct buf *out, const char *plugin_key, struct jtext name,
		       struct jtext tags, struct span company, struct buf *scratch)
{
	struct tag list[HOST_METRIC_TAGS_MAX + 1];
	size_t n;

	buf_reset(scratch);
	add_plain(scratch, name);
	buf_adds(out, "plugin=\"");
	add_label_value(out, span_of(plugin_key));
	buf_adds(out, "\",name=\"");
	add_metric_name(out, buf_span(scratch), "_.:/-");
	buf_addch(out, '"');
	buf_reset(scratch);
	n = read_tags(tags, list, scratch, company);
	sort_tags(list, n, scratch);
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, ",tag_");
		buf_addspan(out, text_at(scratch, list[i].name, list[i].name_len));
		buf_adds(out, "=\"");
		add_label_value(out, text_at(scratch, list[i].value, list[i].value_len));
		buf_addch(out, '"');
	}
	out->failed |= scratch->failed;
}
