/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preflight_kafka: what a worker needs of Kafka. Apart from preflight.c, since
 * each right is asked for by a call of its own:
 *
 *	commit to a partition that cannot exist	Read on the group and on commands
 *	produce with acks=2, which no broker accepts	Write on each other topic
 *	InitProducerId for an id of its own	Write on transactional ids
 */
#include "envdriver/client/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/findings.h"
#include "envdriver/client/kafka.h"
#include "envdriver/kafka/client.h"

enum { LOOK_MS = 10000, STEP_MS = 100, ADMIN_MS = 10000, ERRSTR = 512 };
enum { SMALLEST = 1 << 20, SMALLEST_LETTER = 2 << 20 };

struct preflight {
	const struct config *config;
	const struct findings *findings;
	struct kafka *kafka;
	bool there[TOPIC_COUNT];
	char names[TOPIC_COUNT][KAFKA_TOPIC_MAX];
	rd_kafka_resp_err_t group_error;
	rd_kafka_resp_err_t written[TOPIC_COUNT];
};

/* --- topics and their settings --- */

static void
find_topics(struct preflight *p, const struct rd_kafka_metadata *md)
{
	const struct rd_kafka_metadata_topic *found;

	for (int t = 0; t < TOPIC_COUNT; t++) {
		struct err err = { 0 };

		p->there[t] = kafka_find_topic(p->kafka, md, p->names[t], &found, &err) == 0;
		if (!p->there[t])
			findings_add(p->findings, "%s", err.text);
	}
}

static void
judge_topic_setting(struct preflight *p, enum topic t, const char *name, const char *value)
{
	long long smallest = t == TOPIC_DEAD_LETTERS ? SMALLEST_LETTER : SMALLEST;

	if (strcmp(name, "cleanup.policy") == 0 && strcmp(value, "delete") != 0)
		findings_add(p->findings, "topic '%s': cleanup.policy is %s, so records vanish "
			     "that nobody has read; set delete", p->names[t], value);
	if (strcmp(name, "max.message.bytes") == 0 && t != TOPIC_COMMANDS &&
	    atoll(value) < smallest)
		findings_add(p->findings, "topic '%s': max.message.bytes is %s, so large records "
			     "are replaced by smaller ones; set %lld", p->names[t], value,
			     smallest);
}

static void
judge_resources(struct preflight *p, rd_kafka_event_t *event)
{
	const rd_kafka_DescribeConfigs_result_t *result =
		rd_kafka_event_DescribeConfigs_result(event);
	const rd_kafka_ConfigResource_t **found;
	size_t n = 0, n_entries = 0, n_denied = 0;

	found = result ? rd_kafka_DescribeConfigs_result_resources(result, &n) : NULL;
	for (size_t i = 0; i < n; i++) {
		enum topic t = kafka_topic_of(p->config, rd_kafka_ConfigResource_name(found[i]));
		const rd_kafka_ConfigEntry_t **entries;

		if (t == TOPIC_COUNT)
			continue;
		if (rd_kafka_ConfigResource_error(found[i]) && t == TOPIC_COMMANDS)
			findings_add(p->findings, "cannot read the settings of topic '%s': %s; "
				     "allow DescribeConfigs on it", p->names[t],
				     rd_kafka_err2str(rd_kafka_ConfigResource_error(found[i])));
		if (rd_kafka_ConfigResource_error(found[i])) {
			n_denied += t != TOPIC_COMMANDS;
			continue;
		}
		entries = rd_kafka_ConfigResource_configs(found[i], &n_entries);
		for (size_t k = 0; k < n_entries; k++)
			if (rd_kafka_ConfigEntry_value(entries[k]))
				judge_topic_setting(p, t, rd_kafka_ConfigEntry_name(entries[k]),
						    rd_kafka_ConfigEntry_value(entries[k]));
	}
	if (n_denied)
		findings_note(p->findings, "the settings of %zu topics cannot be asked for without "
			      "DescribeConfigs on them: cleanup.policy and max.message.bytes are "
			      "not checked", n_denied);
	if (!result || rd_kafka_event_error(event))
		findings_note(p->findings, "the topics' settings are not checked: %s",
			      rd_kafka_err2str(rd_kafka_event_error(event)));
}

