/* SPDX-License-Identifier: Apache-2.0 */
#include "execlog.h"

#include "envdriver/base/base64.h"

/* As many bytes as a UTF-16 unit can take as text in JSON: a \u escape. */
enum { ESCAPE_LEN = 6 };

static size_t
utf16_units(struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		n += (c & 0xc0) != 0x80;
		n += c >= 0xf0;
	}
	return n;
}

static struct scope_entry *
find_route(const struct scope *s, struct jtext invocation_id, struct buf *scratch)
{
	struct scope_entry *c;

	buf_reset(scratch);
	jtext_decode(invocation_id, scratch, /* ret_replaced= */ NULL);
	c = scratch->failed ? NULL : scope_find(s, rpc_trim(buf_span(scratch)));
	return c && c->wants_log ? c : NULL;
}

/* Closes every route when executions of two companies run; true when `c`'s is
 * closed. */
static bool
latched(struct scope *s, struct scope_entry *c)
{
	struct scope_entry *o;
	bool two = false;

	if (c->latched)
		return true;
	if (!s->shared)
		return false;
	LIST_FOREACH(o, &s->calls, link)
		two |= o->wants_log && !o->settled && !span_eq(o->company, c->company);
	if (!two)
		return false;
	LIST_FOREACH(o, &s->calls, link)
		o->latched |= o->wants_log && !o->settled;
	return true;
}

/* The piece as bytes, when the plugin says so and it is base64; `text` is the
 * decoded `chunk` and becomes them. */
static void
prefer_bytes(struct jtext base64, struct buf *text)
{
	struct buf coded = BUF_INIT, bytes = BUF_INIT;

	if (base64.kind != JTEXT_STRING)
		return;
	jtext_decode(base64, &coded, /* ret_replaced= */ NULL);
	if (!coded.failed && base64_decode(&bytes, buf_span(&coded)) && bytes.len) {
		buf_reset(text);
		buf_addspan(text, buf_span(&bytes));
	}
	text->failed |= coded.failed || bytes.failed;
	buf_release(&coded);
	buf_release(&bytes);
}

const char *
execlog_take(struct scope *s, const struct rpc_message *m, uint64_t total_max, struct buf *text,
	     struct execlog_chunk *ret)
{
	struct jtext stream = jtext_get(m->params, "stream"), chunk = jtext_get(m->params, "chunk");
	struct jtext base64 = jtext_get(m->params, "chunkBase64");
	struct scope_entry *c;
	size_t units;

	if (!jtext_is(stream, "stdout") && !jtext_is(stream, "stderr"))
		return "invalid stream";
	if (chunk.kind != JTEXT_STRING ||
	    chunk.raw.len > 2 + ESCAPE_LEN * (size_t)EXECLOG_CHUNK_MAX)
		return "invalid chunk";
	if (base64.raw.len > 2 + ESCAPE_LEN * (size_t)EXECLOG_CHUNK_MAX)
		return "invalid chunkBase64";
	c = find_route(s, m->invocation_id, text);
	if (!c)
		return "no execution has that invocation id";
	buf_reset(text);
	jtext_decode(chunk, text, /* ret_replaced= */ NULL);
	units = utf16_units(buf_span(text));
	if (text->failed || units == 0 || units > EXECLOG_CHUNK_MAX)
		return "invalid chunk";
	prefer_bytes(base64, text);
	if (latched(s, c))
		return "executions of two companies run";
	if (text->failed)
		return "out of memory";
	if (text->len > total_max || c->log_bytes > total_max - text->len)
		return "the call's limit is reached";
	c->log_bytes += text->len;
	*ret = (struct execlog_chunk){ c, jtext_is(stream, "stderr"), buf_span(text) };
	return NULL;
}
