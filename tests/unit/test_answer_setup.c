/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about workspaces, set-up sessions and templates. */
#include "unit.h"

#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"
#include "fixture.h"
#include "result/answer.h"
#include "result/answer_read.h"

#define DRIVER "{\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}," \
	"\"operation\":"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""
#define SYNC DRIVER "{\"type\":\"SyncIn\"," LEASE ",\"operations\":[" \
	"{\"operationId\":\"a\",\"files\":[]},{\"operationId\":\"b\",\"files\":[]}]}}"
#define INGRESS DRIVER "{\"type\":\"RunnerIngressEndpoint\"," LEASE ",\"port\":1," \
	"\"path\":\"/run\"}}"
#define ROOT DRIVER "{\"type\":\"RunnerIngressEndpoint\"," LEASE ",\"port\":1,\"path\":\"/\"}}"
#define START DRIVER "{\"type\":\"StartInteractiveSetup\",\"sessionId\":\"s\"}}"
#define START_PAYLOAD DRIVER "{\"type\":\"StartInteractiveSetup\",\"sessionId\":\"s\"," \
	"\"includeConnectionPayload\":true}}"
#define GET DRIVER "{\"type\":\"GetInteractiveSetup\",\"providerLeaseId\":\"l1\"}}"
#define CANCEL DRIVER "{\"type\":\"CancelInteractiveSetup\",\"providerLeaseId\":\"l1\"}}"
#define CAPTURE DRIVER "{\"type\":\"CaptureTemplate\",\"providerLeaseId\":\"l1\"}}"
#define DELETE DRIVER "{\"type\":\"DeleteTemplate\",\"templateRef\":\"t\"}}"
#define BAD(method, what) \
	"BAD_RESPONSE 'Plugin \"p\" answered environment" method " with " what ".'"
#define URL(url) "{\"kind\":\"authenticated_websocket\",\"generation\":\"1\"," \
	"\"secretHeaders\":[],\"websocketUrl\":\"" url "\"}"
#define HEADERS(headers) "{\"kind\":\"authenticated_websocket\",\"generation\":\"1\"," \
	"\"secretHeaders\":" headers ",\"websocketUrl\":\"wss://h/run\"}"
#define WRONG_URL(what) BAD("RunnerIngressEndpoint", "result.websocketUrl: expected a wss: URL " \
	"with the command's path and nothing more, got " what)
#define WRONG_HEADER(at) BAD("RunnerIngressEndpoint", "result.secretHeaders[" at ": expected " \
	"what an HTTP header may have, got something else")

