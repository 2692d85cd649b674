/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/kafka.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client_conf.h"
#include "envdriver/kafka/client_error.h"

enum { ERRSTR = 512, LOOK_MS = 1000, GIVE_UP_MS = 3000, PURGE_TURNS = 100,
       PURGE_MS = 10 };

struct kafka {
	rd_kafka_t *rk;
	enum kafka_role role;
	const struct config *config;
	void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg);
	void *arg;
	/* What the client last complained about; its callbacks run on other
	 * threads, too. */
	pthread_mutex_t lock;
	rd_kafka_resp_err_t last;
	char why[ERRSTR];
	bool all_down;
	int refused;		/* X509_V_ERR_… of a broker's certificate */
};

static void
on_kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	log_debug("librdkafka %s: %s", facility, text);
}

/* Keeps what helps a user: of "ssl://h:1/bootstrap: Connect to … failed:
 * reason (after…)" all but the thread's name and the count of retries. */
static void
on_kafka_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct kafka *k = opaque;
	const char *text = strstr(reason, ": ");

	(void)rk;
	pthread_mutex_lock(&k->lock);
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		k->all_down = true;
	} else {
		k->last = code;
		snprintf(k->why, sizeof(k->why), "%s", text ? text + 2 : reason);
		k->why[strcspn(k->why, "\n")] = '\0';
		if (strstr(k->why, " (after "))
			*strstr(k->why, " (after ") = '\0';
	}
	pthread_mutex_unlock(&k->lock);
}

/* Does not change the verdict: it keeps the cause, which librdkafka's own text
 * leaves out. */
static int
on_broker_certificate(rd_kafka_t *rk, const char *broker, int32_t id, int *error, int depth,
		      const char *der, size_t size, char *text, size_t text_size, void *opaque)
{
	struct kafka *k = opaque;

	(void)rk;
	(void)broker;
	(void)id;
	(void)depth;
	(void)der;
	(void)size;
	(void)text;
	(void)text_size;
	if (*error == X509_V_OK)
		return 1;
	pthread_mutex_lock(&k->lock);
	k->refused = *error;
	pthread_mutex_unlock(&k->lock);
	return 0;
}

static void
on_kafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka *k = opaque;

	if (k->on_delivery)
		k->on_delivery(rk, m, k->arg);
}

static int
set_property(void *arg, const char *name, const char *value, struct err *reterr)
{
	char text[ERRSTR];

	if (client_conf_check_file(name, value, reterr) < 0)
		return ERR_CONFIG;
	if (rd_kafka_conf_set(arg, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
		return 0;
	return err_set(reterr, ERR_CONFIG, "kafka.%s: %s", name, text);
}

/* Set in this order: what the user may change, the user's own kafka.* keys,
 * what must hold. */
static const struct setting {
	enum kafka_role role;
	bool must;
	const char *name, *value;
} settings[] = {
	{ KAFKA_ADMIN, true, "allow.auto.create.topics", "false" },
	{ KAFKA_READER, true, "allow.auto.create.topics", "false" },
	{ KAFKA_READER, false, "fetch.wait.max.ms", "100" },
	/* For each partition: a reader of a hundred must not hold all of them. */
	{ KAFKA_READER, false, "queued.max.messages.kbytes", "8192" },
	{ KAFKA_READER, false, "queued.min.messages", "10000" },
	{ KAFKA_READER, true, "isolation.level", "read_committed" },
	{ KAFKA_READER, true, "enable.auto.commit", "false" },
	{ KAFKA_READER, true, "auto.commit.enable", "false" },
	{ KAFKA_READER, true, "enable.partition.eof", "true" },
	{ KAFKA_READER, true, "auto.offset.reset", "earliest" },
	{ KAFKA_WRITER, false, "linger.ms", "5" },
	{ KAFKA_WRITER, false, "message.timeout.ms", "30000" },
	{ KAFKA_WRITER, true, "enable.idempotence", "true" },
	{ KAFKA_WRITER, true, "partitioner", "murmur2_random" },
};

static int
apply(rd_kafka_conf_t *conf, enum kafka_role role, bool must, struct err *reterr)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		int ret;

		if (settings[i].role != role || settings[i].must != must)
			continue;
		ret = set_property(conf, settings[i].name, settings[i].value, reterr);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static rd_kafka_conf_t *
make_conf(struct kafka *k, enum kafka_role role, struct err *reterr)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char size[32];

	snprintf(size, sizeof(size), "%lld",
		 (long long)config_int(k->config, "command.max.bytes") + 65536);
	if ((role == KAFKA_WRITER && set_property(conf, "message.max.bytes", size, reterr) < 0) ||
	    set_property(conf, "client.id", "envdriver", reterr) < 0 ||
	    apply(conf, role, false, reterr) < 0 ||
	    config_each_kafka(k->config, set_property, conf, reterr) < 0 ||
	    set_property(conf, "bootstrap.servers",
			 config_str(k->config, "kafka.bootstrap.servers"), reterr) < 0 ||
	    apply(conf, role, true, reterr) < 0) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_log_cb(conf, on_kafka_log);
	rd_kafka_conf_set_error_cb(conf, on_kafka_error);
	if (!config_dynamic(k->config, "kafka.enable.ssl.certificate.verification"))
		(void)rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_broker_certificate);
	if (role == KAFKA_WRITER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_kafka_delivered);
	return conf;
}

