/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture_result: what the tests of result share: limits, traces, and events
 * as text. Include after cmocka.h.
 */
#ifndef ENVDRIVER_TESTS_FIXTURE_RESULT_H
#define ENVDRIVER_TESTS_FIXTURE_RESULT_H

#include "envdriver/result/result.h"
#include "envdriver/plugin/rpc.h"
#include "fixture.h"

#define WHO "{\"companyId\":\"co\",\"environmentId\":\"env\","
#define DRIVER WHO "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\"," \
	"\"driverKey\":\"d\"},\"operation\":"
#define PROVIDER WHO "\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"s\"},\"operation\":"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""
#define PROBE DRIVER "{\"type\":\"Probe\"}}"
#define ACQUIRE DRIVER "{\"type\":\"AcquireLease\",\"runId\":\"r\"}}"
#define EXECUTE DRIVER "{\"type\":\"Execute\"," LEASE ",\"command\":\"sh\"}}"
#define UUID "11111111-1111-5111-8111-111111111111"

static const struct result_limits wide = { 256 * 1024, 1000000, 8 * 1024 * 1024 };
static const struct chosen chosen __attribute__((unused)) = { SPAN_LIT("pid"), SPAN_LIT("p"),
							      SPAN_NULL };
static const struct chosen nobody __attribute__((unused)) = { .plugin_id = SPAN_NULL };
static const struct trace called __attribute__((unused)) = {
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
static const struct trace not_called __attribute__((unused)) = {
	.topic = "environment.commands",
	.received_at = 1000,
	.finished_at = 3000,
};

static inline struct result_ctx *
new_ctx(struct result_limits limits)
{
	struct result_ctx *ctx = result_ctx_new(fixture_schemas(), "host-a", limits, NULL);

	assert_non_null(ctx);
	return ctx;
}

static inline struct rpc_answer
answer_of(const struct command *c, struct jtext result)
{
	return (struct rpc_answer){ .method = c->op->rpc, .result = result };
}

/* The i-th event of a set. */
static inline struct event
event_at(const struct events *e, size_t i)
{
	struct event ev = { .topic = TOPIC_COUNT };
	size_t cursor = 0;

	for (i++; i; i--)
		assert_true(events_next(e, &cursor, &ev));
	return ev;
}

/* Events as text: topic, key, headers, record. */
static inline void
print_events(const struct events *e, struct buf *out)
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

#endif