static const struct row {
	const char *name;
	const char *command;
	const char *result;
	const char *expected;	/* as print() has it */
} rows[] = {
	{ "sync", SYNC, "{\"operations\":[{\"operationId\":\"a\",\"filesTransferred\":1,"
	  "\"bytesTransferred\":3.0},{\"operationId\":\"b\",\"filesTransferred\":0,"
	  "\"bytesTransferred\":9007199254740992}]}",
	  "SUCCEEDED synced [{\"operationId\":\"a\",\"filesTransferred\":1,"
	  "\"bytesTransferred\":3.0},{\"operationId\":\"b\",\"filesTransferred\":0,"
	  "\"bytesTransferred\":9007199254740992}]" },
	{ "sync, null", SYNC, "null", BAD("SyncIn", "result: expected object, got null") },
	{ "sync, nothing", SYNC, "{}", "SUCCEEDED warning 'the plugin answered environmentSyncIn "
	  "without \"operations\"'" },
	{ "sync, no list", SYNC, "{\"operations\":{}}",
	  BAD("SyncIn", "result.operations: expected array, got object") },
	{ "sync, null in the list", SYNC, "{\"operations\":[null]}",
	  BAD("SyncIn", "result.operations[0]: expected object, got null") },
	{ "sync, id is a number", SYNC, "{\"operations\":[{\"operationId\":1}]}",
	  BAD("SyncIn", "result.operations[0].operationId: expected string, got number") },
	{ "sync, count is text", SYNC, "{\"operations\":[{\"operationId\":\"a\","
	  "\"filesTransferred\":\"1\"}]}",
	  BAD("SyncIn", "result.operations[0].filesTransferred: expected a count, got string") },
	{ "sync, count below 0", SYNC, "{\"operations\":[{\"operationId\":\"a\","
	  "\"filesTransferred\":1,\"bytesTransferred\":-1}]}", BAD("SyncIn",
	  "result.operations[0].bytesTransferred: expected a count, got another number") },
	{ "sync, count of 1.5", SYNC, "{\"operations\":[{\"operationId\":\"a\","
	  "\"filesTransferred\":1.5}]}", BAD("SyncIn",
	  "result.operations[0].filesTransferred: expected a count, got another number") },
	{ "sync, count of 1e30", SYNC, "{\"operations\":[{\"operationId\":\"a\","
	  "\"filesTransferred\":1e30}]}", BAD("SyncIn",
	  "result.operations[0].filesTransferred: expected a count, got another number") },
	{ "sync, no counts, one missing", SYNC, "{\"operations\":[{\"operationId\":\"a\"}]}",
	  "SUCCEEDED warning 'operation 1 of the answer has no \"filesTransferred\": 0 is "
	  "assumed' warning 'operation 1 of the answer has no \"bytesTransferred\": 0 is "
	  "assumed' warning 'the answer has fewer operations than the command' synced "
	  "[{\"operationId\":\"a\"}]" },
	{ "sync, another one", SYNC, "{\"operations\":[{\"operationId\":\"b\","
	  "\"filesTransferred\":1,\"bytesTransferred\":1}]}", "SUCCEEDED warning 'operation 1 of "
	  "the answer is not the one of the command' synced [{\"operationId\":\"b\","
	  "\"filesTransferred\":1,\"bytesTransferred\":1}]" },

	{ "ingress", INGRESS, HEADERS("[{\"name\":\"x-a\",\"value\":\"secret one\"},"
	  "{\"name\":\"X-B\",\"value\":\"\"}]"), "SUCCEEDED url 'wss://h/run' generation '1' "
	  "header 'x-a' header 'X-B' credential '[{\"name\":\"x-a\",\"value\":\"secret one\"},"
	  "{\"name\":\"X-B\",\"value\":\"\"}]'" },
	{ "ingress without headers", INGRESS, HEADERS("[]"),
	  "SUCCEEDED url 'wss://h/run' generation '1'" },
	{ "ingress, headers and generation missing", INGRESS,
	  "{\"kind\":\"authenticated_websocket\",\"websocketUrl\":\"wss://h/run\"}",
	  "SUCCEEDED warning 'the plugin answered environmentRunnerIngressEndpoint without "
	  "\"secretHeaders\"' warning 'the plugin answered environmentRunnerIngressEndpoint "
	  "without \"generation\"' url 'wss://h/run'" },
	{ "ingress, null", INGRESS, "null",
	  BAD("RunnerIngressEndpoint", "result: expected object, got null") },
	{ "ingress, another kind", INGRESS, "{\"kind\":\"tcp\",\"websocketUrl\":\"wss://h/run\"}",
	  BAD("RunnerIngressEndpoint", "result.kind: expected \"authenticated_websocket\", got "
	      "another kind") },
	{ "ingress, no kind", INGRESS, "{\"websocketUrl\":\"wss://h/run\"}",
	  BAD("RunnerIngressEndpoint", "result.kind: expected \"authenticated_websocket\", got "
	      "nothing") },
	{ "ingress, no URL", INGRESS, "{\"kind\":\"authenticated_websocket\"}",
	  BAD("RunnerIngressEndpoint", "result.websocketUrl: expected string, got nothing") },
	{ "URL, port", INGRESS, URL("WSS://h-1.example:8443/run"),
	  "SUCCEEDED url 'WSS://h-1.example:8443/run' generation '1'" },
	{ "URL, IPv6", INGRESS, URL("wss://[::1]:1/run"),
	  "SUCCEEDED url 'wss://[::1]:1/run' generation '1'" },
	{ "URL without a path", ROOT, URL("wss://h"), "SUCCEEDED url 'wss://h' generation '1'" },
	{ "URL, ws", INGRESS, URL("ws://h/run"), WRONG_URL("another scheme") },
	{ "URL, https", INGRESS, URL("https://h/run"), WRONG_URL("another scheme") },
	{ "URL, no scheme", INGRESS, URL("h/run"), WRONG_URL("another scheme") },
	{ "URL, user", INGRESS, URL("wss://user:topsecret@h/run"), WRONG_URL("user information") },
	{ "URL, empty user", INGRESS, URL("wss://@h/run"), WRONG_URL("user information") },
	{ "URL, query", INGRESS, URL("wss://h/run?token=topsecret"), WRONG_URL("a query") },
	{ "URL, empty query", INGRESS, URL("wss://h/run?"), WRONG_URL("a query") },
	{ "URL, query without path", ROOT, URL("wss://h?a"), WRONG_URL("a query") },
	{ "URL, fragment", INGRESS, URL("wss://h/run#"), WRONG_URL("a fragment") },
	{ "URL, longer path", INGRESS, URL("wss://h/run/"), WRONG_URL("another path") },
	{ "URL, dots", INGRESS, URL("wss://h/x/../run"), WRONG_URL("another path") },
	{ "URL, escaped", INGRESS, URL("wss://h/%72un"), WRONG_URL("another path") },
	{ "URL, no host", INGRESS, URL("wss:///run"), WRONG_URL("no valid host and port") },
	{ "URL, only a port", INGRESS, URL("wss://:1/run"), WRONG_URL("no valid host and port") },
	{ "URL, port 0", INGRESS, URL("wss://h:0/run"), WRONG_URL("no valid host and port") },
	{ "URL, port 65536", INGRESS, URL("wss://h:65536/run"),
	  WRONG_URL("no valid host and port") },
	{ "URL, no port", INGRESS, URL("wss://h:/run"), WRONG_URL("no valid host and port") },
	{ "URL, two ports", INGRESS, URL("wss://h:1:2/run"), WRONG_URL("no valid host and port") },
	{ "URL, open bracket", INGRESS, URL("wss://[::1/run"),
	  WRONG_URL("no valid host and port") },
	{ "URL, behind the bracket", INGRESS, URL("wss://[::1]x/run"),
	  WRONG_URL("no valid host and port") },
	{ "URL, line break", INGRESS, URL("wss://h/run\\n"),
	  WRONG_URL("characters that must be escaped") },
	{ "URL, backslash", INGRESS, URL("wss://h\\\\@x/run"),
	  WRONG_URL("characters that must be escaped") },
	{ "URL, NUL", INGRESS, URL("wss://h/run\\u0000"),
	  WRONG_URL("characters that must be escaped") },
	{ "headers are text", INGRESS, HEADERS("\"x\""), BAD("RunnerIngressEndpoint",
	  "result.secretHeaders: expected array, got string") },
	{ "header without name", INGRESS, HEADERS("[{\"value\":\"topsecret\"}]"),
	  WRONG_HEADER("0].name") },
	{ "header of two words", INGRESS, HEADERS("[{\"name\":\"x y\",\"value\":\"topsecret\"}]"),
	  WRONG_HEADER("0].name") },
	{ "header that ends the line", INGRESS,
	  HEADERS("[{\"name\":\"a\",\"value\":\"b\"},{\"name\":\"x\",\"value\":\"a\\r\\nb: c\"}]"),
	  WRONG_HEADER("1].value") },
	{ "header with a number", INGRESS, HEADERS("[{\"name\":\"x\",\"value\":1}]"),
	  WRONG_HEADER("0].value") },

	{ "start, not asked for", START, "{\"providerLeaseId\":\"l\",\"status\":"
	  "\"waiting_for_user\",\"connectionSummary\":{\"type\":\"ssh\",\"hostRedacted\":true},"
	  "\"connectionPayload\":{\"type\":\"ssh\",\"token\":\"topsecret\"},\"expiresAt\":\"2030\","
	  "\"metadata\":{\"a\":1.0}}", "SUCCEEDED lease 'l' status 'waiting_for_user' connection "
	  "'{\"type\":\"ssh\",\"hostRedacted\":true}' until '2030' metadata '{\"a\":1.0}' unasked "
	  "'{\"type\":\"ssh\",\"token\":\"topsecret\"}'" },
	{ "start, asked for", START_PAYLOAD, "{\"providerLeaseId\":\"l\",\"status\":\"starting\","
	  "\"connectionPayload\":{\"token\":\"t\",\"expiresAt\":\"1970-01-01T00:00:09Z\"},"
	  "\"expiresAt\":\"1970-01-01T00:00:08Z\"}", "SUCCEEDED lease 'l' status 'starting' until "
	  "'1970-01-01T00:00:08Z' credential '{\"token\":\"t\",\"expiresAt\":"
	  "\"1970-01-01T00:00:09Z\"}' for 9000" },
	{ "start, the session's expiry", START_PAYLOAD, "{\"status\":\"starting\","
	  "\"connectionPayload\":{\"token\":\"t\",\"expiresAt\":\"soon\"},"
	  "\"expiresAt\":\"1970-01-01T00:00:08Z\"}", "SUCCEEDED status 'starting' until "
	  "'1970-01-01T00:00:08Z' credential '{\"token\":\"t\",\"expiresAt\":\"soon\"}' "
	  "for 8000" },
	{ "start, none given", START_PAYLOAD, "{\"providerLeaseId\":null,\"status\":\"starting\","
	  "\"connectionSummary\":null,\"connectionPayload\":null}", "SUCCEEDED warning 'the plugin "
	  "gave no connection payload' status 'starting'" },
	{ "start, a secret in the summary", START, "{\"status\":\"starting\","
	  "\"connectionSummary\":{\"type\":\"ssh\",\"token\":\"topsecret\",\"username\":null}}",
	  "SUCCEEDED warning '\"token\" of \"connectionSummary\" is left out: the protocol does "
	  "not know it' status 'starting' connection '{\"type\":\"ssh\",\"username\":null}'" },
	{ "start, empty summary", START, "{\"status\":\"starting\",\"connectionSummary\":{}}",
	  "SUCCEEDED status 'starting' connection '{}'" },
	{ "start, null", START, "null",
	  BAD("StartInteractiveSetup", "result: expected object, got null") },
	{ "start, no status", START, "{\"providerLeaseId\":\"l\"}",
	  BAD("StartInteractiveSetup", "result.status: expected string, got nothing") },
	{ "start, empty status", START, "{\"status\":\"\"}",
	  BAD("StartInteractiveSetup", "result.status: expected a text, got an empty one") },
	{ "start, unknown status", START, "{\"status\":\"new\"}", "SUCCEEDED warning '\"status\" "
	  "is none that the protocol knows' status 'new'" },
	{ "start, payload is text", START_PAYLOAD,
	  "{\"status\":\"starting\",\"connectionPayload\":\"topsecret\"}",
	  BAD("StartInteractiveSetup", "result.connectionPayload: expected object, got string") },
	{ "start, summary is text", START,
	  "{\"status\":\"starting\",\"connectionSummary\":\"topsecret\"}",
	  BAD("StartInteractiveSetup", "result.connectionSummary: expected object, got string") },
	{ "start, lease is a list", START, "{\"providerLeaseId\":[],\"status\":\"starting\"}",
	  BAD("StartInteractiveSetup", "result.providerLeaseId: expected string, got array") },
	{ "get, another lease", GET, "{\"providerLeaseId\":\"l2\",\"status\":\"missing\"}",
	  "SUCCEEDED warning 'the answer names another \"providerLeaseId\" than the command' "
	  "lease 'l2' status 'missing'" },
	{ "cancel", CANCEL, "{\"status\":\"cancelled\",\"metadata\":[1]}",
	  "SUCCEEDED status 'cancelled' metadata '[1]'" },
	{ "cancel, null", CANCEL, "null",
	  BAD("CancelInteractiveSetup", "result: expected object, got null") },
	{ "capture", CAPTURE, "{\"templateRef\":\"t\",\"templateKind\":\"snapshot\"}",
	  "SUCCEEDED template 't' kind 'snapshot'" },
	{ "capture, no kind", CAPTURE, "{\"templateRef\":\"t\"}", "SUCCEEDED warning 'the plugin "
	  "answered environmentCaptureTemplate without \"templateKind\"' template 't'" },
	{ "capture, no template", CAPTURE, "{\"templateKind\":\"snapshot\"}",
	  BAD("CaptureTemplate", "result.templateRef: expected string, got nothing") },
	{ "capture, empty template", CAPTURE, "{\"templateRef\":\"\"}",
	  BAD("CaptureTemplate", "result.templateRef: expected a text, got an empty one") },
	{ "delete", DELETE, "{\"deleted\":false}", "SUCCEEDED deleted=0" },
	{ "delete, nothing said", DELETE, "{}", "SUCCEEDED warning 'the plugin answered "
	  "environmentDeleteTemplate without \"deleted\"'" },
	{ "delete, text", DELETE, "{\"deleted\":\"yes\"}",
	  BAD("DeleteTemplate", "result.deleted: expected boolean, got string") },
};

