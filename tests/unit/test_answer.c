/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"
#include "fixture.h"
#include "result/answer.h"
#include "result/answer_read.h"

#define DRIVER "{\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}," \
	"\"operation\":"
#define PROVIDER "{\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"s\"},\"operation\":"
#define PROBE DRIVER "{\"type\":\"Probe\"}}"
#define PROBE_S PROVIDER "{\"type\":\"Probe\"}}"
#define VALIDATE DRIVER "{\"type\":\"ValidateConfig\"},\"config\":{\"a\":1}}"
#define VALIDATE_S PROVIDER "{\"type\":\"ValidateConfig\"}}"
#define ACQUIRE DRIVER "{\"type\":\"AcquireLease\",\"runId\":\"r\"}}"
#define RESUME DRIVER "{\"type\":\"ResumeLease\",\"providerLeaseId\":\"l1\"}}"
#define RELEASE DRIVER "{\"type\":\"ReleaseLease\",\"providerLeaseId\":\"l1\"}}"
#define CANCEL DRIVER "{\"type\":\"ReleaseLease\",\"providerLeaseId\":\"l1\"," \
	"\"cancelActiveWork\":true}}"
#define DESTROY DRIVER "{\"type\":\"DestroyLease\",\"providerLeaseId\":\"l1\"}}"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""
#define REALIZE DRIVER "{\"type\":\"RealizeWorkspace\"," LEASE ",\"workspace\":{}}}"
#define EXECUTE DRIVER "{\"type\":\"Execute\"," LEASE ",\"command\":\"sh\"}}"
#define BAD(method, what) \
	"BAD_RESPONSE run 'Plugin \"p\" answered environment" method " with " what ".'"
#define NO_RECEIPT "SUCCEEDED warning 'the plugin's receipt is ignored: "

