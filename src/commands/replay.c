/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: `envdriver replay`: recorded commands and events in the order of
 * time, up to the end of the log at the start.
 */
#include "envdriver/base/err.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/record.h"
#include "envdriver/client/record_filter.h"
#include "envdriver/commands/commands.h"

enum { CHECK_EVERY = 64 };	/* records: whether somebody still reads ours */

struct replay {
	struct cli *cli;
	bool topics[TOPIC_COUNT];
	int32_t partition;	/* -1: all */
	struct reader_place from, to;
	int64_t limit;		/* 0: none */
	struct cli_schemas *schemas;
	struct reader *reader;
	struct record_list *list;
};

static int
read_replay_options(struct replay *r, struct err *reterr)
{
	const char *topics = cli_flag(r->cli, "topics"), *limit = cli_flag(r->cli, "limit");
	const char *partition = cli_flag(r->cli, "partition");
	const char *offsets = cli_flag(r->cli, "offsets");
	int64_t n = -1, chosen = 0;

	if (reader_parse_topics(topics ? topics : "commands,probe,lease,execution,config,workspace,"
						  "setup,driver,events,dead-letters",
				r->topics, reterr) < 0) {
		err_prefix(reterr, "--topics");
		return ERR_INVALID;
	}
	if (reader_parse_range(cli_flag(r->cli, "from"), cli_flag(r->cli, "to"), offsets, &r->from,
			       &r->to, reterr) < 0)
		return ERR_INVALID;
	if (partition && (units_int(partition, &n, NULL) < 0 || n > INT32_MAX))
		return err_set(reterr, ERR_INVALID, "--partition: '%.64s' is not a valid partition",
			       partition);
	r->partition = (int32_t)n;
	if (limit && units_int(limit, &r->limit, NULL) < 0)
		return err_set(reterr, ERR_INVALID, "--limit: '%.64s' is not a number", limit);
	if (record_filter_check(r->cli, reterr) < 0 || record_list_check(r->cli, reterr) < 0)
		return ERR_INVALID;
	for (int t = 0; t < TOPIC_COUNT; t++)
		chosen += r->topics[t];
	if ((partition || offsets) && (chosen != 1 || !partition))
		return err_set(reterr, ERR_INVALID,
			       "--partition and --offsets need one topic and one partition: "
			       "--topics commands --partition 0");
	return 0;
}

static int
open_replay(struct replay *r, struct err *reterr)
{
	int ret = 0;

	r->schemas = cli_schemas_new(cli_config(r->cli), reterr);
	r->reader = r->schemas ? reader_new(cli_config(r->cli), reterr) : NULL;
	r->list = record_list_new(r->cli, cli_has(r->cli, "envelope"));
	if (!r->reader || !r->list)
		return ERR_CONFIG;
	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++)
		if (r->topics[t])
			ret = reader_add(r->reader, (enum topic)t, r->partition, reterr);
	return ret < 0 ? ret : reader_open(r->reader, &r->from, &r->to, reterr);
}

/* What is not there is said, so that nobody takes it for an answer. */
static void
note_replayed(struct replay *r, int64_t all, int64_t seen)
{
	const struct reader_late *late = reader_late(r->reader);

	if (late)
		cli_note(r->cli,
			 "note: %zu records of the range lie behind later ones (the first: "
			 "%s[%d]@%lld), because the clocks of producers differ; they are shown, "
			 "too", late->count, late->topic_name, late->partition,
			 (long long)late->offset);
	if (!all)
		cli_note(r->cli, "note: there is no record in the range");
	else if (!seen)
		cli_note(r->cli, "note: none of the %lld records of the range passes the filter",
			 (long long)all);
}

static int
replay_records(struct replay *r, struct err *reterr)
{
	struct reader_record raw;
	int64_t all = 0, seen = 0;
	int rc;

	while ((!r->limit || seen < r->limit) && !cli_output_is_lost(r->cli) &&
	       (rc = reader_next(r->reader, 0, &raw, reterr)) != READER_DONE) {
		struct record record;

		if (rc >= 0)
			rc = record_open(cli_schemas_get(r->schemas), &raw, &record, reterr);
		if (rc < 0)
			return rc;
		if (all++ % CHECK_EVERY == 0)
			cli_check_reader();
		if (record_wanted(&record, r->cli)) {
			record_list_add(r->list, &record);
			seen++;
		}
		record_release(&record);
	}
	note_replayed(r, all, seen);
	return EXIT_DONE;
}

static int
replay_main(struct cli *cli)
{
	struct replay r = { .cli = cli };
	struct err err = { .code = ERR_NOMEM, .text = "out of memory" };
	int ret;

	if (read_replay_options(&r, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	if (cli_has(cli, "limit") && !r.limit)
		cli_note(cli, "note: --limit 0 is no limit");
	ret = open_replay(&r, &err);
	if (ret == 0)
		ret = replay_records(&r, &err);
	record_list_end(r.list);
	reader_free(r.reader);
	cli_schemas_free(r.schemas);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : ret);
}

static const struct cli_option options[] = {
	{ .name = "topics", .value = "LIST",
	  .help = "Topics (default: commands,probe,lease,execution,config,workspace,setup,"
		  "driver,events,dead-letters); also logs,all" },
	{ .name = "from", .value = "PLACE",
	  .help = "Start: beginning (default), a time, or a duration ago" },
	{ .name = "to", .value = "PLACE",
	  .help = "End, exclusive: end (default: now), a time, or a duration ago" },
	{ .name = "partition", .value = "N", .help = "Only this partition of one topic" },
	{ .name = "offsets", .value = "FIRST..LAST",
	  .help = "Offsets of one topic and partition, both included" },
	{ .name = "limit", .value = "N", .help = "Only the first N records" },
	RECORD_OPTIONS,
	{ .name = NULL },
};

const struct cli_command replay_command = {
	.name = "replay",
	.summary = "Read recorded commands and events",
	.options = options,
	.text = "Prints records in the order of their Kafka timestamps, up to the last stable\n"
		"offset that each partition has at the start. A range between two times has\n"
		"all records whose Kafka time lies in it: that is the producer's clock, so the\n"
		"partitions are read to their ends for it. Each partition keeps its own order.\n"
		"A PLACE is a date (midnight UTC), a time (UTC unless it has a zone), or a\n"
		"duration ago: 30s, 5min, 24h, 9d.\n\n"
		"    envdriver replay --command c1\n"
		"    envdriver replay --from 2026-11-23 --to 2026-11-24T12:00:00Z "
		"--status FAILED,EXPIRED\n"
		"    envdriver replay --topics commands --partition 0 --offsets 100..120 "
		"--envelope\n",
	.run = replay_main,
};
