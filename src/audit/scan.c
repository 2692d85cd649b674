/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/audit/audit.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/client/kafka.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/offset_metadata.h"
#include "envdriver/kafka/offsets.h"
#include "report.h"

enum {
	POLL_MS = 200,
	AWAY_MS = 30000,
	POSITION_MS = 15000,
	/* Beside transaction.timeout. What is committed may not be visible
	 * yet: the markers of a transaction come to its partitions one after
	 * another, and a transaction that a killed worker left open holds
	 * readers back (docs/reliability.md, T6). */
	GRACE_MS = 2000,
	/* An event bears the time of its worker, a command that of its
	 * publisher. Brokers refuse clocks that are further ahead. */
	SKEW_MS = 3600 * 1000,
	SETTLE_MS = 2000,
	OPEN_MAX = 4096, /* more than a window's metadata can list */
};

static const enum topic event_topics[] = {
	TOPIC_PROBE_RESULTS,  TOPIC_LEASE_RESULTS,     TOPIC_EXECUTION_RESULTS,
	TOPIC_CONFIG_RESULTS, TOPIC_WORKSPACE_RESULTS, TOPIC_SETUP_RESULTS,
	TOPIC_DRIVER_RESULTS, TOPIC_EXECUTION_LOGS,    TOPIC_DEAD_LETTERS,
};

enum { N_EVENT_TOPICS = sizeof(event_topics) / sizeof(*event_topics) };

/* --- the commands --- */

/* A record between those of the range, whose time is not of it. */
static int
on_other_command(void *arg, enum topic topic, int32_t partition, int64_t offset,
		 struct err *reterr)
{
	const struct scan *s = arg;

	(void)topic;
	return ledger_leave_out(s->read.ledger, partition, offset, reterr);
}

static int
open_commands(struct scan *s, struct err *reterr)
{
	int ret;

	s->read.reader = reader_new(s->config, reterr);
	if (!s->read.reader)
		return ERR_CONFIG;
	reader_on_skip(s->read.reader, on_other_command, s);
	ret = reader_add(s->read.reader, TOPIC_COMMANDS, s->options->partition, reterr);
	return ret < 0 ? ret
		       : reader_open(s->read.reader, &s->options->from, &s->options->to, reterr);
}

/* Tells the ledger what of a partition is verified, as the reader knows now. */
static void
name_range(struct scan *s, int32_t partition)
{
	struct reader_range *r = &s->parts[partition];

	if (reader_range(s->read.reader, TOPIC_COMMANDS, partition, r))
		ledger_partition(s->read.ledger, partition,
				 &(struct entries_range){r->start, r->first, r->last, r->end});
	else
		r->first = -1;
}

static int
open_ledger(struct scan *s, struct err *reterr)
{
	const struct config *config = s->config;
	struct ledger_options options = {
		.prefix = config_str(config, "topic.prefix"),
		.partitions = reader_partitions(s->read.reader, TOPIC_COMMANDS),
		.claim_retention_ms = config_int(config, "claim.retention"),
		.on_finding = report_finding,
		.arg = s->report,
	};
	int trimmed = 0;

	if (getentropy(&options.seed, sizeof(options.seed)) < 0)
		return err_set(reterr, ERR_IO, "cannot get random bytes: %s", strerror(errno));
	s->n_parts = options.partitions;
	s->read.ledger = ledger_new(&options);
	s->parts = calloc((size_t)s->n_parts + 1, sizeof(*s->parts));
	if (!s->read.ledger || !s->parts)
		return err_nomem(reterr);
	for (int32_t p = 0; p < s->n_parts; p++) {
		struct reader_range *r = &s->parts[p];

		name_range(s, p);
		trimmed += r->first >= 0 && r->start > 0 && r->first == r->start;
	}
	if (trimmed)
		report_note(s->report,
			    "the beginning of %d of %d partitions of %s%s has been "
			    "deleted and is not verified",
			    trimmed, s->n_parts, options.prefix, topic_name(TOPIC_COMMANDS));
	return 0;
}

