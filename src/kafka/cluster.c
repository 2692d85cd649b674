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
	atomic_bool stopped;
	void (*fn)(void *arg, const struct cluster_facts *facts);
	void *arg;
	struct cluster_facts facts;
	rd_kafka_t *rk;
	char *names[TOPIC_COUNT];
	/* The most telling error of the client. */
	rd_kafka_resp_err_t error;
	char reason[360];
};

static int
time_left(const struct cluster_job *job)
{
	int64_t ms = job->until_ms - clock_mono_ms();

	return ms > 0 && !atomic_load(&job->stopped) ? (int)ms : 0;
}

static void
on_cluster_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct cluster_job *job = arg;
	struct buf text = BUF_INIT;

	(void)fatal;
	/* After a refused login or a closed connection comes "all brokers are
	 * down", which says less. */
	if (client_error_exit_code(job->error) ||
	    (job->reason[0] && code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN))
		return;
	client_error_explain(job->config, code, reason, &text);
	job->error = code;
	snprintf(job->reason, sizeof(job->reason), "%s", text.data ? text.data : reason);
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
judge_topic(struct cluster_job *job, const struct rd_kafka_metadata_topic *t)
{
	switch (t->err) {
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		add_missing(&job->facts, t->topic);
		break;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		job->facts.exit_code = client_error_exit_code(t->err);
		err_set(&job->facts.err, ERR_DENIED,
			"not permitted to use topic '%s' (ACL %s on it)", t->topic,
			strcmp(t->topic, job->names[TOPIC_COMMANDS]) == 0 ? "Read" : "Write");
		break;
	default:	/* without a leader for a moment: it exists */
		break;
	}
}

/* In the order of the enum, as `envdriver topics list` has them. */
static void
judge_topics(struct cluster_job *job, const struct rd_kafka_metadata *md)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		for (int i = 0; i < md->topic_cnt; i++)
			if (strcmp(md->topics[i].topic, job->names[t]) == 0)
				judge_topic(job, &md->topics[i]);
}

static bool
name_all_topics(struct cluster_job *job)
{
	const char *prefix = config_str(job->config, "topic.prefix");

	for (int t = 0; t < TOPIC_COUNT; t++) {
		struct buf name = BUF_INIT;

		buf_adds(&name, prefix ? prefix : "");
		buf_adds(&name, topic_name((enum topic)t));
		job->names[t] = buf_take(&name, NULL);
		if (!job->names[t])
			return false;
	}
	return true;
}

/* Asks for the topics that the client knows, which are ours. */
static rd_kafka_resp_err_t
ask_for_topics(struct cluster_job *job)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_topic_t *topics[TOPIC_COUNT] = { NULL };
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

	for (int t = 0; t < TOPIC_COUNT; t++)
		topics[t] = rd_kafka_topic_new(job->rk, job->names[t], NULL);
	/* In steps, so that a login that is refused shows at once. */
	while (time_left(job) && code != RD_KAFKA_RESP_ERR_NO_ERROR &&
	       !client_error_exit_code(job->error)) {
		code = rd_kafka_metadata(job->rk, 0, NULL, &md,
					 time_left(job) < STEP_MS ? time_left(job) : STEP_MS);
		(void)rd_kafka_poll(job->rk, 0);
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		judge_topics(job, md);
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
judge_settings(struct cluster_job *job, rd_kafka_event_t *event)
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
		judge_setting(&job->facts, entries[i]);
}

static void
describe_commands(struct cluster_job *job)
{
	rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
								       job->names[TOPIC_COMMANDS]);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(job->rk);
	rd_kafka_event_t *event;

	if (topic) {
		rd_kafka_DescribeConfigs(job->rk, &topic, 1, NULL, queue);
		event = rd_kafka_queue_poll(queue, time_left(job));
		if (event) {
			judge_settings(job, event);
			rd_kafka_event_destroy(event);
		}
		rd_kafka_ConfigResource_destroy(topic);
	}
	rd_kafka_queue_destroy(queue);
}

/* --- one look --- */

static void
not_reached(struct cluster_job *job, rd_kafka_resp_err_t code)
{
	const char *servers = config_str(job->config, "kafka.bootstrap.servers");

	job->facts.exit_code = client_error_exit_code(job->error);
	err_set(&job->facts.err, job->facts.exit_code ? ERR_DENIED : ERR_UNAVAILABLE,
		"no Kafka at '%s': %s", servers,
		job->reason[0] ? job->reason : rd_kafka_err2str(code));
	job->facts.err.retriable = job->facts.exit_code == 0;
}

static void
work_on_look(uv_work_t *w)
{
	struct cluster_job *job = w->data;
	const struct client_hooks hooks = { .on_error = on_cluster_error, .arg = job };
	rd_kafka_resp_err_t code;
	char *id;

	job->rk = client_open(job->config, CLIENT_CONF_ADMIN, NULL, &hooks, &job->facts.err);
	if (!job->rk) {
		job->facts.exit_code = job->facts.err.code == ERR_CONFIG ? EXIT_CONFIG : 0;
		return;
	}
	code = ask_for_topics(job);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		not_reached(job, code);
		return;
	}
	id = rd_kafka_clusterid(job->rk, time_left(job));
	snprintf(job->facts.cluster_id, sizeof(job->facts.cluster_id), "%s", id ? id : "");
	rd_kafka_mem_free(job->rk, id);
	/* Without an id the prefix could not be checked: the next look. */
	job->facts.reached = id && !job->facts.exit_code;
	if (!id)
		not_reached(job, RD_KAFKA_RESP_ERR__TIMED_OUT);
	/* librdkafka's mock cluster (`envdriver dev`) leaves DescribeConfigs
	 * without an answer. */
	if (!strstr(job->facts.missing, job->names[TOPIC_COMMANDS]) &&
	    strncmp(job->facts.cluster_id, "mockCluster", strlen("mockCluster")) != 0)
		describe_commands(job);
}

static void
free_look(struct cluster_job *job)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(job->names[t]);
	client_close(job->rk);
	free(job);
}

static void
after_look(uv_work_t *w, int status)
{
	struct cluster_job *job = w->data;

	(void)status;
	if (job->fn)
		job->fn(job->arg, &job->facts);
	free_look(job);
}

struct cluster_job *
cluster_look(uv_loop_t *loop, const struct config *config, int timeout_ms,
	    void (*fn)(void *arg, const struct cluster_facts *facts), void *arg, struct err *reterr)
{
	struct cluster_job *job = calloc(1, sizeof(*job));
	int ret;

	if (!job) {
		err_nomem(reterr);
		return NULL;
	}
	job->work.data = job;
	job->config = config;
	job->until_ms = clock_mono_ms() + timeout_ms;
	job->fn = fn;
	job->arg = arg;
	job->facts.retention_ms = RETENTION_UNKNOWN;
	if (!name_all_topics(job)) {
		free_look(job);
		err_nomem(reterr);
		return NULL;
	}
	ret = uv_queue_work(loop, &job->work, work_on_look, after_look);
	if (ret == 0)
		return job;
	free_look(job);
	err_set(reterr, ERR_IO, "cannot start to look up the Kafka cluster: %s", uv_strerror(ret));
	return NULL;
}

void
cluster_free(struct cluster_job *job)
{
	if (!job)
		return;
	job->fn = NULL;
	atomic_store(&job->stopped, true);
}