static void
check_settings(struct preflight *p)
{
	rd_kafka_t *rk = kafka_client(p->kafka);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_ConfigResource_t *topics[TOPIC_COUNT];
	rd_kafka_event_t *event;
	size_t n = 0;

	for (int t = 0; t < TOPIC_COUNT; t++)
		if (p->there[t])
			topics[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
								  p->names[t]);
	if (n) {
		rd_kafka_DescribeConfigs(rk, topics, n, NULL, queue);
		event = rd_kafka_queue_poll(queue, ADMIN_MS);
		if (event)
			judge_resources(p, event);
		else
			findings_note(p->findings, "the topics' settings are not checked: Kafka "
				      "does not answer");
		rd_kafka_event_destroy(event);
		rd_kafka_ConfigResource_destroy_array(topics, n);
	}
	rd_kafka_queue_destroy(queue);
}

/* --- Read on the group and on commands --- */

static void
on_reader_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct preflight *p = arg;

	(void)reason;
	(void)fatal;
	if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		p->group_error = code;
}

/* The answer to the commit; __TIMED_OUT when none came. */
static rd_kafka_resp_err_t
wait_commit(struct preflight *p, rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	int64_t deadline = clock_mono_ms() + LOOK_MS;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_event_t *event = NULL;

	while (!event && !p->group_error && clock_mono_ms() < deadline) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 0);

		if (m)
			on_reader_error(p, m->err, "", false);
		if (m)
			rd_kafka_message_destroy(m);
		(void)rd_kafka_poll(rk, 0);
		event = rd_kafka_queue_poll(queue, STEP_MS);
	}
	if (!event)
		return p->group_error ? p->group_error : code;
	code = rd_kafka_event_error(event);
	if (rd_kafka_event_topic_partition_list(event) &&
	    rd_kafka_event_topic_partition_list(event)->cnt > 0 &&
	    (code == RD_KAFKA_RESP_ERR_NO_ERROR ||
	     code != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED))
		code = rd_kafka_event_topic_partition_list(event)->elems[0].err
			       ? rd_kafka_event_topic_partition_list(event)->elems[0].err
			       : code;
	rd_kafka_event_destroy(event);
	return code;
}

static void
judge_commit(struct preflight *p, rd_kafka_resp_err_t code)
{
	const char *group = config_str(p->config, "kafka.group.id");

	if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		findings_add(p->findings, "kafka.group.id: not permitted to use group '%s'; allow "
			     "Read on it", group);
	else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		findings_add(p->findings, "not permitted to read topic '%s'; allow Read on it",
			     p->names[TOPIC_COMMANDS]);
	else if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
		 code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION &&
		 code != RD_KAFKA_RESP_ERR_NO_ERROR)
		findings_note(p->findings, "Read on group '%s' and topic '%s' cannot be asked for: "
			      "%s", group, p->names[TOPIC_COMMANDS], rd_kafka_err2str(code));
}

static void
check_reading(struct preflight *p)
{
	const struct client_hooks hooks = { .on_error = on_reader_error, .arg = p };
	rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(1);
	struct err err = { 0 };
	rd_kafka_t *rk = client_open(p->config, CLIENT_CONF_OFFSETS, NULL, &hooks, &err);
	rd_kafka_queue_t *queue;

	if (!rk) {
		findings_add(p->findings, "%s", err.text);
		rd_kafka_topic_partition_list_destroy(parts);
		return;
	}
	queue = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_add(parts, p->names[TOPIC_COMMANDS], INT32_MAX)->offset = 0;
	if (rd_kafka_commit_queue(rk, parts, queue, NULL, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR)
		judge_commit(p, wait_commit(p, rk, queue));
	rd_kafka_queue_destroy(queue);
	rd_kafka_topic_partition_list_destroy(parts);
	client_free(rk);
}

/* --- Write on the other topics --- */

static void
on_trial_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	rd_kafka_resp_err_t *ret = m->_private;

	(void)rk;
	(void)opaque;
	*ret = m->err ? m->err : RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS;
}

static void
on_trial_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	(void)facility;
	(void)text;
}