/* The clock is asked only once in a while: a record takes less. */
static void
show_progress(struct scan *s, const char *what)
{
	if (s->n_read % 64 == 0 || reader_caught_up(s->read.reader))
		report_progress(s->report, s->n_read, what, ledger_waiting(s->read.ledger));
}

static void
note_time(struct scan *s, int64_t time_ms)
{
	if (time_ms < 0)
		s->timeless = true;
	else if (s->earliest < 0 || time_ms < s->earliest)
		s->earliest = time_ms;
}

/* The range may end later than its time lets expect. */
static void
note_late_commands(struct scan *s)
{
	const struct reader_late *late = reader_late(s->read.reader);

	for (int32_t p = 0; p < s->n_parts; p++)
		name_range(s, p);
	if (late)
		report_note(s->report,
			    "%zu commands of the range lie behind later ones (the first: %s[%d]@%"
			    PRId64 "), because the clocks of publishers differ; they are verified, "
			    "too", late->count, late->topic_name, late->partition, late->offset);
	if (!s->n_read)
		report_note(s->report, "there is no command in the range: nothing is proven");
}

static int
read_commands(struct scan *s, struct err *reterr)
{
	struct reader_record raw;
	int rc;

	while ((rc = reader_next(s->read.reader, 0, &raw, reterr)) != READER_DONE) {
		if (rc < 0)
			return rc;
		note_time(s, raw.timestamp);
		rc = audit_read_command(&s->read, &raw, reterr);
		if (rc < 0)
			return rc;
		s->n_read++;
		show_progress(s, "commands");
	}
	note_late_commands(s);
	return 0;
}

/* --- where the group stands --- */

struct patience {
	int64_t deadline;
	rd_kafka_resp_err_t why;
};

static bool
gave_up(void *arg)
{
	const struct patience *p = arg;

	return p->why == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	       clock_mono_ms() >= p->deadline;
}

static void
on_position_retry(void *arg, rd_kafka_resp_err_t why)
{
	((struct patience *)arg)->why = why;
}

static void
note_position(struct scan *s, const rd_kafka_topic_partition_t *at)
{
	struct span metadata = {at->metadata, at->metadata_size};
	int64_t end = at->offset, open[OPEN_MAX];
	int n = 0;

	/* Nothing is committed for this partition, but for others: the group
	 * has finished with nothing here. */
	if (at->offset < 0) {
		ledger_position(s->read.ledger, at->partition, 0, NULL, 0);
		return;
	}
	if (metadata.len)
		n = offset_metadata_read(metadata, at->offset, &end, open, OPEN_MAX);
	if (n < 0 || n > OPEN_MAX) {
		n = 0;
		end = at->offset;
	}
	ledger_position(s->read.ledger, at->partition, end, open, (size_t)n);
}

/* Without a position, a command without an event counts as a gap at once. */
static int
read_positions(struct scan *s, struct err *reterr)
{
	const struct config *config = s->config;
	struct patience patience = {clock_mono_ms() + POSITION_MS, RD_KAFKA_RESP_ERR_NO_ERROR};
	struct offsets_watch watch = {gave_up, on_position_retry, &patience};
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(s->n_parts);
	struct offsets *offsets = offsets_new(config, reterr);
	char name[KAFKA_TOPIC_MAX];
	bool any = false;
	int ret = offsets ? 0 : ERR_CONFIG;

	kafka_topic(config, TOPIC_COMMANDS, name);
	for (int32_t p = 0; p < s->n_parts; p++)
		if (s->parts[p].first >= 0)
			rd_kafka_topic_partition_list_add(list, name, p);
	if (ret == 0)
		ret = offsets_read(offsets, list, &watch, reterr);
	if (ret == ERR_CLOSED)
		report_note(s->report,
			    "the position of group '%s' cannot be read (%s): every "
			    "command without a final event counts as a gap",
			    config_str(config, "kafka.group.id"), rd_kafka_err2str(patience.why));
	for (int i = 0; ret == 0 && i < list->cnt; i++)
		any |= list->elems[i].offset >= 0;
	s->positions_known = any;
	for (int i = 0; any && i < list->cnt; i++)
		note_position(s, &list->elems[i]);
	rd_kafka_topic_partition_list_destroy(list);
	offsets_unref(offsets);
	client_wait_closed(SETTLE_MS);
	return ret == ERR_CLOSED ? 0 : ret;
}

