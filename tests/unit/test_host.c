/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "envdriver/host/plugin_event.h"
#include "envdriver/host/host.h"
#include "host_texts.h"

#define NO_COMPANY "company context is required"
#define UNKNOWN "the worker referenced a missing, expired, or unknown invocation scope"

/* What came out of the host, and the answer that state gives. */
static struct buf lines, logs, asked;
static int state_code;
static host_state_fn *state_done;
static void *state_token;

static void
on_write(void *arg, struct span line)
{
	(void)arg;
	buf_addspan(&lines, line);
}

static void
on_log(void *arg, enum log_level level, struct span company, struct span message,
       struct jtext meta)
{
	(void)company;
	(void)arg;
	buf_addf(&logs, "%d %.*s %.*s;", (int)level, SPAN_FMT(message), SPAN_FMT(meta.raw));
}

static void
on_plugin_event(void *arg, const struct plugin_event *n)
{
	(void)arg;
	assert_true(span_is(n->plugin_id, "plugin-1") && span_is(n->plugin_key, "acme.x"));
}

static int
on_state(void *arg, enum host_state_op op, struct span company, struct span field,
	 struct span value, host_state_fn *done, void *token)
{
	(void)arg;
	buf_addf(&asked, "%d %.*s %.*s %.*s;", (int)op, SPAN_FMT(company), SPAN_FMT(field),
		 SPAN_FMT(value));
	state_done = done;
	state_token = token;
	return state_code;
}

static void
on_metric(void *arg, struct span labels, double value)
{
	(void)arg;
	(void)labels;
	(void)value;
}

static const struct host_ops ops = { on_write, on_log, on_plugin_event, on_metric, on_state, 100,
				     NULL, NULL, NULL };

static const char manifest_all[] =
	"{\"capabilities\":[\"plugin.state.read\",\"plugin.state.write\",\"secrets.read-ref\","
	"\"metrics.write\",\"activity.log.write\",\"events.emit\",\"events.subscribe\","
	"\"telemetry.track\",\"environment.drivers.register\"]}";
static const char configs[] = "{\"company-1\":{\"greeting\":\"hello\"},\" company-3 \":{\"n\":[1]},"
			      "\"company-4\":7}";

