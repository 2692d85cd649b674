/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/cluster.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/exit.h"
#include "envdriver/kafka/event.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/client_error.h"

enum { RETENTION_UNKNOWN = -2, STEP_MS = 500 };

struct cluster_job {
	uv_work_t work;
	const struct config *config;
	int64_t until_ms;
	atomic_bool forgotten;
	void (*fn)(void *arg, const struct cluster_facts *facts);
	void *arg;
	struct cluster_facts facts;
	rd_kafka_t *rk;
	char *names[TOPIC_COUNT];
	/* The client's error that says most. */
	rd_kafka_resp_err_t error;
	char reason[360];
};

static int
left(const struct cluster_job *l)
{
	int64_t ms = l->until_ms - clock_mono_ms();

	return ms > 0 && !atomic_load(&l->forgotten) ? (int)ms : 0;
}

static void
on_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct cluster_job *l = arg;
	struct buf text = BUF_INIT;

	(void)fatal;
	/* A refused login or a connection that was hung up on is followed by
	 * "all brokers are down". */
	if (client_error_exit_code(l->error) ||
	    (l->reason[0] && code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN))
		return;
	client_error_explain(l->config, code, reason, &text);
	l->error = code;
	snprintf(l->reason, sizeof(l->reason), "%s", text.data ? text.data : reason);
	buf_release(&text);
}

/* --- topics --- */

static void
add_missing(struct cluster_facts *f, const char *name)
{
	size_t n = strlen(f->missing);

	snprintf(f->missing + n, sizeof(f->missing) - n, "%s%s", n ? ", " : "", name);
}

static void
judge_topic(struct cluster_job *l, const struct rd_kafka_metadata_topic *t)
{
	switch (t->err) {
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		add_missing(&l->facts, t->topic);
		break;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		l->facts.exit_code = client_error_exit_code(t->err);
		err_set(&l->facts.err, ERR_DENIED,
			"not permitted to use topic '%s' (ACL %s on it)", t->topic,
			strcmp(t->topic, l->names[TOPIC_COMMANDS]) == 0 ? "Read" : "Write");
		break;
	default:	/* without a leader for a moment: it exists */
		break;
	}
}

/* In the order of the enum, as `envdriver topics list` has them. */
static void
judge_topics(struct cluster_job *l, const struct rd_kafka_metadata *md)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		for (int i = 0; i < md->topic_cnt; i++)
			if (strcmp(md->topics[i].topic, l->names[t]) == 0)
				judge_topic(l, &md->topics[i]);
}

static bool
name_topics(struct cluster_job *l)
{
	const char *prefix = config_str(l->config, "topic.prefix");

	for (int t = 0; t < TOPIC_COUNT; t++) {
		struct buf name = BUF_INIT;

		buf_adds(&name, prefix ? prefix : "");
		buf_adds(&name, topic_name((enum topic)t));
		l->names[t] = buf_take(&name, NULL);
		if (!l->names[t])
			return false;
	}
	return true;
}

/* Asks for the topics that the handle knows, which are ours. */
static rd_kafka_resp_err_t
ask(struct cluster_job *l)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_topic_t *topics[TOPIC_COUNT] = { NULL };
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

	for (int t = 0; t < TOPIC_COUNT; t++)
		topics[t] = rd_kafka_topic_new(l->rk, l->names[t], NULL);
	/* In steps, so that a login that is refused shows at once. */
	while (left(l) && code != RD_KAFKA_RESP_ERR_NO_ERROR && !client_error_exit_code(l->error)) {
		code = rd_kafka_metadata(l->rk, 0, NULL, &md,
					 left(l) < STEP_MS ? left(l) : STEP_MS);
		(void)rd_kafka_poll(l->rk, 0);
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		judge_topics(l, md);
		rd_kafka_metadata_destroy(md);
	}
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (topics[t])
			rd_kafka_topic_destroy(topics[t]);
	return code;
}

/* --- the command topic's settings --- */

static void
judge_setting(struct cluster_facts *f, const rd_kafka_ConfigEntry_t *e)
{
	const char *name = rd_kafka_ConfigEntry_name(e), *value = rd_kafka_ConfigEntry_value(e);

	if (!value)
		return;
	if (strcmp(name, "cleanup.policy") == 0)
		f->compacted = strcmp(value, "delete") != 0;
	if (strcmp(name, "retention.ms") == 0)
		f->retention_ms = strtoll(value, NULL, 10);
}

