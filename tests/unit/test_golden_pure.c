/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorded cases of tests/golden, as far as they need no process: the
 * input becomes a command, its parameters must be those that were sent, byte
 * for byte; the recorded reply becomes an event, which must say what the
 * original returned or threw (OPERATIONS maps the one to the other).
 */
#include "unit.h"

#include "envdriver/command/request.h"
#include "envdriver/result/result.h"
#include "fixture.h"
#include "fixture_plugins.h"
#include "golden_command.h"
#include "golden_compare.h"

#define FOLDER "tests/golden/"
#define MANIFEST "tests/fixtures/paperclip-plugin/manifest.json"

static const char *const files[] = {
	"probe",   "probe_sandbox", "validate",	  "validate_sandbox", "resume",	   "destroy",
	"acquire", "release",	    "realize",	  "execute",	      "list_ready", "framing",
	"hostcall", "execute_log",
};

static struct {
	int cases, requests, results, skipped;
} seen;

static struct buf manifest_text;
static struct result_ctx *results;

static void
compare_counted(struct jtext recorded, const struct events *e)
{
	seen.results++;
	golden_compare_event(recorded, e);
}

static void
skip_case(const char *why)
{
	seen.skipped++;
	print_message("not compared: %s: %s\n", golden_case, why);
}

/* --- the request --- */

/* The recorded request line of the command's method; its id in *ret_id. */
static bool
find_request(struct jtext recorded, const struct command *c, struct buf *line,
	     struct jtext *ret_params, int64_t *ret_id)
{
	struct jtext json;

	for (size_t i = 0; golden_line_at(jtext_get(recorded, "stdin_lines"), i, line); i++) {
		if (jtext_check(buf_span(line), 2 * JTEXT_DEPTH_MAX, &json, NULL) < 0 ||
		    jtext_get(json, "method").kind != JTEXT_STRING ||
		    !jtext_is(jtext_get(json, "method"), c->op->rpc))
			continue;
		*ret_params = jtext_get(json, "params");
		return jtext_int(jtext_get(json, "id"), ret_id);
	}
	return false;
}

static void
compare_request(const struct buf *params, struct jtext recorded)
{
	int flags = golden_flags_of(golden_case);

	if (flags & MASKED) {
		print_message("request not compared: %s\n", golden_case);
		return;
	}
	seen.requests++;
	if (flags & LOOSE) {
		if (!golden_equal(fixture_json(params->data), recorded, true))
			fail_msg("%s: sent %s", golden_case, params->data);
	} else if (!span_eq(buf_span(params), recorded.raw)) {
		fail_msg("%s: sent %s, recorded %.*s", golden_case, params->data,
			 SPAN_FMT(recorded.raw));
	}
}

/* --- the reply --- */

static bool
is_reply(struct jtext line, int64_t id)
{
	int64_t n;

	return line.kind == JTEXT_OBJECT && jtext_get(line, "jsonrpc").kind == JTEXT_STRING &&
	       jtext_is(jtext_get(line, "jsonrpc"), "2.0") &&
	       jtext_get(line, "id").kind == JTEXT_NUMBER &&
	       jtext_int(jtext_get(line, "id"), &n) && n == id &&
	       (jtext_get(line, "result").kind != JTEXT_MISSING ||
		jtext_get(line, "error").kind != JTEXT_MISSING);
}

/* The host's own ends, which no line shows. */
static bool
made_by_host(struct jtext error, struct buf *text, struct rpc_answer *a)
{
	struct jtext code = jtext_get(error, "code"), message = jtext_get(error, "message");
	int64_t n = 0;

	if (error.kind != JTEXT_OBJECT)
		return false;
	jtext_decode(message, text, NULL);
	a->text = text->data;
	if (code.kind == JTEXT_NUMBER && jtext_int(code, &n) && n == RPC_CODE_TIMEOUT)
		a->end = RPC_TIMED_OUT;
	else if (n == RPC_CODE_WORKER_UNAVAILABLE)
		a->end = RPC_DIED;
	else if (strncmp(text->data, "No worker registered", 20) == 0 ||
		 strncmp(text->data, "Cannot call", 11) == 0)
		a->end = RPC_NOT_SENT;
	else
		return false;
	return true;
}

