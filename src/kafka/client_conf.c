/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/client_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"

enum {
	V_2_2 = 0x02020000,
	V_2_10 = 0x020a0000,
	HEARTBEAT_MS = 3000,
	MAX_POLL_MS = 300000,
	SECRET_MIN = 3,		/* shorter ones would mask every other word */
};

enum {
	CONSUMER = 1 << CLIENT_CONF_CONSUMER,
	OFFSETS = 1 << CLIENT_CONF_OFFSETS,
	PUBLISHER = 1 << CLIENT_CONF_PUBLISHER,
	BEST_EFFORT = 1 << CLIENT_CONF_BEST_EFFORT,
	ADMIN = 1 << CLIENT_CONF_ADMIN,
	READERS = CONSUMER | OFFSETS,
	WRITERS = PUBLISHER | BEST_EFFORT,
	ALL = READERS | WRITERS | ADMIN,
};

struct setting {
	unsigned roles;
	const char *name;
	const char *value;
	bool maybe;		/* newer than 2.0.2: left out where it is unknown */
};

/* Under the user's keys. */
static const struct setting defaults[] = {
	{ ALL, "client.id", "envdriver", false },
	{ ALL, "socket.nagle.disable", "true", false },
	{ ALL, "socket.keepalive.enable", "true", false },
	/* ADMIN: it is the only sign of a wrong security.protocol. */
	{ ALL & ~ADMIN, "log.connection.close", "false", false },
	{ ALL, "reconnect.backoff.max.ms", "2000", false },	/* back within seconds */
	/* How long a record waits for a topic that is missing; the default of
	 * 30 s outlives the transaction. */
	{ WRITERS, "topic.metadata.propagation.max.ms", "2000", false },
	{ WRITERS | CONSUMER, "message.max.bytes", "3145728", false },
	/* With 100 a partition is registered in the transaction 100 ms late. */
	{ PUBLISHER, "retry.backoff.ms", "1", false },
	{ PUBLISHER, "retry.backoff.max.ms", "100", true },
	{ PUBLISHER, "linger.ms", "0", false },
	{ BEST_EFFORT, "linger.ms", "5", false },
	{ BEST_EFFORT, "queue.buffering.max.kbytes", "8192", false },
	{ BEST_EFFORT, "message.timeout.ms", "10000", false },
	{ BEST_EFFORT, "acks", "1", false },
	{ CONSUMER, "fetch.queue.backoff.ms", "2", true },
	{ CONSUMER, "fetch.error.backoff.ms", "50", false },
	{ CONSUMER, "fetch.wait.max.ms", "500", false },
};

/* Over the user's keys: without them a promise breaks (config.c refuses the
 * user's by name). */
static const struct setting fixed[] = {
	{ READERS, "enable.auto.commit", "false", false },
	{ READERS, "enable.auto.offset.store", "false", false },
	{ READERS, "isolation.level", "read_committed", false },
	{ CONSUMER, "auto.offset.reset", "error", false },
	{ READERS, "allow.auto.create.topics", "false", false },
	{ CONSUMER, "enable.partition.eof", "false", false },
	{ OFFSETS, "enable.partition.eof", "true", false },	/* offsets_try */
	{ PUBLISHER, "enable.idempotence", "true", false },
	{ WRITERS, "partitioner", "murmur2_random", false },
};

/* Keys that only a member of the group may have. */
static const char *const member_keys[] = { "group.instance.id", "session.timeout.ms",
					   "heartbeat.interval.ms", "max.poll.interval.ms" };

static void
keep_secret(struct buf *secrets, const char *key, const char *value)
{
	struct buf shown = BUF_INIT;
	bool secret = strcmp(key, "kafka.sasl.username") == 0;	/* T14 (secrets in the log) */

	config_add_shown(&shown, key, value);
	secret |= shown.data && strcmp(shown.data, "***") == 0;
	if (secret && strlen(value) >= SECRET_MIN)
		buf_add(secrets, value, strlen(value) + 1);
	buf_release(&shown);
}

bool
client_conf_secrets(const struct config *config, struct buf *secrets)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(config, i, &e); i++)
		if (e.value && strncmp(e.key, "kafka.", strlen("kafka.")) == 0)
			keep_secret(secrets, e.key, e.value);
	return !secrets->failed;
}

void
client_conf_mask(struct span secrets, const char *text, struct buf *out)
{
	while (*text) {
		size_t hit = 0;

		for (const char *s = secrets.ptr; s < secrets.ptr + secrets.len; s += strlen(s) + 1)
			if (strlen(s) > hit && strncmp(text, s, strlen(s)) == 0)
				hit = strlen(s);
		if (hit)
			buf_adds(out, "***");
		else
			buf_addch(out, *text);
		text += hit ? hit : 1;
	}
}

/* librdkafka itself says "error:05880002:x509 certificate routines::system lib". */
int
client_conf_check_file(const char *name, const char *value, struct err *reterr)
{
	size_t len = strlen(name), end = strlen(".location");

	if (strncmp(name, "ssl.", strlen("ssl.")) != 0 || len < end ||
	    strcmp(name + len - end, ".location") != 0 ||
	    strcmp(name, "ssl.engine.location") == 0 || strcmp(value, "probe") == 0 ||
	    access(value, R_OK) == 0)
		return 0;
	return err_set(reterr, ERR_CONFIG, "kafka.%s: cannot read '%s': %s", name, value,
		       strerror(errno));
}

int
client_conf_assignor(int librdkafka_version, const char *assignor, struct err *reterr)
{
	if (strcmp(assignor, "range") == 0 || librdkafka_version >= V_2_10)
		return 0;
	return err_set(reterr, ERR_CONFIG,
		       "assignor: %s needs librdkafka 2.10 or later, this is %s", assignor,
		       rd_kafka_version_str());
}