static const struct row {
	const char *name;
	bool running;		/* a call of company-2, invocation i-2, is live */
	const char *rest;	/* of the request, after the id */
	const char *line;
} rows[] = {
	{ "unknown method", true, "\"method\":\"no.such.method\",\"params\":{}",
	  FAIL("-32601", "Host does not handle method \\\"no.such.method\\\"") },
	{ "http.fetch is not offered", true, "\"method\":\"http.fetch\"",
	  FAIL("-32601", "Host does not handle method \\\"http.fetch\\\"") },

	{ "config of the invocation's company", true,
	  "\"method\":\"config.get\",\"params\":{},\"paperclipInvocationId\":\"i-2\"", OK "{}}\n" },
	{ "config, id with space around", true,
	  "\"method\":\"config.get\",\"paperclipInvocationId\":\" i-2 \"", OK "{}}\n" },
	{ "config, named company", true, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\" company-2\"},\"paperclipInvocationId\":\"i-2\"", OK "{}}\n" },
	{ "config of another company", true, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-1\"},\"paperclipInvocationId\":\"i-2\"",
	  DENIED("config.get", OTHER("company-2", "company-1")) },
	{ "config, forged id", true, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-2\"},\"paperclipInvocationId\":\"i-9\"",
	  DENIED("config.get", UNKNOWN) },
	{ "config, no id, no stored config", true, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-2\"}", DENIED("config.get", UNKNOWN) },
	{ "config, no id, no company", true, "\"method\":\"config.get\",\"params\":{}",
	  DENIED("config.get", UNKNOWN) },
	{ "config, no id, stored config", true, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-1\"}", OK "{\"greeting\":\"hello\"}}\n" },
	{ "config in set-up", false, "\"method\":\"config.get\",\"params\":{}",
	  DENIED("config.get", NO_COMPANY) },
	{ "config in set-up, company without config", false, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-2\"}", DENIED("config.get", NO_COMPANY) },
	{ "config in set-up, stored config", false, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-3\"}", OK "{\"n\":[1]}}\n" },
	{ "config that is no object", false, "\"method\":\"config.get\",\"params\":"
	  "{\"companyId\":\"company-4\"}", DENIED("config.get", NO_COMPANY) },
	{ "config, blank company", false, "\"method\":\"config.get\","
	  "\"params\":{\"companyId\":\" \"}",
	  DENIED("config.get", NO_COMPANY) },

	{ "state of another company by scope", true, "\"method\":\"state.get\",\"params\":"
	  "{\"scopeKind\":\"company\",\"scopeId\":\"company-1\",\"stateKey\":\"k\"},"
	  "\"paperclipInvocationId\":\"i-2\"", DENIED("state.get", OTHER("company-2",
	  "company-1")) },
	{ "state of every company", true, "\"method\":\"state.get\",\"params\":"
	  "{\"scopeKind\":\"company\",\"stateKey\":\"k\"},\"paperclipInvocationId\":\"i-2\"",
	  DENIED("state.get", "the current invocation is scoped to company \\\"company-2\\\"") },
	{ "state of nobody", false, "\"method\":\"state.get\",\"params\":"
	  "{\"scopeKind\":\"instance\",\"stateKey\":\"k\"}", DENIED("state.get", NO_COMPANY) },
	{ "state without a key", true, "\"method\":\"state.get\",\"params\":"
	  "{\"scopeKind\":\"instance\"},\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "state.get needs a scopeKind and a stateKey, and optionally a scopeId "
	  "and a "
	       "namespace: strings of at most 4096 bytes together") },

	{ "secrets", true, "\"method\":\"secrets.resolve\",\"params\":{},"
	  "\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "Invalid secret reference for plugin: ") },
	{ "secrets of another company", true, "\"method\":\"secrets.resolve\",\"params\":"
	  "{\"companyId\":\"c\"},\"paperclipInvocationId\":\"i-2\"",
	  DENIED("secrets.resolve", OTHER("company-2", "c")) },
	{ "metrics without an id", true, "\"method\":\"metrics.write\",\"params\":{"
	  "\"name\":\"m\",\"value\":1}", OK "null}\n" },
	{ "metrics of another company", true, "\"method\":\"metrics.write\",\"params\":"
	  "{\"name\":\"m\",\"companyId\":\"c\"},\"paperclipInvocationId\":\"i-2\"",
	  DENIED("metrics.write", OTHER("company-2", "c")) },
	{ "subscribe", false, "\"method\":\"events.subscribe\",\"params\":{\"filter\":null}",
	  OK "null}\n" },
	{ "subscribe to a company", false, "\"method\":\"events.subscribe\",\"params\":"
	  "{\"filter\":{\"companyId\":\"company-2\"}}", DENIED("events.subscribe", NO_COMPANY) },
	{ "span", true, "\"method\":\"span.record\",\"params\":{}", OK "null}\n" },
	{ "log as a request", true, "\"method\":\"log\",\"params\":{\"message\":\"m\"}",
	  OK "null}\n" },
};

static struct scope scope;
static struct scope_entry call = { .invocation_id = "i-2" };

static struct host *
begin(struct host_plugin *p, const char *manifest, bool running)
{
	struct host *h;

	*p = (struct host_plugin){ .id = "plugin-1", .key = "acme.x" };
	assert_int_equal(jtext_check(span_of(manifest), 64, &p->manifest, NULL), 0);
	assert_int_equal(jtext_check(span_of(configs), 64, &p->config, NULL), 0);
	buf_reset(&lines);
	buf_reset(&logs);
	buf_reset(&asked);
	call.company = SPAN_LIT("company-2");
	call.command_id = SPAN_LIT("c-9");
	if (running)
		assert_true(scope_begin(&scope, &call));
	h = host_new(p, &scope, &ops, NULL);
	assert_non_null(h);
	return h;
}

static void
end(struct host *h, bool running)
{
	if (running)
		scope_end(&scope, &call, 0);
	scope_release(&scope);
	host_free(h);
}

static void
ask(struct host *h, const char *rest)
{
	struct buf line = BUF_INIT;
	struct rpc_message m;

	buf_addf(&line, V ",\"id\":7,%s}", rest);
	rpc_parse(buf_span(&line), &m);
	assert_int_equal(m.kind, RPC_REQUEST);
	host_request(h, &m);
	buf_release(&line);
}

static void
tell(struct host *h, const char *rest)
{
	struct buf line = BUF_INIT;
	struct rpc_message m;

	buf_addf(&line, V ",%s}", rest);
	rpc_parse(buf_span(&line), &m);
	assert_int_equal(m.kind, RPC_NOTIFICATION);
	host_notification(h, &m);
	buf_release(&line);
}

