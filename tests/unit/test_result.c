/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fixture_plugins.h"
#include "fixture_result.h"

static void
test_a_probe_to_the_byte(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(
		WHO "\"issueId\":\"i\",\"traceparent\":"
		    "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
		    "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\","
		    "\"driverKey\":\"d\"},"
		    "\"operation\":{\"type\":\"Probe\"}}");
	struct rpc_answer a = fixture_answer(c, fixture_json("{\"ok\":true,\"summary\":\"s\"}"));
	const char *const warnings[] = { "w1", "w2", NULL };
	struct events e = EVENTS_INIT;
	struct trace t = called;
	struct buf text = BUF_INIT;

	(void)state;
	t.warnings = warnings;
	assert_int_equal(result_answered(ctx, c, &chosen, &t, &a, &e, NULL), 0);
	fixture_print_events(&e, &text);
	assert_string_equal(text.data,
		"probe-results env\n"
		"command-id=c1\noperation=Probe\ncompany-id=co\nenvironment-id=env\n"
		"status=SUCCEEDED\n"
		"traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
		"schema=ProbeResult\n"
		"{\"command\":{\"commandId\":\"c1\",\"operation\":\"Probe\",\"companyId\":\"co\","
		"\"environmentId\":\"env\",\"issueId\":\"i\",\"pluginId\":\"pid\","
		"\"pluginKey\":\"p\","
		"\"driverKey\":\"d\",\"providerLeaseId\":null},"
		"\"outcome\":{\"status\":\"SUCCEEDED\",\"error\":null},"
		"\"trace\":{\"sourceTopic\":\"environment.commands\",\"sourcePartition\":3,"
		"\"sourceOffset\":17,\"attempt\":1,\"invocationId\":\"" UUID "\","
		"\"callToken\":\"inc.1\",\"instanceId\":\"host-a\",\"receivedAt\":1000,"
		"\"startedAt\":2000,\"finishedAt\":3000,"
		"\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
		"\"warnings\":[\"w1\",\"w2\"]},"
		"\"ok\":true,\"driver\":\"plugin\",\"summary\":\"s\",\"details\":"
		"\"{\\\"pluginKey\\\":\\\"p\\\",\\\"driverKey\\\":\\\"d\\\",\\\"diagnostics\\\":[],"
		"\\\"metadata\\\":{}}\"}\n");
	buf_release(&text);
	events_release(&e);
	command_free(c);
	result_ctx_free(ctx);
	result_ctx_free(NULL);
}

#define INGRESS DRIVER "{\"type\":\"RunnerIngressEndpoint\"," LEASE ",\"port\":1,\"path\":\"/r\"}}"
#define START DRIVER "{\"type\":\"StartInteractiveSetup\",\"sessionId\":\"s\"," \
	"\"includeConnectionPayload\":true}}"

