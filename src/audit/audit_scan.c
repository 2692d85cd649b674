/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics, in three passes: the commands of the range; where the group
 * stands; the events, from before the first of these commands on to the end
 * of the log. In this order whatever the group is done with has its event in
 * what is read last.
 */
#include "audit_impl.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/kafka.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/offset_metadata.h"
#include "envdriver/kafka/offsets.h"

enum {
	POLL_MS = 200,
	AWAY_MS = 30000,
	POSITION_MS = 15000,
	/* And transaction.timeout. What is committed may not be seen yet: the
	 * markers of a transaction come to its partitions one after another,
	 * and one that a killed worker left open holds readers back (T6). */
	GRACE_MS = 2000,
	/* An event bears the time of its worker, a command that of its
	 * publisher. Brokers refuse clocks that are further ahead. */
	SKEW_MS = 3600 * 1000,
	SETTLE_MS = 2000,
	OPEN_MAX = 4096,	/* more than a window's metadata can list */
};

static const enum topic event_topics[] = {
	TOPIC_PROBE_RESULTS,  TOPIC_LEASE_RESULTS,     TOPIC_EXECUTION_RESULTS,
	TOPIC_CONFIG_RESULTS, TOPIC_WORKSPACE_RESULTS, TOPIC_SETUP_RESULTS,
	TOPIC_DRIVER_RESULTS, TOPIC_EXECUTION_LOGS,    TOPIC_DEAD_LETTERS,
};

enum { N_EVENT_TOPICS = sizeof(event_topics) / sizeof(*event_topics) };

/* --- the commands --- */

static int
open_commands(struct audit *a, struct err *reterr)
{
	int ret;

	a->reader = reader_new(cli_config(a->cli), reterr);
	if (!a->reader)
		return ERR_CONFIG;
	ret = reader_add(a->reader, TOPIC_COMMANDS, a->range.partition, reterr);
	return ret < 0 ? ret : reader_open(a->reader, &a->range.from, &a->range.to, reterr);
}

static int
open_ledger(struct audit *a, uint64_t seed, struct err *reterr)
{
	const struct config *config = cli_config(a->cli);
	struct ledger_options options = {
		.prefix = config_str(config, "topic.prefix"),
		.partitions = reader_partitions(a->reader, TOPIC_COMMANDS),
		.claim_retention_ms = config_int(config, "claim.retention"),
		.seed = seed,
		.found = audit_verify_found,
		.arg = a,
	};
	int trimmed = 0;

	a->n_parts = options.partitions;
	a->ledger = ledger_new(&options);
	a->parts = calloc((size_t)a->n_parts + 1, sizeof(*a->parts));
	if (!a->ledger || !a->parts)
		return err_nomem(reterr);
	for (int32_t p = 0; p < a->n_parts; p++) {
		struct reader_range *r = &a->parts[p];

		if (!reader_range(a->reader, TOPIC_COMMANDS, p, r)) {
			r->first = -1;
			continue;
		}
		ledger_partition(a->ledger, p, &(struct ledger_range){ r->start, r->first,
								       r->last, r->end });
		trimmed += r->start > 0 && r->first == r->start;
	}
	if (trimmed)
		audit_verify_note(a, "%d of %d partitions of %s%s have lost their beginning: what "
				  "stood there is not verified", trimmed, a->n_parts,
				  options.prefix, topic_name(TOPIC_COMMANDS));
	return 0;
}

static int
read_commands(struct audit *a, struct err *reterr)
{
	struct reader_record raw;
	int rc;

	a->step = "commands";
	while ((rc = reader_next(a->reader, 0, &raw, reterr)) != READER_DONE) {
		if (rc < 0)
			return rc;
		rc = audit_read_command(a, &raw, reterr);
		if (rc < 0)
			return rc;
		a->records++;
		audit_verify_progress(a);
	}
	return 0;
}

/* --- where the group stands --- */

struct patience {
	int64_t deadline;
	rd_kafka_resp_err_t why;
};

static bool
enough(void *arg)
{
	const struct patience *p = arg;

	return p->why == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	       clock_mono_ms() >= p->deadline;
}