static void
judge_settings(struct cluster_job *l, rd_kafka_event_t *event)
{
	const rd_kafka_DescribeConfigs_result_t *result =
		rd_kafka_event_DescribeConfigs_result(event);
	const rd_kafka_ConfigResource_t **found;
	const rd_kafka_ConfigEntry_t **entries;
	size_t n = 0, n_entries = 0;

	if (!result || rd_kafka_event_error(event))
		return;
	found = rd_kafka_DescribeConfigs_result_resources(result, &n);
	/* Not permitted to describe it: unknown is an answer too. */
	if (n != 1 || rd_kafka_ConfigResource_error(found[0]))
		return;
	entries = rd_kafka_ConfigResource_configs(found[0], &n_entries);
	for (size_t i = 0; i < n_entries; i++)
		judge_setting(&l->facts, entries[i]);
}

static void
describe(struct cluster_job *l)
{
	rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
								       l->names[TOPIC_COMMANDS]);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(l->rk);
	rd_kafka_event_t *event;

	if (topic) {
		rd_kafka_DescribeConfigs(l->rk, &topic, 1, NULL, queue);
		event = rd_kafka_queue_poll(queue, left(l));
		if (event) {
			judge_settings(l, event);
			rd_kafka_event_destroy(event);
		}
		rd_kafka_ConfigResource_destroy(topic);
	}
	rd_kafka_queue_destroy(queue);
}

/* --- one look --- */

static void
not_reached(struct cluster_job *l, rd_kafka_resp_err_t code)
{
	const char *servers = config_str(l->config, "kafka.bootstrap.servers");

	l->facts.exit_code = client_error_exit_code(l->error);
	err_set(&l->facts.err, l->facts.exit_code ? ERR_DENIED : ERR_UNAVAILABLE,
		"no Kafka at '%s': %s", servers, l->reason[0] ? l->reason : rd_kafka_err2str(code));
	l->facts.err.retriable = l->facts.exit_code == 0;
}

static void
work(uv_work_t *w)
{
	struct cluster_job *l = w->data;
	const struct client_hooks hooks = { .on_error = on_error, .arg = l };
	rd_kafka_resp_err_t code;
	char *id;

	l->rk = client_open(l->config, CLIENT_CONF_ADMIN, NULL, &hooks, &l->facts.err);
	if (!l->rk) {
		l->facts.exit_code = l->facts.err.code == ERR_CONFIG ? EXIT_CONFIG : 0;
		return;
	}
	code = ask(l);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		not_reached(l, code);
		return;
	}
	id = rd_kafka_clusterid(l->rk, left(l));
	snprintf(l->facts.cluster_id, sizeof(l->facts.cluster_id), "%s", id ? id : "");
	rd_kafka_mem_free(l->rk, id);
	/* Without an id the prefix could not be checked: the next look. */
	l->facts.reached = id && !l->facts.exit_code;
	if (!id)
		not_reached(l, RD_KAFKA_RESP_ERR__TIMED_OUT);
	/* librdkafka's mock cluster (`envdriver dev`) leaves DescribeConfigs
	 * without an answer. */
	if (!strstr(l->facts.missing, l->names[TOPIC_COMMANDS]) &&
	    strncmp(l->facts.cluster_id, "mockCluster", strlen("mockCluster")) != 0)
		describe(l);
}

static void
job_free(struct cluster_job *l)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(l->names[t]);
	client_close(l->rk);
	free(l);
}

static void
after(uv_work_t *w, int status)
{
	struct cluster_job *l = w->data;

	(void)status;
	if (l->fn)
		l->fn(l->arg, &l->facts);
	job_free(l);
}

struct cluster_job *
cluster_look(uv_loop_t *loop, const struct config *config, int timeout_ms,
	    void (*fn)(void *arg, const struct cluster_facts *facts), void *arg, struct err *reterr)
{
	struct cluster_job *l = calloc(1, sizeof(*l));
	int ret;

	if (!l) {
		err_nomem(reterr);
		return NULL;
	}
	l->work.data = l;
	l->config = config;
	l->until_ms = clock_mono_ms() + timeout_ms;
	l->fn = fn;
	l->arg = arg;
	l->facts.retention_ms = RETENTION_UNKNOWN;
	if (!name_topics(l)) {
		job_free(l);
		err_nomem(reterr);
		return NULL;
	}
	ret = uv_queue_work(loop, &l->work, work, after);
	if (ret == 0)
		return l;
	job_free(l);
	err_set(reterr, ERR_IO, "cannot start a look at Kafka: %s", uv_strerror(ret));
	return NULL;
}

void
cluster_forget(struct cluster_job *l)
{
	if (!l)
		return;
	l->fn = NULL;
	atomic_store(&l->forgotten, true);
}
