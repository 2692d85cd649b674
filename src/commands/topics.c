/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics: `envdriver topics create | list`: the topics as docs/schemas.md
 * wants them: missing ones are created, existing ones compared. A difference
 * is reported and left alone, because it may be intended.
 */
#include "envdriver/client/topics_plan.h"

#include <stdio.h>

#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/kafka.h"
#include "envdriver/commands/commands.h"

#define DAY INT64_C(86400000)
#define MiB (INT64_C(1) << 20)

static const struct topics_spec defaults[TOPIC_COUNT] = {
	[TOPIC_COMMANDS] = { 12, 14 * DAY, MiB },
	[TOPIC_PROBE_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_LEASE_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_EXECUTION_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_CONFIG_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_WORKSPACE_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_SETUP_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_DRIVER_RESULTS] = { 12, 14 * DAY, MiB },
	[TOPIC_EXECUTION_LOGS] = { 12, 3 * DAY, MiB },
	[TOPIC_PLUGIN_EVENTS] = { 3, 3 * DAY, MiB },
	[TOPIC_DEAD_LETTERS] = { 3, 14 * DAY, 2 * MiB },
};

static const struct cli_option create_options[] = {
	{ .name = "partitions", .value = "[TOPIC=]N", .many = true,
	  .help = "Partitions (default: 12; 3 for plugin-events and dead-letters)" },
	{ .name = "replication", .value = "N",
	  .help = "Replicas (default: 3, or the number of brokers if fewer)" },
	{ .name = "min-insync", .value = "N",
	  .help = "min.insync.replicas (default: 2 with 3 replicas, else 1)" },
	{ .name = "retention", .value = "[TOPIC=]DURATION", .many = true,
	  .help = "Retention (default: 14d; 3d for execution-logs and plugin-events)" },
	{ .name = "max-message", .value = "[TOPIC=]SIZE", .many = true,
	  .help = "Largest message (default: 1MiB; 2MiB for dead-letters)" },
	{ .name = NULL },
};

static const struct flag {
	const char *name;
	size_t offset;	/* in struct topics_spec */
	int (*parse)(const char *text, int64_t *ret, struct err *reterr);
	int64_t min, max;
} flags[] = {
	{ "partitions", offsetof(struct topics_spec, partitions), units_int, 1, 10000 },
	{ "retention", offsetof(struct topics_spec, retention_ms), units_duration, 60000,
	  INT64_MAX },
	{ "max-message", offsetof(struct topics_spec, max_bytes), units_size, 1024, INT32_MAX },
};

static const char *
topic_at(const void *arg, size_t i)
{
	(void)arg;
	return i < TOPIC_COUNT ? topic_name((enum topic)i) : NULL;
}

static int
unknown_topic(const char *flag, const char *text, struct err *reterr)
{
	char name[NEAREST_LEN_MAX + 1];
	const char *near;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
	near = nearest_begun(name, topic_at, NULL);
	if (near)
		return err_set(reterr, ERR_INVALID,
			       "--%s: unknown topic '%s'; did you mean '%s'?", flag, name, near);
	return err_set(reterr, ERR_INVALID, "--%s: unknown topic '%s'", flag, name);
}

/* Of "6" or "commands=6": the topic (TOPIC_COUNT: all), and the value. */
static const char *
split_topic(const char *text, enum topic *ret)
{
	const char *eq = strchr(text, '=');

	*ret = TOPIC_COUNT;
	if (!eq)
		return text;
	*ret = topic_find((struct span){ text, (size_t)(eq - text) });
	return *ret == TOPIC_COUNT ? NULL : eq + 1;
}

static int
read_flag(struct topics_plan *p, const struct flag *f, const char *text, struct err *reterr)
{
	enum topic topic;
	const char *value = split_topic(text, &topic);
	int64_t n = 0;

	if (!value)
		return unknown_topic(f->name, text, reterr);
	if (f->parse(value, &n, reterr) < 0) {
		err_prefix(reterr, "--%s", f->name);
		return ERR_INVALID;
	}
	if (n < f->min || n > f->max)
		return err_set(reterr, ERR_INVALID, "--%s: %s is out of range", f->name, value);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (topic == TOPIC_COUNT || topic == (enum topic)t)
			*(int64_t *)((char *)&p->specs[t] + f->offset) = n;
	return 0;
}

