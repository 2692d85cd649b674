/* SPDX-License-Identifier: Apache-2.0 */
/* `envdriver audit verify`: its options and what it says. */
#include "audit_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/kafka.h"

enum { PROGRESS_MS = 500, NUMBER_MAX = 24, LINE_MAX_TEXT = 512 };

/* --- options --- */

static int
read_range(struct audit *a, struct err *reterr)
{
	const char *from = cli_flag(a->cli, "from"), *to = cli_flag(a->cli, "to");
	const char *partition = cli_flag(a->cli, "partition");
	const char *offsets = cli_flag(a->cli, "offsets");
	int64_t n = -1;

	if (partition && (units_int(partition, &n, NULL) < 0 || n > INT32_MAX))
		return err_set(reterr, ERR_INVALID, "--partition: '%.64s' is no partition",
			       partition);
	a->range.partition = (int32_t)n;
	if (offsets && !partition)
		return err_set(reterr, ERR_INVALID, "--offsets needs --partition");
	return reader_parse_range(from, to, offsets, &a->range.from, &a->range.to, reterr);
}

static int
read_options(struct audit *a, struct err *reterr)
{
	const char *limit = cli_flag(a->cli, "limit"), *wait = cli_flag(a->cli, "wait");
	int64_t seconds;

	if (limit && units_int(limit, &a->limit, NULL) < 0)
		return err_set(reterr, ERR_INVALID, "--limit: '%.64s' is no number", limit);
	if (wait && units_int(wait, &seconds, NULL) == 0 && seconds <= INT32_MAX)
		a->range.wait_ms = seconds * 1000;
	else if (cli_duration(a->cli, "wait", &a->range.wait_ms, reterr) < 0)
		return ERR_INVALID;
	return read_range(a, reterr);
}

/* --- findings, as they come --- */

static const struct cli_column columns[] = {
	{ "finding", CLI_TEXT, 12 },   { "topic", CLI_TEXT, 28 },  { "partition", CLI_RAW, 9 },
	{ "offset", CLI_RAW, 8 },      { "commandId", CLI_TEXT, 36 }, { "time", CLI_TEXT, 24 },
	{ "text", CLI_TEXT, 0 },       { NULL, CLI_TEXT, 0 },
};

static void
clear_progress(struct audit *a)
{
	if (a->progress)
		(void)!write(STDERR_FILENO, "\r\x1b[K", 4);
	a->progress = false;
}