static void
expect(const char *name, const struct buf *got, const char *wanted)
{
	if (strcmp(got->data ? got->data : "", wanted) != 0)
		fail_msg("%s: %s", name, got->data);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host_plugin p;
		struct host *h = begin(&p, manifest_all, rows[i].running);

		ask(h, rows[i].rest);
		expect(rows[i].name, &lines, rows[i].line);
		expect(rows[i].name, &asked, "");
		end(h, rows[i].running);
	}
}

static const struct {
	const char *method, *capability;
} needs[] = {
	{ "state.get", "plugin.state.read" },	{ "state.set", "plugin.state.write" },
	{ "state.delete", "plugin.state.write" }, { "secrets.resolve", "secrets.read-ref" },
	{ "metrics.write", "metrics.write" },	{ "activity.log", "activity.log.write" },
	{ "events.emit", "events.emit" },	{ "events.subscribe", "events.subscribe" },
	{ "span.record", "environment.drivers.register" }, { "telemetry.track", "telemetry.track" },
};

static void
test_capabilities(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(needs); i++) {
		struct host_plugin p;
		struct host *h = begin(&p, "{\"capabilities\":[\"other\",3]}", true);
		char rest[200], wanted[400];

		snprintf(rest, sizeof(rest), "\"method\":\"%s\",\"paperclipInvocationId\":\"i-2\"",
			 needs[i].method);
		snprintf(wanted, sizeof(wanted),
			 FAIL("-32001", "Plugin \\\"plugin-1\\\" is missing required capability "
			      "\\\"%s\\\" for method \\\"%s\\\""), needs[i].capability,
			      needs[i].method);
		ask(h, rest);
		expect(needs[i].method, &lines, wanted);
		end(h, true);
	}
}

static const struct state_row {
	const char *name;
	const char *rest;	/* method, and params but for their brace */
	int code;
	enum host_state_end ended;
	const char *value;	/* what is stored */
	const char *asked, *line;
} state_rows[] = {
	{ "get", "state.get\",\"params\":{\"scopeKind\":\"company\",\"scopeId\":\"company-2\","
	  "\"stateKey\":\"k\"", 0, true, "{\"n\":1}",
	  "0 company-2 [\"company\",\"company-2\",\"default\",\"k\"] null;", OK "{\"n\":1}}\n" },
	{ "get of nothing", "state.get\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\","
	  "\"scopeId\":null", 0, true, NULL,
	  "0 company-2 [\"instance\",null,\"default\",\"k\"] null;", OK "null}\n" },
	{ "one way to write a key", "state.get\",\"params\":{\"scopeKind\":\"inst\\u0061nce\","
	  "\"stateKey\":\"\\u006b\\n\\\"\",\"scopeId\":\"\",\"namespace\":\"n\"", 0, true, NULL,
	  "0 company-2 [\"instance\",null,\"n\",\"k\\n\\\"\"] null;", OK "null}\n" },
	{ "not JSON", "state.get\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\"", 0,
	  true, "{oops", "0 company-2 [\"instance\",null,\"default\",\"k\"] null;",
	  FAIL("-32603", "What is stored there is not JSON") },
	{ "set", "state.set\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\","
	  "\"value\":{\"n\": 1}", 0, true, NULL,
	  "1 company-2 [\"instance\",null,\"default\",\"k\"] {\"n\": 1};", OK "null}\n" },
	{ "delete", "state.delete\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\"", 0,
	  true, NULL, "2 company-2 [\"instance\",null,\"default\",\"k\"] null;", OK "null}\n" },
	{ "Redis away", "state.set\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\"",
	  ERR_UNAVAILABLE, false, NULL, "1 company-2 [\"instance\",null,\"default\",\"k\"] null;",
	  FAIL("-32603", "State cannot be reached now") },
	{ "a value that is too long", "state.set\",\"params\":{\"scopeKind\":\"i\","
	  "\"stateKey\":\"k\",\"value\":\"0123456789012345678901234567890123456789"
	  "0123456789012345678901234567890123456789012345678901234567890\"", 1, false, NULL, "",
	  FAIL("-32603", "A value of 103 bytes exceeds the limit of 100 bytes") },
	{ "full", "state.set\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\","
	  "\"value\":1", 0, HOST_STATE_FULL, NULL,
	  "1 company-2 [\"instance\",null,\"default\",\"k\"] 1;",
	  FAIL("-32603", "The state of this plugin and company is full: more keys or bytes than "
	       "plugin.state.max.keys and plugin.state.max.bytes allow") },
	{ "Redis lost", "state.get\",\"params\":{\"scopeKind\":\"instance\",\"stateKey\":\"k\"", 0,
	  false, NULL, "0 company-2 [\"instance\",null,\"default\",\"k\"] null;",
	  FAIL("-32603", "State cannot be reached now") },
};