static void
add(struct buf *out, const char *label, struct span text)
{
	if (text.ptr)
		buf_addf(out, " %s '%.*s'", label, SPAN_FMT(text));
}

static void
print(const struct answer *s, struct buf *out)
{
	struct span text;
	size_t i;

	if (s->outcome.status == OUTCOME_SUCCEEDED)
		buf_adds(out, "SUCCEEDED");
	else
		buf_addf(out, "%s '%s'", outcome_code_name(s->outcome.code),
			 s->outcome.message.data);
	for (i = 0; answer_list_next(&s->warnings, &i, &text);)
		add(out, "warning", text);
	if (s->synced.kind == JTEXT_ARRAY)
		buf_addf(out, " synced %.*s", SPAN_FMT(s->synced.raw));
	add(out, "url", answer_text(s, ANSWER_URL));
	add(out, "generation", answer_text(s, ANSWER_GENERATION));
	for (i = 0; answer_list_next(&s->header_names, &i, &text);)
		add(out, "header", text);
	add(out, "lease", answer_text(s, ANSWER_LEASE_ID));
	add(out, "status", answer_text(s, ANSWER_STATUS));
	add(out, "connection", answer_text(s, ANSWER_CONNECTION));
	add(out, "template", answer_text(s, ANSWER_TEMPLATE_REF));
	add(out, "kind", answer_text(s, ANSWER_TEMPLATE_KIND));
	add(out, "until", answer_text(s, ANSWER_EXPIRES_AT));
	add(out, "metadata", s->metadata);
	add(out, s->credential_unasked ? "unasked" : "credential",
	    answer_text(s, ANSWER_CREDENTIAL));
	if (s->credential_until)
		buf_addf(out, " for %lld", (long long)s->credential_until);
	if (s->has_deleted)
		buf_addf(out, " deleted=%d", s->deleted);
}