static const struct row {
	const char *name, *command, *result;
	const char *topic_and_key;
	const char *fields;	/* from the record's own first field on */
} rows[] = {
	{ "acquire", ACQUIRE, "{\"providerLeaseId\":\"new\",\"expiresAt\":\"2030\"}",
	  "lease-results new\n",
	  "\"lease\":{\"providerLeaseId\":\"new\",\"metadata\":null,\"expiresAt\":\"2030\"},"
	  "\"leaseLost\":false,\"receipt\":null}" },
	{ "acquire without id", ACQUIRE, "{}", "lease-results c1\n",
	  "\"lease\":{\"providerLeaseId\":null,\"metadata\":null,\"expiresAt\":null},"
	  "\"leaseLost\":false,\"receipt\":null}" },
	{ "resume, lost", DRIVER "{\"type\":\"ResumeLease\",\"providerLeaseId\":\"l1\"}}", "null",
	  "lease-results l1\n", "\"lease\":null,\"leaseLost\":true,\"receipt\":null}" },
	{ "destroy, receipt", DRIVER "{\"type\":\"DestroyLease\",\"providerLeaseId\":\"l1\"}}",
	  "{\"providerLeaseId\":\"l1\",\"state\":\"destroyed\"}", "lease-results l1\n",
	  "\"lease\":null,\"leaseLost\":false,\"receipt\":{\"providerLeaseId\":\"l1\","
	  "\"state\":\"destroyed\"}}" },
	{ "destroy nothing", DRIVER "{\"type\":\"DestroyLease\"}}", "null", "lease-results c1\n",
	  "\"lease\":null,\"leaseLost\":false,\"receipt\":null}" },
	{ "realize", DRIVER "{\"type\":\"RealizeWorkspace\"," LEASE ",\"workspace\":{}}}",
	  "{\"cwd\":\"/w\",\"metadata\":{ }}", "workspace-results l1\n",
	  "\"cwd\":\"/w\",\"metadata\":\"{ }\",\"operations\":null,\"ingress\":null,"
	  "\"credentialKey\":null}" },
	{ "sync", DRIVER "{\"type\":\"SyncIn\"," LEASE ",\"operations\":[]}}",
	  "{\"operations\":[{\"operationId\":\"\\u2603\",\"filesTransferred\":2}]}",
	  "workspace-results l1\n",
	  "\"cwd\":null,\"metadata\":null,\"operations\":[{\"operationId\":\"\xe2\x98\x83\","
	  "\"filesTransferred\":2,\"bytesTransferred\":0}],\"ingress\":null,"
	  "\"credentialKey\":null}" },
	{ "ingress", INGRESS, "{\"kind\":\"authenticated_websocket\",\"websocketUrl\":"
	  "\"wss://h/r\",\"secretHeaders\":[{\"name\":\"x-a\",\"value\":\"topsecret\"}],"
	  "\"generation\":7}", "workspace-results l1\n",
	  "\"cwd\":null,\"metadata\":null,\"operations\":null,"
	  "\"ingress\":{\"kind\":\"authenticated_websocket\",\"websocketUrl\":\"wss://h/r\","
	  "\"secretHeaderNames\":[\"x-a\"],\"generation\":\"7\"},"
	  "\"credentialKey\":\"envdriver:credential:c1\"}" },
	{ "start", START, "{\"providerLeaseId\":\"l\",\"status\":\"starting\","
	  "\"connectionSummary\":{\"type\":\"ssh\"},\"connectionPayload\":{\"token\":"
	  "\"topsecret\"},\"expiresAt\":\"2030\",\"metadata\":{}}", "setup-results env\n",
	  "\"status\":\"starting\",\"connectionSummary\":\"{\\\"type\\\":\\\"ssh\\\"}\","
	  "\"credentialKey\":\"envdriver:credential:c1\",\"expiresAt\":\"2030\","
	  "\"templateRef\":null,\"templateKind\":null,\"deleted\":null,\"metadata\":\"{}\"}" },
	{ "start, expired", START, "{\"status\":\"starting\",\"connectionPayload\":{\"expiresAt\":"
	  "\"1970-01-01T00:00:03Z\",\"token\":\"topsecret\"}}", "setup-results env\n",
	  "\"warnings\":[\"the credential has expired already: it is not handed over\"]},"
	  "\"status\":\"starting\",\"connectionSummary\":null,\"credentialKey\":null," },
	{ "start, the token everywhere", START, "{\"status\":\"at topsecret\","
	  "\"connectionSummary\":{\"username\":\"topsecret\"},"
	  "\"connectionPayload\":{\"type\":\"ssh\",\"token\":\"topsecret\","
	  "\"metadata\":{\"a\":\"public\"}},\"expiresAt\":\"x topsecret\","
	  "\"metadata\":{\"a\":\"dG9wc2VjcmV0\",\"b\":[\"ssh://topsecret@h\"],\"c\":\"public\"}}",
	  "setup-results env\n",
	  "\"status\":\"at ***\",\"connectionSummary\":\"{\\\"username\\\":\\\"***\\\"}\","
	  "\"credentialKey\":\"envdriver:credential:c1\",\"expiresAt\":\"x ***\","
	  "\"templateRef\":null,\"templateKind\":null,\"deleted\":null,\"metadata\":"
	  "\"{\\\"a\\\":\\\"***\\\",\\\"b\\\":[\\\"ssh://***@h\\\"],\\\"c\\\":\\\"public\\\"}\"}" },
	{ "capture", DRIVER "{\"type\":\"CaptureTemplate\"}}",
	  "{\"templateRef\":\"t\",\"templateKind\":\"image\"}", "setup-results env\n",
	  "\"status\":null,\"connectionSummary\":null,\"credentialKey\":null,"
	  "\"expiresAt\":null,\"templateRef\":\"t\",\"templateKind\":\"image\","
	  "\"deleted\":null,\"metadata\":null}" },
	{ "delete", DRIVER "{\"type\":\"DeleteTemplate\",\"templateRef\":\"t\"}}",
	  "{\"deleted\":true}", "setup-results env\n", "\"templateKind\":null,\"deleted\":true," },
	{ "execute", EXECUTE, "{\"exitCode\":1,\"signal\":null,\"timedOut\":false,"
	  "\"stdout\":\"a\\u2603\\u0000\",\"stderr\":\"\",\"metadata\":1.0}",
	  "execution-results l1\n",
	  "\"exitCode\":1,\"signal\":null,\"timedOut\":false,\"stdout\":\"a\xe2\x98\x83\\u0000\","
	  "\"stderr\":\"\",\"stdoutBytes\":5,\"stderrBytes\":0,\"stdoutTruncated\":false,"
	  "\"stderrTruncated\":false,\"stdoutSha256\":null,\"stderrSha256\":null,"
	  "\"finalLogRecords\":0,\"metadata\":\"1.0\",\"stdoutRaw\":null,"
	  "\"stderrRaw\":null}" },
	{ "execute of no lease", DRIVER "{\"type\":\"Execute\",\"command\":\"sh\","
	  "\"lease\":{\"providerLeaseId\":null}}}", "{\"timedOut\":true}",
	  "execution-results c1\n",
	  "\"exitCode\":null,\"signal\":null,\"timedOut\":true,\"stdout\":\"\",\"stderr\":\"\","
	  "\"stdoutBytes\":0,\"stderrBytes\":0,\"stdoutTruncated\":false,"
	  "\"stderrTruncated\":false,\"stdoutSha256\":null,\"stderrSha256\":null,"
	  "\"finalLogRecords\":0,\"metadata\":null,\"stdoutRaw\":null,"
	  "\"stderrRaw\":null}" },
	{ "validate", DRIVER "{\"type\":\"ValidateConfig\"}}",
	  "{\"ok\":true,\"warnings\":[\"w\"]}", "config-results env\n",
	  "\"ok\":true,\"config\":\"{}\",\"warnings\":[\"w\"]}" },
	{ "validate, rejected", DRIVER "{\"type\":\"ValidateConfig\"}}",
	  "{\"ok\":false,\"warnings\":[\"w\"]}", "config-results env\n",
	  "\"ok\":false,\"config\":null,\"warnings\":[\"w\"]}" },
	{ "validate, not understood", DRIVER "{\"type\":\"ValidateConfig\"}}",
	  "{\"ok\":5,\"warnings\":[\"w\"]}", "config-results env\n",
	  "\"ok\":null,\"config\":null,\"warnings\":[]}" },
	{ "probe, not understood", PROBE, "null", "probe-results env\n",
	  "\"ok\":null,\"driver\":null,\"summary\":null,\"details\":null}" },
};

