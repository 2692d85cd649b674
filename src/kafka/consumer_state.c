/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/client_error.h"
#include "consumer_impl.h"

enum {
	SLOW_READ_MS = 2000,
	LEAVE_MS = 5000,
	START_MS = 5000,
	LOG_TRUNCATION = -139,	/* from 2.1 on; 2.0.2's headers lack the name */
};

/* --- what the owner is told --- */

static void
tell_state(struct consumer *c)
{
	const char *why = c->why_down[0] ? c->why_down : c->why_group;

	if (strcmp(why, c->why_told) == 0)
		return;
	snprintf(c->why_told, sizeof(c->why_told), "%s", why);
	c->ev.on_state(c->ev.arg, why[0] ? c->why_told : NULL);
}

static void
tell_fatal(struct consumer *c, int exit_code, const char *text)
{
	if (c->fatal_told)
		return;
	c->fatal_told = true;
	c->ev.on_fatal(c->ev.arg, exit_code, text);
}

/* What is wrong with a resource of ours, and the way out. */
static const struct trouble {
	int code;
	bool group;		/* it is the group's name that is shown, not the topic's */
	const char *format;
} troubles[] = {
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, false,
	  "topic '%s' does not exist; `envdriver topics create` makes it" },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, false,
	  "topic '%s' does not exist; `envdriver topics create` makes it" },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, false,
	  "not permitted to read topic '%s' (ACL Read and Describe on it)" },
	{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, true,
	  "not permitted to join group '%s' (ACL Read on the group)" },
	{ RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, true,
	  "other members of group '%s' share partitions in another way: set 'assignor' alike in "
	  "the whole fleet" },
	{ RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, true,
	  "group '%s': the broker refuses kafka.session.timeout.ms (its "
	  "group.min.session.timeout.ms and group.max.session.timeout.ms)" },
};

static const struct trouble *
trouble_of(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof(troubles) / sizeof(*troubles); i++)
		if (troubles[i].code == (int)code)
			return &troubles[i];
	return NULL;
}

/* --- errors of the client and of the group --- */

/* What is not permitted now was not permitted from the beginning, and ends
 * us; later it is waited for. That we may not read shows with the first
 * fetch, after the first assignment. */
static bool
starting(const struct consumer *c)
{
	return !c->assigned_ms || clock_mono_ms() - c->assigned_ms < START_MS;
}

