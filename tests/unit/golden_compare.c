/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_compare.h"

static const struct difference {
	const char *name;
	int flags;
} differences[] = {
	{ "validate.ok_truthy_string_is_ok", STRICT },
	{ "execute.result_null", STRICT },
	{ "acquire.ok", LOOSE },	/* the caller's order */
	{ "release.ok_void", LOOSE },
	{ "release.receipt", LOOSE },
	{ "framing.split_bytes", MASKED },
};

const char *golden_case;

int
golden_flags_of(const char *name)
{
	const struct difference *d;

	EACH(d, differences)
		if (strcmp(d->name, name) == 0)
			return d->flags;
	return 0;
}

void
golden_expect(bool condition, const char *what, const struct buf *record)
{
	if (!condition)
		fail_msg("%s: %s: %s", golden_case, what, record->data);
}

void
golden_expect_json(struct jtext record, const char *path, struct jtext expected,
	const struct buf *text)
{
	struct jtext field = fixture_at(record, path);
	struct buf json = BUF_INIT;

	if (!golden_given(expected)) {
		golden_expect(field.kind == JTEXT_NULL, path, text);
		return;
	}
	golden_expect(field.kind == JTEXT_STRING, path, text);
	jtext_decode(field, &json, NULL);
	golden_expect(golden_equal(fixture_json(json.data), expected, false), path, text);
	buf_release(&json);
}

void
golden_expect_same(struct jtext record, const char *path, struct jtext expected,
	const struct buf *text)
{
	struct jtext field = fixture_at(record, path);

	if (!golden_given(expected))
		golden_expect(field.kind == JTEXT_NULL || field.kind == JTEXT_FALSE, path, text);
	else
		golden_expect(golden_equal(field, expected, false), path, text);
}

static const char *
code_of(struct jtext error)
{
	struct jtext code = jtext_get(error, "code"), message = jtext_get(error, "message");
	int64_t n = 0;

	if (jtext_get(error, "name").kind == JTEXT_STRING &&
	    jtext_is(jtext_get(error, "name"), "TypeError"))
		return "BAD_RESPONSE";
	if (jtext_get(error, "status").kind == JTEXT_NUMBER)
		return strstr(golden_case, "not_installed") ? "PROVIDER_NOT_AVAILABLE"
							  : "CONFIG_REJECTED";
	if (code.kind == JTEXT_MISSING)
		return memmem(message.raw.ptr, message.raw.len, "Unexpected response", 19)
			       ? "BAD_RESPONSE"
			       : "NO_RUNNING_WORKER";
	if (code.kind == JTEXT_NUMBER)
		jtext_int(code, &n);
	switch (n) {
	case RPC_CODE_TIMEOUT:
		return "TIMEOUT";
	case RPC_CODE_WORKER_UNAVAILABLE:
		return "WORKER_UNAVAILABLE";
	case RPC_CODE_METHOD_NOT_IMPLEMENTED:
	case RPC_CODE_METHOD_NOT_FOUND:
		return "METHOD_NOT_IMPLEMENTED";
	default:
		return "PLUGIN_ERROR";
	}
}

static void
compare_error(struct jtext record, struct jtext error, const struct buf *text)
{
	const char *code = code_of(error);
	bool type_error = jtext_is(jtext_get(error, "name"), "TypeError");
	struct jtext rpc = jtext_get(error, "code");

	golden_expect(jtext_is(fixture_at(record, "outcome.status"), "FAILED"), "status", text);
	golden_expect(jtext_is(fixture_at(record, "outcome.error.code"), code), code, text);
	if (type_error)
		return;
	golden_expect_same(record, "outcome.error.message", jtext_get(error, "message"), text);
	golden_expect_same(record, "outcome.error.httpStatus", jtext_get(error, "status"), text);
	if (rpc.kind == JTEXT_NUMBER)
		golden_expect_same(record, "outcome.error.rpcCode", rpc, text);
	if (jtext_get(error, "details").kind == JTEXT_OBJECT)
		golden_expect_json(record, "outcome.error.details", jtext_get(error, "details"),
			text);
	if (rpc.kind == JTEXT_STRING)
		golden_expect(strstr(text->data, "\"details\":\"{\\\"code\\\":\\\"E_TEXT\\\","
					  "\\\"data\\\":{\\\"k\\\":\\\"v\\\"}}\"") != NULL,
		       "details", text);
}

