/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes from a plugin's stdout, in reads of any size: lines, messages. */
#include "envdriver/base/jtext.h"
#include "rpc/frame.h"
#include "envdriver/rpc/rpc.h"
#include "fuzz.h"

enum { LINE_MAX_BYTES = 256 };

struct seen {
	struct buf lines;
	size_t dropped;
};

static void
on_line(void *arg, struct span line, bool repaired)
{
	struct seen *seen = arg;
	struct rpc_message m;
	struct rpc_answer a;

	MUST(line.len <= LINE_MAX_BYTES);
	MUST(jtext_utf8_ok(line));
	MUST(!memchr(line.ptr, '\n', line.len) && !memchr(line.ptr, '\r', line.len));
	buf_addspan(&seen->lines, line);
	buf_addch(&seen->lines, repaired ? '!' : '\n');
	rpc_parse(line, &m);
	MUST((m.kind == RPC_GARBAGE) == (m.why != NULL));
	if (m.kind == RPC_RESPONSE) {
		rpc_read_answer(&m, "m", &a);
		MUST(a.end != RPC_RESULT || a.result.kind);
	}
	if (m.kind == RPC_REQUEST) {
		struct buf reply = BUF_INIT;

		rpc_add_error(&reply, m.id, -32601, "no");
		MUST(jtext_check((struct span){ reply.data, reply.len - 1 }, RPC_DEPTH_MAX, NULL,
				 NULL) == 0);
		MUST(memchr(reply.data, '\n', reply.len) == reply.data + reply.len - 1);
		buf_release(&reply);
	}
}

static void
on_dropped(void *arg)
{
	struct seen *seen = arg;

	seen->dropped++;
}

static void
feed(const uint8_t *data, size_t size, size_t step, enum frame_kind kind, struct seen *seen)
{
	struct frame_events ev = { on_line, on_dropped, seen };
	struct frame *f = frame_new(kind, LINE_MAX_BYTES, &ev, NULL);

	MUST(f);
	for (size_t at = 0; at < size; at += step)
		frame_feed(f, (const char *)data + at, step < size - at ? step : size - at);
	frame_end(f);
	MUST(!frame_partial(f));
	frame_free(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { BUF_INIT, 0 }, pieces = { BUF_INIT, 0 }, text = { BUF_INIT, 0 };
	size_t step = size ? data[0] % 17 + 1 : 1;

	/* However the bytes are cut into reads, the lines are the same. */
	feed(data, size, size ? size : 1, FRAME_MESSAGES, &whole);
	feed(data, size, step, FRAME_MESSAGES, &pieces);
	MUST(whole.dropped == pieces.dropped);
	MUST(span_eq(buf_span(&whole.lines), buf_span(&pieces.lines)));
	/* Text is never thrown away. */
	feed(data, size, step, FRAME_TEXT, &text);
	MUST(text.dropped == 0);
	buf_release(&whole.lines);
	buf_release(&pieces.lines);
	buf_release(&text.lines);
	return 0;
}