static const struct row {
	const char *name;
	const char *command;
	const char *answer;	/* {"result": ...} or {"error": ...} */
	const char *expected;	/* as print() has it */
} rows[] = {
	{ "probe", PROBE, "{\"result\":{\"ok\":true,\"summary\":\"s\",\"diagnostics\":[1.0],"
	  "\"metadata\":{ \"x\":1e2},\"extra\":1}}",
	  "SUCCEEDED ok 's' {\"pluginKey\":\"p\",\"driverKey\":\"d\",\"diagnostics\":[1.0],"
	  "\"metadata\":{ \"x\":1e2}}" },
	{ "probe, defaults", PROBE, "{\"result\":{\"ok\":true,\"summary\":null,\"metadata\":null}}",
	  "SUCCEEDED ok 'Plugin environment driver \"p:d\" probe passed.' {\"pluginKey\":\"p\","
	  "\"driverKey\":\"d\",\"diagnostics\":[],\"metadata\":{}}" },
	{ "probe, missing ok", PROBE, "{\"result\":{}}",
	  "SUCCEEDED 'Plugin environment driver \"p:d\" probe failed.' {\"pluginKey\":\"p\","
	  "\"driverKey\":\"d\",\"diagnostics\":[],\"metadata\":{}}" },
	{ "probe, empty summary is kept", PROBE, "{\"result\":{\"ok\":false,\"summary\":\"\"}}",
	  "SUCCEEDED '' {\"pluginKey\":\"p\",\"driverKey\":\"d\",\"diagnostics\":[],"
	  "\"metadata\":{}}" },
	{ "probe, summary is a number", PROBE, "{\"result\":{\"ok\":false,\"summary\":5.0}}",
	  "SUCCEEDED '5.0' {\"pluginKey\":\"p\",\"driverKey\":\"d\",\"diagnostics\":[],"
	  "\"metadata\":{}}" },
	{ "probe, a key twice", PROBE, "{\"result\":{\"ok\":true,\"ok\":false,\"summary\":\"\"}}",
	  "SUCCEEDED '' {\"pluginKey\":\"p\",\"driverKey\":\"d\",\"diagnostics\":[],"
	  "\"metadata\":{}}" },
	{ "probe of a provider", PROBE_S, "{\"result\":{\"ok\":false}}",
	  "SUCCEEDED 'Sandbox provider \"s\" probe failed.' {\"provider\":\"s\","
	  "\"pluginKey\":\"p\",\"diagnostics\":[],\"metadata\":{}}" },
	{ "probe, null", PROBE, "{\"result\":null}",
	  BAD("Probe", "result: expected object, got null") },
	{ "probe, number", PROBE, "{\"result\":1}",
	  BAD("Probe", "result: expected object, got number") },
	{ "probe, ok is text", PROBE, "{\"result\":{\"ok\":\"yes\"}}",
	  BAD("Probe", "result.ok: expected boolean, got string") },
	{ "probe, ok is 1", PROBE, "{\"result\":{\"ok\":1}}",
	  BAD("Probe", "result.ok: expected boolean, got number") },
	{ "probe, ok is null", PROBE, "{\"result\":{\"ok\":null}}",
	  BAD("Probe", "result.ok: expected boolean, got null") },

	{ "validate", VALIDATE, "{\"result\":{\"ok\":true,\"normalizedConfig\":{\"b\":2.0}}}",
	  "SUCCEEDED {\"b\":2.0}" },
	{ "validate, original", VALIDATE, "{\"result\":{\"ok\":true}}", "SUCCEEDED {\"a\":1}" },
	{ "validate, null is missing", VALIDATE,
	  "{\"result\":{\"ok\":true,\"normalizedConfig\":null,\"errors\":[\"x\"]}}",
	  "SUCCEEDED {\"a\":1}" },
	{ "validate, warnings", VALIDATE, "{\"result\":{\"ok\":true,\"warnings\":[\"w\",{\"a\":1},"
	  "null]}}", "SUCCEEDED warns 'w' warns '{\"a\":1}' warns 'null' {\"a\":1}" },
	{ "validate, one warning, lone surrogate", VALIDATE,
	  "{\"result\":{\"ok\":true,\"warnings\":\"a\\udfff\"}}", "SUCCEEDED warning 'warnings: "
	  "lone surrogates were replaced by U+FFFD' warns 'a\xef\xbf\xbd' {\"a\":1}" },
	{ "rejected, errors is text", VALIDATE, "{\"result\":{\"ok\":false,\"errors\":\"boom\"}}",
	  "CONFIG_REJECTED http=422 run 'boom' details={\"errors\":\"boom\",\"warnings\":[]}" },
	{ "validate, not an object", VALIDATE,
	  "{\"result\":{\"ok\":true,\"normalizedConfig\":\"x\"}}",
	  BAD("ValidateConfig", "result.normalizedConfig: expected object, got string") },
	{ "validate, null", VALIDATE, "{\"result\":null}",
	  BAD("ValidateConfig", "result: expected object, got null") },
	{ "validate, ok is text", VALIDATE, "{\"result\":{\"ok\":\"yes\"}}",
	  BAD("ValidateConfig", "result.ok: expected boolean, got string") },
	{ "rejected", VALIDATE, "{\"result\":{\"ok\":false,\"errors\":[\"e1\",\"e2\"],"
	  "\"warnings\":[\"w\"]}}", "CONFIG_REJECTED http=422 run 'e1' details={\"errors\":[\"e1\","
	  "\"e2\"],\"warnings\":[\"w\"]} warns 'w'" },
	{ "rejected, nothing said", VALIDATE, "{\"result\":{}}",
	  "CONFIG_REJECTED http=422 run 'Plugin environment driver \"p:d\" rejected its config.' "
	  "details={\"errors\":[],\"warnings\":[]}" },
	{ "rejected, provider", VALIDATE_S, "{\"result\":{\"ok\":false,\"errors\":null}}",
	  "CONFIG_REJECTED http=422 run 'Sandbox provider \"s\" rejected its config.' "
	  "details={\"errors\":[],\"warnings\":[]}" },
	{ "rejected, empty first error", VALIDATE, "{\"result\":{\"ok\":false,\"errors\":[\"\"]}}",
	  "CONFIG_REJECTED http=422 run '' details={\"errors\":[\"\"],\"warnings\":[]}" },
	{ "rejected, first error null", VALIDATE,
	  "{\"result\":{\"ok\":false,\"errors\":[null,\"x\"]}}",
	  "CONFIG_REJECTED http=422 run 'Plugin environment driver \"p:d\" rejected its config.' "
	  "details={\"errors\":[null,\"x\"],\"warnings\":[]}" },
	{ "rejected, first error is a number", VALIDATE,
	  "{\"result\":{\"ok\":false,\"errors\":[7]}}",
	  "CONFIG_REJECTED http=422 run '7' details={\"errors\":[7],\"warnings\":[]}" },

	{ "acquire", ACQUIRE, "{\"result\":{\"providerLeaseId\":\"l\",\"metadata\":{\"a\":1.0},"
	  "\"expiresAt\":\"2030\"}}", "SUCCEEDED lease 'l' {\"a\":1.0} until '2030'" },
	{ "acquire, id alone", ACQUIRE, "{\"result\":{\"providerLeaseId\":\"l\",\"metadata\":null,"
	  "\"expiresAt\":null}}", "SUCCEEDED lease 'l'" },
	{ "acquire without id", ACQUIRE, "{\"result\":{\"providerLeaseId\":null}}",
	  "SUCCEEDED warning 'the plugin acquired a lease without \"providerLeaseId\": it cannot "
	  "be resumed, released or destroyed' lease" },
	{ "acquire, empty id", ACQUIRE, "{\"result\":{\"providerLeaseId\":\"\"}}",
	  "SUCCEEDED warning 'the plugin acquired a lease without \"providerLeaseId\": it cannot "
	  "be resumed, released or destroyed' lease" },
	{ "acquire, null", ACQUIRE, "{\"result\":null}",
	  BAD("AcquireLease", "result: expected object, got null") },
	{ "acquire, id is a number", ACQUIRE, "{\"result\":{\"providerLeaseId\":12345}}",
	  "SUCCEEDED warning '\"providerLeaseId\" is a number; later commands name it by its text' "
	  "lease '12345'" },
	{ "acquire, id is an object", ACQUIRE, "{\"result\":{\"providerLeaseId\":{\"a\":1}}}",
	  BAD("AcquireLease", "result.providerLeaseId: expected string, got object") },
	{ "acquire, id is true", ACQUIRE, "{\"result\":{\"providerLeaseId\":true}}",
	  BAD("AcquireLease", "result.providerLeaseId: expected string, got boolean") },
	{ "acquire, id of half a character", ACQUIRE,
	  "{\"result\":{\"providerLeaseId\":\"a\\ud800\"}}",
	  BAD("AcquireLease",
	      "result.providerLeaseId: expected Unicode characters, got lone surrogates") },
	{ "acquire, metadata is a list", ACQUIRE,
	  "{\"result\":{\"providerLeaseId\":\"l\",\"metadata\":[1]}}",
	  "SUCCEEDED warning 'the lease's \"metadata\" is not an object' lease 'l' [1]" },

	{ "resume", RESUME, "{\"result\":{\"providerLeaseId\":\"l1\",\"metadata\":{}}}",
	  "SUCCEEDED lease 'l1' {}" },
	{ "resume, lost", RESUME, "{\"result\":null}", "SUCCEEDED lost" },
	{ "resume, null id", RESUME, "{\"result\":{\"providerLeaseId\":null,"
	  "\"metadata\":{\"expired\":true}}}", "SUCCEEDED lease lost {\"expired\":true}" },
	{ "resume, no id", RESUME, "{\"result\":{}}", "SUCCEEDED lease lost" },
	{ "resume, array", RESUME, "{\"result\":[]}",
	  BAD("ResumeLease", "result: expected object, got array") },

	{ "release", RELEASE, "{\"result\":null}", "SUCCEEDED" },
	{ "release, receipt", RELEASE, "{\"result\":{\"providerLeaseId\":\"l1\","
	  "\"state\":\"stopped\"}}", "SUCCEEDED receipt 'stopped'" },
	{ "destroy, receipt", DESTROY, "{\"result\":{\"providerLeaseId\":\"l1\","
	  "\"state\":\"destroyed\"}}", "SUCCEEDED receipt 'destroyed'" },
	{ "destroy", DESTROY, "{\"result\":null}", "SUCCEEDED" },
	{ "destroy, another lease's", DESTROY, "{\"result\":{\"providerLeaseId\":\"l2\","
	  "\"state\":\"destroyed\"}}", NO_RECEIPT "it does not name this lease'" },
	{ "destroy, another state", DESTROY, "{\"result\":{\"providerLeaseId\":\"l1\","
	  "\"state\":\"gone\"}}",
	  NO_RECEIPT "its state is neither \"stopped\" nor \"destroyed\"'" },
	{ "destroy, no object", DESTROY, "{\"result\":true}", NO_RECEIPT "it is not an object'" },
	{ "cancel, receipt", CANCEL, "{\"result\":{\"providerLeaseId\":\"l1\","
	  "\"state\":\"stopped\"}}", "SUCCEEDED receipt 'stopped'" },
	{ "cancel, none", CANCEL, "{\"result\":null}", "RELEASE_UNCONFIRMED run 'Plugin "
	  "\"p\" did not confirm that lease \"l1\" was released.'" },
	{ "cancel, wrong one", CANCEL, "{\"result\":{\"providerLeaseId\":\"l1\"}}",
	  "RELEASE_UNCONFIRMED retry run 'Plugin \"p\" did not confirm that lease \"l1\" was "
	  "released.' warning 'the plugin's receipt is ignored: its state is neither "
	  "\"stopped\" nor \"destroyed\"'" },

	{ "realize", REALIZE, "{\"result\":{\"cwd\":\"/w\",\"metadata\":{\"a\":1}}}",
	  "SUCCEEDED {\"a\":1} cwd '/w'" },
	{ "realize, null", REALIZE, "{\"result\":null}",
	  BAD("RealizeWorkspace", "result: expected object, got null") },
	{ "realize, cwd is null", REALIZE, "{\"result\":{\"cwd\":null}}",
	  BAD("RealizeWorkspace", "result.cwd: expected string, got null") },
	{ "realize without cwd", REALIZE, "{\"result\":{}}", "SUCCEEDED warning 'the plugin "
	  "answered environmentRealizeWorkspace without \"cwd\"'" },

	{ "execute", EXECUTE, "{\"result\":{\"exitCode\":3,\"signal\":null,\"timedOut\":false,"
	  "\"stdout\":\"o\\n\\u2603\",\"stderr\":\"e\",\"metadata\":{\"a\":1}}}",
	  "SUCCEEDED {\"a\":1} exit 3 stdout 'o\n\xe2\x98\x83' stderr 'e'" },
	{ "execute, killed", EXECUTE, "{\"result\":{\"exitCode\":null,\"signal\":\"SIGKILL\","
	  "\"timedOut\":true,\"stdout\":\"\",\"stderr\":\"\"}}",
	  "SUCCEEDED timed out signal 'SIGKILL' stdout '' stderr ''" },
	{ "execute, nothing given", EXECUTE, "{\"result\":{}}", "SUCCEEDED"
	  " warning 'the plugin answered environmentExecute without \"exitCode\": null is assumed'"
	  " warning 'the plugin answered environmentExecute without \"timedOut\": false is assumed'"
	  " warning 'the plugin answered environmentExecute without \"stdout\": no output is "
	  "assumed'"
	  " warning 'the plugin answered environmentExecute without \"stderr\": no output is "
	  "assumed'" },
	{ "execute, lone surrogate", EXECUTE, "{\"result\":{\"exitCode\":-1.0,\"timedOut\":false,"
	  "\"stdout\":\"a\\ud800b\",\"stderr\":\"\"}}", "SUCCEEDED warning 'stdout: lone "
	  "surrogates "
	  "were replaced by U+FFFD' exit -1 stdout 'a\xef\xbf\xbd" "b' stderr ''" },
	{ "execute, null", EXECUTE, "{\"result\":null}",
	  BAD("Execute", "result: expected object, got null") },

	{ "error", PROBE, "{\"error\":{\"code\":-32002,\"message\":\"m\"}}",
	  "PLUGIN_ERROR rpc=-32002 run 'm'" },
	{ "error, codes of ours", PROBE, "{\"error\":{\"code\":-32003,\"message\":\"m\"}}",
	  "PLUGIN_ERROR rpc=-32003 retry run 'm'" },
	{ "error 429", PROBE, "{\"error\":{\"code\":429,\"message\":\"slow\"}}",
	  "PLUGIN_ERROR rpc=429 retry run 'slow'" },
	{ "error 499", PROBE, "{\"error\":{\"code\":499}}", "PLUGIN_ERROR rpc=499 run ''" },
	{ "error 500", PROBE, "{\"error\":{\"code\":500}}", "PLUGIN_ERROR rpc=500 retry run ''" },
	{ "error 599", PROBE, "{\"error\":{\"code\":599}}", "PLUGIN_ERROR rpc=599 retry run ''" },
	{ "error 600", PROBE, "{\"error\":{\"code\":600}}", "PLUGIN_ERROR rpc=600 run ''" },
	{ "error with data", PROBE,
	  "{\"error\":{\"code\":1234,\"message\":\"m\",\"data\":{\"k\":1.0}}}",
	  "PLUGIN_ERROR rpc=1234 run 'm' details={\"data\":{\"k\":1.0}}" },
	{ "error, code is text", PROBE, "{\"error\":{\"code\":\"E\",\"message\":{\"a\":1},"
	  "\"data\":null}}",
	  "PLUGIN_ERROR run '[object Object]' details={\"code\":\"E\",\"data\":null}" },
	{ "error, code is a fraction", PROBE, "{\"error\":{\"code\":1.5,\"message\":null}}",
	  "PLUGIN_ERROR run 'null' details={\"code\":1.5}" },
	{ "error, message is a number", PROBE, "{\"error\":{\"code\":2.0,\"message\":7}}",
	  "PLUGIN_ERROR rpc=2 run '7'" },
	{ "error, message is a list", PROBE, "{\"error\":{\"message\":[1,2]}}",
	  "PLUGIN_ERROR run '[1,2]'" },
	{ "not implemented", PROBE, "{\"error\":{\"code\":-32004,\"message\":\"no\"}}",
	  "METHOD_NOT_IMPLEMENTED rpc=-32004 'no'" },
	{ "unknown method", PROBE, "{\"error\":{\"code\":-32601,\"message\":\"no\"}}",
	  "METHOD_NOT_IMPLEMENTED rpc=-32601 'no'" },
};

