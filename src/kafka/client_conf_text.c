/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/exit.h"
#include "envdriver/kafka/client_conf.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"

enum {
	V_2_6_1 = 0x02060100,
	V_2_10 = 0x020a0000,
	SECRET_MIN = 3,		/* shorter ones would mask every other word */
};

static void
keep_secret(struct buf *secrets, const char *key, const char *value)
{
	struct buf shown = BUF_INIT;
	bool secret = strcmp(key, "kafka.sasl.username") == 0;	/* T14 */

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

/* librdkafka says "error:05880002:x509 certificate routines::system lib". */
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
client_conf_certificate(int x509_error, struct buf *out)
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
client_conf_exit_code(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof(exits) / sizeof(*exits); i++)
		if (exits[i].code == code)
			return exits[i].exit_code;
	return 0;
}

static bool
is_login(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
	       code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

const char *
client_conf_hint(int librdkafka_version, const char *sasl_mechanism, rd_kafka_resp_err_t code)
{
	if (!is_login(code) || !sasl_mechanism ||
	    strncmp(sasl_mechanism, "SCRAM-", strlen("SCRAM-")) != 0 ||
	    librdkafka_version >= V_2_6_1)
		return NULL;
	return "has bug #4895 (SCRAM with Kafka 4.0 and later): use PLAIN, OAUTHBEARER or "
	       "client certificates over TLS, or librdkafka 2.6.1 or later";
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

struct lookup {
	const char *const *names;
	const char *value;
};

static int
look(void *arg, const char *name, const char *value, struct err *reterr)
{
	struct lookup *l = arg;

	(void)reterr;
	for (const char *const *n = l->names; *n; n++)
		if (strcmp(name, *n) == 0)
			l->value = value;
	return 0;
}

void
client_conf_explain(const struct config *config, rd_kafka_resp_err_t code, const char *reason,
		  struct buf *out)
{
	static const char *const names[] = { "sasl.mechanism", "sasl.mechanisms", NULL };
	struct lookup l = { names, NULL };
	struct buf secrets = BUF_INIT, plain = BUF_INIT;
	const char *hint, *after = strstr(reason, " (after ");	/* "… in state AUTH_REQ)" */

	buf_add(&plain, reason, after ? (size_t)(after - reason) : strlen(reason));
	if (client_conf_secrets(config, &secrets) && plain.data)
		client_conf_mask(buf_span(&secrets), plain.data, out);
	(void)config_each_kafka(config, look, &l, /* reterr= */ NULL);
	hint = client_conf_hint(rd_kafka_version(), l.value, code);
	if (hint)
		buf_addf(out, "; librdkafka %s %s", rd_kafka_version_str(), hint);
	else if (is_login(code))
		buf_adds(out, "; check kafka.sasl.mechanism, kafka.sasl.username and "
			      "kafka.sasl.password");
	buf_release(&plain);
	buf_release(&secrets);
}
