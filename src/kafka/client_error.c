/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/client_error.h"

#include <openssl/x509_vfy.h>
#include <string.h>

#include "envdriver/base/config.h"
#include "envdriver/base/exit.h"
#include "envdriver/kafka/client_conf.h"

enum { V_2_6_1 = 0x02060100 };

static const struct {
	int error;
	const char *way_out;
} certificates[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, "the broker needs a new one" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "is the clock of this host right?" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, "it must name the host that kafka.bootstrap.servers and "
	    "the broker's advertised.listeners name" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "it must name the address that kafka.bootstrap.servers "
	    "and the broker's advertised.listeners name" },
	{ X509_V_ERR_CERT_REVOKED, "the broker needs a new one" },
};

void
client_error_certificate(int x509_error, struct buf *out)
{
	const char *way_out = "kafka.ssl.ca.location must hold the CA that issued it";

	for (size_t i = 0; i < sizeof(certificates) / sizeof(*certificates); i++)
		if (certificates[i].error == x509_error)
			way_out = certificates[i].way_out;
	buf_addf(out, "its certificate is refused: %s; %s",
		 X509_verify_cert_error_string(x509_error), way_out);
}

#define ROW(code, action, exit_code, subject, format) \
	{ RD_KAFKA_RESP_ERR_##code, CLIENT_ERROR_##action, exit_code, \
	  CLIENT_ERROR_##subject, format }

static const char no_topic[] = "topic '%s' does not exist; `envdriver topics create` makes it";
static const char too_old[] = "the broker is too old for group '%s' (Kafka 2.5 or later)";

static const struct client_error rows[] = {
	/* Another worker joined under our name: librdkafka's consumer is dead. */
	ROW(FENCED_INSTANCE_ID, LEAVE, EXIT_UNAVAILABLE, MEMBER,
	    "another worker runs with our kafka.group.instance.id '%s'; each worker needs one of "
	    "its own"),

	ROW(UNKNOWN_TOPIC_OR_PART, WAIT, 0, TOPIC, no_topic),
	ROW(_UNKNOWN_TOPIC, WAIT, 0, TOPIC, no_topic),
	ROW(TOPIC_EXCEPTION, AT_START, EXIT_CONFIG, TOPIC,
	    "the broker takes '%s' for no name of a topic; topic.prefix is part of it"),
	ROW(TOPIC_AUTHORIZATION_FAILED, AT_START, EXIT_DENIED, TOPIC,
	    "not permitted to read topic '%s' (ACL Read and Describe on it)"),

	ROW(GROUP_AUTHORIZATION_FAILED, AT_START, EXIT_DENIED, GROUP,
	    "not permitted to join group '%s' (ACL Read on the group)"),
	ROW(INCONSISTENT_GROUP_PROTOCOL, AT_START, EXIT_CONFIG, GROUP,
	    "other members of group '%s' share partitions in another way: set 'assignor' alike in "
	    "the whole fleet"),
	ROW(INVALID_SESSION_TIMEOUT, AT_START, EXIT_CONFIG, GROUP,
	    "group '%s': the broker refuses kafka.session.timeout.ms (its "
	    "group.min.session.timeout.ms and group.max.session.timeout.ms)"),
	ROW(INVALID_GROUP_ID, AT_START, EXIT_CONFIG, GROUP,
	    "the broker refuses kafka.group.id '%s'"),
	ROW(GROUP_MAX_SIZE_REACHED, WAIT, 0, GROUP,
	    "group '%s' is full: it has as many members as the broker's group.max.size"),
	ROW(UNSUPPORTED_VERSION, AT_START, EXIT_CONFIG, GROUP, too_old),
	ROW(_UNSUPPORTED_FEATURE, AT_START, EXIT_CONFIG, GROUP, too_old),

	/* librdkafka's own reason says more. */
	ROW(_AUTHENTICATION, AT_START, EXIT_DENIED, CLIENT, NULL),
	ROW(SASL_AUTHENTICATION_FAILED, AT_START, EXIT_DENIED, CLIENT, NULL),
	ROW(CLUSTER_AUTHORIZATION_FAILED, AT_START, EXIT_DENIED, CLIENT, NULL),
	ROW(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, AT_START, EXIT_DENIED, CLIENT, NULL),
	ROW(_SSL, AT_START, EXIT_CONFIG, CLIENT, NULL),
	ROW(UNSUPPORTED_SASL_MECHANISM, AT_START, EXIT_CONFIG, CLIENT, NULL),
	ROW(_ALL_BROKERS_DOWN, WAIT, 0, CLIENT, NULL),
};

const struct client_error *
client_error_find(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

int
client_error_exit_code(rd_kafka_resp_err_t code)
{
	const struct client_error *row = client_error_find(code);

	return row && row->action == CLIENT_ERROR_AT_START ? row->exit_code : 0;
}

static bool
is_login_error(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
	       code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

const char *
client_error_hint(int librdkafka_version, const char *sasl_mechanism, rd_kafka_resp_err_t code)
{
	if (!is_login_error(code) || !sasl_mechanism ||
	    strncmp(sasl_mechanism, "SCRAM-", strlen("SCRAM-")) != 0 ||
	    librdkafka_version >= V_2_6_1)
		return NULL;
	return "has bug #4895 (SCRAM with Kafka 4.0 and later): use PLAIN, OAUTHBEARER or "
	       "client certificates over TLS, or librdkafka 2.6.1 or later";
}

struct lookup {
	const char *const *names;
	const char *value;
};

static int
find_mechanism(void *arg, const char *name, const char *value, struct err *reterr)
{
	struct lookup *l = arg;

	(void)reterr;
	for (const char *const *n = l->names; *n; n++)
		if (strcmp(name, *n) == 0)
			l->value = value;
	return 0;
}

void
client_error_explain(const struct config *config, rd_kafka_resp_err_t code, const char *reason,
		  struct buf *out)
{
	static const char *const names[] = { "sasl.mechanism", "sasl.mechanisms", NULL };
	struct lookup l = { names, NULL };
	struct buf secrets = BUF_INIT, cause = BUF_INIT;
	const char *hint, *after = strstr(reason, " (after ");	/* "… in state AUTH_REQ)" */

	/* "2/2 brokers are down" counts the addresses that it began with, too. */
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		buf_addf(&cause, "no broker can be reached (kafka.bootstrap.servers: %s)",
			 config_str(config, "kafka.bootstrap.servers"));
	else
		buf_add(&cause, reason, after ? (size_t)(after - reason) : strlen(reason));
	if (client_conf_secrets(config, &secrets) && cause.data)
		client_conf_mask(buf_span(&secrets), cause.data, out);
	(void)config_each_kafka(config, find_mechanism, &l, /* reterr= */ NULL);
	hint = client_error_hint(rd_kafka_version(), l.value, code);
	if (hint)
		buf_addf(out, "; librdkafka %s %s", rd_kafka_version_str(), hint);
	else if (is_login_error(code))
		buf_adds(out, "; check kafka.sasl.mechanism, kafka.sasl.username and "
			      "kafka.sasl.password");
	buf_release(&cause);
	buf_release(&secrets);
}
