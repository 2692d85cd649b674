/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/topics_plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/client/kafka.h"

enum {
	ERRSTR = 512,
	LOOK_MS = 10000,
	ADMIN_MS = 30000,
	REPLICAS = 3,
	IN_SYNC = 2,
	AGAIN_US = 100000
};

static int
connect_admin(struct topics_plan *p, struct err *reterr)
{
	int ret;

	p->kafka = kafka_new(p->config, KAFKA_ADMIN, NULL, NULL, reterr);
	if (!p->kafka)
		return ERR_CONFIG;
	ret = kafka_metadata(p->kafka, LOOK_MS, &p->md, reterr);
	if (ret < 0)
		return ret;
	if (kafka_is_mock(p->kafka, LOOK_MS))
		return err_set(reterr, ERR_NOTFOUND, "this Kafka is the mock of `envdriver dev`: "
			       "each topic is there as soon as it is used, and has no settings");
	if (!p->replication)
		p->replication = p->md->broker_cnt < REPLICAS ? p->md->broker_cnt : REPLICAS;
	if (!p->in_sync)
		p->in_sync = p->replication >= REPLICAS ? IN_SYNC : 1;
	p->queue = rd_kafka_queue_new(kafka_client(p->kafka));
	return p->queue ? 0 : err_nomem(reterr);
}

static void
differ(struct topics_plan *p, int t, const char *name, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) != 0)
		buf_addf(&p->differs[t], "%s%s is %s, not %s", p->differs[t].len ? "; " : "", name,
			 is, wanted);
}

static void
differ_int(struct topics_plan *p, int t, const char *name, int64_t is, int64_t wanted)
{
	char a[24], b[24];

	snprintf(a, sizeof(a), "%lld", (long long)is);
	snprintf(b, sizeof(b), "%lld", (long long)wanted);
	differ(p, t, name, a, b);
}

/* Compares the partitions and replicas of a topic, if it exists. */
static int
look_up_topic(struct topics_plan *p, int t, struct err *reterr)
{
	const struct rd_kafka_metadata_topic *found = NULL;
	char name[KAFKA_TOPIC_MAX];
	struct err why = {0};
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
compare_config(struct topics_plan *p, int t, const rd_kafka_ConfigResource_t *resource)
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
compared(struct topics_plan *p, rd_kafka_event_t *event, struct err *reterr)
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
			buf_addf(&p->differs[t], "%scannot read the settings: %s",
				 p->differs[t].len ? "; " : "",
				 rd_kafka_ConfigResource_error_string(resources[i]));
		else
			compare_config(p, (int)t, resources[i]);
	}
	return 0;
}

/* Compares the settings of the existing topics. */
static int
compare_settings(struct topics_plan *p, struct err *reterr)
{
	rd_kafka_ConfigResource_t *resources[TOPIC_COUNT];
	rd_kafka_AdminOptions_t *options = NULL;
	rd_kafka_event_t *event = NULL;
	char name[KAFKA_TOPIC_MAX];
	size_t n = 0;
	int ret = 0;

	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++) {
		if (p->made[t] || p->compared[t])
			continue;
		ret = look_up_topic(p, t, reterr);
		p->compared[t] = p->there[t];
		if (p->there[t])
			resources[n++] = rd_kafka_ConfigResource_new(
				RD_KAFKA_RESOURCE_TOPIC,
				kafka_topic(p->config, (enum topic)t, name));
	}
	if (ret < 0)
		goto out;
	if (!n)
		return 0;
	options = rd_kafka_AdminOptions_new(kafka_client(p->kafka),
					    RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, NULL, 0);
	rd_kafka_DescribeConfigs(kafka_client(p->kafka), resources, n, options, p->queue);
	event = rd_kafka_queue_poll(p->queue, ADMIN_MS + LOOK_MS);
	if (event)
		ret = compared(p, event, reterr);
	else
		ret = kafka_error(p->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "read topic settings",
				  reterr);
out:
	rd_kafka_event_destroy(event);
	if (options)
		rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy_array(resources, n);
	return ret;
}

static rd_kafka_NewTopic_t *
new_topic(const struct topics_plan *p, int t, struct err *reterr)
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
created(struct topics_plan *p, rd_kafka_event_t *event, struct err *reterr)
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
			p->there[t] = true;	/* created by another client meanwhile */
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
create(struct topics_plan *p, struct err *reterr)
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

static bool
has_leaders(const struct rd_kafka_metadata_topic *topic)
{
	for (int i = 0; i < topic->partition_cnt; i++)
		if (topic->partitions[i].leader < 0)
			return false;
	return topic->partition_cnt > 0;
}

/* Brokers learn of a new topic one after another. When the caller is told that
 * the topics exist, they must be usable. */
static int
wait_for_leaders(struct topics_plan *p, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + ADMIN_MS;
	const struct rd_kafka_metadata_topic *found = NULL;
	char name[KAFKA_TOPIC_MAX];
	int ret = ERR_NOTFOUND;

	while (ret != 0 && clock_mono_ms() < deadline) {
		rd_kafka_metadata_destroy(p->md);
		p->md = NULL;
		ret = kafka_metadata(p->kafka, LOOK_MS, &p->md, reterr);
		if (ret < 0)
			return ret;
		for (int t = 0; t < TOPIC_COUNT && ret == 0; t++) {
			kafka_topic(p->config, (enum topic)t, name);
			ret = kafka_find_topic(p->kafka, p->md, name, &found, reterr);
			if (ret == 0 && !has_leaders(found))
				ret = err_set(reterr, ERR_UNAVAILABLE,
					      "topic '%s' has partitions without a leader", name);
		}
		if (ret < 0)
			usleep(AGAIN_US);
	}
	return ret;
}

/* Topics that turn out to exist after all, because another client created them
 * or the broker did not know yet, are compared, too. */
int
topics_plan_make(struct topics_plan *p, struct err *reterr)
{
	bool late = false, made = false;
	int ret = create(p, reterr);

	for (int t = 0; t < TOPIC_COUNT; t++) {
		made |= p->made[t];
		late |= p->there[t] && !p->made[t] && !p->compared[t];
	}
	if (ret == 0 && (made || late))
		ret = wait_for_leaders(p, reterr);
	return ret == 0 && late ? compare_settings(p, reterr) : ret;
}

int
topics_plan_look(struct topics_plan *p, struct err *reterr)
{
	int ret = connect_admin(p, reterr);

	return ret < 0 ? ret : compare_settings(p, reterr);
}

void
topics_plan_release(struct topics_plan *p)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		buf_release(&p->differs[t]);
	if (p->queue)
		rd_kafka_queue_destroy(p->queue);
	if (p->md)
		rd_kafka_metadata_destroy(p->md);
	kafka_free(p->kafka);
}
