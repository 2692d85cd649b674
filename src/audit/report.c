/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/kafka.h"

enum { NUMBER_MAX = 24, LINE_MAX_TEXT = 512 };

struct report {
	struct cli *cli;
	struct cli_table *table;
	int64_t limit, shown;
	struct cli_progress progress;
	struct buf notes; /* JSON strings, "," between */
};

static const struct cli_column columns[] = {
	{"finding", CLI_OUTCOME, 12},
	{"topic", CLI_TAIL, 28},
	{"partition", CLI_RAW, 9},
	{"offset", CLI_RAW, 8},
	{"commandId", CLI_ID | CLI_SPARE, 36},
	{"time", CLI_TIME | CLI_SPARE, 24},
	{"text", CLI_PROSE | CLI_WRAP, 0},
	{NULL, CLI_TEXT, 0},
};

int
report_check(const struct cli *cli, struct err *reterr)
{
	return cli_check_columns(cli, columns, reterr);
}

struct report *
report_new(struct cli *cli, int64_t limit)
{
	struct report *r = malloc(sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct report){.cli = cli, .limit = limit};
	cli_progress_start(&r->progress, cli);
	r->table = cli_table_new(cli, columns);
	if (!r->table) {
		free(r);
		return NULL;
	}
	return r;
}

void
report_progress(struct report *r, size_t records, const char *what, size_t waiting)
{
	char read[CLI_NUMBER_MAX], open[CLI_NUMBER_MAX];

	cli_check_reader();
	if (cli_progress_due(&r->progress))
		cli_progress(&r->progress, "read %s %s, %s commands without a final event",
			     cli_number(records, read), what, cli_number(waiting, open));
}

static void
add_age(struct buf *out, int64_t time_ms)
{
	int64_t age = time_ms < 0 ? -1 : clock_wall_ms() - time_ms;

	if (age < 0)
		return;
	buf_adds(out, ", ");
	units_add_duration(out, age < 1000 ? age : age / 1000 * 1000);
	buf_adds(out, " old");
}

void
report_finding(void *arg, const struct finding *f)
{
	struct report *r = arg;
	char name[KAFKA_TOPIC_MAX], partition[NUMBER_MAX], offset[NUMBER_MAX], when[CLOCK_TEXT_MAX];
	struct buf text = BUF_INIT;
	struct span cells[] = {
		span_of(finding_kind_name(f->kind)),
		span_of(kafka_topic(cli_config(r->cli), f->at.topic, name)),
		{partition, 0},
		{offset, 0},
		f->command_id,
		f->time_ms < 0 ? SPAN_NULL : span_of(clock_text(f->time_ms, when)),
		SPAN_NULL,
	};

	if (r->limit && r->shown >= r->limit)
		return;
	r->shown++;
	cells[2].len = (size_t)snprintf(partition, sizeof(partition), "%d", f->at.partition);
	cells[3].len = (size_t)snprintf(offset, sizeof(offset), "%" PRId64, f->at.offset);
	buf_adds(&text, f->text);
	if (f->kind == FINDING_PENDING || f->kind == FINDING_GAP)
		add_age(&text, f->time_ms);
	cells[6] = buf_span(&text);
	cli_progress_clear(&r->progress);
	cli_table_row(r->table, cells);
	buf_release(&text);
}

