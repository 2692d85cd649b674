/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics: `envdriver topics create | list`: the topics as SCHEMAS says they
 * are, made where they are missing, compared where they are there. What
 * differs is told and left alone: it may be meant so.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/units.h"
#include "envdriver/commands/cli.h"
#include "envdriver/commands/commands.h"
#include "envdriver/commands/kafka.h"

enum { ERRSTR = 512, LOOK_MS = 10000, ADMIN_MS = 30000, REPLICAS = 3, IN_SYNC = 2 };

#define DAY INT64_C(86400000)
#define MiB (INT64_C(1) << 20)

struct spec {
	int64_t partitions, retention_ms, max_bytes;
};

static const struct spec defaults[TOPIC_COUNT] = {
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

/* What is wanted of the cluster, and what was found. */
struct plan {
	struct cli *cli;
	const struct config *config;
	struct kafka *kafka;
	const struct rd_kafka_metadata *md;
	struct spec specs[TOPIC_COUNT];
	int64_t replication, in_sync;
	bool there[TOPIC_COUNT], made[TOPIC_COUNT];
	struct buf differs[TOPIC_COUNT];	/* one line, empty: as wanted */
	rd_kafka_queue_t *queue;
};

static const struct cli_option create_options[] = {
	{ .name = "partitions", .value = "[TOPIC=]N", .many = true,
	  .help = "12; 3 of plugin-events and dead-letters" },
	{ .name = "replication", .value = "N", .help = "3, or the number of brokers when fewer" },
	{ .name = "min-insync", .value = "N", .help = "2 with 3 replicas, else 1" },
	{ .name = "retention", .value = "[TOPIC=]DURATION", .many = true,
	  .help = "14d; 3d of execution-logs and plugin-events" },
	{ .name = "max-message", .value = "[TOPIC=]SIZE", .many = true,
	  .help = "1MiB; 2MiB of dead-letters" },
	{ .name = NULL },
};

static const struct flag {
	const char *name;
	size_t offset;	/* in struct spec */
	int (*parse)(const char *text, int64_t *ret, struct err *reterr);
	int64_t min, max;
} flags[] = {
	{ "partitions", offsetof(struct spec, partitions), units_int, 1, 10000 },
	{ "retention", offsetof(struct spec, retention_ms), units_duration, 60000, INT64_MAX },
	{ "max-message", offsetof(struct spec, max_bytes), units_size, 1024, INT32_MAX },
};

/* "6", or "commands=6": which of the topics, and the value behind it. */
static const char *
split(const char *text, enum topic *ret)
{
	const char *eq = strchr(text, '=');

	*ret = TOPIC_COUNT;
	if (!eq)
		return text;
	*ret = topic_find((struct span){ text, (size_t)(eq - text) });
	return *ret == TOPIC_COUNT ? NULL : eq + 1;
}

static int
read_flag(struct plan *p, const struct flag *f, const char *text, struct err *reterr)
{
	enum topic topic;
	const char *value = split(text, &topic);
	int64_t n = 0;

	if (!value)
		return err_set(reterr, ERR_INVALID, "--%s %s: there is no such topic", f->name, text);
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
read_flags(struct plan *p, struct err *reterr)
{
	const char *text;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		for (size_t k = 0; (text = cli_flag_at(p->cli, flags[i].name, k)); k++)
			if (read_flag(p, &flags[i], text, reterr) < 0)
				return ERR_INVALID;
	text = cli_flag(p->cli, "replication");
	if (text && (units_int(text, &p->replication, reterr) < 0 || p->replication < 1 ||
		     p->replication > INT16_MAX))
		return err_set(reterr, ERR_INVALID, "--replication: '%s' is no number of brokers",
			       text);
	text = cli_flag(p->cli, "min-insync");
	if (text && (units_int(text, &p->in_sync, reterr) < 0 || p->in_sync < 1))
		return err_set(reterr, ERR_INVALID, "--min-insync: '%s' is no number of brokers",
			       text);
	return 0;
}

static int
look(struct plan *p, struct err *reterr)
{
	int ret;

	p->kafka = kafka_new(p->config, KAFKA_ADMIN, NULL, NULL, reterr);
	if (!p->kafka)
		return ERR_CONFIG;
	ret = kafka_metadata(p->kafka, LOOK_MS, &p->md, reterr);
	if (ret < 0)
		return ret;
	if (!p->replication)
		p->replication = p->md->broker_cnt < REPLICAS ? p->md->broker_cnt : REPLICAS;
	if (!p->in_sync)
		p->in_sync = p->replication >= REPLICAS ? IN_SYNC : 1;
	p->queue = rd_kafka_queue_new(kafka_client(p->kafka));
	return p->queue ? 0 : err_nomem(reterr);
}

static void
differ(struct plan *p, int t, const char *name, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) != 0)
		buf_addf(&p->differs[t], "%s%s is %s, not %s", p->differs[t].len ? "; " : "", name,
			 is, wanted);
}