/* One ctx for all rows: nothing of a record may stay for the next. */
static void
test_own_fields(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct command *c = fixture_command(row->command);
		struct rpc_answer a = fixture_answer(c, fixture_json(row->result));
		struct events e = EVENTS_INIT;
		struct buf text = BUF_INIT;

		CHECK(row->name, result_answered(ctx, c, &chosen, &called, &a, &e, NULL) == 0);
		CHECK(row->name, e.count == 1);
		fixture_print_events(&e, &text);
		CHECK_HAS(row->name, text.data, row->topic_and_key);
		CHECK_HAS(row->name, text.data, row->fields);
		CHECK(row->name, !strstr(text.data, "topsecret"));
		buf_release(&text);
		events_release(&e);
		command_free(c);
	}
	result_ctx_free(ctx);
}

/* It goes to whoever stores it, and no longer than it is of use. */
static void
test_credential(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct result_limits small = wide, none = wide;
	struct command *c = fixture_command(START);
	struct rpc_answer a = fixture_answer(c, fixture_json(
		"{\"providerLeaseId\":\"l\",\"status\":\"starting\",\"connectionPayload\":"
		"{\"token\":\"topsecret\"}}"));
	struct result_brought brought = RESULT_BROUGHT_INIT;
	struct events e = EVENTS_INIT;

	(void)state;
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_string_equal(brought.credential.data, "{\"token\":\"topsecret\"}");
	assert_string_equal(brought.lease_id.data, "l");
	assert_int_equal(brought.credential_until, called.finished_at + wide.credential_ms);
	a.result = fixture_json("{\"status\":\"starting\",\"connectionPayload\":{\"expiresAt\":"
				"\"1970-01-01T00:00:04Z\"}}");
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_int_equal(brought.credential_until, 4000);
	a.result = fixture_json("{\"status\":\"starting\"}");
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_int_equal(brought.credential.len, 0);
	result_ctx_free(ctx);

	/* No event names it. */
	a.result = fixture_json("{\"status\":\"starting\",\"connectionPayload\":{},"
				"\"metadata\":{\"a\":\"0123456789\"}}");
	small.record_bytes = 100;
	ctx = fixture_ctx(small);
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_false(events_succeeded(&e));
	assert_int_equal(brought.credential.len, 0);
	result_ctx_free(ctx);
	none.credential_prefix = NULL;
	ctx = fixture_ctx(none);
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_true(events_succeeded(&e));
	assert_int_equal(brought.credential.len, 0);
	result_ctx_free(ctx);
	result_brought_release(&brought);
	events_release(&e);
	command_free(c);
}