static void
read_reply(struct jtext line, struct rpc_answer *a)
{
	struct jtext error = jtext_get(line, "error");

	a->result = jtext_get(line, "result");
	if (error.kind == JTEXT_NULL) {
		a->end = RPC_BAD_RESPONSE;
	} else if (error.kind != JTEXT_MISSING) {
		a->end = RPC_ERROR;
		a->code = jtext_get(error, "code");
		a->message = jtext_get(error, "message");
		a->data = jtext_get(error, "data");
	} else {
		a->end = RPC_RESULT;
	}
}

/* False when the recording does not hold it. */
static bool
find_answer(struct jtext recorded, int64_t id, struct buf *line, struct rpc_answer *a)
{
	struct jtext json;

	buf_reset(line);
	if (made_by_host(jtext_get(recorded, "error"), line, a))
		return true;
	for (size_t i = 0; golden_line_at(jtext_get(recorded, "stdout_lines"), i, line); i++) {
		if (jtext_check(buf_span(line), 2 * JTEXT_DEPTH_MAX, &json, NULL) < 0 ||
		    !is_reply(json, id))
			continue;
		if (strstr(line->data, "\xe2\x80\xa6<"))
			return false;
		read_reply(json, a);
		return true;
	}
	return false;
}

/* --- a case --- */

static struct jtext
provider_schema(void)
{
	struct jtext_iter it;
	struct jtext driver;
	struct span key;

	jtext_iter_init(&it, jtext_get(fixture_json(manifest_text.data), "environmentDrivers"));
	while (jtext_iter_next(&it, &key, &driver))
		if (jtext_is(jtext_get(driver, "driverKey"), "fixture-sandbox"))
			return jtext_get(driver, "configSchema");
	fail_msg("%s: no driver fixture-sandbox", MANIFEST);
	return driver;
}

static const struct trace called = {
	.topic = "t", .attempt = 1, .invocation_id = "i", .call_token = "c", .finished_at = 1,
};

/* Nothing was sent: the provider was not there, or the worker not. */
static void
run_unsent(struct jtext recorded, const struct command *c)
{
	const struct chosen nobody = { .plugin_id = SPAN_NULL };
	struct rpc_answer a = { .method = c->op->rpc };
	struct buf line = BUF_INIT;
	struct outcome o = OUTCOME_INIT;
	struct events e = EVENTS_INIT;

	if (made_by_host(jtext_get(recorded, "error"), &line, &a)) {
		assert_int_equal(result_answered(results, c, &nobody, &called, &a, &e, NULL),
					 0);
	} else if (c->target == COMMAND_TARGET_PROVIDER) {
		outcome_fail(&o, CODE_PROVIDER_NOT_AVAILABLE, "Sandbox provider \"%s\" is not "
			     "installed or its plugin worker is not running.", c->driver_key.ptr);
		assert_int_equal(result_failed(results, c, &nobody, &called, &o, &e), 0);
	}
	if (e.count)
		compare_counted(recorded, &e);
	else
		skip_case("resolution has its own test");
	buf_release(&line);
	outcome_release(&o);
	events_release(&e);
}

static void
run_answered(struct jtext recorded, const struct command *c, int64_t id, struct span params)
{
	const struct chosen chosen = { SPAN_LIT("plugin-1"), SPAN_LIT(PLUGIN_KEY),
				       request_config(params), NULL };
	struct rpc_answer a = { .method = c->op->rpc };
	struct buf line = BUF_INIT;
	struct events e = EVENTS_INIT;

	if (find_answer(recorded, id, &line, &a)) {
		assert_int_equal(result_answered(results, c, &chosen, &called, &a, &e, NULL),
					 0);
		compare_counted(recorded, &e);
	} else {
		skip_case("the reply is shortened in the recording");
	}
	buf_release(&line);
	events_release(&e);
}