static void
on_down(struct consumer *c, rd_kafka_resp_err_t code, const char *reason)
{
	struct buf text = BUF_INIT;
	int exit_code = client_error_exit_code(code);

	client_error_explain(c->config, code, reason, &text);
	/* The reason that a login failed says more than that no broker is left. */
	if (!c->down || code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(c->why_down, sizeof(c->why_down), "Kafka: %s",
			 text.data ? text.data : reason);
	c->down = true;
	if (exit_code && starting(c))
		tell_fatal(c, exit_code, c->why_down);
	buf_release(&text);
	tell_state(c);
}

static void
on_group(struct consumer *c, const struct trouble *t)
{
	int exit_code = client_error_exit_code((rd_kafka_resp_err_t)t->code);

	snprintf(c->why_group, sizeof(c->why_group), t->format,
		 t->group ? config_str(c->config, "kafka.group.id") : c->topic);
	if (exit_code && starting(c))
		tell_fatal(c, exit_code, c->why_group);
	tell_state(c);
}

void
consumer_state_error(struct consumer *c, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	char text[400];

	if (fatal) {
		snprintf(text, sizeof(text), "the Kafka consumer had a fatal error: %.300s%s",
		  reason,
			 code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
				 ? " (another worker has our kafka.group.instance.id)"
				 : "");
		tell_fatal(c, EXIT_UNAVAILABLE, text);
		return;
	}
	switch (code) {
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
		on_down(c, code, reason);
		break;
	default:	/* one broker of several, one try of many: its log line is enough */
		log_debug("kafka: consumer: %s: %s", rd_kafka_err2name(code), reason);
	}
}

/* The offset at which we read is not in the log any more, or not yet. */
static void
on_gap(struct consumer *c, int32_t partition)
{
	struct consumer_part *p = consumer_part(c, partition);

	if (!p || !p->open || p->gap)
		return;
	p->gap = true;
	consumer_read_log(c, partition);
}

void
consumer_state_message(struct consumer *c, const rd_kafka_message_t *m)
{
	const struct trouble *t = trouble_of(m->err);

	if (t)
		on_group(c, t);
	else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		 m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE || (int)m->err == LOG_TRUNCATION)
		on_gap(c, m->partition);
	else if (m->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
		log_warn("kafka: the loop stood still: %s", rd_kafka_message_errstr(m));
	else
		log_debug("kafka: consumer: %s: %s", rd_kafka_err2name(m->err),
			  rd_kafka_message_errstr(m));
}

void
consumer_state_assigned(struct consumer *c)
{
	if (!c->assigned_ms)
		c->assigned_ms = clock_mono_ms();
	c->down = false;
	c->why_down[0] = '\0';
	c->why_group[0] = '\0';
	tell_state(c);
}

void
consumer_state_read(struct consumer *c)
{
	if (c->why_group[0] == '\0')
		return;
	c->why_group[0] = '\0';
	tell_state(c);
}

void
consumer_state_reached(struct consumer *c, bool yes)
{
	if (!yes || !c->down)
		return;
	c->down = false;
	c->why_down[0] = '\0';
	tell_state(c);
}

/* --- gaps --- */

void
consumer_state_log(struct consumer *c, int32_t partition, bool ok, int64_t start, int64_t end)
{
	struct consumer_part *p = consumer_part(c, partition);

	if (!p || !p->gap)
		return;
	/* Again at the next tick; in a rebalance it would be taken for our
	 * answer to it. */
	if (!ok || c->step != CONSUMER_QUIET) {
		p->gap_again = true;
		return;
	}
	/* Records that were read before the gap go first. */
	if (p->shelf && p->next < start) {
		p->gap_again = true;
		return;
	}
	p->gap = false;
	if (!p->open)
		return;
	if (p->next > end) {
		p->open = false;
		p->held = true;
		consumer_shelf_clear(c, p);
		consumer_align_pauses(c);
		c->ev.on_gap(c->ev.arg, partition, start, /* beyond= */ true);
		return;
	}
	if (p->next < start) {
		p->next = start;
		consumer_move_restart(c, partition);
		c->ev.on_gap(c->ev.arg, partition, start, /* beyond= */ false);
		return;
	}
	consumer_move_restart(c, partition);	/* it is there after all */
}

/* --- once a second --- */

static void
look_at_gaps(struct consumer *c)
{
	for (size_t i = 0; i < c->n_parts; i++) {
		if (!c->parts[i].gap_again)
			continue;
		c->parts[i].gap_again = false;
		if (c->parts[i].gap)
			consumer_read_log(c, (int32_t)i);
	}
}

static void
look_at_read(struct consumer *c)
{
	rd_kafka_resp_err_t waits = consumer_read_waits(c);

	if (c->step != CONSUMER_READING)
		return;
	if (!c->reading)	/* could not be started */
		(void)consumer_read_start(c, c->moving);
	if (clock_mono_ms() - c->reading_since_ms < SLOW_READ_MS)
		return;
	snprintf(c->why_group, sizeof(c->why_group), "the committed offsets cannot be read: %s",
		 waits ? rd_kafka_err2str(waits) : "no answer yet");
	tell_state(c);
}

void
consumer_state_tick(struct consumer *c)
{
	/* Without an assignment for long: is there anybody to ask for one? */
	c->lonely = c->meta || c->step != CONSUMER_QUIET ? 0 : c->lonely + 1;
	client_bootstrap(c->config, c->rk, c->lonely);
	if (c->down)
		consumer_read_reach(c);
	look_at_gaps(c);
	look_at_read(c);
	if (c->leaving && clock_mono_ms() - c->left_ms >= LEAVE_MS)
		consumer_move_give_up(c);
}
