/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON text. */
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "fuzz.h"

/* What was decoded, written again, is JSON and decodes to the same. */
static void
see_string(struct jtext string)
{
	struct buf text = BUF_INIT, json = BUF_INIT, again = BUF_INIT;
	struct jtext back;

	jtext_decode(string, &text, NULL);
	MUST(jtext_utf8_ok(buf_span(&text)));
	MUST(text.len <= string.raw.len - 2);
	jtext_add_string(&json, buf_span(&text));
	MUST(jtext_check(buf_span(&json), 0, &back, NULL) == 0 && back.kind == JTEXT_STRING);
	jtext_decode(back, &again, NULL);
	MUST(span_eq(buf_span(&text), buf_span(&again)));
	MUST(strlen(text.data) != text.len || jtext_is(string, text.data));
	buf_release(&text);
	buf_release(&json);
	buf_release(&again);
}

static void
see_number(struct jtext number)
{
	int64_t i = 0;
	double d = 0;

	/* Beyond 2^53 a double is not exact, but never far. */
	if (jtext_int(number, &i)) {
		MUST(jtext_double(number, &d));
		MUST(d - (double)i <= 1024 && (double)i - d <= 1024);
	} else {
		jtext_double(number, &d);
	}
}

/* Every part of an accepted text is accepted alone, and is all that its walk
 * sees. Recursion is bounded by the depth that jtext_check was given. */
static void
see(struct jtext value, unsigned depth)
{
	struct jtext_iter it;
	struct jtext kid, alone;
	struct span key;

	MUST(jtext_check(value.raw, depth, &alone, NULL) == 0);
	MUST(alone.kind == value.kind && span_eq(alone.raw, value.raw));
	if (value.kind == JTEXT_STRING)
		see_string(value);
	else if (value.kind == JTEXT_NUMBER)
		see_number(value);
	jtext_iter_init(&it, value);
	while (jtext_iter_next(&it, &key, &kid)) {
		if (value.kind == JTEXT_OBJECT)
			see((struct jtext){ JTEXT_STRING, key }, 0);
		see(kid, depth - 1);
	}
	(void)jtext_get(value, "a");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct buf out = BUF_INIT;
	struct jtext value;
	struct err err;

	jtext_add_repaired(&out, text);
	MUST(jtext_utf8_ok(buf_span(&out)));
	MUST(!jtext_utf8_ok(text) || out.len == size);
	buf_reset(&out);
	if (jtext_check(text, JTEXT_DEPTH_MAX, &value, &err) == 0) {
		MUST(jtext_utf8_ok(text));
		/* A walk of a walk costs the square: small texts are enough. */
		if (size <= 4096)
			see(value, JTEXT_DEPTH_MAX);
		jtext_add_flat(&out, text);
		MUST(out.len == size && !memchr(out.data, '\n', size));
		MUST(jtext_check(buf_span(&out), JTEXT_DEPTH_MAX, NULL, NULL) == 0);
	}
	buf_release(&out);
	return 0;
}