struct kafka *
kafka_new(const struct config *config, enum kafka_role role,
	  void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg), void *arg,
	  struct err *reterr)
{
	struct kafka *k = calloc(1, sizeof(*k));
	rd_kafka_conf_t *conf;
	char text[ERRSTR];

	if (!k) {
		err_nomem(reterr);
		return NULL;
	}
	k->config = config;
	k->role = role;
	k->on_delivery = on_delivery;
	k->arg = arg;
	pthread_mutex_init(&k->lock, NULL);
	conf = make_conf(k, role, reterr);
	if (!conf)
		goto fail;
	k->rk = rd_kafka_new(role == KAFKA_WRITER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf,
			     text, sizeof(text));
	if (!k->rk) {
		rd_kafka_conf_destroy(conf);
		err_set(reterr, ERR_CONFIG, "kafka: %s", text);
		goto fail;
	}
	return k;
fail:
	kafka_free(k);
	return NULL;
}

void
kafka_free(struct kafka *k)
{
	if (!k)
		return;
	/* What is lost is reported to on_delivery, too. */
	if (k->rk && k->role == KAFKA_WRITER && rd_kafka_outq_len(k->rk) > 0) {
		rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		for (int i = 0; i < PURGE_TURNS && rd_kafka_outq_len(k->rk) > 0; i++)
			rd_kafka_poll(k->rk, PURGE_MS);
	}
	if (k->rk)
		rd_kafka_destroy(k->rk);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

rd_kafka_t *
kafka_client(struct kafka *k)
{
	return k->rk;
}

static const struct meaning {
	rd_kafka_resp_err_t code;
	enum err_code means;
	const char *hint;
} meanings[] = {
	{ RD_KAFKA_RESP_ERR__TRANSPORT, ERR_UNAVAILABLE, NULL },
	{ RD_KAFKA_RESP_ERR__TIMED_OUT, ERR_UNAVAILABLE, NULL },
	{ RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERR_UNAVAILABLE, NULL },
	{ RD_KAFKA_RESP_ERR__RESOLVE, ERR_UNAVAILABLE, NULL },
	{ RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERR_UNAVAILABLE, NULL },
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, ERR_DENIED,
	  "check kafka.sasl.username and kafka.sasl.password" },
	{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ERR_DENIED,
	  "check kafka.sasl.username and kafka.sasl.password" },
	{ RD_KAFKA_RESP_ERR__SSL, ERR_CONFIG,
	  "check kafka.security.protocol, kafka.ssl.ca.location and the broker's certificate" },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_DENIED,
	  "the broker's ACLs must allow it" },
	{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, ERR_DENIED,
	  "the broker's ACLs must allow it" },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERR_NOTFOUND,
	  "`envdriver topics create` creates the topics" },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, ERR_NOTFOUND,
	  "`envdriver topics create` creates the topics" },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, ERR_NOTFOUND, NULL },
	{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERR_LIMIT,
	  "the topic's max.message.bytes, kafka.message.max.bytes and command.max.bytes limit it" },
	{ RD_KAFKA_RESP_ERR_NO_ERROR, ERR_IO, NULL },
};

/* The hint about SCRAM with an old librdkafka; false when there is none. */
static bool
scram_hint(const struct kafka *k, rd_kafka_resp_err_t code, char *ret, size_t size)
{
	const char *mechanism = config_dynamic(k->config, "kafka.sasl.mechanism");
	const char *hint;

	if (!mechanism)
		mechanism = config_dynamic(k->config, "kafka.sasl.mechanisms");
	hint = client_error_hint(rd_kafka_version(), mechanism, code);
	if (hint)
		snprintf(ret, size, "librdkafka %s %s", rd_kafka_version_str(), hint);
	return hint;
}

static int
refused(const struct kafka *k, const char *what, struct err *reterr)
{
	struct buf text = BUF_INIT;
	int ret;

	client_error_certificate(k->refused, &text);
	ret = err_set(reterr, ERR_CONFIG, "cannot %s on Kafka at %.100s: %s", what,
		      config_str(k->config, "kafka.bootstrap.servers"),
		      text.data ? text.data : "");
	buf_release(&text);
	return ret;
}