static int
read_flags(struct topics_plan *p, const struct cli *cli, struct err *reterr)
{
	const char *text;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		for (size_t k = 0; (text = cli_flag_at(cli, flags[i].name, k)); k++)
			if (read_flag(p, &flags[i], text, reterr) < 0)
				return ERR_INVALID;
	text = cli_flag(cli, "replication");
	if (text && (units_int(text, &p->replication, reterr) < 0 || p->replication < 1 ||
		     p->replication > INT16_MAX))
		return err_set(reterr, ERR_INVALID,
			       "--replication: '%s' is not a valid number of brokers", text);
	text = cli_flag(cli, "min-insync");
	if (text && (units_int(text, &p->in_sync, reterr) < 0 || p->in_sync < 1))
		return err_set(reterr, ERR_INVALID,
			       "--min-insync: '%s' is not a valid number of brokers", text);
	return 0;
}

static const struct cli_column columns[] = {
	{ "topic", CLI_TAIL, 0 },
	{ "state", CLI_OUTCOME, 0 },
	{ "differs", CLI_PROSE | CLI_WRAP, 0 },
	{ NULL, CLI_TEXT, 0 },
};

/* Returns the number of topics that are missing. */
static int
show_plan(const struct topics_plan *p, struct cli *cli)
{
	struct cli_table *table = cli_table_new(cli, columns);
	int missing = 0;

	for (int t = 0; t < TOPIC_COUNT; t++) {
		char name[KAFKA_TOPIC_MAX];
		const char *state = p->made[t] ? "created" : p->there[t] ? "exists" : "missing";
		struct span cells[3] = {
			span_of(kafka_topic(p->config, (enum topic)t, name)),
			span_of(state),
			p->differs[t].len ? buf_span(&p->differs[t]) : SPAN_NULL,
		};

		cli_table_row(table, cells);
		missing += !p->there[t];
	}
	cli_table_end(table);
	return missing;
}

static int
run_topics(struct cli *cli, bool making)
{
	struct topics_plan p = { .config = cli_config(cli) };
	struct err err = { 0 };
	int ret;

	memcpy(p.specs, defaults, sizeof(p.specs));
	if (read_flags(&p, cli, &err) < 0 || cli_check_columns(cli, columns, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	ret = topics_plan_look(&p, &err);
	if (ret == 0 && making)
		ret = topics_plan_make(&p, &err);
	if (ret < 0)
		ret = cli_fail(cli, &err);
	else
		ret = show_plan(&p, cli) ? EXIT_FINDINGS : EXIT_DONE;
	topics_plan_release(&p);
	return cli_end(cli, ret);
}

static int
create_main(struct cli *cli)
{
	return run_topics(cli, true);
}

static int
list_main(struct cli *cli)
{
	return run_topics(cli, false);
}

static const struct cli_command create_command = {
	.name = "create",
	.summary = "Create missing topics; report how existing ones differ",
	.run = create_main,
};

static const struct cli_command list_command = {
	.name = "list",
	.summary = "Show which topics exist and how they differ; exit 1 if one is missing",
	.run = list_main,
};

static const struct cli_command *const subs[] = { &create_command, &list_command, NULL };

const struct cli_command topics_command = {
	.name = "topics",
	.stage = "Set up",
	.summary = "Create and check the Kafka topics",
	.options = create_options,
	.subs = subs,
	.text = "The names of the eleven topics begin with topic.prefix. Existing topics are\n"
		"never changed.\n\n"
		"    envdriver topics create\n"
		"    envdriver topics create --partitions 6 --partitions commands=24 "
		"--retention 30d\n"
		"    envdriver topics list\n",
};