/* --- the settings --- */

struct maker {
	rd_kafka_conf_t *conf;
	enum client_conf_role role;
	const struct buf *secrets;
};

static int
set_setting(struct maker *m, const char *name, const char *value, struct err *reterr)
{
	char text[256];
	struct buf masked = BUF_INIT;
	int ret = 0;

	if (rd_kafka_conf_set(m->conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		client_conf_mask(buf_span(m->secrets), text, &masked);
		ret = err_set(reterr, ERR_CONFIG, "kafka.%s: %s", name,
			      masked.data ? masked.data : "");
	}
	buf_release(&masked);
	return ret;
}

static int
set_number(struct maker *m, const char *name, int64_t value, struct err *reterr)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return set_setting(m, name, text, reterr);
}

static bool
is_known(const struct maker *m, const char *name)
{
	char value[512];
	size_t size = sizeof(value);

	return rd_kafka_conf_get(m->conf, name, value, &size) == RD_KAFKA_CONF_OK;
}

static int
set_table(struct maker *m, const struct setting *s, size_t n, struct err *reterr)
{
	for (; n > 0; s++, n--)
		if ((s->roles & (1U << m->role)) && (!s->maybe || is_known(m, s->name)) &&
		    set_setting(m, s->name, s->value, reterr) < 0)
			return ERR_CONFIG;
	return 0;
}

static int
set_user_key(void *arg, const char *name, const char *value, struct err *reterr)
{
	struct maker *m = arg;

	for (size_t i = 0; i < sizeof(member_keys) / sizeof(*member_keys); i++)
		if (m->role != CLIENT_CONF_CONSUMER && strcmp(member_keys[i], name) == 0)
			return 0;
	if (client_conf_check_file(name, value, reterr) < 0)
		return ERR_CONFIG;
	return set_setting(m, name, value, reterr);
}

/* What a member of the group needs; the user's own keys come after it. */
static int
set_member(struct maker *m, const struct config *config, struct err *reterr)
{
	int64_t session = config_int(config, "kafka.session.timeout.ms");
	int64_t third = session / 3, heartbeat = third < HEARTBEAT_MS ? third : HEARTBEAT_MS;

	if (set_number(m, "session.timeout.ms", session, reterr) < 0 ||
	    set_number(m, "heartbeat.interval.ms", heartbeat, reterr) < 0 ||
	    (session > MAX_POLL_MS &&
	     set_number(m, "max.poll.interval.ms", session, reterr) < 0))
		return ERR_CONFIG;
	/* Before 2.2 librdkafka stops fetching for a second when its queue is
	 * full, so it must not get full; later it looks again after our
	 * fetch.queue.backoff.ms (librdkafka #2879). */
	return set_number(m, "queued.max.messages.kbytes",
			  rd_kafka_version() >= V_2_2 ? 2048 : 65536, reterr);
}

static int
set_fixed(struct maker *m, const struct config *config, const char *transactional_id,
	  struct err *reterr)
{
	const char *group = config_str(config, "kafka.group.id");
	bool reader = READERS & (1U << m->role);

	if (set_table(m, fixed, sizeof(fixed) / sizeof(*fixed), reterr) < 0 ||
	    set_setting(m, "bootstrap.servers", config_str(config, "kafka.bootstrap.servers"),
			reterr) < 0 ||
	    (reader && set_setting(m, "group.id", group, reterr) < 0))
		return ERR_CONFIG;
	if (m->role == CLIENT_CONF_CONSUMER)
		return set_setting(m, "partition.assignment.strategy",
				   config_str(config, "assignor"), reterr);
	if (m->role != CLIENT_CONF_PUBLISHER)
		return 0;
	if (set_setting(m, "transactional.id", transactional_id, reterr) < 0)
		return ERR_CONFIG;
	return set_number(m, "transaction.timeout.ms", config_int(config, "transaction.timeout"),
			  reterr);
}

static int
fill(struct maker *m, const struct config *config, const char *transactional_id,
     struct err *reterr)
{
	const char *level = log_enabled(LOG_LEVEL_DEBUG) ? "7" : "6";

	if (set_table(m, defaults, sizeof(defaults) / sizeof(*defaults), reterr) < 0 ||
	    set_setting(m, "log_level", level, reterr) < 0 ||
	    (m->role == CLIENT_CONF_CONSUMER && set_member(m, config, reterr) < 0) ||
	    /* The publisher replaces a producer that lost a broker; librdkafka
	     * reports the end of a connection only when it also logs it. */
	    (m->role == CLIENT_CONF_PUBLISHER && rd_kafka_version() >= V_2_10 &&
	     set_setting(m, "log.connection.close", "true", reterr) < 0) ||
	    config_each_kafka(config, set_user_key, m, reterr) < 0)
		return ERR_CONFIG;
	return set_fixed(m, config, transactional_id, reterr);
}

rd_kafka_conf_t *
client_conf_new(const struct config *config, enum client_conf_role role,
		const char *transactional_id, struct err *reterr)
{
	struct buf secrets = BUF_INIT;
	struct maker m = { rd_kafka_conf_new(), role, &secrets };
	bool ok = client_conf_secrets(config, &secrets);

	if (!ok)
		err_nomem(reterr);
	ok = ok && fill(&m, config, transactional_id, reterr) == 0;
	buf_release(&secrets);
	if (!ok) {
		rd_kafka_conf_destroy(m.conf);
		m.conf = NULL;
	}
	return m.conf;
}
