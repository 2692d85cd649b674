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

static const struct {
	rd_kafka_resp_err_t code;
	int exit_code;
} exits[] = {
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, EXIT_DENIED },
	{ RD_KAFKA_RESP_ERR__SSL, EXIT_CONFIG },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, EXIT_CONFIG },
	{ RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, EXIT_CONFIG },
	{ RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, EXIT_CONFIG },
};

int
client_error_exit_code(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof(exits) / sizeof(*exits); i++)
		if (exits[i].code == code)
			return exits[i].exit_code;
	return 0;
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
