/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin reports through its host: activities, events, spans, streams,
 * metrics. */
#include "unit.h"

#include "envdriver/host/plugin_event.h"
#include "envdriver/host/host.h"
#include "host/host_metric.h"
#include "host_texts.h"

#define SLUGS "Plugin telemetry event names must be lowercase slugs using letters, numbers, " \
	"\\\"_\\\" or \\\"-\\\"."

/* What came out of the host. */
static struct buf lines, events, points;

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
	(void)level;
	(void)message;
	(void)meta;
}

static void
on_plugin_event(void *arg, const struct plugin_event *n)
{
	(void)arg;
	assert_true(span_is(n->plugin_id, "plugin-1") && span_is(n->plugin_key, "acme.x"));
	buf_addf(&events, "%s company=%.*s command=%.*s name=%.*s message=%.*s details=%.*s;",
		 n->type, SPAN_FMT(n->company_id), SPAN_FMT(n->command_id), SPAN_FMT(n->name),
		 SPAN_FMT(n->message), SPAN_FMT(n->details));
}

static void
on_metric(void *arg, struct span labels, double value)
{
	(void)arg;
	buf_addf(&points, "%.*s %g;", SPAN_FMT(labels), value);
}

static const struct host_ops ops = {
	.write = on_write, .log = on_log, .event = on_plugin_event, .metric = on_metric,
};

static const char manifest[] =
	"{\"capabilities\":[\"metrics.write\",\"activity.log.write\",\"events.emit\","
	"\"telemetry.track\",\"environment.drivers.register\"]}";
static struct scope scope;
static struct scope_entry call = { .invocation_id = "i-2" };
static struct host_plugin plugin;

/* A call of company-2 is live. */
static struct host *
begin(void)
{
	struct host *h;

	plugin = (struct host_plugin){ .id = "plugin-1", .key = "acme.x" };
	assert_int_equal(jtext_check(span_of(manifest), 64, &plugin.manifest, NULL), 0);
	assert_int_equal(jtext_check(SPAN_LIT("{\"company-1\":{}}"), 64, &plugin.config, NULL),
			 0);
	buf_reset(&lines);
	buf_reset(&events);
	buf_reset(&points);
	call.company = SPAN_LIT("company-2");
	call.command_id = SPAN_LIT("c-9");
	assert_true(scope_begin(&scope, &call));
	h = host_new(&plugin, &scope, &ops, NULL);
	assert_non_null(h);
	return h;
}

static void
end(struct host *h)
{
	scope_end(&scope, &call, 0);
	scope_release(&scope);
	host_free(h);
}

static void
say(struct host *h, const char *id, const char *rest)
{
	struct buf line = BUF_INIT;
	struct rpc_message m;

	buf_addf(&line, V "%s,%s}", id, rest);
	rpc_parse(buf_span(&line), &m);
	if (m.kind == RPC_REQUEST)
		host_request(h, &m);
	else
		host_notification(h, &m);
	buf_release(&line);
}

static void
ask(struct host *h, const char *rest)
{
	say(h, ",\"id\":7", rest);
}

static void
tell(struct host *h, const char *rest)
{
	say(h, "", rest);
}

static void
expect(const char *name, const struct buf *got, const char *wanted)
{
	if (strcmp(got->data ? got->data : "", wanted) != 0)
		fail_msg("%s: %s", name, got->data);
}

static const struct row {
	const char *name, *rest, *line;
} rows[] = {
	{ "telemetry", "\"method\":\"telemetry.track\",\"params\":{"
	  "\"eventName\":\" a-b_9 \"}", OK "null}\n" },
	{ "telemetry without a name", "\"method\":\"telemetry.track\",\"params\":{}",
	  FAIL("-32603", SLUGS) },
	{ "telemetry, no slug", "\"method\":\"telemetry.track\",\"params\":{"
	  "\"eventName\":\"Upper\"}", FAIL("-32603", SLUGS) },
	{ "activity without a company", "\"method\":\"activity.log\",\"params\":{"
	  "\"message\":\"m\"},\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "companyId is required for this operation") },
	{ "emit without a name", "\"method\":\"events.emit\",\"params\":{\"name\":\" \","
	  "\"companyId\":\"company-2\"},\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "Plugin \\\"acme.x\\\" must provide a non-empty event name.") },
	{ "emit without a company", "\"method\":\"events.emit\",\"params\":{\"name\":\"n\"},"
	  "\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "Plugin \\\"acme.x\\\" must provide a companyId when emitting events.") },
	{ "emit in another's name", "\"method\":\"events.emit\",\"params\":{"
	  "\"name\":\"plugin.a\",\"companyId\":\"company-2\"},\"paperclipInvocationId\":\"i-2\"",
	  FAIL("-32603", "Plugin \\\"acme.x\\\" must not include the \\\"plugin.\\\" prefix when "
	       "emitting events. Emit the bare event name (e.g. \\\"sync-done\\\") and the bus "
	       "will namespace it automatically.") },
	{ "metrics, no number", "\"method\":\"metrics.write\",\"params\":{\"name\":\"m\","
	  "\"value\":\"1\"}", FAIL("-32603", "metrics.write needs a name and a finite number") },
	{ "metrics, too large", "\"method\":\"metrics.write\",\"params\":{\"name\":\"m\","
	  "\"value\":1e999}", FAIL("-32603", "metrics.write needs a name and a finite number") },
};

