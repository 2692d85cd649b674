/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_result.h"

const struct result_limits wide = { 256 * 1024, 1000000, 8 * 1024 * 1024,
				    "envdriver:credential:", 60000 };
const struct chosen chosen = { SPAN_LIT("pid"), SPAN_LIT("p"), SPAN_NULL, NULL };
const struct chosen nobody = { .plugin_id = SPAN_NULL };
const struct trace called = {
	.topic = "environment.commands",
	.partition = 3,
	.offset = 17,
	.attempt = 1,
	.invocation_id = UUID,
	.call_token = "inc.1",
	.received_at = 1000,
	.started_at = 2000,
	.finished_at = 3000,
};
const struct trace not_called = {
	.topic = "environment.commands",
	.received_at = 1000,
	.finished_at = 3000,
};

struct result_ctx *
fixture_ctx(struct result_limits limits)
{
	struct result_ctx *ctx = result_ctx_new(fixture_schemas(), "host-a", limits, NULL);

	assert_non_null(ctx);
	return ctx;
}

struct rpc_answer
fixture_answer(const struct command *c, struct jtext result)
{
	return (struct rpc_answer){ .method = c->op->rpc, .result = result };
}

struct event
fixture_event_at(const struct events *e, size_t i)
{
	struct event ev = { .topic = TOPIC_COUNT };
	size_t cursor = 0;

	for (i++; i; i--)
		assert_true(events_next(e, &cursor, &ev));
	return ev;
}

void
fixture_print_events(const struct events *e, struct buf *out)
{
	struct event ev;
	size_t cursor = 0;

	while (events_next(e, &cursor, &ev)) {
		buf_addf(out, "%s %.*s\n", topic_name(ev.topic), SPAN_FMT(ev.key));
		fixture_print_headers(&ev, out);
		fixture_print_event(&ev, out);
		buf_addch(out, '\n');
	}
}
