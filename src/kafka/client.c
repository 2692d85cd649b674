/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/client.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/log_once.h"
#include "envdriver/kafka/client_error.h"

enum { V_2_10 = 0x020a0000, TRIES_MIN = 4, TRIES_MAX = 64, QUIET_MS = 30000 };

/* What the callbacks of a client get. */
struct client {
	struct client_hooks hooks;
	atomic_bool muted;
	atomic_int refused;	/* X509_V_ERR_… of a broker's certificate; 0: none so far */
	struct buf secrets;	/* each ended by a NUL */
};

/* --- callbacks --- */

static enum log_level
level_of_syslog(int syslog_level)
{
	if (syslog_level <= LOG_CRIT)
		return LOG_LEVEL_ERROR;
	if (syslog_level <= LOG_WARNING)
		return LOG_LEVEL_WARN;
	return syslog_level <= LOG_INFO ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

/* All clients say the same of a broker that is away; current versions of
 * librdkafka say it at every try. Their own count and times, behind
 * " (after ", differ. */
static bool
is_due(const char *text, unsigned *ret_more)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static struct log_once said = { .quiet_ms = QUIET_MS };
	const char *end = strstr(text, " (after ");
	struct span same = { text, end ? (size_t)(end - text) : strlen(text) };
	bool ret;

	pthread_mutex_lock(&mutex);
	ret = log_once_due(&said, same, clock_mono_ms(), ret_more);
	pthread_mutex_unlock(&mutex);
	return ret;
}

/* On threads of librdkafka, also before rd_kafka_new has returned. */
static void
on_rdkafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const struct client *c = rk ? rd_kafka_opaque(rk) : NULL;
	struct buf masked = BUF_INIT;
	unsigned more = 0;

	if (c && !atomic_load(&c->muted) && c->hooks.on_log)
		c->hooks.on_log(c->hooks.arg, facility, text);
	/* CONFWARN: a consumer's key on a producer or the reverse; the user's
	 * keys go to both. AUTOCREATE: what only the mock of `dev` lacks, as we ask for
	 * newer brokers. */
	if (!log_enabled(level_of_syslog(level)) || strcmp(facility, "CONFWARN") == 0 ||
	    strcmp(facility, "AUTOCREATE") == 0)
		return;
	if (level_of_syslog(level) <= LOG_LEVEL_WARN && !is_due(text, &more))
		return;
	client_conf_mask(c ? buf_span(&c->secrets) : (struct span){ "", 0 }, text, &masked);
	if (more && masked.data)
		buf_addf(&masked, " (repeated %u times since it was last logged)", more);
	if (masked.data)
		log_write(level_of_syslog(level), "kafka: %s: %s", facility, masked.data);
	buf_release(&masked);
}

/* On a broker's thread. Does not change the verdict: it keeps the cause,
 * which librdkafka's own text leaves out. */
static int
on_rdkafka_certificate(rd_kafka_t *rk, const char *broker, int32_t id, int *error, int depth,
		      const char *der, size_t size, char *text, size_t text_size, void *arg)
{
	struct client *c = arg;

	(void)rk;
	(void)broker;
	(void)id;
	(void)depth;
	(void)der;
	(void)size;
	if (*error == X509_V_OK)
		return 1;
	atomic_store(&c->refused, *error);
	snprintf(text, text_size, "%s", X509_verify_cert_error_string(*error));
	return 0;
}

/* "ssl://host:9093/bootstrap: its certificate is refused: …" */
static void
tell_refused(struct client *c, const char *reason, int error)
{
	const char *place = strstr(reason, ": ");
	struct buf text = BUF_INIT;

	buf_add(&text, reason, place ? (size_t)(place + 2 - reason) : 0);
	client_error_certificate(error, &text);
	c->hooks.on_error(c->hooks.arg, RD_KAFKA_RESP_ERR__SSL, text.failed ? reason : text.data,
			  false);
	buf_release(&text);
}

static void
on_rdkafka_error(rd_kafka_t *rk, int code, const char *reason, void *arg)
{
	struct client *c = arg;
	int refused = code == RD_KAFKA_RESP_ERR__SSL ? atomic_load(&c->refused) : 0;
	char text[512];
	rd_kafka_resp_err_t cause;

	if (atomic_load(&c->muted) || !c->hooks.on_error)
		return;
	if (refused) {
		tell_refused(c, reason, refused);
		return;
	}
	if (code != RD_KAFKA_RESP_ERR__FATAL) {
		c->hooks.on_error(c->hooks.arg, (rd_kafka_resp_err_t)code, reason, false);
		return;
	}
	cause = rd_kafka_fatal_error(rk, text, sizeof(text));
	c->hooks.on_error(c->hooks.arg, cause, text, true);
}

static void
on_rdkafka_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	struct client *c = arg;

	(void)rk;
	if (!atomic_load(&c->muted) && c->hooks.on_delivery)
		c->hooks.on_delivery(c->hooks.arg, m);
}