static void
print_text(struct buf *out, const char *label, struct span text)
{
	if (text.ptr)
		buf_addf(out, "%s '%.*s'", label, SPAN_FMT(text));
}

static void
print_outcome(const struct outcome *o, struct buf *out)
{
	if (o->status == OUTCOME_SUCCEEDED) {
		buf_adds(out, "SUCCEEDED");
		return;
	}
	buf_adds(out, outcome_code_name(o->code));
	if (o->has_rpc_code)
		buf_addf(out, " rpc=%lld", (long long)o->rpc_code);
	if (o->http_status)
		buf_addf(out, " http=%d", o->http_status);
	buf_adds(out, o->retryable ? " retry" : "");
	buf_adds(out, o->may_have_run ? " run" : "");
	print_text(out, "", buf_span(&o->message));
	if (o->details.len)
		buf_addf(out, " details=%s", o->details.data);
}

static void
print(const struct answer *s, struct buf *out)
{
	struct span text;
	size_t i;

	print_outcome(&s->outcome, out);
	for (i = 0; answer_list_next(&s->warnings, &i, &text);)
		print_text(out, " warning", text);
	for (i = 0; answer_list_next(&s->config_warnings, &i, &text);)
		print_text(out, " warns", text);
	buf_adds(out, s->ok ? " ok" : "");
	buf_adds(out, s->has_lease ? " lease" : "");
	buf_adds(out, s->lease_lost ? " lost" : "");
	print_text(out, "", answer_text(s, ANSWER_LEASE_ID));
	print_text(out, "", answer_text(s, ANSWER_SUMMARY));
	if (answer_text(s, ANSWER_DETAILS).ptr)
		buf_addf(out, " %s", s->texts[ANSWER_DETAILS].data);
	if (s->config.ptr)
		buf_addf(out, " %.*s", SPAN_FMT(s->config));
	if (s->metadata.ptr)
		buf_addf(out, " %.*s", SPAN_FMT(s->metadata));
	print_text(out, " until", answer_text(s, ANSWER_EXPIRES_AT));
	print_text(out, " receipt", answer_text(s, ANSWER_RECEIPT_STATE));
	print_text(out, " cwd", answer_text(s, ANSWER_CWD));
	if (s->has_exit_code)
		buf_addf(out, " exit %d", (int)s->exit_code);
	buf_adds(out, s->timed_out ? " timed out" : "");
	print_text(out, " signal", answer_text(s, ANSWER_SIGNAL));
	print_text(out, " stdout", answer_text(s, ANSWER_STDOUT));
	print_text(out, " stderr", answer_text(s, ANSWER_STDERR));
}