static void
test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host *h = begin();

		ask(h, rows[i].rest);
		expect(rows[i].name, &lines, rows[i].line);
		expect(rows[i].name, &events, "");
		expect(rows[i].name, &points, "");
		end(h);
	}
}

static void
test_plugin_events(void **state)
{
	struct host *h = begin();

	(void)state;
	ask(h, "\"method\":\"activity.log\",\"params\":{\"companyId\":\"company-2\","
		"\"message\":\"did it\","
	       "\"entityType\":\"lease\",\"metadata\":{\"a\":1}},"
	  "\"paperclipInvocationId\":\"i-2\"");
	ask(h, "\"method\":\"events.emit\",\"params\":{\"name\":\"e\",\"companyId\":\"company-2\","
	       "\"payload\":[1]},\"paperclipInvocationId\":\"i-2\"");
	ask(h, "\"method\":\"events.emit\",\"params\":{\"name\":\"e\","
		"\"companyId\":\"company-1\"}");
	ask(h, "\"method\":\"events.emit\",\"params\":{\"name\":\"e\",\"companyId\":\"company-1\"},"
	       "\"paperclipInvocationId\":\"i-2\"");
	expect("events", &events,
	       "ACTIVITY company=company-2 command=c-9 name= message=did it "
	       "details={\"entityType\":\"lease\",\"metadata\":{\"a\":1}};"
	       "EVENT_EMITTED company=company-2 command=c-9 name=e message= "
	  "details={\"payload\":[1]};"
	       "EVENT_EMITTED company=company-1 command= name=e message= details=;");
	expect("answers", &lines, OK "null}\n" OK "null}\n" OK "null}\n"
	       DENIED("events.emit", OTHER("company-2", "company-1")));
	end(h);
}

static void
test_streams(void **state)
{
	struct scope_entry other = { .invocation_id = "i-1", .company = SPAN_LIT("company-1"),
				    .command_id = SPAN_LIT("c-1") };
	struct host *h = begin();

	(void)state;
	assert_true(scope_begin(&scope, &other));
#define STREAM(m, more) "\"method\":\"streams." m "\",\"params\":{\"channel\":\"ch\"," \
	"\"companyId\":\"company-2\"" more "},\"paperclipInvocationId\":\"i-2\""
#define OTHER_STREAM(m) "\"method\":\"streams." m "\",\"params\":{\"channel\":\"ch\"," \
	"\"companyId\":\"company-1\"},\"paperclipInvocationId\":\"i-1\""
	tell(h, STREAM("open", ""));
	tell(h, STREAM("emit", ",\"event\":{\"a\":1}"));
	tell(h, "\"method\":\"streams.emit\",\"params\":{\"channel\":\"ch\","
		"\"companyId\":\"company-1\"},"
		"\"paperclipInvocationId\":\"i-2\"");
	tell(h, "\"method\":\"streams.emit\",\"params\":{\"channel\":\"ch\","
		"\"companyId\":\"company-2\"}");
	tell(h, STREAM("close", ""));
	tell(h, STREAM("open", ""));
	tell(h, OTHER_STREAM("open"));
	tell(h, OTHER_STREAM("close"));
	host_end(h);
	host_end(h);
	expect("streams", &events,
	       "STREAM_OPENED company=company-2 command=c-9 name=ch message= details=;"
	       "STREAM_EVENT company=company-2 command=c-9 name=ch message= "
	  "details={\"event\":{\"a\":1}};"
	       "STREAM_CLOSED company=company-2 command=c-9 name=ch message= details=;"
	       "STREAM_OPENED company=company-2 command=c-9 name=ch message= details=;"
	       "STREAM_OPENED company=company-1 command=c-1 name=ch message= details=;"
	       "STREAM_CLOSED company=company-1 command=c-1 name=ch message= details=;"
	       "STREAM_CLOSED company=company-2 command= name=ch message= details=;");
	scope_end(&scope, &other, 0);
	end(h);
}