static void
test_acquired_lease_is_named(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(ACQUIRE);
	struct rpc_answer a = fixture_answer(c, fixture_json("{\"providerLeaseId\":\"new\"}"));
	struct events e = EVENTS_INIT;
	struct result_brought brought = RESULT_BROUGHT_INIT;
	struct buf text = BUF_INIT;
	struct trace again = called;

	(void)state;
	buf_adds(&brought.lease_id, "old");
	again.attempt = 2;
	assert_int_equal(result_answered(ctx, c, &chosen, &again, &a, &e, &brought), 0);
	assert_string_equal(brought.lease_id.data, "new");
	fixture_print_events(&e, &text);
	CHECK_HAS("id", text.data, "\"providerLeaseId\":\"new\"},\"outcome\"");
	CHECK_HAS("warning", text.data,
		"\"warnings\":[\"attempt 2 of this AcquireLease: an earlier "
				      "one, with the same invocation id " UUID);
	a.result = fixture_json("null");
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	assert_int_equal(brought.lease_id.len, 0);
	buf_release(&text);
	result_brought_release(&brought);
	events_release(&e);
	command_free(c);
	result_ctx_free(ctx);
}

static const struct failure_row {
	const char *name, *command;
	enum outcome_code code;
	const char *message;
	const char *part[3];	/* of the printed event */
} failure_rows[] = {
	{ "not ready", PROBE, CODE_DRIVER_NOT_READY, "m",
	  { "status=FAILED\nerror-code=DRIVER_NOT_READY\nschema",
	    "\"outcome\":{\"status\":\"FAILED\",\"error\":{\"code\":\"DRIVER_NOT_READY\","
	    "\"rpcCode\":null,\"httpStatus\":null,\"message\":\"m\",\"retryable\":false,"
	    "\"mayHaveRun\":false,\"details\":\"{}\"}}",
	    "\"pluginId\":null,\"pluginKey\":\"p\",\"driverKey\":\"d\"" } },
	{ "expired", EXECUTE, CODE_EXPIRED, "m",
	  { "execution-results l1\n", "status=EXPIRED\nerror-code=EXPIRED\n",
	    "\"attempt\":0,\"invocationId\":null,\"callToken\":null,\"instanceId\":\"host-a\","
	    "\"receivedAt\":1000,\"startedAt\":null" } },
	{ "interrupted", EXECUTE, CODE_INTERRUPTED, "m",
	  { "status=INTERRUPTED\n", "\"retryable\":true,\"mayHaveRun\":true",
	    "\"status\":\"INTERRUPTED\"" } },
	{ "no provider for a probe", PROVIDER "{\"type\":\"Probe\"}}", CODE_PROVIDER_NOT_AVAILABLE,
	  "not there",
	  { "status=SUCCEEDED\nschema", "\"outcome\":{\"status\":\"SUCCEEDED\",\"error\":null}",
	    "\"ok\":false,\"driver\":\"sandbox\",\"summary\":\"not there\","
	    "\"details\":\"{\\\"provider\\\":\\\"s\\\"}\"}" } },
	{ "no worker for a pinned probe", PROVIDER "{\"type\":\"Probe\"}}", CODE_NO_RUNNING_WORKER,
	  "m", { "\"code\":\"NO_RUNNING_WORKER\"", "\"retryable\":true", "\"ok\":null" } },
	{ "no provider for a validation", PROVIDER "{\"type\":\"ValidateConfig\"}}",
	  CODE_PROVIDER_NOT_AVAILABLE, "m",
	  { "\"httpStatus\":422", "\"retryable\":true", "\"ok\":null,\"config\":null" } },
	{ "no provider for a resume", PROVIDER "{\"type\":\"ResumeLease\","
	  "\"providerLeaseId\":\"l1\"}}", CODE_PROVIDER_NOT_AVAILABLE, "m",
	  { "\"httpStatus\":null", "\"retryable\":true", "\"lease\":null" } },
	{ "a pinned secret", PROVIDER "{\"type\":\"ValidateConfig\"}}", CODE_CONFIG_REJECTED, "m",
	  { "\"httpStatus\":422", "\"ok\":false,\"config\":null,\"warnings\":[]}", "" } },
	{ "not supported", DRIVER "{\"type\":\"SyncIn\"," LEASE ",\"operations\":\"[]\"}}",
	  CODE_OPERATION_NOT_SUPPORTED, "m",
	  { "workspace-results l1\n", "\"cwd\":null,\"metadata\":null,\"operations\":null", "" } },
	{ "no set-up yet", DRIVER "{\"type\":\"DeleteTemplate\",\"templateRef\":\"t\"}}",
	  CODE_OPERATION_NOT_SUPPORTED, "m",
	  { "setup-results env\n", "schema=SetupResult", "\"status\":null" } },
	{ "no list", WHO "\"operation\":{\"type\":\"ListDrivers\"}}", CODE_INTERNAL, "m\xff",
	  { "driver-results c1\n", "\"message\":\"m\xef\xbf\xbd\"", "\"drivers\":[]" } },
};