static rd_kafka_t *
open_trial(struct preflight *p, struct err *reterr)
{
	rd_kafka_conf_t *conf =
		client_conf_new(p->config, CLIENT_CONF_BEST_EFFORT, NULL, reterr);
	char text[ERRSTR] = "";
	rd_kafka_t *rk;

	if (!conf)
		return NULL;
	rd_kafka_conf_set_dr_msg_cb(conf, on_trial_delivered);
	rd_kafka_conf_set_log_cb(conf, on_trial_log);
	/* Were it not refused, records would be written. */
	if (rd_kafka_conf_set(conf, "acks", "2", text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		rd_kafka_conf_destroy(conf);
		err_set(reterr, ERR_CONFIG, "kafka.acks: %s", text);
		return NULL;
	}
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		err_set(reterr, ERR_CONFIG, "kafka: %s", text);
	}
	return rk;
}

static void
judge_trial(struct preflight *p, int t)
{
	switch (p->written[t]) {
	case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
	case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
		break;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		findings_add(p->findings, "not permitted to write to topic '%s'; allow Write on "
			     "it", p->names[t]);
		break;
	default:
		findings_note(p->findings, "Write on topic '%s' cannot be asked for: %s",
			      p->names[t], rd_kafka_err2str(p->written[t]));
	}
}

static void
check_writing(struct preflight *p)
{
	int64_t deadline = clock_mono_ms() + LOOK_MS;
	struct err err = { 0 };
	rd_kafka_t *rk = open_trial(p, &err);

	if (!rk) {
		findings_add(p->findings, "%s", err.text);
		return;
	}
	for (int t = 0; t < TOPIC_COUNT; t++) {
		p->written[t] = RD_KAFKA_RESP_ERR__TIMED_OUT;
		if (p->there[t] && t != TOPIC_COMMANDS)
			(void)rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(p->names[t]),
						RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE(NULL, 0),
						RD_KAFKA_V_OPAQUE(&p->written[t]), RD_KAFKA_V_END);
	}
	while (rd_kafka_outq_len(rk) > 0 && clock_mono_ms() < deadline)
		(void)rd_kafka_poll(rk, STEP_MS);
	(void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	(void)rd_kafka_poll(rk, STEP_MS);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (p->there[t] && t != TOPIC_COMMANDS)
			judge_trial(p, t);
	rd_kafka_destroy(rk);
}

/* --- Write on transactional ids --- */

static void
check_transactions(struct preflight *p)
{
	char id[600];
	struct err err = { 0 };
	rd_kafka_error_t *error;
	rd_kafka_t *rk;

	/* Not the worker's own, which would fence it. */
	snprintf(id, sizeof(id), "%s.%s.config-check", config_str(p->config, "kafka.group.id"),
		 config_str(p->config, "instance.id"));
	rk = client_open(p->config, CLIENT_CONF_PUBLISHER, id, NULL, &err);
	if (!rk) {
		findings_add(p->findings, "%s", err.text);
		return;
	}
	error = rd_kafka_init_transactions(rk, LOOK_MS);
	if (error &&
	    rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
		findings_add(p->findings, "not permitted to use transactional id '%s'; allow Write "
			     "and Describe on the ids that begin with '%s.'", id,
			     config_str(p->config, "kafka.group.id"));
	else if (error)
		findings_add(p->findings, "transactional id '%s' cannot be used: %s", id,
			     rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	client_free(rk);
}

void
preflight_kafka(const struct config *config, const struct findings *f)
{
	struct preflight p = { .config = config, .findings = f };
	const struct rd_kafka_metadata *md = NULL;
	struct err err = { 0 };

	for (int t = 0; t < TOPIC_COUNT; t++)
		kafka_topic(config, (enum topic)t, p.names[t]);
	p.kafka = kafka_new(config, KAFKA_ADMIN, NULL, NULL, &err);
	if (!p.kafka || kafka_metadata(p.kafka, LOOK_MS, &md, &err) < 0) {
		findings_add(f, "%s", err.text);
		kafka_free(p.kafka);
		return;
	}
	find_topics(&p, md);
	rd_kafka_metadata_destroy(md);
	if (kafka_is_mock(p.kafka, LOOK_MS)) {
		findings_note(f, "this Kafka is a mock: rights and topic settings are not checked");
	} else {
		check_settings(&p);
		check_reading(&p);
		check_writing(&p);
		check_transactions(&p);
	}
	kafka_free(p.kafka);
}