static struct rpc_answer
answer_of(const struct command *c, const char *text)
{
	struct jtext line = fixture_json(text);
	struct jtext error = jtext_get(line, "error");
	struct rpc_answer a = { .method = c->op->rpc, .result = jtext_get(line, "result") };

	if (error.kind != JTEXT_MISSING) {
		a.end = RPC_ERROR;
		a.code = jtext_get(error, "code");
		a.message = jtext_get(error, "message");
		a.data = jtext_get(error, "data");
	}
	return a;
}

static void
compare(const char *name, const struct answer *s, const char *expected)
{
	struct buf out = BUF_INIT;

	CHECK(name, !answer_failed(s));
	print(s, &out);
	if (strcmp(out.data, expected) != 0)
		fail_msg("%s: %s", name, out.data);
	buf_release(&out);
}

/* One answer for all rows: nothing of an answer may stay for the next. */
static void
test_answers(void **state)
{
	const struct chosen chosen = { SPAN_LIT("id"), SPAN_LIT("p"), SPAN_NULL, NULL };
	const struct row *row;
	struct answer s;

	(void)state;
	answer_init(&s);
	EACH(row, rows) {
		struct command *c = fixture_command(row->command);
		struct rpc_answer a = answer_of(c, row->answer);

		answer_reset(&s);
		answer_read(&s, c, &chosen, &a);
		compare(row->name, &s, row->expected);
		command_free(c);
	}
	answer_release(&s);
}