static void
differ_int(struct plan *p, int t, const char *name, int64_t is, int64_t wanted)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%lld", (long long)is);
	snprintf(b, sizeof(b), "%lld", (long long)wanted);
	differ(p, t, name, a, b);
}

/* Compares partitions and replicas of a topic that is there. */
static int
find(struct plan *p, int t, struct err *reterr)
{
	const struct rd_kafka_metadata_topic *found = NULL;
	char name[KAFKA_TOPIC_MAX];
	struct err why = { 0 };
	int ret;

	kafka_topic(p->config, (enum topic)t, name);
	ret = kafka_find_topic(p->kafka, p->md, name, &found, &why);
	if (ret == ERR_NOTFOUND)
		return 0;
	if (ret < 0) {
		if (reterr)
			*reterr = why;
		return ret;
	}
	p->there[t] = true;
	differ_int(p, t, "partitions", found->partition_cnt, p->specs[t].partitions);
	if (found->partition_cnt > 0)
		differ_int(p, t, "replicas", found->partitions[0].replica_cnt, p->replication);
	return 0;
}

static void
compare_config(struct plan *p, int t, const rd_kafka_ConfigResource_t *resource)
{
	size_t n;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &n);

	for (size_t i = 0; i < n; i++) {
		const char *name = rd_kafka_ConfigEntry_name(entries[i]);
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);
		int64_t wanted = -1;

		if (!value)
			continue;
		if (strcmp(name, "cleanup.policy") == 0)
			differ(p, t, name, value, "delete");
		else if (strcmp(name, "retention.ms") == 0)
			wanted = p->specs[t].retention_ms;
		else if (strcmp(name, "max.message.bytes") == 0)
			wanted = p->specs[t].max_bytes;
		else if (strcmp(name, "min.insync.replicas") == 0)
			wanted = p->in_sync;
		if (wanted >= 0)
			differ_int(p, t, name, atoll(value), wanted);
	}
}

static int
compared(struct plan *p, rd_kafka_event_t *event, struct err *reterr)
{
	const rd_kafka_DescribeConfigs_result_t *result =
		rd_kafka_event_DescribeConfigs_result(event);
	const rd_kafka_ConfigResource_t **resources;
	size_t n;

	if (rd_kafka_event_error(event) || !result)
		return kafka_error(p->kafka, rd_kafka_event_error(event), "read topic settings",
				   reterr);
	resources = rd_kafka_DescribeConfigs_result_resources(result, &n);
	for (size_t i = 0; i < n; i++) {
		const char *name = rd_kafka_ConfigResource_name(resources[i]);
		enum topic t = kafka_topic_of(p->config, name);

		if (t == TOPIC_COUNT)
			continue;
		if (rd_kafka_ConfigResource_error(resources[i]))
			buf_addf(&p->differs[t], "%ssettings cannot be read: %s",
				 p->differs[t].len ? "; " : "",
				 rd_kafka_ConfigResource_error_string(resources[i]));
		else
			compare_config(p, (int)t, resources[i]);
	}
	return 0;
}

/* Reads the settings of the topics that are there. */
static int
compare(struct plan *p, struct err *reterr)
{
	rd_kafka_ConfigResource_t *resources[TOPIC_COUNT];
	rd_kafka_AdminOptions_t *options;
	rd_kafka_event_t *event;
	char name[KAFKA_TOPIC_MAX];
	size_t n = 0;
	int ret = 0;

	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++)
		ret = find(p, t, reterr);
	if (ret < 0)
		return ret;
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (p->there[t])
			resources[n++] = rd_kafka_ConfigResource_new(
				RD_KAFKA_RESOURCE_TOPIC, kafka_topic(p->config, (enum topic)t, name));
	if (!n)
		return 0;
	options = rd_kafka_AdminOptions_new(kafka_client(p->kafka), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_DescribeConfigs(kafka_client(p->kafka), resources, n, options, p->queue);
	event = rd_kafka_queue_poll(p->queue, ADMIN_MS + LOOK_MS);
	if (event)
		ret = compared(p, event, reterr);
	else
		ret = kafka_error(p->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "read topic settings",
				  reterr);
	rd_kafka_event_destroy(event);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy_array(resources, n);
	return ret;
}

static rd_kafka_NewTopic_t *
new_topic(const struct plan *p, int t, struct err *reterr)
{
	char name[KAFKA_TOPIC_MAX], text[ERRSTR], value[3][24];
	rd_kafka_NewTopic_t *topic;

	kafka_topic(p->config, (enum topic)t, name);
	topic = rd_kafka_NewTopic_new(name, (int)p->specs[t].partitions, (int)p->replication, text,
				      sizeof(text));
	if (!topic) {
		err_set(reterr, ERR_INVALID, "topic '%s': %s", name, text);
		return NULL;
	}
	snprintf(value[0], sizeof(value[0]), "%lld", (long long)p->specs[t].retention_ms);
	snprintf(value[1], sizeof(value[1]), "%lld", (long long)p->specs[t].max_bytes);
	snprintf(value[2], sizeof(value[2]), "%lld", (long long)p->in_sync);
	if (rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete") ||
	    rd_kafka_NewTopic_set_config(topic, "retention.ms", value[0]) ||
	    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", value[1]) ||
	    rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", value[2])) {
		rd_kafka_NewTopic_destroy(topic);
		err_nomem(reterr);
		return NULL;
	}
	return topic;
}

