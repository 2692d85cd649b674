/* SPDX-License-Identifier: Apache-2.0 */
/* Any text, the input's first part being a secret: masked as a whole, in pieces, and
 * as JSON. */
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/secret/mask.h"
#include "fuzz.h"

enum { HELD_MAX = 4096 };

static void
check_pieces(const struct mask_forms *f, struct span text, struct span whole, size_t step)
{
	struct mask_stream s = { .in_mask = false };
	struct buf pieces = BUF_INIT, out = BUF_INIT;

	for (size_t at = 0; at < text.len; at += step) {
		struct span piece = { text.ptr + at, step < text.len - at ? step : text.len - at };

		buf_addspan(&pieces, mask_stream_add(&s, f, piece, &out));
		MUST(s.held.len < HELD_MAX);
	}
	buf_addspan(&pieces, mask_stream_end(&s, f, /* cut= */ false, &out));
	MUST(span_eq(buf_span(&pieces), whole));
	buf_release(&pieces);
	buf_release(&out);
}

static void
check_json(const struct mask_forms *f, struct span text, struct span secret)
{
	struct buf json = BUF_INIT, out = BUF_INIT, plain = BUF_INIT;
	struct jtext root;
	struct span got;

	if (!jtext_utf8_ok(text))
		return;
	jtext_add_string(&json, text);
	got = mask_json(f, buf_span(&json), NULL, 0, &out);
	MUST(jtext_check(got, 64, &root, NULL) == 0 && root.kind == JTEXT_STRING);
	jtext_decode(root, &plain, NULL);
	MUST(!memmem(plain.data ? plain.data : "", plain.len, secret.ptr, secret.len) ||
	     memchr(secret.ptr, '*', secret.len));
	if (jtext_check(text, 64, NULL, NULL) == 0)
		MUST(jtext_check(mask_json(f, text, NULL, 0, &out), 64, NULL, NULL) == 0);
	buf_release(&json);
	buf_release(&out);
	buf_release(&plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size ? 6 + data[0] % 40 : 0, step = size > 1 ? data[1] % 23 + 1 : 1;
	struct mask *m = mask_new();
	struct span secret, text, whole;
	struct buf out = BUF_INIT;

	MUST(m);
	if (size < len + 2)
		goto out;
	secret = (struct span){ (const char *)data + 2, len };
	text = (struct span){ secret.ptr + len, size - len - 2 };
	if (mask_add(m, secret, NULL) < 0)
		goto out;
	MUST(mask_compile(m, NULL) == 0);
	whole = mask_text(mask_forms(m), text, &out);
	MUST(!memmem(whole.ptr, whole.len, secret.ptr, secret.len) ||
	     memchr(secret.ptr, '*', secret.len));
	check_pieces(mask_forms(m), text, whole, step);
	check_json(mask_forms(m), text, secret);
out:
	buf_release(&out);
	mask_free(m);
	return 0;
}