static void
test_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(state_rows); i++) {
		const struct state_row *row = &state_rows[i];
		struct host_plugin p;
		struct host *h = begin(&p, manifest_all, true);
		struct buf rest = BUF_INIT;

		state_code = row->code;
		buf_addf(&rest, "\"method\":\"%s},\"paperclipInvocationId\":\"i-2\"", row->rest);
		ask(h, rest.data);
		expect(row->name, &asked, row->asked);
		if (row->code == 0) {
			expect(row->name, &lines, "");
			state_done(state_token, row->ended, span_of(row->value));
		}
		expect(row->name, &lines, row->line);
		buf_release(&rest);
		end(h, true);
	}
}

/* Too many at once are refused; a reply after the worker's end is nobody's. */
static void
test_state_limits(void **state)
{
	static const char rest[] = "\"method\":\"state.get\",\"params\":{"
		"\"scopeKind\":\"instance\",\"stateKey\":\"k\"},\"paperclipInvocationId\":\"i-2\"";
	struct host_plugin p;
	struct host *h = begin(&p, manifest_all, true);
	host_state_fn *done[HOST_STATE_MAX];
	void *tokens[HOST_STATE_MAX];

	(void)state;
	state_code = 0;
	for (size_t i = 0; i < HOST_STATE_MAX; i++) {
		ask(h, rest);
		done[i] = state_done;
		tokens[i] = state_token;
	}
	expect("within the limit", &lines, "");
	ask(h, rest);
	expect("one more", &lines, FAIL("-32603", "State cannot be reached now"));
	done[0](tokens[0], true, SPAN_NULL);
	buf_reset(&lines);
	ask(h, rest);
	expect("room again", &lines, "");
	done[0] = state_done;
	tokens[0] = state_token;
	end(h, true);
	for (size_t i = 0; i < HOST_STATE_MAX; i++)
		done[i](tokens[i], true, SPAN_LIT("1"));
	expect("after the end", &lines, "");
}

static void
add_long(struct buf *out, const char *head, int n, const char *tail)
{
	buf_reset(&lines);
	buf_reset(out);
	buf_addf(out, "%s%*s%s", head, n, "", tail);
}

/* What is too long is refused before it is read. */
static void
test_long_requests(void **state)
{
	struct host_plugin p;
	struct host *h = begin(&p, manifest_all, true);
	struct buf rest = BUF_INIT;
	struct rpc_message m;

	(void)state;
	add_long(&rest, V ",\"id\":\"", 255, "\",\"method\":\"log\"}");
	rpc_parse(buf_span(&rest), &m);
	host_request(h, &m);
	expect("id", &lines, V ",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
	       "\"An id of 257 bytes exceeds the limit of 256\"}}\n");
	add_long(&rest, "\"method\":\"state.get\",\"params\":{\"x\":\"", 8 << 20, "\"}");
	ask(h, rest.data);
	expect("request", &lines, FAIL("-32600", "A request of 8388671 bytes exceeds the limit of "
				       "8388608"));
	add_long(&rest, "\"method\":\"state.get\",\"params\":{\"companyId\":\"", 9000, "\"}");
	ask(h, rest.data);
	expect("company", &lines, FAIL("-32602", "A company exceeds the limit of 8192 bytes"));
	buf_release(&rest);
	end(h, true);
}

static void
test_log(void **state)
{
	struct host_plugin p;
	struct host *h = begin(&p, manifest_all, false);

	(void)state;
	tell(h, "\"method\":\"log\",\"params\":{\"level\":\"debug\",\"message\":\"d\"}");
	tell(h, "\"method\":\"log\",\"params\":{\"level\":\"info\",\"message\":\"i\","
		"\"meta\":{\"n\":1}}");
	tell(h, "\"method\":\"log\",\"params\":{\"level\":\"warn\",\"message\":\"w\\u0000x\"}");
	tell(h, "\"method\":\"log\",\"params\":{\"level\":\"error\",\"message\":{\"a\":1}}");
	tell(h, "\"method\":\"log\",\"params\":{\"level\":9}");
	tell(h, "\"method\":\"nobody.knows\"");
	expect("logs", &logs, "3 d ;2 i {\"n\":1};1 w ;0 {\"a\":1} ;2  ;");
	expect("no answers", &lines, "");
	end(h, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_state_limits),
		cmocka_unit_test(test_long_requests),
		cmocka_unit_test(test_log),
	};
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&lines);
	buf_release(&logs);
	buf_release(&asked);
	return ret;
}
