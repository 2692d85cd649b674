/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines of a plugin that sends output of two executions. A line "+"
 * starts the second one, which is another company's; "-" ends it. Output goes to
 * a call that runs, as UTF-8, within the limit, and never while two companies
 * have calls here. */
#include "plugin/execlog.h"
#include "fuzz.h"

enum { TOTAL_MAX = 1000 };

struct pair {
	struct scope scope;
	struct scope_entry one, other;
	bool both;
};

static void
see_log_line(struct pair *p, struct span line)
{
	struct execlog_chunk chunk = { 0 };
	struct buf text = BUF_INIT;
	struct rpc_message m;

	rpc_parse(line, &m);
	if (m.kind == RPC_NOTIFICATION &&
	    !execlog_take(&p->scope, &m, TOTAL_MAX, &text, &chunk)) {
		MUST(!p->both && chunk.call == &p->one && chunk.output.len);
		MUST(p->one.log_bytes <= TOTAL_MAX && chunk.output.len <= p->one.log_bytes);
		MUST(jtext_utf8_ok(chunk.output) ||
		     jtext_get(m.params, "chunkBase64").kind == JTEXT_STRING);
	}
	buf_release(&text);
}

static void
see_execlog(struct pair *p, struct span line)
{
	if (span_is(line, "+") && !p->both) {
		MUST(scope_begin(&p->scope, &p->other));
		p->both = true;
	} else if (span_is(line, "-") && p->both) {
		scope_end(&p->scope, &p->other, 0);
		p->both = false;
	} else {
		see_log_line(p, line);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pair p = {
		.one = { .invocation_id = "a", .company = SPAN_LIT("A"),
			 .command_id = SPAN_LIT("1"), .wants_log = true },
		.other = { .invocation_id = "b", .company = SPAN_LIT("B"),
			   .command_id = SPAN_LIT("2"), .wants_log = true },
	};
	const char *at = (const char *)data, *end = at + size, *eol;

	MUST(scope_begin(&p.scope, &p.one));
	for (; at < end; at = eol + 1) {
		eol = memchr(at, '\n', (size_t)(end - at));
		eol = eol ? eol : end;
		see_execlog(&p, (struct span){ at, (size_t)(eol - at) });
	}
	if (p.both)
		scope_end(&p.scope, &p.other, 0);
	scope_end(&p.scope, &p.one, 0);
	scope_release(&p.scope);
	return 0;
}