static int
created(struct plan *p, rd_kafka_event_t *event, struct err *reterr)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	const rd_kafka_topic_result_t **topics;
	size_t n;

	if (rd_kafka_event_error(event) || !result)
		return kafka_error(p->kafka, rd_kafka_event_error(event), "create topics", reterr);
	topics = rd_kafka_CreateTopics_result_topics(result, &n);
	for (size_t i = 0; i < n; i++) {
		rd_kafka_resp_err_t rc = rd_kafka_topic_result_error(topics[i]);
		enum topic t = kafka_topic_of(p->config, rd_kafka_topic_result_name(topics[i]));
		const char *text = rd_kafka_topic_result_error_string(topics[i]);
		char what[KAFKA_TOPIC_MAX + 300];

		assert(t < TOPIC_COUNT);
		p->there[t] = p->made[t] = rc == RD_KAFKA_RESP_ERR_NO_ERROR;
		if (rc == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			p->there[t] = true;	/* somebody was faster */
		if (p->there[t])
			continue;
		snprintf(what, sizeof(what), "create topic '%s'%s%.250s%s",
			 rd_kafka_topic_result_name(topics[i]), text ? " (" : "", text ? text : "",
			 text ? ")" : "");
		return kafka_error(p->kafka, rc, what, reterr);
	}
	return 0;
}

static int
create(struct plan *p, struct err *reterr)
{
	rd_kafka_NewTopic_t *topics[TOPIC_COUNT];
	rd_kafka_AdminOptions_t *options = NULL;
	rd_kafka_event_t *event = NULL;
	size_t n = 0;
	int ret = 0;

	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (p->there[t])
			continue;
		topics[n] = new_topic(p, t, reterr);
		if (!topics[n]) {
			ret = ERR_INVALID;
			goto out;
		}
		n++;
	}
	if (!n)
		goto out;
	options = rd_kafka_AdminOptions_new(kafka_client(p->kafka), RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_AdminOptions_set_operation_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_CreateTopics(kafka_client(p->kafka), topics, n, options, p->queue);
	event = rd_kafka_queue_poll(p->queue, ADMIN_MS + LOOK_MS);
	if (event)
		ret = created(p, event, reterr);
	else
		ret = kafka_error(p->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "create topics", reterr);
out:
	rd_kafka_event_destroy(event);
	if (options)
		rd_kafka_AdminOptions_destroy(options);
	rd_kafka_NewTopic_destroy_array(topics, n);
	return ret;
}

/* Returns the number of topics that are missing. */
static int
show(struct plan *p)
{
	static const struct cli_column columns[] = {
		{ "topic", CLI_TEXT, 0 }, { "state", CLI_TEXT, 0 }, { "differs", CLI_TEXT, 0 },
		{ NULL, CLI_TEXT, 0 },
	};
	struct cli_table *table = cli_table_new(p->cli, columns);
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

static void
plan_release(struct plan *p)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		buf_release(&p->differs[t]);
	if (p->queue)
		rd_kafka_queue_destroy(p->queue);
	if (p->md)
		rd_kafka_metadata_destroy(p->md);
	kafka_free(p->kafka);
}

static int
run(struct cli *cli, bool making)
{
	struct plan p = { .cli = cli, .config = cli_config(cli) };
	struct err err = { 0 };
	int ret;

	memcpy(p.specs, defaults, sizeof(p.specs));
	if (read_flags(&p, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	ret = look(&p, &err);
	if (ret == 0)
		ret = compare(&p, &err);
	if (ret == 0 && making)
		ret = create(&p, &err);
	if (ret < 0)
		ret = cli_fail(cli, &err);
	else
		ret = show(&p) ? CLI_FINDINGS : CLI_DONE;
	plan_release(&p);
	return cli_end(cli, ret);
}

static int
create_main(struct cli *cli)
{
	return run(cli, true);
}

static int
list_main(struct cli *cli)
{
	return run(cli, false);
}

static const struct cli_command create_command = {
	.name = "create",
	.summary = "Make the topics that are missing; tell what differs of the others",
	.run = create_main,
};

static const struct cli_command list_command = {
	.name = "list",
	.summary = "Tell which topics are there and what differs; exit 1 when one is missing",
	.run = list_main,
};

static const struct cli_command *const subs[] = { &create_command, &list_command, NULL };

const struct cli_command topics_command = {
	.name = "topics",
	.stage = "Set up",
	.summary = "Make and check the Kafka topics",
	.options = create_options,
	.subs = subs,
	.text = "The eleven topics have topic.prefix before their names. What is there is never changed.\n\n"
		"    envdriver topics create\n"
		"    envdriver topics create --partitions 6 --partitions commands=24 --retention 30d\n"
		"    envdriver topics list\n",
};
