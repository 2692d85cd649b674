/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_error: what an error of librdkafka means for the worker and for the
 * one who reads it: what is done, its exit code, and a hint at the way out.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_KAFKA_CLIENT_ERROR_H
#define ENVDRIVER_KAFKA_CLIENT_ERROR_H

#include <librdkafka/rdkafka.h>

struct buf;
struct config;

enum client_error_action {
	CLIENT_ERROR_WAIT,	/* not ready until it passes */
	CLIENT_ERROR_AT_START,	/* ends a worker that is starting; later as WAIT */
	CLIENT_ERROR_LEAVE,	/* the client is dead: calls are handed over, then the end */
};

/* What the text is about, and names. */
enum client_error_subject {
	CLIENT_ERROR_CLIENT,	/* the connection; nothing */
	CLIENT_ERROR_TOPIC,	/* the command topic */
	CLIENT_ERROR_GROUP,	/* kafka.group.id */
	CLIENT_ERROR_MEMBER,	/* kafka.group.instance.id */
};

struct client_error {
	rd_kafka_resp_err_t code;
	enum client_error_action action;
	int exit_code;			/* 0 with WAIT */
	enum client_error_subject subject;
	const char *format;		/* one %s, the subject; NULL: librdkafka's reason */
};

/* The row of an error that stops a consumer, or the whole client, until
 * somebody mends its cause; NULL for all others, which librdkafka tries again.
 * What a producer's errors mean lies in txn.h. Pure. */
const struct client_error *client_error_find(rd_kafka_resp_err_t code);

/* EXIT_DENIED for what the broker does not permit, EXIT_CONFIG for TLS and
 * mechanisms that do not fit, 0 when it may pass by itself. */
int client_error_exit_code(rd_kafka_resp_err_t code);

/* Why a broker's certificate was refused (X509_V_ERR_…), and the way out. Appends. */
void client_error_certificate(int x509_error, struct buf *out);

/* The reason, secrets masked, with a hint at the way out where there is one:
 * the keys of a login, SCRAM with a librdkafka before 2.6.1 and Kafka 4.
 * Appends. */
void client_error_explain(const struct config *config, rd_kafka_resp_err_t code,
			  const char *reason, struct buf *out);
/* The hint about SCRAM alone, NULL when there is none; pure, for the tests. */
const char *client_error_hint(int librdkafka_version, const char *sasl_mechanism,
			      rd_kafka_resp_err_t code);

#endif
