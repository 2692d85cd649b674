/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture_result: what the tests of result share: limits, traces, and events
 * as text.
 */
#ifndef ENVDRIVER_TESTS_FIXTURE_RESULT_H
#define ENVDRIVER_TESTS_FIXTURE_RESULT_H

#include "unit.h"

#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"
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

extern const struct result_limits wide;
extern const struct chosen chosen, nobody;
extern const struct trace called, not_called;

struct result_ctx *fixture_ctx(struct result_limits limits);

struct rpc_answer fixture_answer(const struct command *c, struct jtext result);

/* The i-th event of a set. */
struct event fixture_event_at(const struct events *e, size_t i);

/* Events as text: topic, key, headers, record. */
void fixture_print_events(const struct events *e, struct buf *out);

#endif
