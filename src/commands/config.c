/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: `envdriver config print | check`: the configuration, shown and
 * checked with everything that a worker will need.
 */
#include "envdriver/base/config.h"

#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/findings.h"
#include "envdriver/base/jtext.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/client/kafka.h"
#include "envdriver/client/preflight.h"
#include "envdriver/command/time_limit.h"
#include "envdriver/commands/commands.h"
#include "envdriver/kafka/client_conf.h"
#include "envdriver/plugin/isolation_check.h"

static void
print_json(const struct config *c, struct buf *out)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(c, i, &e); i++) {
		struct buf shown = BUF_INIT;

		buf_adds(out, "{\"key\":");
		jtext_add_string(out, span_of(e.key));
		buf_adds(out, ",\"value\":");
		if (e.value) {
			config_add_shown(&shown, e.key, e.value);
			jtext_add_string(out, buf_span(&shown));
		} else {
			buf_adds(out, "null");
		}
		buf_adds(out, ",\"setBy\":");
		jtext_add_string(out, span_of(e.where));
		buf_adds(out, "}\n");
		out->failed |= shown.failed;
		buf_release(&shown);
	}
}

static int
print_main(struct cli *cli)
{
	struct buf out = BUF_INIT;

	if (cli_has(cli, "json"))
		print_json(cli_config(cli), &out);
	else
		config_print(cli_config(cli), &out);
	cli_write_buf(cli, &out);
	buf_release(&out);
	return cli_end(cli, EXIT_DONE);
}

/* Complaints, counted. */
struct check {
	struct cli *cli;
	int n;
};

static void
on_config_finding(void *arg, const char *text)
{
	struct check *check = arg;

	cli_complain(check->cli, "%s", text);
	check->n++;
}

static void
on_config_note(void *arg, const char *text)
{
	struct check *check = arg;

	cli_note(check->cli, "%s", text);
}

/* librdkafka checks its own keys, each by itself and how they fit together. */
static int
check_kafka(struct cli *cli, struct err *reterr)
{
	static const enum kafka_role roles[] = { KAFKA_READER, KAFKA_WRITER };

	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
		struct kafka *k = kafka_new(cli_config(cli), roles[i], NULL, NULL, reterr);

		if (!k)
			return ERR_CONFIG;
		kafka_free(k);
	}
	return 0;
}

static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
			return true;
	return false;
}

/* All instances of a group must be able to run the same plugins. */
static void
compare_instances(const struct config *config, const struct catalog *c,
		  const struct catalog_instance *list, size_t n_list, const struct findings *f)
{
	const char *group = config_str(config, "kafka.group.id");

	for (size_t i = 0; i < c->n; i++) {
		const struct catalog_plugin *p = &c->plugins[i];

		if (strcmp(p->status, "ready") != 0 || !p->running)
			continue;
		for (size_t k = 0; k < n_list; k++)
			if (strcmp(list[k].group, group) == 0 && !has_word(p->workers, list[k].id))
				findings_add(f, "plugin '%s' (%s) runs in %s but not in %s: all "
					     "instances of a group must be able to run the same "
					     "plugins", p->id, p->key, p->workers, list[k].id);
	}
}

static void
check_instances(const struct config *config, const struct findings *f)
{
	struct catalog c = { 0 };
	struct catalog_instance *list = NULL;
	size_t n_list = 0;
	struct err err = { 0 };
	struct cli_redis *redis = cli_redis_new(config, &err);
	int ret = redis ? catalog_read(redis, &c, &err) : ERR_UNAVAILABLE;

	if (ret == 0)
		ret = catalog_instances(redis, &list, &n_list, &err);
	if (ret < 0)
		findings_note(f, "cannot compare what the workers run: %s", err.text);
	else
		compare_instances(config, &c, list, n_list, f);
	catalog_instances_free(list, n_list);
	catalog_release(&c);
	cli_redis_free(redis);
}

/* Keys that name operations. */
static void
check_time_limits(const struct config *config, const struct findings *f)
{
	struct err err = { 0 };
	struct time_limit_keys *keys = time_limit_keys_new(config, &err);

	if (!keys)
		findings_add(f, "%s", err.text);
	time_limit_keys_free(keys);
}

static int
check_main(struct cli *cli)
{
	struct check check = { .cli = cli };
	const struct findings f = { on_config_finding, on_config_note, &check };
	const struct config *config = cli_config(cli);
	struct err err = { 0 };

	if (check_kafka(cli, &err) < 0)
		return cli_fail(cli, &err);
	if (client_conf_assignor(rd_kafka_version(), config_str(config, "assignor"), &err) < 0)
		findings_add(&f, "%s", err.text);
	findings_of_config(config, &f);
	isolation_check(config, &f);
	check_time_limits(config, &f);
	if (!cli_has(cli, "offline")) {
		preflight_kafka(config, &f);
		preflight_redis(config, &f);
		preflight_registry(config, &f);
		check_instances(config, &f);
	}
	if (check.n == 0)
		cli_note(cli, "the configuration is valid");
	return cli_end(cli, check.n ? EXIT_FINDINGS : EXIT_DONE);
}

static const struct cli_command print_command = {
	.name = "print",
	.summary = "Print all keys, their values, where they were set and what they mean",
	.run = print_main,
};

static const struct cli_option check_options[] = {
	{ .name = "offline",
	  .help = "Ask no server: neither Kafka nor Redis nor the schema registry" },
	{ .name = NULL },
};

static const struct cli_command check_command = {
	.name = "check",
	.summary = "Check the configuration: exit 78 for an error, 1 for findings",
	.options = check_options,
	.run = check_main,
};

static const struct cli_command *const subs[] = { &print_command, &check_command, NULL };

const struct cli_command config_command = {
	.name = "config",
	.summary = "Show and check the configuration",
	.subs = subs,
	.text = "`check` asks Kafka, Redis and the schema registry whether a worker could work\n"
		"with them, and lists everything that it finds. It changes nothing there, but\n"
		"for a transactional id of its own, <group>.<instance>.config-check, which\n"
		"Kafka forgets after some days.\n"
		"\n"
		"    envdriver config print -c /etc/envdriver.conf\n"
		"    envdriver config check -c /etc/envdriver.conf\n",
};