/* --- the events --- */

/* Events are read from the beginning if the commands are, else from before the
 * first command. */
static struct reader_place
events_from(const struct scan *s)
{
	struct reader_place from = s->options->from;
	int64_t first = s->earliest;

	if (from.at == READER_BEGINNING || s->timeless)
		return (struct reader_place){READER_BEGINNING, 0};
	if (first < 0 && from.at != READER_TIME)
		return (struct reader_place){READER_END, 0};
	if (first < 0 || (from.at == READER_TIME && from.value < first))
		first = from.value;
	return (struct reader_place){READER_TIME, first > SKEW_MS ? first - SKEW_MS : 0};
}

/* Marks the partitions that lost their beginning and are read from there. What
 * an earlier pass has read is not read again. */
static int
find_edges(struct scan *s, enum topic topic, struct err *reterr)
{
	int32_t n = reader_partitions(s->read.reader, topic);
	struct scan_events *old = s->events[topic], *events = calloc((size_t)n + 1, sizeof(*old));
	struct reader_range r;

	if (!events)
		return err_nomem(reterr);
	for (int32_t p = 0; p < n; p++) {
		if (!reader_range(s->read.reader, topic, p, &r))
			continue;
		events[p].edge = r.start > 0 && r.first == r.start;
		events[p].first = r.first;
		events[p].end = p < s->n_events[topic] ? old[p].first : INT64_MAX;
	}
	free(old);
	s->events[topic] = events;
	s->n_events[topic] = n;
	return 0;
}

static int
open_events_at(struct scan *s, struct reader_place from, struct err *reterr)
{
	int ret = 0;

	s->from_beginning = from.at == READER_BEGINNING;
	reader_free(s->read.reader);
	s->read.reader = reader_new(s->config, reterr);
	if (!s->read.reader)
		return ERR_CONFIG;
	for (size_t i = 0; i < N_EVENT_TOPICS && ret == 0; i++)
		ret = reader_add(s->read.reader, event_topics[i], -1, reterr);
	if (ret == 0)
		ret = reader_open(s->read.reader, &from, /* to= */ NULL, reterr);
	for (size_t i = 0; i < N_EVENT_TOPICS && ret == 0; i++)
		ret = find_edges(s, event_topics[i], reterr);
	return ret;
}

static int
open_event_topics(struct scan *s, struct err *reterr)
{
	return open_events_at(s, events_from(s), reterr);
}

/* Deleted records of a partition were older than the first that is left. */
static void
pass_edge(struct scan *s, const struct reader_record *raw)
{
	struct scan_events *events = &s->events[raw->topic][raw->partition];

	if (events->edge)
		ledger_horizon(s->read.ledger, raw->topic,
			       raw->timestamp < 0 ? INT64_MAX : raw->timestamp);
	events->edge = false;
}

static int
take_event(struct scan *s, const struct reader_record *raw, struct err *reterr)
{
	pass_edge(s, raw);
	s->n_read++;
	return raw->offset < s->events[raw->topic][raw->partition].end
		       ? audit_read_event(&s->read, raw, reterr)
		       : 0;
}

static void
close_edges(struct scan *s)
{
	for (size_t i = 0; i < N_EVENT_TOPICS; i++)
		for (int32_t p = 0; p < reader_partitions(s->read.reader, event_topics[i]); p++)
			if (s->events[event_topics[i]][p].edge)
				ledger_horizon(s->read.ledger, event_topics[i], INT64_MAX);
}

/* Whether to stop waiting: the end of the log was reached at `reached`, the last
 * expected event came at `came`. */