static void
on_wait(void *arg, rd_kafka_resp_err_t why)
{
	((struct patience *)arg)->why = why;
}

static void
take_position(struct audit *a, const rd_kafka_topic_partition_t *at)
{
	struct span metadata = { at->metadata, at->metadata_size };
	int64_t end = at->offset, open[OPEN_MAX];
	int n = 0;

	/* Nothing committed here, though elsewhere: nothing is done here. */
	if (at->offset < 0) {
		ledger_position(a->ledger, at->partition, 0, NULL, 0);
		return;
	}
	if (metadata.len)
		n = offset_metadata_read(metadata, at->offset, &end, open, OPEN_MAX);
	if (n < 0 || n > OPEN_MAX) {
		n = 0;
		end = at->offset;
	}
	ledger_position(a->ledger, at->partition, end, open, (size_t)n);
}

/* Without a position, what has no event counts as a gap at once. */
static int
read_positions(struct audit *a, struct err *reterr)
{
	const struct config *config = cli_config(a->cli);
	struct patience patience = { clock_mono_ms() + POSITION_MS, RD_KAFKA_RESP_ERR_NO_ERROR };
	struct offsets_watch watch = { enough, on_wait, &patience };
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(a->n_parts);
	struct offsets *offsets = offsets_new(config, reterr);
	char name[KAFKA_TOPIC_MAX];
	bool any = false;
	int ret = offsets ? 0 : ERR_CONFIG;

	kafka_topic(config, TOPIC_COMMANDS, name);
	for (int32_t p = 0; p < a->n_parts; p++)
		if (a->parts[p].first >= 0)
			rd_kafka_topic_partition_list_add(list, name, p);
	if (ret == 0)
		ret = offsets_read(offsets, list, &watch, reterr);
	if (ret == ERR_CLOSED)
		audit_verify_note(a, "the position of group '%s' cannot be read (%s): every "
				  "command without a final event counts as a gap",
				  config_str(config, "kafka.group.id"),
				  rd_kafka_err2str(patience.why));
	for (int i = 0; ret == 0 && i < list->cnt; i++)
		any |= list->elems[i].offset >= 0;
	for (int i = 0; any && i < list->cnt; i++)
		take_position(a, &list->elems[i]);
	rd_kafka_topic_partition_list_destroy(list);
	offsets_unref(offsets);
	client_wait_closed(SETTLE_MS);
	return ret == ERR_CLOSED ? 0 : ret;
}

/* --- the events --- */

/* From the beginning for commands from the beginning, else from before the
 * first command. */
static struct reader_place
events_from(const struct audit *a)
{
	struct reader_place from = a->range.from;
	int64_t first = a->earliest;

	if (from.at == READER_BEGINNING || a->timeless)
		return (struct reader_place){ READER_BEGINNING, 0 };
	if (first < 0 && from.at != READER_TIME)
		return (struct reader_place){ READER_END, 0 };
	if (first < 0 || (from.at == READER_TIME && from.value < first))
		first = from.value;
	return (struct reader_place){ READER_TIME, first > SKEW_MS ? first - SKEW_MS : 0 };
}

/* Where a partition lost its beginning, and reading starts there. */
static int
find_edges(struct audit *a, enum topic topic, struct err *reterr)
{
	int32_t n = reader_partitions(a->reader, topic);
	struct reader_range r;

	a->edges[topic] = calloc((size_t)n + 1, sizeof(bool));
	if (!a->edges[topic])
		return err_nomem(reterr);
	for (int32_t p = 0; p < n; p++)
		a->edges[topic][p] = reader_range(a->reader, topic, p, &r) && r.start > 0 &&
				     r.first == r.start;
	return 0;
}

static int
open_events(struct audit *a, struct err *reterr)
{
	struct reader_place from = events_from(a);
	int ret = 0;

	reader_free(a->reader);
	a->reader = reader_new(cli_config(a->cli), reterr);
	if (!a->reader)
		return ERR_CONFIG;
	for (size_t i = 0; i < N_EVENT_TOPICS && ret == 0; i++)
		ret = reader_add(a->reader, event_topics[i], -1, reterr);
	if (ret == 0)
		ret = reader_open(a->reader, &from, /* to= */ NULL, reterr);
	for (size_t i = 0; i < N_EVENT_TOPICS && ret == 0; i++)
		ret = find_edges(a, event_topics[i], reterr);
	return ret;
}