static const struct end_row {
	const char *name;
	enum rpc_end end;
	const char *text, *expected;
} end_rows[] = {
	{ "timed out", RPC_TIMED_OUT, "RPC call \"environmentProbe\" timed out after 5ms",
	  "TIMEOUT rpc=-32003 retry run 'RPC call \"environmentProbe\" timed out after 5ms'" },
	{ "died", RPC_DIED, "Worker process exited (code=5, signal=null)\n\nWorker stderr:\nx\xff",
	  "WORKER_UNAVAILABLE rpc=-32000 retry run 'Worker process exited (code=5, signal=null)\n\n"
	  "Worker stderr:\nx\xef\xbf\xbd'" },
	{ "not sent", RPC_NOT_SENT, "No worker registered for plugin \"x\"",
	  "NO_RUNNING_WORKER retry 'No worker registered for plugin \"x\"'" },
	{ "result and error: null", RPC_BAD_RESPONSE, NULL,
	  "BAD_RESPONSE run 'Unexpected response format for \"environmentProbe\"'" },
};

static void
test_ends(void **state)
{
	const struct chosen chosen = { .plugin_id = SPAN_NULL };
	struct command *c = fixture_command(PROBE);
	const struct end_row *row;
	struct answer s;

	(void)state;
	answer_init(&s);
	EACH(row, end_rows) {
		struct rpc_answer a = { .end = row->end, .method = c->op->rpc, .text = row->text };

		answer_reset(&s);
		answer_read(&s, c, &chosen, &a);
		compare(row->name, &s, row->expected);
	}
	answer_release(&s);
	command_free(c);
}

