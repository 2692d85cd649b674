/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/host/plugin_event.h"
#include "envdriver/result/plugin_event_record.h"
#include "fixture_result.h"

static const struct row {
	const char *name;
	struct plugin_event event;
	const char *headers;
	const char *tail;	/* of the value, behind "occurredAt" */
} rows[] = {
	{ "everything", {
		.type = "WORKER_CRASHED", .plugin_id = S("id"), .plugin_key = S("key"),
		.pid = 42, .exit_code = 0, .signal = "SIGSEGV", .will_restart = 1,
		.next_restart_at = 3000, .consecutive_crashes = 0, .total_crashes = 2,
		.message = S("m"), .company_id = S("co"),
		.command_id = S("c1"), .name = S("n"),
		.details = S("{\"a\":1}") },
	  "plugin-events id\ncommand-id=c1\ncompany-id=co\nschema=PluginEvent\n",
	  ",\"pluginId\":\"id\",\"pluginKey\":\"key\",\"instanceId\":\"host-a\",\"pid\":42,"
	  "\"exitCode\":0,\"signal\":\"SIGSEGV\",\"willRestart\":true,\"nextRestartAt\":3000,"
	  "\"consecutiveCrashes\":0,\"totalCrashes\":2,\"message\":\"m\",\"companyId\":\"co\","
	  "\"commandId\":\"c1\",\"name\":\"n\",\"details\":\"{\\\"a\\\":1}\"}\n" },
	{ "only what must be there", {
		.type = "ACTIVITY", .plugin_id = S("id"), .plugin_key = S("key"),
		.exit_code = -1, .will_restart = -1, .consecutive_crashes = -1,
		.total_crashes = -1 },
	  "plugin-events id\nschema=PluginEvent\n",
	  ",\"pluginId\":\"id\",\"pluginKey\":\"key\",\"instanceId\":\"host-a\",\"pid\":null,"
	  "\"exitCode\":null,\"signal\":null,\"willRestart\":null,\"nextRestartAt\":null,"
	  "\"consecutiveCrashes\":null,\"totalCrashes\":null,\"message\":null,"
	  "\"companyId\":null,\"commandId\":null,\"name\":null,\"details\":\"{}\"}\n" },
};

static void
test_rows(void **state)
{
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT;
	const struct row *r;

	(void)state;
	EACH(r, rows) {
		const char *tail;

		buf_reset(&text);
		/* What the set held before is gone. */
		assert_int_equal(plugin_event_record_build(fixture_schemas(), "host-a", &r->event,
							   &e), 0);
		assert_int_equal(e.count, 1);
		fixture_print_events(&e, &text);
		if (strncmp(text.data, r->headers, strlen(r->headers)) != 0)
			fail_msg("%s: %s", r->name, text.data);
		tail = strstr(text.data, ",\"pluginId\"");
		if (!tail || strcmp(tail, r->tail) != 0)
			fail_msg("%s: %s", r->name, text.data);
	}
	events_release(&e);
	buf_release(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