static bool
is_shortened(struct jtext lines)
{
	return lines.kind == JTEXT_ARRAY &&
	       (memmem(lines.raw.ptr, lines.raw.len, "\xe2\x80\xa6<", 4) ||
		memmem(lines.raw.ptr, lines.raw.len, "\\u2026<", 7));
}

static void
run_command(struct jtext recorded, const struct command *c)
{
	const struct chosen nobody = { .plugin_id = SPAN_NULL };
	struct buf line = BUF_INIT, params = BUF_INIT;
	struct outcome o = OUTCOME_INIT;
	struct events e = EVENTS_INIT;
	struct jtext sent;
	int64_t id = 0;

	if (is_shortened(jtext_get(recorded, "stdin_lines"))) {
		skip_case("the request is shortened in the recording");
		return;
	}
	if (fixture_params(c, provider_schema(), &params, NULL, &o) < 0) {
		assert_int_equal(result_failed(results, c, &nobody, &called, &o, &e), 0);
		compare_counted(recorded, &e);
	} else if (!find_request(recorded, c, &line, &sent, &id)) {
		run_unsent(recorded, c);
	} else {
		compare_request(&params, sent);
		run_answered(recorded, c, id, buf_span(&params));
	}
	buf_release(&line);
	buf_release(&params);
	outcome_release(&o);
	events_release(&e);
}

/* The manifest's drivers as a registry has them; names are borrowed. */
static size_t
read_drivers(struct registry_driver *drivers, struct buf *names)
{
	struct jtext_iter it;
	struct jtext entry;
	struct span key;
	size_t n = 0;

	assert_true(buf_reserve(names, 4096));	/* so that what points in stays */
	jtext_iter_init(&it, jtext_get(fixture_json(manifest_text.data), "environmentDrivers"));
	for (; jtext_iter_next(&it, &key, &entry); n++) {
		drivers[n].entry = entry;
		drivers[n].sandbox_provider = jtext_is(jtext_get(entry, "kind"),
						       "sandbox_provider");
		drivers[n].config_schema = jtext_get(entry, "configSchema");
		drivers[n].driver_key = names->data + names->len;
		jtext_decode(jtext_get(entry, "driverKey"), names, NULL);
		buf_addch(names, '\0');
		drivers[n].display_name = names->data + names->len;
		jtext_decode(jtext_get(entry, "displayName"), names, NULL);
		buf_addch(names, '\0');
	}
	return n;
}

/* Every member of the original's entry is a field of ours or a capability. */
static void
compare_driver(struct jtext entry, struct jtext expected, const struct buf *text)
{
	static const char *const fields[] = { "pluginId", "pluginKey", "driverKey", "displayName",
					      "description" };
	struct jtext capabilities, value;
	struct buf json = BUF_INIT, ours = BUF_INIT;
	struct jtext_iter it;
	struct span key;

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		golden_expect_same(entry, fields[i], jtext_get(expected, fields[i]), text);
	golden_expect_json(entry, "configSchema", jtext_get(expected, "configSchema"), text);
	jtext_decode(jtext_get(entry, "capabilities"), &json, NULL);
	capabilities = fixture_json(json.data);
	golden_expect(golden_same_members(capabilities, expected, false), "capabilities", text);
	jtext_iter_init(&it, expected);
	while (jtext_iter_next(&it, &key, &value)) {
		buf_reset(&ours);
		jtext_decode((struct jtext){ JTEXT_STRING, key }, &ours, NULL);
		golden_expect(jtext_get(entry, ours.data).kind != JTEXT_MISSING ||
		       jtext_get(capabilities, ours.data).kind != JTEXT_MISSING, ours.data, text);
	}
	buf_release(&json);
	buf_release(&ours);
}