/* Spans are events only in a call that has a traceparent. */
static void
test_spans(void **state)
{
	static const char rest[] = "\"method\":\"span.record\",\"params\":{\"name\":\"pack\","
		"\"attributes\":{\"a\":1},\"status\":{\"code\":1},\"startTimeMs\":1,"
		"\"endTimeMs\":2},\"paperclipInvocationId\":\"i-2\"";
	struct host *h = begin();

	(void)state;
	ask(h, rest);
	expect("no trace", &lines, OK "null}\n");
	expect("no trace", &events, "");
	call.traceparent = SPAN_LIT("00-t-s-01");
	ask(h, rest);
	call.traceparent = SPAN_NULL;
	expect("trace", &events, "SPAN_RECORDED company=company-2 command=c-9 name=pack message= "
	       "details={\"attributes\":{\"a\":1},\"status\":{\"code\":1},\"startTimeMs\":1,"
	       "\"endTimeMs\":2,\"traceparent\":\"00-t-s-01\"};");
	end(h);
}

static const struct metric_row {
	const char *name, *params, *points;
} metric_rows[] = {
	{ "plain", "\"name\":\"a.b/c:d-e_f\",\"value\":-1.5", "plugin=\"acme.x\","
	  "name=\"a.b/c:d-e_f\" -1.5;" },
	{ "tags in order", "\"name\":\"n\",\"value\":2,\"tags\":{\"z\":\"1\",\"a-b\":\"x y\","
	  "\"n\":7,\"t\":true}", "plugin=\"acme.x\",name=\"n\",tag_a_b=\"x y\",tag_n=\"7\","
	  "tag_t=\"true\","
	  "tag_z=\"1\" 2;" },
	{ "hostile", "\"name\":\"a\\n} 1\\\"\\u0000{\",\"value\":1,\"tags\":{\"b\\\"} 9\\n\":"
	  "\"c\\n\\\"\\\\\\u2028\\ud800\"}", "plugin=\"acme.x\",name=\"a___1___\","
	  "tag_b___9_=\"c_\\\"\\\\\xe2\x80\xa8\xef\xbf\xbd\" 1;" },
	{ "no name, no tags", "\"value\":1,\"tags\":[1]", "plugin=\"acme.x\",name=\"\" 1;" },
	{ "the same tag", "\"name\":\"n\",\"value\":1,\"tags\":{\"a-b\":\"1\",\"a_b\":\"2\","
	  "\"\":\"3\"}", "plugin=\"acme.x\",name=\"n\",tag_a_b=\"1\" 1;" },
	{ "its company is no tag", "\"name\":\"n\",\"value\":1,\"tags\":{\"co\":\"company-2\"}",
	  "plugin=\"acme.x\",name=\"n\" 1;" },
	{ "too many tags", "\"name\":\"n\",\"value\":1,\"tags\":{\"a\":1,\"b\":1,\"c\":1,"
	  "\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}", "plugin=\"acme.x\",name=\"n\","
	  "tag_a=\"1\",tag_b=\"1\",tag_c=\"1\",tag_d=\"1\",tag_e=\"1\","
	  "tag_f=\"1\",tag_g=\"1\",tag_h=\"1\" 1;" },
};

static void
test_metrics(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(metric_rows); i++) {
		struct host *h = begin();
		struct buf rest = BUF_INIT;

		buf_addf(&rest, "\"method\":\"metrics.write\",\"params\":{%s},"
			 "\"paperclipInvocationId\":\"i-2\"", metric_rows[i].params);
		ask(h, rest.data);
		expect(metric_rows[i].name, &lines, OK "null}\n");
		expect(metric_rows[i].name, &points, metric_rows[i].points);
		buf_release(&rest);
		end(h);
	}
}

/* However long they are: each part is cut. */
static void
test_long_labels(void **state)
{
	struct buf name = BUF_INIT, out = BUF_INIT, scratch = BUF_INIT;
	struct jtext text = { JTEXT_STRING, SPAN_NULL }, tags = { JTEXT_OBJECT, SPAN_NULL };
	struct buf object = BUF_INIT;

	(void)state;
	buf_addch(&name, '"');
	for (int i = 0; i < 1000; i++)
		buf_adds(&name, "\xc3\xa4\\\"");
	buf_addch(&name, '"');
	buf_addf(&object, "{%s:%s}", name.data, name.data);
	text.raw = buf_span(&name);
	tags.raw = buf_span(&object);
	host_metric_add_labels(&out, name.data, text, tags, SPAN_NULL, &scratch);
	assert_false(out.failed);
	assert_true(out.len < 1000 && jtext_utf8_ok(buf_span(&out)));
	buf_release(&name);
	buf_release(&object);
	buf_release(&out);
	buf_release(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_plugin_events),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_long_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
