/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: `envdriver watch`: results and other records as they arrive.
 */
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/record.h"
#include "envdriver/client/record_filter.h"
#include "envdriver/commands/commands.h"

enum { POLL_MS = 250 };

struct watch {
	struct cli *cli;
	bool topics[TOPIC_COUNT];
	struct reader_place from;
	int64_t limit, timeout_ms;	/* 0: none */
	struct cli_schemas *schemas;
	struct reader *reader;
	struct record_list *list;
};

static int
read_watch_options(struct watch *w, struct err *reterr)
{
	const char *results = cli_flag(w->cli, "results"), *from = cli_flag(w->cli, "from");
	const char *limit = cli_flag(w->cli, "limit");
	int ret;

	if (!results)
		results = "probe,lease,execution,config,workspace,setup,driver,dead-letters";
	ret = reader_parse_topics(results, w->topics, reterr);
	if (ret < 0)
		err_prefix(reterr, "--results");
	if (ret == 0) {
		ret = reader_parse_place(from ? from : "end", &w->from, reterr);
		if (ret < 0)
			err_prefix(reterr, "--from");
	}
	if (ret == 0 && limit) {
		ret = units_int(limit, &w->limit, reterr);
		if (ret < 0)
			err_prefix(reterr, "--limit");
	}
	if (ret == 0)
		ret = record_filter_check(w->cli, reterr);
	if (ret == 0)
		ret = record_list_check(w->cli, reterr);
	return ret < 0 ? ret : cli_duration(w->cli, "timeout", &w->timeout_ms, reterr);
}

static int
open_watch(struct watch *w, struct err *reterr)
{
	int ret = 0;

	w->schemas = cli_schemas_new(cli_config(w->cli), reterr);
	w->reader = w->schemas ? reader_new(cli_config(w->cli), reterr) : NULL;
	w->list = record_list_new(w->cli, cli_has(w->cli, "envelope"));
	if (!w->reader || !w->list)
		return ERR_CONFIG;
	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++)
		if (w->topics[t])
			ret = reader_add(w->reader, (enum topic)t, -1, reterr);
	return ret < 0 ? ret : reader_open(w->reader, &w->from, /* to= */ NULL, reterr);
}

/* Returns an exit code, or a negative error. */
static int
watch_records(struct watch *w, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + w->timeout_ms, seen = 0;

	while ((!w->limit || seen < w->limit) && !cli_output_is_lost(w->cli)) {
		struct reader_record raw;
		struct record r;
		int rc;

		cli_check_reader();
		if (w->timeout_ms && clock_mono_ms() >= deadline)
			return w->limit ? EXIT_AGAIN : EXIT_DONE;
		rc = reader_next(w->reader, POLL_MS < w->timeout_ms || !w->timeout_ms
						    ? POLL_MS : (int)w->timeout_ms, &raw, reterr);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		rc = record_open(cli_schemas_get(w->schemas), &raw, &r, reterr);
		if (rc < 0)
			return rc;
		if (record_wanted(&r, w->cli)) {
			record_list_add(w->list, &r);
			seen++;
		}
		record_release(&r);
	}
	return EXIT_DONE;
}

static int
watch_main(struct cli *cli)
{
	struct watch w = { .cli = cli };
	struct err err = { .code = ERR_NOMEM, .text = "out of memory" };
	int ret;

	if (read_watch_options(&w, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	if (cli_has(cli, "limit") && !w.limit)
		cli_note(cli, "note: --limit 0 is no limit");
	ret = open_watch(&w, &err);
	if (ret == 0)
		ret = watch_records(&w, &err);
	record_list_end(w.list);
	reader_free(w.reader);
	cli_schemas_free(w.schemas);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : ret);
}

static const struct cli_option options[] = {
	{ .name = "results", .value = "LIST",
	  .help = "Topics (default: probe,lease,execution,config,workspace,setup,driver,"
		  "dead-letters); also commands,logs,events,all" },
	{ .name = "from", .value = "PLACE",
	  .help = "Start: end (default), beginning, a time, or a duration ago" },
	{ .name = "limit", .value = "N", .help = "Only the first N records, then exit" },
	{ .name = "timeout", .value = "DURATION",
	  .help = "Longest run; exit 75 if --limit was not reached" },
	RECORD_OPTIONS,
	{ .name = NULL },
};

const struct cli_command watch_command = {
	.name = "watch",
	.stage = "Look",
	.summary = "Show results as they arrive",
	.options = options,
	.text = "Runs until it is interrupted. In a pipe each line is a record in plain JSON; the\n"
		"line of a command can be published again (with another commandId).\n\n"
		"    envdriver watch\n"
		"    envdriver watch --results execution,logs --lease L\n"
		"    envdriver watch --from 15min --status FAILED --json | jq .outcome.error\n",
	.run = watch_main,
};