static void
compare_probe(struct jtext record, struct jtext result, const struct buf *text)
{
	golden_expect_same(record, "ok", jtext_get(result, "ok"), text);
	/* A call of the worker itself. */
	if (jtext_get(result, "driver").kind == JTEXT_MISSING) {
		golden_expect_same(record, "summary", jtext_get(result, "summary"), text);
		return;
	}
	golden_expect_same(record, "driver", jtext_get(result, "driver"), text);
	golden_expect_same(record, "summary", jtext_get(result, "summary"), text);
	golden_expect_json(record, "details", jtext_get(result, "details"), text);
}

static void
compare_config(struct jtext record, struct jtext result, const struct buf *text)
{
	struct jtext config = jtext_get(result, "driverConfig");

	if (config.kind == JTEXT_MISSING)
		config = jtext_get(result, "normalizedConfig");
	golden_expect(fixture_at(record, "ok").kind == JTEXT_TRUE, "ok", text);
	golden_expect_json(record, "config", config, text);
}

static void
compare_lease(struct jtext record, struct jtext result, const struct buf *text)
{
	bool lost = !golden_given(jtext_get(result, "providerLeaseId"));

	if (jtext_is(fixture_at(record, "command.operation"), "ResumeLease"))
		golden_expect((fixture_at(record, "leaseLost").kind == JTEXT_TRUE) == lost,
			"lost", text);
	if (jtext_get(result, "state").kind == JTEXT_STRING) {
		golden_expect_same(record, "receipt", result, text);
	} else if (result.kind == JTEXT_OBJECT) {
		golden_expect_same(record, "lease.providerLeaseId", jtext_get(result,
			"providerLeaseId"),
			    text);
		golden_expect_json(record, "lease.metadata", jtext_get(result, "metadata"), text);
		golden_expect_same(record, "lease.expiresAt", jtext_get(result, "expiresAt"), text);
	} else {
		golden_expect(fixture_at(record, "lease").kind == JTEXT_NULL, "no lease", text);
		golden_expect(fixture_at(record, "receipt").kind == JTEXT_NULL, "no receipt", text);
	}
}

static void
compare_workspace(struct jtext record, struct jtext result, const struct buf *text)
{
	golden_expect_same(record, "cwd", jtext_get(result, "cwd"), text);
	golden_expect_json(record, "metadata", jtext_get(result, "metadata"), text);
}

static void
compare_execution(struct jtext record, struct jtext result, const struct buf *text)
{
	static const char *const texts[] = { "exitCode", "signal", "timedOut" };
	static const char *const outputs[] = { "stdout", "stderr" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		golden_expect_same(record, texts[i], jtext_get(result, texts[i]), text);
	for (size_t i = 0; i < sizeof(outputs) / sizeof(*outputs); i++) {
		struct jtext output = jtext_get(result, outputs[i]);

		if (!golden_given(output))
			output = (struct jtext){ JTEXT_STRING, SPAN_LIT("\"\"") };
		golden_expect_same(record, outputs[i], output, text);
	}
	golden_expect_json(record, "metadata", jtext_get(result, "metadata"), text);
}

void
golden_compare_event(struct jtext recorded, const struct events *e)
{
	static void (*const compare[TOPIC_COUNT])(struct jtext, struct jtext,
						  const struct buf *) = {
		[TOPIC_PROBE_RESULTS] = compare_probe,
		[TOPIC_CONFIG_RESULTS] = compare_config,
		[TOPIC_LEASE_RESULTS] = compare_lease,
		[TOPIC_WORKSPACE_RESULTS] = compare_workspace,
		[TOPIC_EXECUTION_RESULTS] = compare_execution,
	};
	struct jtext error = jtext_get(recorded, "error"), record;
	struct buf text = BUF_INIT;
	struct event ev;
	size_t cursor = 0;

	assert_true(events_next(e, &cursor, &ev));
	fixture_print_event(&ev, &text);
	record = fixture_json(text.data);
	if (golden_flags_of(golden_case) & STRICT) {
		golden_expect(jtext_is(fixture_at(record, "outcome.error.code"), "BAD_RESPONSE"),
			"strict",
		       &text);
	} else if (error.kind == JTEXT_OBJECT) {
		compare_error(record, error, &text);
	} else {
		golden_expect(jtext_is(fixture_at(record, "outcome.status"), "SUCCEEDED"), "status",
		       &text);
		compare[ev.topic](record, jtext_get(recorded, "result"), &text);
	}
	buf_release(&text);
}
