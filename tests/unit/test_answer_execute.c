/* SPDX-License-Identifier: Apache-2.0 */
/* The forms that plugins give to the fields of an Execute that ended. */
#include "unit.h"

#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"
#include "fixture.h"
#include "result/answer.h"
#include "result/answer_read.h"

#define EXECUTE \
	"{\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}," \
	"\"operation\":{\"type\":\"Execute\",\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\"," \
	"\"command\":\"sh\"}}"
#define NO_INTEGER "null: it is no 32-bit integer"

/* One field, what becomes of it, and what the warning says; NULL: no warning. */
static const struct row {
	const char *field, *json, *expected, *read_as;
} rows[] = {
	{ "exitCode", "0", "exit 0", NULL },
	{ "exitCode", "\"0\"", "exit 0", "0" },
	{ "exitCode", "3221225477", "exit -1073741819", "-1073741819" },
	{ "exitCode", "-1073741819", "exit -1073741819", NULL },
	{ "exitCode", "\"0xC0000005\"", "exit -1073741819", "-1073741819" },
	{ "exitCode", "4294967295", "exit -1", "-1" },
	{ "exitCode", "\" 7\\n\"", "exit 7", "7" },
	{ "exitCode", "\"+7\"", "exit 7", "7" },
	{ "exitCode", "\"3.0\"", "exit 3", "3" },
	{ "exitCode", "-1.0", "exit -1", NULL },
	{ "exitCode", "null", "", NULL },
	{ "exitCode", "0.5", "", NO_INTEGER },
	{ "exitCode", "4294967296", "", NO_INTEGER },
	{ "exitCode", "-2147483649", "", NO_INTEGER },
	{ "exitCode", "1e300", "", NO_INTEGER },
	{ "exitCode", "\"99999999999999999999\"", "", NO_INTEGER },
	{ "exitCode", "\"one\"", "", NO_INTEGER },
	{ "exitCode", "\"0x\"", "", NO_INTEGER },
	{ "exitCode", "\"\"", "", NO_INTEGER },
	{ "exitCode", "true", "", NO_INTEGER },
	{ "exitCode", "[0]", "", NO_INTEGER },
	{ "signal", "null", "", NULL },
	{ "signal", "\"SIGKILL\"", "signal SIGKILL", NULL },
	{ "signal", "9", "signal SIGKILL", "SIGKILL" },
	{ "signal", "\"9\"", "signal SIGKILL", "SIGKILL" },
	{ "signal", "\"KILL\"", "signal SIGKILL", "SIGKILL" },
	{ "signal", "\"sigterm\"", "signal SIGTERM", "SIGTERM" },
	{ "signal", "\"Killed\"", "signal SIGKILL", "SIGKILL" },
	{ "signal", "-15", "signal SIGTERM", "SIGTERM" },
	{ "signal", "137", "signal SIGKILL", "SIGKILL" },
	{ "signal", "0", "", "null" },
	{ "signal", "false", "", "null" },
	{ "signal", "\"\"", "", NULL },
	{ "signal", "\"SIGFOO\"", "signal SIGFOO", NULL },
	{ "signal", "35", "signal 35", "a signal without a name" },
	{ "signal", "{\"n\":9}", "signal {\"n\":9}", "a signal without a name" },
	{ "timedOut", "false", "", NULL },
	{ "timedOut", "true", "timed out", NULL },
	{ "timedOut", "null", "", "false" },
	{ "timedOut", "1", "timed out", "true" },
	{ "timedOut", "0", "", "false" },
	{ "timedOut", "\"true\"", "timed out", "true" },
	{ "timedOut", "\"false\"", "", "false" },
	{ "timedOut", "\"No\"", "", "false" },
	{ "timedOut", "\"\"", "", "false" },
	{ "timedOut", "{}", "timed out", "true" },
	{ "stdout", "\"o\"", "stdout o", NULL },
	{ "stdout", "null", "", "no output" },
	{ "stdout", "[\"a\"]", "stdout [\"a\"]", "its JSON text" },
	{ "stdout", "7", "stdout 7", "its JSON text" },
	{ "stdout", "{\"type\":\"Buffer\",\"data\":[104]}",
	  "stdout {\"type\":\"Buffer\",\"data\":[104]}", "its JSON text" },
	{ "stderr", "\"o\"", "stderr o", NULL },
	{ "stderr", "null", "", "no output" },
	{ "stdoutBase64", "null", "", NULL },
	{ "stdoutBase64", "\"\"", "", NULL },
	{ "stdoutBase64", "\"/w==\"", "stdout \xef\xbf\xbd", NULL },
	{ "stdoutBase64", "\"YQ==\"", "", NULL },
	{ "stdoutBase64", "\"/w=\"", "", "nothing: it is not base64" },
	{ "stdoutBase64", "\"***\"", "", "nothing: it is not base64" },
	{ "stderrBase64", "\"4oL/\"", "stderr \xef\xbf\xbd\xef\xbf\xbd", NULL },
	{ "stderrBase64", "7", "", "nothing: it is not base64" },
	{ "stderr", "[\"a\"]", "stderr [\"a\"]", "its JSON text" },
	{ "stderr", "7", "stderr 7", "its JSON text" },
	{ "stderr", "{\"type\":\"Buffer\",\"data\":[104]}",
	  "stderr {\"type\":\"Buffer\",\"data\":[104]}", "its JSON text" },
};

