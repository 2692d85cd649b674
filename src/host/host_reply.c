/* SPDX-License-Identifier: Apache-2.0 */
#include "host_reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "envdriver/rpc/rpc.h"

enum { KEEP_MAX = 1 << 20 };	/* a larger line is given back */

static void
write_line(struct host_reply *r)
{
	if (!r->line.failed)
		r->write(r->arg, buf_span(&r->line));
	if (r->line.cap > KEEP_MAX)
		buf_release(&r->line);
}

void
host_reply_result(struct host_reply *r, struct jtext id, struct span result_json)
{
	buf_reset(&r->line);
	rpc_add_result(&r->line, id, result_json);
	write_line(r);
}

void
host_reply_error(struct host_reply *r, struct jtext id, int code, const char *fmt, ...)
{
	char text[HOST_REPLY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_reset(&r->text);
	/* Cut inside a character, perhaps. */
	jtext_add_repaired(&r->text, span_of(text));
	buf_reset(&r->line);
	if (!r->text.failed)
		rpc_add_error(&r->line, id, code, r->text.data);
	write_line(r);
}

void
host_reply_release(struct host_reply *r)
{
	buf_release(&r->line);
	buf_release(&r->text);
}