static void
read_result(struct answer *s, const struct command *c, const char *result)
{
	const struct chosen chosen = { SPAN_LIT("id"), SPAN_LIT("p"), SPAN_NULL, NULL };
	const struct rpc_answer a = { .method = c->op->rpc, .result = fixture_json(result) };

	answer_reset(s);
	answer_read(s, c, &chosen, &a);
	assert_false(answer_failed(s));
}

/* One answer for all rows: nothing of an answer may stay for the next. */
static void
test_rows(void **state)
{
	const struct row *row;
	struct answer s;

	(void)state;
	answer_init(&s);
	EACH(row, rows) {
		struct command *c = fixture_command(row->command);
		struct buf out = BUF_INIT;

		read_result(&s, c, row->result);
		print(&s, &out);
		if (strcmp(out.data, row->expected) != 0)
			fail_msg("%s: %s", row->name, out.data);
		buf_release(&out);
		command_free(c);
	}
	answer_release(&s);
}

/* `n` times `text`, with commas between. */
static void
add_list(struct buf *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, i ? "," : "");
		buf_adds(out, text);
	}
}

static void
test_limits(void **state)
{
	struct command *ingress = fixture_command(INGRESS), *start = fixture_command(START_PAYLOAD);
	struct command *sync = fixture_command(SYNC);
	struct buf json = BUF_INIT;
	struct answer s;

	(void)state;
	answer_init(&s);
	buf_adds(&json, "{\"kind\":\"authenticated_websocket\",\"websocketUrl\":\"wss://h/run\","
			"\"secretHeaders\":[");
	add_list(&json, "{\"name\":\"x\",\"value\":\"y\"}", 65);
	buf_adds(&json, "]}");
	read_result(&s, ingress, json.data);
	CHECK_HAS("headers", s.outcome.message.data, "expected at most 64 headers, got more");

	buf_reset(&json);
	buf_adds(&json, "{\"status\":\"starting\",\"connectionPayload\":{\"token\":\"");
	for (int i = 0; i < 65536; i++)
		buf_addch(&json, 'x');
	buf_adds(&json, "\"}}");
	read_result(&s, start, json.data);
	CHECK_HAS("payload", s.outcome.message.data,
		  "result.connectionPayload: expected at most 65536 bytes, got 65548.");
	assert_null(answer_text(&s, ANSWER_CREDENTIAL).ptr);

	/* What is wrong in each of many items is said of some. */
	buf_reset(&json);
	buf_adds(&json, "{\"operations\":[");
	add_list(&json, "{\"operationId\":\"a\"}", 1000);
	buf_adds(&json, "]}");
	read_result(&s, sync, json.data);
	assert_int_equal(s.outcome.status, OUTCOME_SUCCEEDED);
	assert_int_equal(s.warnings.count, 51);
	answer_release(&s);
	buf_release(&json);
	command_free(ingress);
	command_free(start);
	command_free(sync);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
