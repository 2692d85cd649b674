/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_json.h"

bool
golden_same_members(struct jtext a, struct jtext b, bool loose)
{
	struct jtext_iter it;
	struct jtext value, other;
	struct span key;

	jtext_iter_init(&it, a);
	while (jtext_iter_next(&it, &key, &value)) {
		struct buf name = BUF_INIT;

		jtext_decode((struct jtext){ JTEXT_STRING, key }, &name, NULL);
		other = jtext_get(b, name.data);
		buf_release(&name);
		if (loose && value.kind == JTEXT_NULL && other.kind == JTEXT_MISSING)
			continue;
		if (!golden_equal(value, other, loose))
			return false;
	}
	return true;
}

bool
golden_equal(struct jtext a, struct jtext b, bool loose)
{
	struct jtext_iter x, y;
	struct jtext i = { 0 }, k = { 0 };
	struct buf s = BUF_INIT, t = BUF_INIT;
	struct span key;
	double m, n;
	bool same;

	if (a.kind != b.kind)
		return false;
	switch (a.kind) {
	case JTEXT_OBJECT:
		return golden_same_members(a, b, loose) && golden_same_members(b, a, loose);
	case JTEXT_ARRAY:
		jtext_iter_init(&x, a);
		jtext_iter_init(&y, b);
		while (jtext_iter_next(&x, &key, &i))
			if (!jtext_iter_next(&y, &key, &k) || !golden_equal(i, k, loose))
				return false;
		return !jtext_iter_next(&y, &key, &k);
	case JTEXT_STRING:
		jtext_decode(a, &s, NULL);
		jtext_decode(b, &t, NULL);
		same = span_eq(buf_span(&s), buf_span(&t));
		buf_release(&s);
		buf_release(&t);
		return same;
	case JTEXT_NUMBER:
		return jtext_double(a, &m) && jtext_double(b, &n) && !(m < n) && !(n < m);
	default:
		return true;
	}
}

void
golden_stringify(struct jtext value, struct buf *out)
{
	bool object = value.kind == JTEXT_OBJECT, first = true;
	struct buf text = BUF_INIT;
	struct jtext_iter it;
	struct jtext item;
	struct span key;

	if (value.kind == JTEXT_STRING) {
		jtext_decode(value, &text, NULL);
		jtext_add_string(out, buf_span(&text));
		buf_release(&text);
		return;
	}
	if (!object && value.kind != JTEXT_ARRAY) {
		buf_addspan(out, value.raw);
		return;
	}
	buf_addch(out, object ? '{' : '[');
	jtext_iter_init(&it, value);
	for (; jtext_iter_next(&it, &key, &item); first = false) {
		if (!first)
			buf_addch(out, ',');
		if (object) {
			golden_stringify((struct jtext){ JTEXT_STRING, key }, out);
			buf_addch(out, ':');
		}
		golden_stringify(item, out);
	}
	buf_addch(out, object ? '}' : ']');
}

bool
golden_given(struct jtext value)
{
	return value.kind != JTEXT_MISSING && value.kind != JTEXT_NULL;
}

bool
golden_line_at(struct jtext list, size_t i, struct buf *out)
{
	struct jtext_iter it;
	struct jtext item;
	struct span key;

	buf_reset(out);
	if (list.kind != JTEXT_ARRAY)
		return false;
	jtext_iter_init(&it, list);
	do {
		if (!jtext_iter_next(&it, &key, &item))
			return false;
	} while (i--);
	jtext_decode(item, out, NULL);
	return true;
}