static void
run_list(struct jtext recorded)
{
	static const char *const running[] = { "plugin-1", NULL };
	static const char *const methods[] = { "environmentResumeLease", "environmentReleaseLease",
					       "environmentDestroyLease", NULL };
	struct command *c = fixture_command("{\"operation\":{\"type\":\"ListDrivers\"}}");
	struct registry_driver drivers[8] = { { .driver_key = NULL } };
	struct registry_plugin plugins[2] = { { .id = "plugin-1", .key = PLUGIN_KEY, .ready = true,
						.drivers = drivers } };
	struct buf names = BUF_INIT, text = BUF_INIT;
	struct jtext expected, entry;
	struct events e = EVENTS_INIT;
	struct jtext_iter theirs, ours;
	struct event ev;
	struct span key;
	size_t cursor = 0;

	plugins[0].n_drivers = read_drivers(drivers, &names);
	fixture_plugins = plugins;
	fixture_methods = methods;
	fixture_running = strstr(golden_case, ".one") ? running : NULL;
	assert_int_equal(result_drivers(results, c, &called, NULL, NULL, &e), 0);
	assert_true(events_next(&e, &cursor, &ev));
	fixture_print_event(&ev, &text);
	seen.results++;
	jtext_iter_init(&theirs, jtext_get(recorded, "result"));
	jtext_iter_init(&ours, jtext_get(fixture_json(text.data), "drivers"));
	while (jtext_iter_next(&theirs, &key, &expected)) {
		golden_expect(jtext_iter_next(&ours, &key, &entry), "one more", &text);
		compare_driver(entry, expected, &text);
	}
	golden_expect(!jtext_iter_next(&ours, &key, &entry), "no more", &text);
	buf_release(&names);
	buf_release(&text);
	events_release(&e);
	command_free(c);
}

static void
run_case(const char *line)
{
	struct jtext recorded = fixture_json(line);
	const struct golden_function *f = golden_function_of(recorded);
	struct buf name = BUF_INIT;
	struct command *c = NULL;

	jtext_decode(jtext_get(recorded, "case"), &name, NULL);
	golden_case = name.data;
	seen.cases++;
	if (jtext_is(jtext_get(recorded, "function"), "listReadyPluginEnvironmentDrivers"))
		run_list(recorded);
	else if (!f || !(c = golden_command_of(f, jtext_get(recorded, "input"))))
		skip_case("no operation of ours, or more than one call");
	else
		run_command(recorded, c);
	command_free(c);
	buf_release(&name);
}

static void
read_file(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "r");
	char chunk[65536];
	size_t n;

	if (!file)
		fail_msg("%s: cannot open (the tests run in the project's folder)", path);
	while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
		buf_add(out, chunk, n);
	fclose(file);
	assert_false(out->failed);
}

static void
test_recorded_cases(void **state)
{
	const struct result_limits limits = { 256 * 1024, 1024 * 1024, 8 * 1024 * 1024,
					      NULL, 0 };

	(void)state;
	read_file(MANIFEST, &manifest_text);
	results = result_ctx_new(fixture_schemas(), "host", limits, NULL);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct buf text = BUF_INIT;
		char path[128], *line, *end;

		snprintf(path, sizeof(path), FOLDER "%s.jsonl", files[i]);
		read_file(path, &text);
		for (line = text.data; line && *line; line = end) {
			end = strchr(line, '\n');
			if (end)
				*end++ = '\0';
			else
				end = line + strlen(line);
			run_case(line);
		}
		buf_release(&text);
	}
	print_message("%d cases: %d requests and %d results compared, %d not compared\n",
		      seen.cases, seen.requests, seen.results, seen.skipped);
	assert_true(seen.requests >= 84);
	assert_true(seen.results >= 94);
	result_ctx_free(results);
	buf_release(&manifest_text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