static bool
is_over(const struct scan *s, int64_t reached, int64_t came)
{
	int64_t grace = config_int(s->config, "transaction.timeout") + GRACE_MS;
	int64_t now = clock_mono_ms();

	if (!ledger_waiting(s->read.ledger) && !ledger_overdue(s->read.ledger))
		return true;
	if (ledger_waiting(s->read.ledger) && now < reached + s->options->wait_ms)
		return false;
	if (ledger_overdue(s->read.ledger) && now < (came > reached ? came : reached) + grace)
		return false;
	return true;
}

static int
went_away(struct err *reterr)
{
	return err_set(reterr, ERR_UNAVAILABLE, "cannot continue: Kafka sent nothing for %d s",
		       AWAY_MS / 1000);
}

static int
read_events(struct scan *s, struct err *reterr)
{
	int64_t last = clock_mono_ms(), came = last, reached = -1;
	struct reader_record raw;

	s->n_read = 0;
	for (;;) {
		size_t waiting = ledger_waiting(s->read.ledger);
		int rc = reader_next(s->read.reader, POLL_MS, &raw, reterr);

		if (rc > 0) {
			rc = take_event(s, &raw, reterr);
			last = clock_mono_ms();
			came = ledger_waiting(s->read.ledger) < waiting ? last : came;
		}
		if (rc < 0)
			return rc;
		show_progress(s, reached < 0 ? "events" : "events, waiting for late ones");
		if (reader_caught_up(s->read.reader)) {
			reached = reached < 0 ? clock_mono_ms() : reached;
			if (is_over(s, reached, came))
				break;
		} else if (clock_mono_ms() >= last + AWAY_MS) {
			return went_away(reterr);
		}
	}
	close_edges(s);
	return 0;
}

/* Commands that would be a gap now. */
static size_t
count_accused(const struct scan *s)
{
	return s->positions_known ? ledger_overdue(s->read.ledger)
				  : ledger_waiting(s->read.ledger) + ledger_overdue(s->read.ledger);
}

static int
read_earlier_events(struct scan *s, struct err *reterr)
{
	size_t accused = count_accused(s), left;
	struct reader_record raw;
	int ret;

	if (!accused || s->from_beginning)
		return 0;
	ret = open_events_at(s, (struct reader_place){READER_BEGINNING, 0}, reterr);
	s->n_read = 0;
	for (int64_t last = clock_mono_ms(); ret >= 0 && !reader_caught_up(s->read.reader);) {
		ret = reader_next(s->read.reader, POLL_MS, &raw, reterr);
		if (ret > 0) {
			ret = take_event(s, &raw, reterr);
			last = clock_mono_ms();
		}
		show_progress(s, "earlier events");
		if (clock_mono_ms() >= last + AWAY_MS)
			return went_away(reterr);
	}
	if (ret < 0)
		return ret;
	close_edges(s);
	left = count_accused(s);
	if (left < accused)
		report_note(s->report,
			    "%zu final events bear a time of more than an hour before the first "
			    "command of the range, because clocks differ; they were found by "
			    "reading from the beginning", accused - left);
	return 0;
}

/* A broker that is away delivers no events, which must not count as gaps. */
static int
check_alive(struct scan *s, struct err *reterr)
{
	int64_t start, end;

	if (!ledger_waiting(s->read.ledger) && !ledger_overdue(s->read.ledger))
		return 0;
	return reader_log(s->read.reader, TOPIC_COMMANDS, 0, &start, &end, reterr);
}

int
scan_run(struct scan *s, struct err *reterr)
{
	static int (*const steps[])(struct scan * s, struct err * reterr) = {
		open_commands,	   open_ledger, read_commands, read_positions,
		open_event_topics, read_events, read_earlier_events, check_alive,
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int ret = steps[i](s, reterr);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void
scan_release(struct scan *s)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(s->events[t]);
	reader_free(s->read.reader);
	ledger_free(s->read.ledger);
	free(s->parts);
}
