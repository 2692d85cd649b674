/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_state.h"

#include <stdio.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client_error.h"

enum {
	START_MS = 5000,
	/* RD_KAFKA_RESP_ERR__LOG_TRUNCATION, a name that librdkafka has from
	 * 2.1 on. */
	LOG_TRUNCATION = -139,
};

void
consumer_state_init(struct consumer_state *s, const struct config *config, const char *topic,
		    const struct consumer_events *ev)
{
	*s = (struct consumer_state){ .config = config, .topic = topic, .ev = ev };
}

/* --- what the owner is told --- */

static void
tell_state(struct consumer_state *s)
{
	const char *why = s->why_down[0] ? s->why_down : s->why_group;

	if (strcmp(why, s->why_told) == 0)
		return;
	snprintf(s->why_told, sizeof(s->why_told), "%s", why);
	s->ev->on_state(s->ev->arg, why[0] ? s->why_told : NULL);
}

static void
tell_fatal(struct consumer_state *s, int exit_code, const char *text)
{
	if (s->fatal_told)
		return;
	s->fatal_told = true;
	s->ev->on_fatal(s->ev->arg, exit_code, text);
}

/* --- errors of the client and of the group --- */

/* What is not permitted at the start ends us; later we wait for the
 * permission. That we may not read shows with the first fetch, after the
 * first assignment. */
static bool
is_starting(const struct consumer_state *s)
{
	return !s->assigned_ms || clock_mono_ms() - s->assigned_ms < START_MS;
}

static void
tell_down(struct consumer_state *s, rd_kafka_resp_err_t code, const char *reason)
{
	struct buf text = BUF_INIT;
	int exit_code = client_error_exit_code(code);

	client_error_explain(s->config, code, reason, &text);
	/* Why a login failed says more than that no broker is left. */
	if (!s->down || code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(s->why_down, sizeof(s->why_down), "Kafka: %s",
			 text.data ? text.data : reason);
	s->down = true;
	if (exit_code && is_starting(s))
		tell_fatal(s, exit_code, s->why_down);
	buf_release(&text);
	tell_state(s);
}

static int
find_member(void *arg, const char *name, const char *value, struct err *reterr)
{
	(void)reterr;
	if (strcmp(name, "group.instance.id") == 0)
		*(const char **)arg = value;
	return 0;
}

static const char *
subject_of(const struct consumer_state *s, enum client_error_subject subject)
{
	const char *member = "";

	if (subject == CLIENT_ERROR_TOPIC)
		return s->topic;
	if (subject == CLIENT_ERROR_GROUP)
		return config_str(s->config, "kafka.group.id");
	(void)config_each_kafka(s->config, find_member, &member, /* reterr= */ NULL);
	return member;
}

static void
tell_row(struct consumer_state *s, const struct client_error *row)
{
	snprintf(s->why_group, sizeof(s->why_group), row->format, subject_of(s, row->subject));
	if (row->action == CLIENT_ERROR_LEAVE ||
	    (row->action == CLIENT_ERROR_AT_START && is_starting(s)))
		tell_fatal(s, row->exit_code, s->why_group);
	tell_state(s);
}

/* What librdkafka calls fatal ends us whatever it is: the client is dead. */
static void
tell_dead(struct consumer_state *s, rd_kafka_resp_err_t code, const char *reason)
{
	const struct client_error *row = client_error_find(code);
	struct buf text = BUF_INIT;

	if (row && row->format) {
		snprintf(s->why_group, sizeof(s->why_group), row->format,
			 subject_of(s, row->subject));
	} else {
		client_error_explain(s->config, code, reason, &text);
		snprintf(s->why_group, sizeof(s->why_group),
			 "the Kafka consumer had a fatal error: %.300s",
			 text.data ? text.data : reason);
		buf_release(&text);
	}
	s->dead = true;
	tell_fatal(s, EXIT_UNAVAILABLE, s->why_group);
	tell_state(s);
}

void
consumer_state_check(struct consumer_state *s, rd_kafka_t *rk)
{
	char reason[400];
	rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, reason, sizeof(reason));

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !s->dead)
		tell_dead(s, code, reason);
}

void
consumer_state_error(struct consumer_state *s, rd_kafka_resp_err_t code, const char *reason,
		     bool fatal)
{
	if (fatal) {
		tell_dead(s, code, reason);
		return;
	}
	switch (code) {
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
	case RD_KAFKA_RESP_ERR__SSL:
		tell_down(s, code, reason);
		break;
	default:	/* one broker of several, or one try of many: the log line is enough */
		log_debug("kafka: consumer: %s: %s", rd_kafka_err2name(code), reason);
	}
}

static bool
is_gap(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
	       code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE || (int)code == LOG_TRUNCATION;
}

bool
consumer_state_message(struct consumer_state *s, const rd_kafka_message_t *m)
{
	const struct client_error *row = client_error_find(m->err);

	if (row && row->format)
		tell_row(s, row);
	else if (m->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
		log_warn("kafka: the event loop was blocked: %s", rd_kafka_message_errstr(m));
	else if (!is_gap(m->err))
		log_debug("kafka: consumer: %s: %s", rd_kafka_err2name(m->err),
			  rd_kafka_message_errstr(m));
	return is_gap(m->err);
}

void
consumer_state_assigned(struct consumer_state *s)
{
	if (!s->assigned_ms)
		s->assigned_ms = clock_mono_ms();
	s->down = false;
	s->why_down[0] = '\0';
	if (!s->dead)
		s->why_group[0] = '\0';
	tell_state(s);
}

void
consumer_state_read(struct consumer_state *s)
{
	if (s->why_group[0] == '\0' || s->dead)
		return;
	s->why_group[0] = '\0';
	tell_state(s);
}

void
consumer_state_reached(struct consumer_state *s, bool yes)
{
	if (!yes || !s->down)
		return;
	s->down = false;
	s->why_down[0] = '\0';
	tell_state(s);
}

void
consumer_state_slow(struct consumer_state *s, rd_kafka_resp_err_t why)
{
	if (s->dead)
		return;
	snprintf(s->why_group, sizeof(s->why_group), "the committed offsets cannot be read: %s",
		 why ? rd_kafka_err2str(why) : "no answer yet");
	tell_state(s);
}