static void
on_rdkafka_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
		    rd_kafka_topic_partition_list_t *parts, void *arg)
{
	struct client *c = arg;

	if (!atomic_load(&c->muted) && c->hooks.on_rebalance)
		c->hooks.on_rebalance(c->hooks.arg, what, parts);
	else
		(void)rd_kafka_assign(rk, NULL);
}

static bool
is_producer(enum client_conf_role role)
{
	return role == CLIENT_CONF_PUBLISHER || role == CLIENT_CONF_BEST_EFFORT;
}

/* Where the user switched the check off, the callback is not wanted. */
static bool
verifies(const rd_kafka_conf_t *conf)
{
	char value[16];
	size_t size = sizeof(value);

	return rd_kafka_conf_get(conf, "enable.ssl.certificate.verification", value, &size) ==
		       RD_KAFKA_CONF_OK && strcmp(value, "true") == 0;
}

static void
set_client_callbacks(rd_kafka_conf_t *conf, enum client_conf_role role, struct client *c)
{
	rd_kafka_conf_set_opaque(conf, c);
	if (verifies(conf))
		(void)rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_rdkafka_certificate);
	rd_kafka_conf_set_log_cb(conf, on_rdkafka_log);
	rd_kafka_conf_set_error_cb(conf, on_rdkafka_error);
	if (is_producer(role))
		rd_kafka_conf_set_dr_msg_cb(conf, on_rdkafka_delivery);
	if (role == CLIENT_CONF_CONSUMER)
		rd_kafka_conf_set_rebalance_cb(conf, on_rdkafka_rebalance);
}

static void
release_client(struct client *c)
{
	buf_release(&c->secrets);
	free(c);
}

rd_kafka_t *
client_open(const struct config *config, enum client_conf_role role,
	    const char *transactional_id, const struct client_hooks *hooks, struct err *reterr)
{
	/* Asked for metadata, a producer creates topics on brokers that allow
	 * it; so ADMIN is a consumer. */
	rd_kafka_type_t type = is_producer(role) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
	struct client *c = calloc(1, sizeof(*c));
	struct buf masked = BUF_INIT;
	rd_kafka_conf_t *conf = NULL;
	rd_kafka_t *rk = NULL;
	char text[512];

	if (!c || !client_conf_secrets(config, &c->secrets)) {
		err_nomem(reterr);
		goto out;
	}
	if (hooks)
		c->hooks = *hooks;
	conf = client_conf_new(config, role, transactional_id, reterr);
	if (!conf)
		goto out;
	set_client_callbacks(conf, role, c);
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	if (!rk) {
		bool config_wrong = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__INVALID_ARG;

		client_conf_mask(buf_span(&c->secrets), text, &masked);
		err_set(reterr, config_wrong ? ERR_CONFIG : ERR_UNAVAILABLE, "kafka: %s",
			masked.data ? masked.data : "");
		rd_kafka_conf_destroy(conf);
	}
out:
	buf_release(&masked);
	if (!rk && c)
		release_client(c);
	return rk;
}

void
client_bootstrap(const struct config *config, rd_kafka_t *rk, unsigned tries)
{
	bool due = tries >= TRIES_MIN && ((tries & (tries - 1)) == 0 || tries % TRIES_MAX == 0);

	/* Each call leaves a copy of the list in the client: hence not always. */
	if (due && rd_kafka_version() >= V_2_10)
		(void)rd_kafka_brokers_add(rk, config_str(config, "kafka.bootstrap.servers"));
}

void
client_mute(rd_kafka_t *rk)
{
	struct client *c = rd_kafka_opaque(rk);

	atomic_store(&c->muted, true);
}

void
client_free(rd_kafka_t *rk)
{
	struct client *c;

	if (!rk)
		return;
	c = rd_kafka_opaque(rk);
	client_mute(rk);
	/* Nobody waits for what a producer still holds; without the purge,
	 * destroy waits for its delivery. */
	if (rd_kafka_type(rk) == RD_KAFKA_PRODUCER)
		(void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
						 RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	release_client(c);
}

enum { WAIT_STEP_MS = 10 };

/* Clients that are being destroyed on threads of their own. */
static atomic_int closing;

static void *
free_aside(void *arg)
{
	sigset_t all;

	sigfillset(&all);	/* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	client_free(arg);
	atomic_fetch_sub(&closing, 1);
	return NULL;
}

void
client_close(rd_kafka_t *rk)
{
	pthread_t thread;

	if (!rk)
		return;
	client_mute(rk);
	/* Without a thread it stays as it is, idle and muted, until the process
	 * ends. */
	atomic_fetch_add(&closing, 1);
	if (pthread_create(&thread, NULL, free_aside, rk) == 0)
		pthread_detach(thread);
	else
		atomic_fetch_sub(&closing, 1);
}

void
client_wait_closed(int timeout_ms)
{
	const struct timespec step = { 0, WAIT_STEP_MS * 1000000L };

	for (int ms = 0; ms < timeout_ms && atomic_load(&closing); ms += WAIT_STEP_MS)
		nanosleep(&step, NULL);
}