/* What was deleted of a topic was older than the first record that is left. */
static void
pass_edge(struct audit *a, const struct reader_record *raw)
{
	bool *edge = &a->edges[raw->topic][raw->partition];

	if (*edge)
		ledger_horizon(a->ledger, raw->topic,
			       raw->timestamp < 0 ? INT64_MAX : raw->timestamp);
	*edge = false;
}

static void
close_edges(struct audit *a)
{
	for (size_t i = 0; i < N_EVENT_TOPICS; i++)
		for (int32_t p = 0; p < reader_partitions(a->reader, event_topics[i]); p++)
			if (a->edges[event_topics[i]][p])
				ledger_horizon(a->ledger, event_topics[i], INT64_MAX);
}

/* When to end, once the end of the log was reached at `reached`; the last
 * event that was waited for came at `came`. */
static bool
is_over(const struct audit *a, int64_t reached, int64_t came)
{
	int64_t grace = config_int(cli_config(a->cli), "transaction.timeout") + GRACE_MS;
	int64_t now = clock_mono_ms();

	if (!ledger_waiting(a->ledger) && !ledger_overdue(a->ledger))
		return true;
	if (ledger_waiting(a->ledger) && now < reached + a->range.wait_ms)
		return false;
	if (ledger_overdue(a->ledger) && now < (came > reached ? came : reached) + grace)
		return false;
	return true;
}

static int
read_events(struct audit *a, struct err *reterr)
{
	int64_t last = clock_mono_ms(), came = last, reached = -1;
	struct reader_record raw;

	a->step = "events";
	a->records = 0;
	for (;;) {
		size_t waiting = ledger_waiting(a->ledger);
		int rc = reader_next(a->reader, POLL_MS, &raw, reterr);

		if (rc > 0) {
			pass_edge(a, &raw);
			rc = audit_read_event(a, &raw, reterr);
			last = clock_mono_ms();
			came = ledger_waiting(a->ledger) < waiting ? last : came;
			a->records++;
		}
		if (rc < 0)
			return rc;
		audit_verify_progress(a);
		if (reader_caught_up(a->reader)) {
			reached = reached < 0 ? clock_mono_ms() : reached;
			a->step = "late events";
			if (is_over(a, reached, came))
				break;
		} else if (clock_mono_ms() >= last + AWAY_MS) {
			return err_set(reterr, ERR_UNAVAILABLE,
				       "cannot read on: Kafka gave nothing for %d s",
				       AWAY_MS / 1000);
		}
	}
	close_edges(a);
	return 0;
}

/* A broker that is away brings no events; that is no gap. */
static int
check_alive(struct audit *a, struct err *reterr)
{
	int64_t start, end;

	if (!ledger_waiting(a->ledger) && !ledger_overdue(a->ledger))
		return 0;
	return reader_log(a->reader, TOPIC_COMMANDS, 0, &start, &end, reterr);
}

int
audit_scan_run(struct audit *a, struct err *reterr)
{
	uint64_t seed = 0;
	int ret;

	if (getentropy(&seed, sizeof(seed)) < 0)
		return err_set(reterr, ERR_IO, "cannot get random bytes");
	ret = open_commands(a, reterr);
	if (ret == 0)
		ret = open_ledger(a, seed, reterr);
	if (ret == 0)
		ret = read_commands(a, reterr);
	if (ret == 0)
		ret = read_positions(a, reterr);
	if (ret == 0)
		ret = open_events(a, reterr);
	if (ret == 0)
		ret = read_events(a, reterr);
	return ret < 0 ? ret : check_alive(a, reterr);
}

void
audit_scan_release(struct audit *a)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(a->edges[t]);
	reader_free(a->reader);
	ledger_free(a->ledger);
	free(a->parts);
}