static void
test_failures(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	const struct failure_row *row;

	(void)state;
	EACH(row, failure_rows) {
		struct command *c = fixture_command(row->command);
		struct outcome o = OUTCOME_INIT;
		struct events e = EVENTS_INIT;
		struct buf text = BUF_INIT;

		outcome_fail(&o, row->code, "%s", row->message);
		CHECK(row->name, result_failed(ctx, c, &nobody, &not_called, &o, &e) == 0);
		CHECK(row->name, e.count == 1);
		fixture_print_events(&e, &text);
		for (size_t i = 0; i < 3; i++)
			CHECK_HAS(row->name, text.data, row->part[i] ? row->part[i] : "");
		buf_release(&text);
		events_release(&e);
		outcome_release(&o);
		command_free(c);
	}
	result_ctx_free(ctx);
}

/* docs/operations.md, "Outcomes": what hangs on the code alone. */
static const struct code_row {
	enum outcome_code code;
	const char *name;
	bool retryable, may_have_run;
} code_rows[] = {
	{ CODE_DRIVER_NOT_READY, "DRIVER_NOT_READY", false, false },
	{ CODE_DRIVER_NOT_DECLARED, "DRIVER_NOT_DECLARED", false, false },
	{ CODE_NO_RUNNING_WORKER, "NO_RUNNING_WORKER", true, false },
	{ CODE_PROVIDER_NOT_AVAILABLE, "PROVIDER_NOT_AVAILABLE", true, false },
	{ CODE_CONFIG_REJECTED, "CONFIG_REJECTED", false, true },
	{ CODE_PLUGIN_ERROR, "PLUGIN_ERROR", false, true },
	{ CODE_METHOD_NOT_IMPLEMENTED, "METHOD_NOT_IMPLEMENTED", false, false },
	{ CODE_WORKER_UNAVAILABLE, "WORKER_UNAVAILABLE", true, true },
	{ CODE_TIMEOUT, "TIMEOUT", true, true },
	{ CODE_BAD_RESPONSE, "BAD_RESPONSE", false, true },
	{ CODE_EXPIRED, "EXPIRED", false, false },
	{ CODE_INTERRUPTED, "INTERRUPTED", true, true },
	{ CODE_SECRET_UNRESOLVED, "SECRET_UNRESOLVED", false, false },
	{ CODE_RELEASE_UNCONFIRMED, "RELEASE_UNCONFIRMED", false, true },
	{ CODE_RESULT_TOO_LARGE, "RESULT_TOO_LARGE", false, true },
	{ CODE_OPERATION_NOT_SUPPORTED, "OPERATION_NOT_SUPPORTED", false, false },
	{ CODE_INTERNAL, "INTERNAL", true, false },
};