/* A pinned plugin's key comes from the registry, the subject from the command. */
static void
test_keys_of_a_pinned_plugin(void **state)
{
	const struct chosen chosen = { SPAN_LIT("id"), SPAN_LIT("other"), SPAN_NULL, NULL };
	struct command *c = fixture_command(PROBE);
	struct rpc_answer a = answer_of(c, "{\"result\":{\"ok\":true}}");
	struct answer s;

	(void)state;
	answer_init(&s);
	answer_reset(&s);
	answer_read(&s, c, &chosen, &a);
	compare("pinned", &s, "SUCCEEDED ok 'Plugin environment driver \"p:d\" probe passed.' "
			      "{\"pluginKey\":\"other\",\"driverKey\":\"d\",\"diagnostics\":[],"
			      "\"metadata\":{}}");
	answer_release(&s);
	command_free(c);
}

/* What was sent, not what the command held, is the original of a provider. */
static void
test_sent_config(void **state)
{
	const struct chosen chosen = { SPAN_NULL, SPAN_LIT("p"), SPAN_LIT("{\"k\":\"id-1\"}"),
				       NULL };
	struct command *c = fixture_command(VALIDATE_S);
	struct rpc_answer a = answer_of(c, "{\"result\":{\"ok\":true}}");
	struct answer s;

	(void)state;
	answer_init(&s);
	answer_reset(&s);
	a.repaired = true;
	answer_read(&s, c, &chosen, &a);
	compare("sent", &s, "SUCCEEDED warning 'the answer held bytes that are not UTF-8; U+FFFD "
			    "replaces them' {\"k\":\"id-1\"}");
	command_free(c);
	/* A plugin driver's went out as it was, but for line breaks. */
	c = fixture_command(VALIDATE);
	a.repaired = false;
	answer_reset(&s);
	answer_read(&s, c, &chosen, &a);
	compare("as it was", &s, "SUCCEEDED {\"a\":1}");
	answer_release(&s);
	command_free(c);
}

/* NUL is text like any other. */
static void
test_nul_is_kept(void **state)
{
	const struct chosen chosen = { .plugin_id = SPAN_NULL };
	struct command *c = fixture_command(EXECUTE);
	struct rpc_answer a = answer_of(c, "{\"result\":{\"exitCode\":0,\"timedOut\":false,"
					   "\"stdout\":\"a\\u0000b\",\"stderr\":\"\"}}");
	struct answer s;

	(void)state;
	answer_init(&s);
	answer_reset(&s);
	answer_read(&s, c, &chosen, &a);
	assert_true(span_eq(answer_text(&s, ANSWER_STDOUT), SPAN_LIT("a\0b")));
	assert_int_equal(s.warnings.count, 0);
	answer_release(&s);
	command_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_keys_of_a_pinned_plugin),
		cmocka_unit_test(test_sent_config),
		cmocka_unit_test(test_nul_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