void
report_note(struct report *r, const char *fmt, ...)
{
	char text[LINE_MAX_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_progress_clear(&r->progress);
	cli_note(r->cli, "note: %s", text);
	if (r->notes.len)
		buf_addch(&r->notes, ',');
	jtext_add_string(&r->notes, span_of(text));
}

/* --- the end --- */

static size_t
count_findings(const struct ledger_sums *s)
{
	size_t n = 0;

	for (int k = 0; k < FINDING_KINDS; k++)
		n += k == FINDING_GONE ? 0 : s->found[k];
	return n;
}

static void
json_summary(const struct report *r, const struct ledger_sums *s, const struct report_range *ranges,
	     size_t n_ranges, struct buf *out)
{
	buf_addf(out, "{\"summary\":{\"clean\":%s,\"findings\":%zu",
		 count_findings(s) ? "false" : "true", count_findings(s));
	buf_addf(out,
		 ",\"commands\":%zu,\"finalEvents\":%zu,\"results\":%zu,\"deadLetters\":%zu"
		 ",\"largeOutputs\":%zu,\"eventsOfGoneCommands\":%zu",
		 s->commands, s->events, s->results, s->dead_letters, s->outputs,
		 s->of_gone_commands);
	if (s->oldest_pending_ms >= 0)
		buf_addf(out, ",\"oldestPendingMs\":%" PRId64,
			 clock_wall_ms() - s->oldest_pending_ms);
	else
		buf_adds(out, ",\"oldestPendingMs\":null");
	buf_adds(out, ",\"kinds\":{");
	for (int k = 0; k < FINDING_KINDS; k++)
		buf_addf(out, "%s\"%s\":%zu", k ? "," : "", finding_kind_name((enum finding_kind)k),
			 s->found[k]);
	buf_addf(out, "},\"ledgerBytes\":%zu,\"ranges\":[", s->bytes);
	for (size_t i = 0; i < n_ranges; i++)
		buf_addf(out, "%s{\"partition\":%d,\"first\":%" PRId64 ",\"last\":%" PRId64 "}",
			 i ? "," : "", ranges[i].partition, ranges[i].first, ranges[i].last);
	buf_adds(out, "],\"notes\":[");
	buf_addspan(out, buf_span(&r->notes));
	buf_adds(out, "]}}\n");
}

static void
text_summary(const struct ledger_sums *s, struct buf *out)
{
	size_t n = count_findings(s);

	if (!n && !s->commands)
		buf_adds(out, "nothing was verified: there is no command in the range");
	else if (!n)
		buf_addf(out, "clean: %zu commands, each with exactly one final event",
			 s->commands - s->found[FINDING_GONE]);
	else
		buf_addf(out, "%zu finding%s in %zu commands:", n, n == 1 ? "" : "s", s->commands);
	for (int k = 0, first = 1; n && k < FINDING_KINDS; k++) {
		if (!s->found[k] || k == FINDING_GONE)
			continue;
		buf_addf(out, "%s %zu %s", first ? "" : ",", s->found[k],
			 finding_kind_name((enum finding_kind)k));
		first = 0;
		if (k == FINDING_PENDING) {
			buf_adds(out, " (the oldest");
			add_age(out, s->oldest_pending_ms);
			buf_addch(out, ')');
		}
	}
	buf_addf(out, "; %zu results, %zu dead letters, %zu large outputs\n", s->results,
		 s->dead_letters, s->outputs);
}

bool
report_summary(struct report *r, const struct ledger_sums *sums, const struct report_range *ranges,
	       size_t n_ranges)
{
	struct buf out = BUF_INIT;

	if (sums->of_gone_commands)
		report_note(r, "%zu final events belong to commands that are no longer in the log",
			    sums->of_gone_commands);
	if (sums->found[FINDING_GONE])
		report_note(r, "%zu records can no longer be checked", sums->found[FINDING_GONE]);
	cli_progress_clear(&r->progress);
	cli_table_end(r->table);
	r->table = NULL;
	if (cli_json(r->cli))
		json_summary(r, sums, ranges, n_ranges, &out);
	else
		text_summary(sums, &out);
	out.failed |= r->notes.failed;
	cli_write_buf(r->cli, &out);
	buf_release(&out);
	return count_findings(sums) == 0;
}

void
report_free(struct report *r)
{
	if (!r)
		return;
	cli_progress_clear(&r->progress);
	cli_table_end(r->table);
	buf_release(&r->notes);
	free(r);
}
