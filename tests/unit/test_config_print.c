/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"

static void
write_temp(char path[32], const char *data, size_t len)
{
	FILE *f;
	int fd;

	strcpy(path, "/tmp/test_config.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static const struct shown_row {
	const char *key, *value, *shown;
} shown_rows[] = {
	{ "kafka.sasl.password", "geheim", "***" },
	{ "kafka.ssl.key.password", "geheim", "***" },
	{ "kafka.ssl.keystore.password", "geheim", "***" },
	{ "kafka.ssl.key.pem", "geheim", "***" },
	{ "kafka.sasl.oauthbearer.client.secret", "geheim", "***" },
	{ "kafka.sasl.username", "me", "me" },
	{ "kafka.ssl.key.location", "/x", "/x" },
	{ "redis.url", "redis://u:geheim@h:1/2", "redis://u:***@h:1/2" },
	{ "redis.url", "redis://:ge/h@eim@h:1/2", "redis://:***@h:1/2" },
	{ "redis.url", "unix://u:geheim@/run/x", "unix://u:***@/run/x" },
	{ "redis.url", "unix:///run/x", "unix:///run/x" },
	{ "schema.registry.url", "https://u:geheim@h/", "https://u:***@h/" },
	{ "schema.registry.url", "https://token@h/", "https://***@h/" },
	{ "schema.registry.url", "https://h/x?key=geheim", "https://h/x?***" },
	{ "schema.registry.url", "https://u:ge?h@h/x?key=geheim", "https://u:***@h/x?***" },
	{ "schema.registry.url", "https://h:1/x", "https://h:1/x" },
	{ "redis.url", "redis://u@h:1/2", "redis://u@h:1/2" },
	{ "kafka.sasl.kerberos.kinit.cmd", "kinit -p geheim", "***" },
	{ "command.token", "geheim", "***" },
	{ "topic.prefix", "a.", "a." },
};

static void
test_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shown_rows) / sizeof(*shown_rows); i++) {
		struct buf out = BUF_INIT;

		config_add_shown(&out, shown_rows[i].key, shown_rows[i].value);
		CHECK_TEXT(shown_rows[i].value, out.data, shown_rows[i].shown);
		buf_release(&out);
	}
}

static const struct config_param *
find(const char *name)
{
	const struct config_param *p = config_params;

	while (strcmp(p->name, name) != 0)
		p++;
	return p;
}

/* What is printed reads back the same; every key is in every document. */
static void
test_print(void **state)
{
	struct config *c = config_new(NULL), *again = config_new(NULL);
	struct buf out = BUF_INIT, twice = BUF_INIT, md = BUF_INIT, man = BUF_INIT;
	struct config_entry e;
	char path[32];

	(void)state;
	config_set(c, "drain.timeout", "45s", "f:3", NULL);
	config_set(c, "kafka.client.rack", "r 1", "-X", NULL);
	config_print(c, &out);
	assert_non_null(strstr(out.data, "Set by: f:3\ndrain.timeout = 45s\n"));
	assert_non_null(strstr(out.data, "; default environment.\n# Set by: default\n"));
	assert_non_null(strstr(out.data, "\n#http.listen = \n"));
	write_temp(path, out.data, out.len);
	assert_int_equal(config_load_file(again, path, NULL), 0);
	for (size_t i = 0; config_entry(c, i, &e); i++) {
		struct config_entry f;

		assert_true(config_entry(again, i, &f));
		assert_string_equal(e.key, f.key);
		CHECK_TEXT(e.key, f.value ? f.value : "unset", e.value ? e.value : "unset");
	}
	config_print_markdown(&md);
	config_print_man(&man);
	for (const struct config_param *p = config_params; p->name; p++)
		if (!strstr(md.data, p->name) || !strstr(man.data, p->name))
			fail_msg("%s: not in the documents", p->name);
	assert_non_null(strstr(md.data, "| `revoke.drain` | `3s` | duration, 0 to 1min | "));
	assert_int_equal(find("drain.timeout")->type, CONFIG_DURATION);
	unlink(path);
	buf_release(&out);
	buf_release(&twice);
	buf_release(&md);
	buf_release(&man);
	config_free(c);
	config_free(again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
