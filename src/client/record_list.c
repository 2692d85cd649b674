/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_list: shows records one by one, as JSON lines or as rows of a table.
 * Apart from record.c, which knows nothing of output.
 */
#include "envdriver/client/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/avro/schema.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"

enum { SUMMARY_MAX = 200, PLACE_MAX = 320, PLACE = 9 };

struct record_list {
	struct cli *cli;
	bool json, envelope;
	struct cli_table *table;	/* NULL with json */
	struct buf line;
};

/* Rows are shown at once, so the widths are guesses. */
static const struct cli_column columns[] = {
	{ "time", CLI_TIME | CLI_SPARE, 24 },
	{ "record", CLI_TEXT | CLI_SPARE, 18 },
	{ "operation", CLI_TEXT, 16 },
	{ "status", CLI_OUTCOME, 12 },
	{ "command", CLI_ID, 36 },
	{ "environment", CLI_ID | CLI_SPARE, 12 },
	{ "lease", CLI_ID | CLI_SPARE, 16 },
	{ "company", CLI_ID | CLI_HIDDEN, 12 },
	{ "plugin", CLI_ID | CLI_HIDDEN, 12 },
	{ "place", CLI_TAIL | CLI_HIDDEN, 36 },
	{ "summary", CLI_PROSE, 0 },
	{ NULL, CLI_TEXT, 0 },
};

int
record_list_check(const struct cli *cli, struct err *reterr)
{
	return cli_check_columns(cli, columns, reterr);
}

struct record_list *
record_list_new(struct cli *cli, bool envelope)
{
	struct record_list *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->cli = cli;
	l->envelope = envelope;
	l->json = cli_json(cli);
	if (!l->json)
		l->table = cli_table_new(cli, columns);
	return l;
}

static void
add_record_row(struct record_list *l, const struct record *r)
{
	char when[CLOCK_TEXT_MAX], place[PLACE_MAX];
	struct span summary = buf_span(r->schema ? &r->summary : &r->why);
	struct span cells[] = {
		span_of(clock_text(r->raw->timestamp, when)),
		span_of(r->schema ? schema_name(r->schema) : "unreadable"),
		r->operation.ptr ? r->operation : r->event,
		r->verdict.len ? buf_span(&r->verdict) : r->status,
		r->command_id,
		r->environment_id,
		r->lease_id,
		r->company_id,
		r->plugin_id,
		SPAN_NULL,
		{ summary.ptr, summary.len < SUMMARY_MAX ? summary.len : SUMMARY_MAX },
	};

	snprintf(place, sizeof(place), "%s[%d]@%lld", r->raw->topic_name, r->raw->partition,
		 (long long)r->raw->offset);
	cells[PLACE] = span_of(place);
	cli_table_row(l->table, cells);
}

void
record_list_add(struct record_list *l, const struct record *r)
{
	struct err err = { 0 };

	if (!l)
		return;
	if (!l->json) {
		add_record_row(l, r);
		return;
	}
	if (record_write(r, l->envelope, &l->line, &err) < 0) {
		cli_complain(l->cli, "%s [%d] @%lld: %s", r->raw->topic_name, r->raw->partition,
			     (long long)r->raw->offset, err.text);
		buf_reset(&l->line);
		return;
	}
	buf_addch(&l->line, '\n');
	cli_write_buf(l->cli, &l->line);
}

void
record_list_end(struct record_list *l)
{
	if (!l)
		return;
	cli_table_end(l->table);
	buf_release(&l->line);
	free(l);
}
