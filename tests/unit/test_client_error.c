/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/x509_vfy.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/client_error.h"

static struct config *
config_of(const char *const *pairs)
{
	struct err err = { 0 };
	struct config *c = config_new(&err);

	if (!c)
		fail_msg("%s", err.text);
	for (; *pairs; pairs++)
		if (config_set_pair(c, *pairs, "-X", &err) < 0)
			fail_msg("%s: %s", *pairs, err.text);
	return c;
}

static const char *const none[] = { NULL };

static void
test_secrets(void **state)
{
	const char *const pairs[] = { "kafka.sasl.username=alice", "kafka.sasl.password=hunter2",
				      "kafka.client.id=plain", "kafka.ssl.key.password=ab", NULL };
	struct config *c = config_of(pairs);
	struct buf out = BUF_INIT;

	(void)state;
	client_error_explain(c, RD_KAFKA_RESP_ERR__AUTHENTICATION,
			     "alice with hunter2 as plain: ab", &out);
	assert_string_equal(out.data, "*** with *** as plain: ab; check kafka.sasl.mechanism, "
			    "kafka.sasl.username and kafka.sasl.password");
	buf_release(&out);
	config_free(c);
}

static const struct explain_row {
	const char *name;
	rd_kafka_resp_err_t code;
	const char *reason;
	const char *has, *has_not;
} explain_rows[] = {
	{ "a login", RD_KAFKA_RESP_ERR__AUTHENTICATION,
	  "h:1/1: SASL PLAIN failed (after 3ms in state AUTH_REQ)",
	  "h:1/1: SASL PLAIN failed; check kafka.sasl.mechanism, kafka.sasl.username", "after" },
	{ "no login", RD_KAFKA_RESP_ERR__TRANSPORT, "refused", "refused", "kafka.sasl" },
	{ "nothing to be cut", RD_KAFKA_RESP_ERR__TRANSPORT, "", "", NULL },
};

static void
test_explain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(explain_rows) / sizeof(*explain_rows); i++) {
		const struct explain_row *r = &explain_rows[i];
		struct config *c = config_of(none);
		struct buf out = BUF_INIT;

		client_error_explain(c, r->code, r->reason, &out);
		if (!strstr(out.data ? out.data : "", r->has) ||
		    (r->has_not && strstr(out.data, r->has_not)))
			fail_msg("%s: '%s'", r->name, out.data);
		buf_release(&out);
		config_free(c);
	}
}

static const struct certificate_row {
	int error;
	const char *text;
} certificate_rows[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED,
	  "its certificate is refused: certificate has expired; the broker needs a new one" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	  "its certificate is refused: unable to get local issuer certificate; "
	  "kafka.ssl.ca.location must hold the CA that issued it" },
	{ X509_V_ERR_HOSTNAME_MISMATCH,
	  "its certificate is refused: hostname mismatch; it must name the host that "
	  "kafka.bootstrap.servers and the broker's advertised.listeners name" },
};

static void
test_certificate(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(certificate_rows) / sizeof(*certificate_rows); i++) {
		struct buf out = BUF_INIT;

		client_error_certificate(certificate_rows[i].error, &out);
		assert_string_equal(out.data, certificate_rows[i].text);
		buf_release(&out);
	}
}

static const struct hint_row {
	const char *name;
	int version;
	const char *mechanism;
	rd_kafka_resp_err_t code;
	bool hint;
} hint_rows[] = {
	{ "SCRAM on 2.0.2", 0x020002ff, "SCRAM-SHA-256", RD_KAFKA_RESP_ERR__AUTHENTICATION, true },
	{ "SCRAM on 2.6.0", 0x020600ff, "SCRAM-SHA-512", RD_KAFKA_RESP_ERR__AUTHENTICATION, true },
	{ "SCRAM on 2.6.1", 0x020601ff, "SCRAM-SHA-512", RD_KAFKA_RESP_ERR__AUTHENTICATION, false },
	{ "PLAIN on 2.0.2", 0x020002ff, "PLAIN", RD_KAFKA_RESP_ERR__AUTHENTICATION, false },
	{ "no mechanism", 0x020002ff, NULL, RD_KAFKA_RESP_ERR__AUTHENTICATION, false },
	{ "another error", 0x020002ff, "SCRAM-SHA-256", RD_KAFKA_RESP_ERR__TRANSPORT, false },
};

static void
test_hint(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hint_rows) / sizeof(*hint_rows); i++) {
		const struct hint_row *r = &hint_rows[i];

		if (!!client_error_hint(r->version, r->mechanism, r->code) != r->hint)
			fail_msg("%s", r->name);
	}
}

static const struct exit_row {
	rd_kafka_resp_err_t code;
	int exit_code;
} exit_rows[] = {
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, 77 },
	{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 77 },
	{ RD_KAFKA_RESP_ERR__SSL, 78 },
	{ RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, 78 },
	{ RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, 0 },
	{ RD_KAFKA_RESP_ERR_NO_ERROR, 0 },
};

static void
test_exit_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(exit_rows) / sizeof(*exit_rows); i++)
		if (client_error_exit_code(exit_rows[i].code) != exit_rows[i].exit_code)
			fail_msg("%s", rd_kafka_err2name(exit_rows[i].code));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_exit_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
