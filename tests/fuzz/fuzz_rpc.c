/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines of a plugin that asks its host: what is a request gets
 * one answer, a line of JSON; nothing reaches a company that has no say in
 * it; what is a response ends a call in one of the known ways. */
#include <math.h>

#include "envdriver/base/metric_series.h"
#include "envdriver/base/err.h"
#include "envdriver/host/host.h"
#include "envdriver/host/plugin_event.h"
#include "fuzz.h"

#define MINE "company-2"	/* of the running call */
#define STORED "company-1"	/* has a config, so it may be acted for without one */

static const char manifest[] =
	"{\"capabilities\":[\"plugin.state.read\",\"plugin.state.write\",\"secrets.read-ref\","
	"\"metrics.write\",\"activity.log.write\",\"events.emit\",\"events.subscribe\"]}";
static const char configs[] = "{\"" STORED "\":{\"greeting\":\"hello\"}}";

/* What came out of the host, for the line that went in. */
struct seen {
	struct host *host;
	size_t answers;
	struct buf opened;	/* "<length>:<channel>" of each stream */
	bool ending;
	host_state_fn *done;
	void *token;
};

static bool
may(struct span company)
{
	return span_is(company, MINE) || span_is(company, STORED);
}

static void
on_write(void *arg, struct span line)
{
	struct seen *s = arg;
	struct jtext root;

	MUST(line.len && memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
	MUST(!memchr(line.ptr, '\r', line.len));
	MUST(jtext_check(line, RPC_DEPTH_MAX, &root, NULL) == 0 && root.kind == JTEXT_OBJECT);
	MUST((jtext_get(root, "result").kind != JTEXT_MISSING) !=
	     (jtext_get(root, "error").kind != JTEXT_MISSING));
	s->answers++;
}

static void
on_log(void *arg, enum log_level level, struct span company, struct span message,
       struct jtext meta)
{
	(void)company;
	(void)arg;
	MUST(level == LOG_LEVEL_ERROR || level == LOG_LEVEL_WARN || level == LOG_LEVEL_INFO ||
	     level == LOG_LEVEL_DEBUG);
	MUST(!message.ptr || jtext_utf8_ok(message));
	MUST(!meta.kind || jtext_check(meta.raw, RPC_DEPTH_MAX, NULL, NULL) == 0);
}

static void
add_channel(struct buf *out, struct span name)
{
	buf_addf(out, "%zu:", name.len);
	buf_addspan(out, name);
	buf_addch(out, '\n');
}

static void
on_plugin_event(void *arg, const struct plugin_event *n)
{
	struct seen *s = arg;

	MUST(!n->company_id.ptr || may(n->company_id));
	MUST(!n->details.ptr || jtext_check(n->details, RPC_DEPTH_MAX, NULL, NULL) == 0);
	if (strcmp(n->type, "STREAM_OPENED") == 0)
		add_channel(&s->opened, n->name);
	if (s->ending) {
		struct buf one = BUF_INIT;

		/* What is closed for a plugin that is gone is what it opened. */
		add_channel(&one, n->name);
		MUST(strcmp(n->type, "STREAM_CLOSED") == 0 && n->company_id.ptr);
		MUST(memmem(s->opened.data, s->opened.len, one.data, one.len));
		buf_release(&one);
	}
}

static int
on_state(void *arg, enum host_state_op op, struct span company, struct span field,
	 struct span value, host_state_fn *done, void *token)
{
	struct seen *s = arg;

	MUST(may(company) && field.len && !s->done);
	MUST(op != HOST_STATE_SET || jtext_check(value, RPC_DEPTH_MAX, NULL, NULL) == 0);
	s->done = done;
	s->token = token;
	return 0;
}

/* Labels that can be printed in one line, whatever the plugin wrote. */
static void
on_metric(void *arg, struct span labels, double value)
{
	(void)arg;
	MUST(isfinite(value) && jtext_utf8_ok(labels) && labels.len <= METRIC_LABELS_MAX);
	for (size_t i = 0; i < labels.len; i++)
		MUST((unsigned char)labels.ptr[i] >= ' ' && labels.ptr[i] != 0x7f);
}

static void
see_response(const struct rpc_message *m)
{
	struct rpc_answer a;

	rpc_read_answer(m, "m", &a);
	MUST(a.end == RPC_RESULT || a.end == RPC_ERROR || a.end == RPC_BAD_RESPONSE);
	MUST((a.end == RPC_RESULT) == (m->error.kind == JTEXT_MISSING));
	MUST(a.end != RPC_RESULT || a.result.kind != JTEXT_MISSING);
	MUST(a.end != RPC_ERROR || rpc_truthy(m->error));
}

static void
see_line(struct seen *s, struct span line)
{
	size_t before = s->answers;
	struct rpc_message m;

	rpc_parse(line, &m);
	MUST((m.kind == RPC_GARBAGE) == (m.why != NULL));
	if (m.kind == RPC_RESPONSE)
		see_response(&m);
	if (m.kind == RPC_NOTIFICATION)
		host_notification(s->host, &m);
	if (m.kind == RPC_REQUEST)
		host_request(s->host, &m);
	if (s->done) {
		host_state_fn *done = s->done;

		MUST(m.kind == RPC_REQUEST && s->answers == before);
		s->done = NULL;
		done(s->token, line.len % 2, line.len % 3 ? SPAN_LIT("{\"v\":1}") : SPAN_NULL);
	}
	MUST(s->answers == before + (m.kind == RPC_REQUEST));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scope scope = { 0 };
	struct scope_entry call = { .invocation_id = "i", .company = SPAN_LIT(MINE),
				   .command_id = SPAN_LIT("c") };
	struct host_plugin plugin = { .id = "plugin-1", .key = "acme.x" };
	struct seen s = { 0 };
	struct host_ops ops = { on_write, on_log, on_plugin_event, on_metric, on_state, 4096,
				NULL, NULL, &s };
	const char *p = (const char *)data, *end = p + size, *eol;

	MUST(jtext_check(span_of(manifest), 64, &plugin.manifest, NULL) == 0);
	MUST(jtext_check(span_of(configs), 64, &plugin.config, NULL) == 0);
	MUST(scope_begin(&scope, &call));
	s.host = host_new(&plugin, &scope, &ops, NULL);
	MUST(s.host);
	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		eol = eol ? eol : end;
		see_line(&s, (struct span){ p, (size_t)(eol - p) });
	}
	s.ending = true;
	host_end(s.host);
	scope_end(&scope, &call, 0);
	host_free(s.host);
	scope_release(&scope);
	buf_release(&s.opened);
	return 0;
}
