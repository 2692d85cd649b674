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
	{ "one broker, counted twice", RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
	  "2/2 brokers are down",
	  "no broker can be reached (kafka.bootstrap.servers: localhost:9092)", "2/2" },
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

/* Of every error that stops a consumer or a client: what is done, the exit
 * code, and a word of the text; NULL: librdkafka's own reason is shown. */
static const struct stop_row {
	rd_kafka_resp_err_t code;
	enum client_error_action action;
	int exit_code;
	const char *word;
} stop_rows[] = {
	{ RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, CLIENT_ERROR_LEAVE, 69,
	  "kafka.group.instance.id 'it'" },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, CLIENT_ERROR_WAIT, 0,
	  "envdriver topics create" },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, CLIENT_ERROR_WAIT, 0, "envdriver topics create" },
	{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, CLIENT_ERROR_AT_START, 78, "topic.prefix" },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, CLIENT_ERROR_AT_START, 77, "ACL Read" },
	{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, CLIENT_ERROR_AT_START, 77, "ACL Read" },
	{ RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, CLIENT_ERROR_AT_START, 78, "'assignor'" },
	{ RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, CLIENT_ERROR_AT_START, 78,
	  "kafka.session.timeout.ms" },
	{ RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, CLIENT_ERROR_AT_START, 78, "kafka.group.id 'it'" },
	{ RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, CLIENT_ERROR_WAIT, 0, "group.max.size" },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, CLIENT_ERROR_AT_START, 78, "too old" },
	{ RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, CLIENT_ERROR_AT_START, 78, "too old" },
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, CLIENT_ERROR_AT_START, 77, NULL },
	{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, CLIENT_ERROR_AT_START, 77, NULL },
	{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, CLIENT_ERROR_AT_START, 77, NULL },
	{ RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, CLIENT_ERROR_AT_START, 77,
	  NULL },
	{ RD_KAFKA_RESP_ERR__SSL, CLIENT_ERROR_AT_START, 78, NULL },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, CLIENT_ERROR_AT_START, 78, NULL },
	{ RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, CLIENT_ERROR_WAIT, 0, NULL },
};

static void
test_what_stops(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stop_rows) / sizeof(*stop_rows); i++) {
		const struct stop_row *r = &stop_rows[i];
		const struct client_error *row = client_error_find(r->code);
		bool at_start = r->action == CLIENT_ERROR_AT_START;
		char text[400] = "";

		if (!row || row->action != r->action || row->exit_code != r->exit_code ||
		    !row->format != !r->word ||
		    client_error_exit_code(r->code) != (at_start ? r->exit_code : 0))
			fail_msg("%s", rd_kafka_err2name(r->code));
		if (row->format)
			snprintf(text, sizeof(text), row->format, "it");
		if (r->word && !strstr(text, r->word))
			fail_msg("%s: %s", rd_kafka_err2name(r->code), text);
	}
}

/* A code without a row of the test has none in the table either: what is
 * added there must be added here. */
static void
test_nothing_else_stops(void **state)
{
	size_t found = 0;

	(void)state;
	for (int code = RD_KAFKA_RESP_ERR__BEGIN; code < RD_KAFKA_RESP_ERR_END_ALL; code++)
		found += client_error_find((rd_kafka_resp_err_t)code) != NULL;
	assert_int_equal(found, sizeof(stop_rows) / sizeof(*stop_rows));
	assert_int_equal(client_error_exit_code(RD_KAFKA_RESP_ERR_NO_ERROR), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_what_stops),
		cmocka_unit_test(test_nothing_else_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