void
audit_verify_progress(struct audit *a)
{
	int64_t now;
	char line[200];
	int len;

	/* The clock is asked once in a while only: a record takes less. */
	if (a->progress_ms < 0 || (a->records % 64 && !reader_caught_up(a->reader)))
		return;
	now = clock_mono_ms();
	if (now < a->progress_ms + PROGRESS_MS)
		return;
	a->progress_ms = now;
	a->progress = true;
	len = snprintf(line, sizeof(line), "\r%s: %zu %s read, %zu commands without a final "
		       "event\x1b[K", cli_path(a->cli), a->records, a->step,
		       ledger_waiting(a->ledger));
	(void)!write(STDERR_FILENO, line, (size_t)len);
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
audit_verify_found(void *arg, const struct ledger_finding *f)
{
	struct audit *a = arg;
	char name[KAFKA_TOPIC_MAX], partition[NUMBER_MAX], offset[NUMBER_MAX],
		when[CLOCK_TEXT_MAX];
	struct buf text = BUF_INIT;
	struct span cells[] = {
		span_of(ledger_kind_name(f->kind)),
		span_of(kafka_topic(cli_config(a->cli), f->at.topic, name)),
		{ partition, 0 },
		{ offset, 0 },
		f->command_id,
		f->time_ms < 0 ? SPAN_NULL : span_of(clock_text(f->time_ms, when)),
		SPAN_NULL,
	};

	if (a->limit && a->shown >= a->limit)
		return;
	a->shown++;
	cells[2].len = (size_t)snprintf(partition, sizeof(partition), "%d", f->at.partition);
	cells[3].len = (size_t)snprintf(offset, sizeof(offset), "%" PRId64, f->at.offset);
	buf_adds(&text, f->text);
	if (f->kind == LEDGER_PENDING || f->kind == LEDGER_GAP)
		add_age(&text, f->time_ms);
	cells[6] = buf_span(&text);
	clear_progress(a);
	cli_table_row(a->table, cells);
	buf_release(&text);
}

void
audit_verify_note(struct audit *a, const char *fmt, ...)
{
	char text[LINE_MAX_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clear_progress(a);
	if (!cli_json(a->cli))
		cli_note(a->cli, "note: %s", text);
	if (a->notes.len)
		buf_addch(&a->notes, ',');
	jtext_add_string(&a->notes, span_of(text));
}

/* --- the end --- */

static size_t
count_findings(const struct ledger_sums *s)
{
	size_t n = 0;

	for (int k = 0; k < LEDGER_KINDS; k++)
		n += k == LEDGER_GONE ? 0 : s->found[k];
	return n;
}

static void
json_summary(const struct audit *a, const struct ledger_sums *s, struct buf *out)
{
	buf_addf(out, "{\"summary\":{\"clean\":%s,\"findings\":%zu",
		 count_findings(s) ? "false" : "true", count_findings(s));
	buf_addf(out, ",\"commands\":%zu,\"finalEvents\":%zu,\"results\":%zu,\"deadLetters\":%zu"
		 ",\"largeOutputs\":%zu,\"eventsOfGoneCommands\":%zu", s->commands, s->events,
		 s->results, s->dead_letters, s->outputs, s->of_gone_commands);
	if (s->oldest_pending_ms >= 0)
		buf_addf(out, ",\"oldestPendingMs\":%" PRId64,
			 clock_wall_ms() - s->oldest_pending_ms);
	else
		buf_adds(out, ",\"oldestPendingMs\":null");
	buf_adds(out, ",\"kinds\":{");
	for (int k = 0; k < LEDGER_KINDS; k++)
		buf_addf(out, "%s\"%s\":%zu", k ? "," : "",
			 ledger_kind_name((enum ledger_kind)k), s->found[k]);
	buf_addf(out, "},\"ledgerBytes\":%zu,\"ranges\":[", s->bytes);
	for (int32_t p = 0, n = 0; p < a->n_parts; p++)
		if (a->parts[p].first >= 0)
			buf_addf(out, "%s{\"partition\":%d,\"first\":%" PRId64 ",\"last\":%" PRId64
				 "}", n++ ? "," : "", p, a->parts[p].first, a->parts[p].last - 1);
	buf_adds(out, "],\"notes\":[");
	buf_addspan(out, buf_span(&a->notes));
	buf_adds(out, "]}}\n");
}

static void
text_summary(const struct ledger_sums *s, struct buf *out)
{
	size_t n = count_findings(s);

	if (!n)
		buf_addf(out, "clean: %zu commands, each with exactly one final event",
			 s->commands - s->found[LEDGER_GONE]);
	else
		buf_addf(out, "%zu finding%s in %zu commands:", n, n == 1 ? "" : "s", s->commands);
	for (int k = 0, first = 1; n && k < LEDGER_KINDS; k++) {
		if (!s->found[k] || k == LEDGER_GONE)
			continue;
		buf_addf(out, "%s %zu %s", first ? "" : ",", s->found[k],
			 ledger_kind_name((enum ledger_kind)k));
		first = 0;
		if (k == LEDGER_PENDING) {
			buf_adds(out, " (the oldest");
			add_age(out, s->oldest_pending_ms);
			buf_addch(out, ')');
		}
	}
	buf_addf(out, "; %zu results, %zu dead letters, %zu large outputs\n", s->results,
		 s->dead_letters, s->outputs);
}

static int
conclude(struct audit *a)
{
	struct buf out = BUF_INIT;
	struct ledger_sums s;

	ledger_end(a->ledger);
	ledger_sum(a->ledger, &s);
	if (s.of_gone_commands)
		audit_verify_note(a, "%zu final events are of commands that are no longer in the "
				  "log", s.of_gone_commands);
	if (s.found[LEDGER_GONE])
		audit_verify_note(a, "%zu cannot be checked any more", s.found[LEDGER_GONE]);
	clear_progress(a);
	cli_table_end(a->table);
	a->table = NULL;
	if (cli_json(a->cli))
		json_summary(a, &s, &out);
	else
		text_summary(&s, &out);
	out.failed |= a->notes.failed;
	cli_write_buf(a->cli, &out);
	buf_release(&out);
	return count_findings(&s) ? EXIT_FINDINGS : EXIT_DONE;
}

static int
verify_main(struct cli *cli)
{
	struct audit a = { .cli = cli, .earliest = -1, .progress_ms = -1 };
	struct err err = { .code = ERR_NOMEM, .text = "out of memory" };
	int ret = ERR_NOMEM;

	if (read_options(&a, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	if (isatty(STDERR_FILENO) && !cli_has(cli, "quiet"))
		a.progress_ms = clock_mono_ms();
	a.schemas = cli_schemas_new(cli_config(cli), &err);
	a.table = a.schemas ? cli_table_new(cli, columns) : NULL;
	if (a.table)
		ret = audit_scan_run(&a, &err);
	if (ret == 0)
		ret = conclude(&a);
	clear_progress(&a);
	cli_table_end(a.table);
	if (ret < 0)
		ret = cli_fail(cli, &err);
	audit_scan_release(&a);
	cli_schemas_free(a.schemas);
	buf_release(&a.notes);
	return cli_end(cli, ret);
}

static const struct cli_option options[] = {
	{ .name = "from", .value = "PLACE",
	  .help = "Commands from: beginning (default), a time, or a duration: that long ago" },
	{ .name = "to", .value = "PLACE", .help = "As --from, exclusive; end (default) is now" },
	{ .name = "partition", .value = "N", .help = "Only commands of this partition" },
	{ .name = "offsets", .value = "FIRST..LAST",
	  .help = "Of --partition, both included; in place of --from and --to" },
	{ .name = "wait", .value = "DURATION",
	  .help = "So long commands without a final event may still get one" },
	{ .name = "limit", .value = "N",
	  .help = "Show the first N findings only; all are counted" },
	{ .name = NULL },
};

const struct cli_command audit_verify_command = {
	.name = "verify",
	.summary = "Prove that each command record has exactly one final event",
	.options = options,
	.text = "The range is one of command records. Their events are looked for in all\n"
		"result topics and the dead letters, from an hour before the first command (of\n"
		"the range from the beginning: from their beginning) to the last stable offset.\n"
		"Exit 0: proven. Exit 1: findings, one a line, each with its topic, partition,\n"
		"offset and command:\n\n"
		"    gap           no final event, and nobody is at work on the command\n"
		"    pending       no final event yet; --wait lets it come\n"
		"    duplicate     a second final event\n"
		"    orphan        a final event of a record that is not there\n"
		"    wrong-id      a final event that names another command than its record is\n"
		"    wrong-record  a result that this command cannot have\n"
		"    served-twice  two records of one command id have a result\n"
		"    wrong-first   DUPLICATE_COMMAND that names no first one\n"
		"    output        output that is not whole: missing pieces, bytes, SHA-256\n"
		"    unreadable    an event that cannot be read\n\n"
		"\"gone\" is no finding: records below the beginning of a log are not there to\n"
		"be checked. Commands that are running are pending: end the range before them\n"
		"(--to 10min) or wait. Takes about 80 bytes of memory a command.\n\n"
		"    envdriver audit verify --from 24h --wait 1min\n"
		"    envdriver audit verify --partition 3 --offsets 1000..1999 --json\n",
	.run = verify_main,
};