/* The client's own complaint says more than "timed out". */
int
kafka_error(struct kafka *k, rd_kafka_resp_err_t code, const char *what, struct err *reterr)
{
	const char *servers = config_str(k->config, "kafka.bootstrap.servers");
	const struct meaning *m = meanings;
	char why[ERRSTR], bug[200] = "";
	const char *hint;

	pthread_mutex_lock(&k->lock);
	if (k->last && (code == RD_KAFKA_RESP_ERR__TRANSPORT ||
			code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
			code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
			code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)) {
		code = k->last;
		snprintf(why, sizeof(why), "%s", k->why);
	} else {
		snprintf(why, sizeof(why), "%s", rd_kafka_err2str(code));
	}
	pthread_mutex_unlock(&k->lock);
	if (code == RD_KAFKA_RESP_ERR__SSL && k->refused)
		return refused(k, what, reterr);
	while (m->code != code && m->code != RD_KAFKA_RESP_ERR_NO_ERROR)
		m++;
	hint = m->hint;
	if (m->means == ERR_UNAVAILABLE)
		hint = "is it running? kafka.bootstrap.servers sets the address";
	if (scram_hint(k, code, bug, sizeof(bug)))
		hint = bug;
	return err_set(reterr, m->means, "cannot %s on Kafka at %.100s: %.170s%s%s", what, servers,
		       why, hint ? "; " : "", hint ? hint : "");
}

/* Asks for a second at a time: a broker that refuses connections is not worth
 * the wait that a slow one is. */
int
kafka_metadata(struct kafka *k, int timeout_ms, const struct rd_kafka_metadata **ret,
	       struct err *reterr)
{
	int64_t start = clock_mono_ms(), past = 0;
	rd_kafka_resp_err_t rc;
	bool hopeless;

	do {
		rc = rd_kafka_metadata(k->rk, 1, NULL, ret, LOOK_MS);
		if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
			return 0;
		rd_kafka_poll(k->rk, 0);
		past = clock_mono_ms() - start;
		pthread_mutex_lock(&k->lock);
		hopeless = (k->all_down && past >= GIVE_UP_MS) ||
			   k->last == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
			   k->last == RD_KAFKA_RESP_ERR__SSL;
		pthread_mutex_unlock(&k->lock);
	} while (!hopeless && past < timeout_ms);
	return kafka_error(k, rc, "look up topics", reterr);
}

/* The list of all topics leaves out those that we may not see; asking for one
 * by name tells. Where brokers create topics on demand a producer that asks
 * creates it, so another client asks. */
static rd_kafka_resp_err_t
why_missing(struct kafka *k, const char *name)
{
	rd_kafka_resp_err_t ret = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	struct kafka *asks = k;
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_topic_t *rkt = NULL;

	if (k->role == KAFKA_WRITER)
		asks = kafka_new(k->config, KAFKA_ADMIN, NULL, NULL, /* reterr= */ NULL);
	if (asks)
		rkt = rd_kafka_topic_new(asks->rk, name, /* conf= */ NULL);
	if (rkt && rd_kafka_metadata(asks->rk, 0, rkt, &md, LOOK_MS) == 0 && md->topic_cnt == 1 &&
	    md->topics[0].err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		ret = md->topics[0].err;
	if (md)
		rd_kafka_metadata_destroy(md);
	if (rkt)
		rd_kafka_topic_destroy(rkt);
	if (asks != k)
		kafka_free(asks);
	return ret;
}

bool
kafka_is_mock(struct kafka *k, int timeout_ms)
{
	char *id = rd_kafka_clusterid(k->rk, timeout_ms);
	bool ret = id && strncmp(id, "mockCluster", strlen("mockCluster")) == 0;

	if (id)
		rd_kafka_mem_free(k->rk, id);
	return ret;
}

int
kafka_find_topic(struct kafka *k, const struct rd_kafka_metadata *md, const char *name,
		 const struct rd_kafka_metadata_topic **ret, struct err *reterr)
{
	char what[KAFKA_TOPIC_MAX + 32];

	snprintf(what, sizeof(what), "find topic '%s'", name);
	for (int i = 0; i < md->topic_cnt; i++) {
		if (strcmp(md->topics[i].topic, name) != 0)
			continue;
		if (md->topics[i].err)
			return kafka_error(k, md->topics[i].err, what, reterr);
		*ret = &md->topics[i];
		return 0;
	}
	return kafka_error(k, why_missing(k, name), what, reterr);
}

const char *
kafka_topic(const struct config *config, enum topic t, char ret[KAFKA_TOPIC_MAX])
{
	snprintf(ret, KAFKA_TOPIC_MAX, "%s%s", config_str(config, "topic.prefix"), topic_name(t));
	return ret;
}

enum topic
kafka_topic_of(const struct config *config, const char *name)
{
	const char *prefix = config_str(config, "topic.prefix");

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return TOPIC_COUNT;
	return topic_find(span_of(name + strlen(prefix)));
}