static void
test_codes(void **state)
{
	struct outcome o = OUTCOME_INIT;
	const struct code_row *row;

	(void)state;
	assert_int_equal(sizeof(code_rows) / sizeof(*code_rows), CODE_COUNT - 1);
	EACH(row, code_rows) {
		outcome_fail(&o, row->code, "%d", 5);
		CHECK(row->name, strcmp(outcome_code_name(row->code), row->name) == 0);
		CHECK(row->name, o.retryable == row->retryable);
		CHECK(row->name, o.may_have_run == row->may_have_run);
		CHECK(row->name, o.status != OUTCOME_SUCCEEDED);
		CHECK(row->name, strcmp(o.message.data, "5") == 0);
	}
	outcome_release(&o);
}

/* The request reached nobody, so nothing was called. */
static void
test_not_sent(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(EXECUTE);
	struct rpc_answer a = { .end = RPC_NOT_SENT, .method = c->op->rpc, .text = "t" };
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT;

	(void)state;
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, NULL), 0);
	fixture_print_events(&e, &text);
	CHECK_HAS("not sent", text.data, "\"code\":\"NO_RUNNING_WORKER\"");
	CHECK_HAS("not sent", text.data, "\"attempt\":0,\"invocationId\":null,\"callToken\":null");
	CHECK_HAS("not sent", text.data, "\"startedAt\":null");
	events_release(&e);
	buf_release(&text);
	command_free(c);
	result_ctx_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_probe_to_the_byte),
		cmocka_unit_test(test_own_fields),
		cmocka_unit_test(test_credential),
		cmocka_unit_test(test_acquired_lease_is_named),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