static void
print_fields(const struct answer *a, struct buf *out)
{
	struct span signal = answer_text(a, ANSWER_SIGNAL);
	struct span outs[] = { answer_text(a, ANSWER_STDOUT), answer_text(a, ANSWER_STDERR) };

	if (a->has_exit_code)
		buf_addf(out, "exit %d", a->exit_code);
	if (signal.ptr)
		buf_addf(out, "signal %.*s", SPAN_FMT(signal));
	buf_adds(out, a->timed_out ? "timed out" : "");
	for (int i = 0; i < 2; i++)
		if (outs[i].len)
			buf_addf(out, "%s %.*s", i ? "stderr" : "stdout", SPAN_FMT(outs[i]));
}

static void
check_warning(const struct row *row, const struct answer *a)
{
	struct buf expected = BUF_INIT;
	struct span warning;
	size_t cursor = 0;

	assert_int_equal(a->warnings.count, row->read_as != NULL);
	if (!row->read_as)
		return;
	assert_true(answer_list_next(&a->warnings, &cursor, &warning));
	buf_addf(&expected, "the plugin answered environmentExecute with \"%s\": %s, which is "
		 "read as %s", row->field, row->json, row->read_as);
	if (!span_eq(warning, buf_span(&expected)))
		fail_msg("%s: '%.*s'", expected.data, SPAN_FMT(warning));
	buf_release(&expected);
}

static void
check_result(struct answer *a, const char *result)
{
	const struct chosen chosen = { .plugin_id = SPAN_NULL };
	struct command *c = fixture_command(EXECUTE);
	struct rpc_answer reply = { .method = c->op->rpc, .result = fixture_json(result) };

	answer_reset(a);
	answer_read(a, c, &chosen, &reply);
	assert_int_equal(a->outcome.status, OUTCOME_SUCCEEDED);
	command_free(c);
}

static void
test_fields(void **state)
{
	static const char *const names[] = { "exitCode", "signal", "timedOut", "stdout", "stderr",
					     "stdoutBase64", "stderrBase64" };
	static const char *const usual[] = { "null", "null", "false", "\"\"", "\"\"", "null",
					     "null" };
	struct answer a;

	(void)state;
	answer_init(&a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf result = BUF_INIT, got = BUF_INIT;

		for (size_t k = 0; k < 7; k++)
			buf_addf(&result, "%s\"%s\":%s", k ? "," : "{", names[k],
				 strcmp(names[k], rows[i].field) == 0 ? rows[i].json : usual[k]);
		buf_addch(&result, '}');
		check_result(&a, result.data);
		print_fields(&a, &got);
		if (!span_is(buf_span(&got), rows[i].expected))
			fail_msg("%s %s: '%.*s'", rows[i].field, rows[i].json,
				 SPAN_FMT(buf_span(&got)));
		check_warning(&rows[i], &a);
		buf_release(&result);
		buf_release(&got);
	}
	answer_release(&a);
}

static void
test_what_metadata_says(void **state)
{
	static const struct {
		const char *metadata, *warning;
	} row[] = {
		{ "{\"outputCut\":true,\"outputLimitBytes\":9}",
		  "the output was cut at the plugin's limit of 9 bytes" },
		{ "{\"endedBy\":\"outputLimit\"}", "the output was cut by the plugin" },
		{ "{\"outputBytesReplaced\":2}",
		  "2 bytes of the output are not UTF-8; U+FFFD replaces them" },
		{ "{\"outputCut\":false,\"endedBy\":1,\"outputBytesReplaced\":0}", NULL },
		{ "\"outputCut\"", NULL },
	};
	struct answer a;

	(void)state;
	answer_init(&a);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct buf result = BUF_INIT;
		struct span warning = SPAN_NULL;
		size_t cursor = 0;

		buf_addf(&result, "{\"exitCode\":0,\"timedOut\":false,\"stdout\":\"\","
			 "\"stderr\":\"\",\"metadata\":%s}", row[i].metadata);
		check_result(&a, result.data);
		assert_int_equal(a.warnings.count, row[i].warning != NULL);
		if (row[i].warning)
			answer_list_next(&a.warnings, &cursor, &warning);
		assert_true(!row[i].warning || span_is(warning, row[i].warning));
		buf_release(&result);
	}
	answer_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_what_metadata_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
