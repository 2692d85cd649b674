/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/exec_stop.h"
#include "unit.h"

#define EXECUTE \
	"\"operation\":{\"type\":\"Execute\",\"lease\":{\"providerLeaseId\":\"L 1\"," \
	"\"metadata\":{\"a\":\"it's\"}},\"command\":\"x\"}}"

static const struct row {
	const char *name, *execute, *config, *command, *words;
} rows[] = {
	{ "a named driver, pinned",
	  "{\"companyId\":\"co\",\"environmentId\":\"e\",\"orderingKey\":\"k\",\"commandId\":\"c\","
	  "\"rerunIfInterrupted\":true,\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p.k\","
	  "\"driverKey\":\"d\",\"pluginId\":\"7\"},\"config\":{\"n\":1.0}," EXECUTE,
	  NULL,
	  "{\"companyId\":\"co\",\"environmentId\":\"e\",\"target\":{\"type\":\"PluginDriver\","
	  "\"pluginKey\":\"p.k\",\"driverKey\":\"d\",\"pluginId\":\"7\"},\"config\":{\"n\":1.0},"
	  "\"orderingKey\":\"\",\"operation\":{\"type\":\"ReleaseLease\","
	  "\"providerLeaseId\":\"L 1\",\"leaseMetadata\":{\"a\":\"it's\"},"
	  "\"cancelActiveWork\":true}}",
	  "release --target p.k:d --plugin-id 7 --company co --environment e --config "
	  "'{\"n\":1.0}' --lease 'L 1' --lease-metadata '{\"a\":\"it'\\''s\"}' "
	  "--cancel-active-work --now" },
	{ "a provider; the config was a file",
	  "{\"companyId\":\"\",\"environmentId\":\"\",\"target\":{\"type\":\"SandboxProvider\","
	  "\"provider\":\"$(x)\"},\"config\":{},\"operation\":{\"lease\":{\"providerLeaseId\":"
	  "\"L\"}}}",
	  "@c.json",
	  "{\"companyId\":\"\",\"environmentId\":\"\",\"target\":{\"type\":\"SandboxProvider\","
	  "\"provider\":\"$(x)\"},\"config\":{},\"orderingKey\":\"\",\"operation\":{\"type\":"
	  "\"ReleaseLease\",\"providerLeaseId\":\"L\",\"cancelActiveWork\":true}}",
	  "release --provider '$(x)' --config @c.json --lease L --cancel-active-work --now" },
};

static void
stops_what_was_started(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf command = BUF_INIT, words = BUF_INIT;

		exec_stop_command(span_of(rows[i].execute), &command);
		exec_stop_words(span_of(rows[i].execute), rows[i].config, &words);
		assert_string_equal(command.data, rows[i].command);
		assert_string_equal(words.data, rows[i].words);
		buf_release(&command);
		buf_release(&words);
	}
}

static void
quotes_for_a_shell(void **state)
{
	static const char *const words[][2] = {
		{ "plain-1_2./:@%+,=", "plain-1_2./:@%+,=" },
		{ "", "''" },
		{ "a b", "'a b'" },
		{ "'", "''\\'''" },
		{ "ü", "'ü'" },
		{ "~", "'~'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct buf out = BUF_INIT;

		exec_stop_quote(&out, span_of(words[i][0]));
		assert_string_equal(out.data, words[i][1]);
		buf_release(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_what_was_started),
		cmocka_unit_test(quotes_for_a_shell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
