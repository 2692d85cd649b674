/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <errno.h>
#include <signal.h>
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
#include "envdriver/client/publish_build.h"
#include "envdriver/client/send.h"
#include "envdriver/client/wait.h"

enum { STEP_MS = 250, DEFAULT_WAIT_MS = 5 * 60 * 1000, NAMED_MAX = 10 };

struct publish {
	struct cli *cli;
	bool waiting;
	int64_t timeout_ms;
	struct cli_schemas *known;
	struct schemas *schemas;	/* of known */
	struct send *send;
	struct wait *wait;
	struct cli_table *table;	/* of what was published; NULL with --wait */
	struct cli_progress progress;
	bool many;			/* of --file: with a summary */
	char last_id[201];		/* of the command last sent */
	size_t sent, placed, ok, not_ok;
	bool failed;
	struct err err;			/* the first failure of a delivery */
};

/* The signal's number; what is published is processed all the same. */
static volatile sig_atomic_t stopped_by;

static void
on_publish_signal(int number)
{
	stopped_by = number;
}

/* The second signal ends the process as usual. */
static void
catch_signals(void)
{
	const struct sigaction action = {
		.sa_handler = on_publish_signal,
		.sa_flags = (int)SA_RESETHAND,
	};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static const struct cli_column columns[] = {
	{ "commandId", CLI_ID, 36 },
	{ "topic", CLI_TAIL, 20 },
	{ "partition", CLI_RAW, 0 },
	{ "offset", CLI_RAW, 0 },
	{ NULL, CLI_TEXT, 0 },
};

static void
on_command_placed(void *arg, const char *id, int32_t partition, int64_t offset,
		  const struct err *error)
{
	struct publish *p = arg;
	char topic[KAFKA_TOPIC_MAX], where[2][24];
	struct span cells[4];

	if (error) {
		/* After a signal it is said once, for all. */
		if (stopped_by)
			return;
		if (!p->failed)
			p->err = *error;
		p->failed = true;
		cli_progress_clear(&p->progress);
		cli_complain(p->cli, "command '%s': %s", id, error->text);
		return;
	}
	p->placed++;
	if (p->wait && wait_expect(p->wait, partition, offset, id, &p->err) < 0)
		p->failed = true;
	kafka_topic(cli_config(p->cli), TOPIC_COMMANDS, topic);
	snprintf(where[0], sizeof(where[0]), "%d", partition);
	snprintf(where[1], sizeof(where[1]), "%lld", (long long)offset);
	cells[0] = span_of(id);
	cells[1] = span_of(topic);
	cells[2] = span_of(where[0]);
	cells[3] = span_of(where[1]);
	if (p->table)
		cli_table_row(p->table, cells);
	else if (cli_verbose(p->cli))
		cli_note(p->cli, "'%s' is at %s [%d] @%lld", id, topic, partition,
			 (long long)offset);
}

/* Connects; from here on no result is missed. */
static int
connect_all(struct publish *p, const bool results[TOPIC_COUNT], struct err *reterr)
{
	p->send = send_new(cli_config(p->cli), p->schemas, on_command_placed, p, reterr);
	if (!p->send)
		return reterr->code;
	send_stop_on(p->send, &stopped_by);
	if (p->waiting && p->many)
		cli_progress_start(&p->progress, p->cli);
	else
		p->progress.next_ms = INT64_MAX;
	if (p->waiting) {
		p->wait = wait_new(cli_config(p->cli), p->schemas, results, reterr);
		if (!p->wait)
			return reterr->code;
	} else {
		p->table = cli_table_new(p->cli, columns);
	}
	return 0;
}

static int
read_wait_options(struct publish *p, struct err *reterr)
{
	p->waiting = cli_has(p->cli, "wait");
	p->timeout_ms = DEFAULT_WAIT_MS;
	if (cli_has(p->cli, "timeout") && !p->waiting)
		return err_set(reterr, ERR_INVALID, "--timeout needs --wait");
	if ((p->waiting ? record_list_check(p->cli, reterr)
			: cli_check_columns(p->cli, columns, reterr)) < 0)
		return ERR_INVALID;
	return cli_duration(p->cli, "timeout", &p->timeout_ms, reterr);
}

/* Names the commands whose results nobody waits for any more. */
static void
name_pending(struct publish *p, const char *why)
{
	size_t n = wait_pending(p->wait);
	struct buf ids = BUF_INIT;

	for (size_t i = 0; i < n && i < NAMED_MAX; i++)
		buf_addf(&ids, "%s'%s'", i ? ", " : "", wait_pending_id(p->wait, i));
	if (n > NAMED_MAX)
		buf_addf(&ids, " and %zu more", n - NAMED_MAX);
	cli_progress_clear(&p->progress);
	cli_complain(p->cli, "%s; published and not ended yet: %s", why, ids.data ? ids.data : "");
	cli_complain(p->cli, "they will be processed: envdriver watch --from 1h --command '%s'",
		     wait_pending_id(p->wait, 0));
	buf_release(&ids);
}

static void
show_progress(struct publish *p)
{
	char done[CLI_NUMBER_MAX], all[CLI_NUMBER_MAX], bad[CLI_NUMBER_MAX];

	if (cli_progress_due(&p->progress))
		cli_progress(&p->progress, "%s of %s have ended, %s of them not ok",
			     cli_number(p->ok + p->not_ok, done), cli_number(p->placed, all),
			     cli_number(p->not_ok, bad));
}

static void
sum_up(struct publish *p)
{
	size_t missing = wait_pending(p->wait);
	char ok[CLI_NUMBER_MAX], bad[CLI_NUMBER_MAX], left[CLI_NUMBER_MAX];

	cli_progress_clear(&p->progress);
	if (p->many && missing)
		cli_note(p->cli, "%s ok, %s failed, %s without a result", cli_number(p->ok, ok),
			 cli_number(p->not_ok, bad), cli_number(missing, left));
	else if (p->many)
		cli_note(p->cli, "%s ok, %s failed", cli_number(p->ok, ok),
			 cli_number(p->not_ok, bad));
}

/* Takes the next result; negative: an error. */
static int
take_result(struct publish *p, struct record_list *list, int64_t left_ms, struct err *reterr)
{
	struct record r;
	bool final, good;
	int rc = wait_next(p->wait, left_ms < STEP_MS ? (int)left_ms : STEP_MS, &r, &final,
			   reterr);

	if (rc <= 0)
		return rc;
	good = wait_succeeded(&r) && !r.says_no;
	p->ok += good;
	p->not_ok += !good;
	if (isatty(STDOUT_FILENO))
		cli_progress_clear(&p->progress);
	record_list_add(list, &r);
	if (r.credential_key.ptr)
		cli_note(p->cli, "its credential can be read once: envdriver credential get '%.*s'",
			 SPAN_FMT(r.credential_key));
	record_release(&r);
	return 0;
}

/* Shows the results; an exit code, or a negative error. */
static int
await(struct publish *p, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + p->timeout_ms;
	struct record_list *list = record_list_new(p->cli, false);
	int rc = 0;

	while (rc == 0 && wait_pending(p->wait) > 0 && !stopped_by) {
		int64_t left = deadline - clock_mono_ms();
		const char *some = wait_pending_id(p->wait, 0);

		if (cli_reader_is_gone())
			break;
		show_progress(p);
		if (left > 0)
			rc = take_result(p, list, left, reterr);
		else
			rc = err_set(reterr, ERR_TIMEOUT,
				     "no result of '%s' within --timeout (%zu of %zu missing); "
				     "it is published and will be processed: envdriver watch "
				     "--from 1h --command '%s'", some, wait_pending(p->wait),
				     p->placed, some);
	}
	record_list_end(list);
	sum_up(p);
	if (rc == 0 && wait_pending(p->wait)) {
		name_pending(p, stopped_by ? "interrupted" : "nobody reads the results");
		cli_check_reader();
	}
	if (stopped_by && wait_pending(p->wait))
		return EXIT_SIGNAL + stopped_by;
	return rc < 0 ? rc : p->not_ok ? EXIT_FINDINGS : EXIT_DONE;
}

/* Interrupted before Kafka has confirmed everything. */
static int
end_unconfirmed(struct publish *p)
{
	cli_progress_clear(&p->progress);
	cli_complain(p->cli, "interrupted; %zu of %zu commands are known to be published, the last "
		     "one sent is '%s' and may be, too", p->placed, p->sent, p->last_id);
	return EXIT_SIGNAL + stopped_by;
}

static int
finish_publish(struct publish *p, struct err *reterr)
{
	int ret = send_flush(p->send, reterr);

	if (ret < 0)
		return ret == ERR_CLOSED ? end_unconfirmed(p) : ret;
	if (p->wait) {
		ret = await(p, reterr);
		if (ret != EXIT_DONE && ret != EXIT_FINDINGS)
			return ret;
	}
	if (p->failed && reterr)
		*reterr = p->err;
	return p->failed ? p->err.code : ret;
}

/* Queues a command, after which a signal no longer ends the process unheard. */
static int
put_command(struct publish *p, const struct send_command *command, struct err *reterr)
{
	int ret;

	if (!p->sent++)
		catch_signals();
	snprintf(p->last_id, sizeof(p->last_id), "%s", command->id);
	ret = send_put(p->send, command, reterr);
	if (p->many && cli_progress_due(&p->progress)) {
		char all[CLI_NUMBER_MAX];

		cli_progress(&p->progress, "%s sent", cli_number(p->sent, all));
	}
	return ret;
}

static int
end_publish(struct publish *p, int ret, const struct err *err)
{
	/* Commands that are placed late still need the table. */
	send_free(p->send);
	cli_table_end(p->table);
	wait_free(p->wait);
	cli_schemas_free(p->known);
	if (ret < 0 && p->failed)
		return cli_end(p->cli, cli_code(&p->err));	/* each was reported */
	return cli_end(p->cli, ret < 0 ? cli_fail(p->cli, err) : ret);
}

/* The command that the options make, checked as a worker would. */
static int
make_command(struct publish *p, struct send_command *ret, struct err *reterr)
{
	const struct publish_given nothing = { .config = SPAN_NULL };
	struct send *checker = NULL;
	struct buf json = BUF_INIT;
	int rc;

	rc = publish_build(p->cli, cli_found(p->cli)->key, &nothing, &json, reterr);
	if (rc < 0)
		goto out;
	rc = ERR_NOMEM;
	p->known = cli_schemas_new(cli_config(p->cli), reterr);
	p->schemas = cli_schemas_get(p->known);
	if (!p->schemas)
		goto out;
	checker = send_new_checker(cli_config(p->cli), p->schemas, reterr);
	if (checker)
		rc = send_encode(checker, buf_span(&json), false, ret, reterr);
out:
	send_free(checker);
	buf_release(&json);
	return rc;
}

static int
publish_command(struct publish *p, const struct send_command *command, struct err *reterr)
{
	bool results[TOPIC_COUNT] = { false };
	int ret;

	results[command->result] = true;
	ret = connect_all(p, results, reterr);
	if (ret == 0)
		ret = put_command(p, command, reterr);
	return ret < 0 ? ret : finish_publish(p, reterr);
}

int
publish_one(struct cli *cli)
{
	struct publish p = { .cli = cli };
	struct send_command command = SEND_COMMAND_INIT;
	struct err err = { 0 };
	int ret = read_wait_options(&p, &err);

	if (ret == 0)
		ret = make_command(&p, &command, &err);
	if (ret == ERR_INVALID || ret == ERR_LIMIT) {
		cli_schemas_free(p.known);
		ret = cli_misuse(cli, "%s", err.text);
	} else {
		if (ret == 0)
			ret = publish_command(&p, &command, &err);
		ret = end_publish(&p, ret, &err);
	}
	send_command_release(&command);
	return ret;
}

/* Of a line with --envelope the command that is its value. */
static int
open_envelope(struct span line, struct span *ret, struct err *reterr)
{
	struct jtext object, record;

	*ret = line;
	/* Most lines are none, and are parsed later anyway. */
	if (!memmem(line.ptr, line.len, "\"record\"", strlen("\"record\"")) ||
	    jtext_check(line, JTEXT_DEPTH_MAX * 2, &object, NULL) < 0 ||
	    object.kind != JTEXT_OBJECT)
		return 0;
	record = jtext_get(object, "record");
	if (jtext_get(object, "topic").kind != JTEXT_STRING ||
	    jtext_get(object, "offset").kind == JTEXT_MISSING || record.kind == JTEXT_MISSING)
		return 0;
	if (record.kind != JTEXT_STRING || !jtext_is(record, "EnvironmentCommand"))
		return err_set(reterr, ERR_INVALID,
			       "a record %.*s, not a command; envdriver replay --topics commands "
			       "has only commands", SPAN_FMT(record.raw));
	*ret = jtext_get(object, "value").raw;
	return 0;
}

/* One line of --file; without `put` it is only checked. */
static int
publish_line(struct publish *p, struct send *send, bool put, char *line, size_t len,
	     struct err *reterr)
{
	struct send_command command = SEND_COMMAND_INIT;
	struct span json;
	int ret;

	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	if (len == 0)
		return 0;
	ret = open_envelope((struct span){ line, len }, &json, reterr);
	if (ret == 0)
		ret = send_encode(send, json, cli_has(p->cli, "new-ids"), &command, reterr);
	if (ret == 0 && put)
		ret = put_command(p, &command, reterr);
	send_command_release(&command);
	return ret;
}

static int
publish_lines(struct publish *p, struct send *send, FILE *f, const char *path, bool put,
	      struct err *reterr)
{
	char *line = NULL;
	size_t size = 0, number = 0;
	ssize_t n;
	int ret = 0;

	while (ret == 0 && (n = getline(&line, &size, f)) >= 0) {
		number++;
		ret = publish_line(p, send, put, line, (size_t)n, reterr);
		if (ret < 0)
			err_prefix(reterr, "%s:%zu", path, number);
	}
	if (ret == 0 && ferror(f))
		ret = err_set(reterr, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
	free(line);
	return ret;
}

/* A regular file is checked as a whole before any of it is published; a pipe is
 * published line by line. */
static int
publish_file(struct publish *p, const char *path, struct err *reterr)
{
	bool standard = strcmp(path, "-") == 0, results[TOPIC_COUNT];
	FILE *f = standard ? stdin : fopen(path, "re");
	struct send *checker = NULL;
	int ret = 0;

	if (!f)
		return err_set(reterr, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
	for (int t = 0; t < TOPIC_COUNT; t++)
		results[t] = t != TOPIC_COMMANDS && t != TOPIC_EXECUTION_LOGS &&
			     t != TOPIC_PLUGIN_EVENTS;
	if (fseek(f, 0, SEEK_SET) == 0) {
		checker = send_new_checker(cli_config(p->cli), p->schemas, reterr);
		ret = checker ? publish_lines(p, checker, f, path, false, reterr) : ERR_NOMEM;
		if (ret < 0)
			goto out;
		rewind(f);
	}
	ret = connect_all(p, results, reterr);
	if (ret < 0)
		goto out;
	ret = publish_lines(p, p->send, f, path, true, reterr);
	if (ret == ERR_CLOSED)
		ret = end_unconfirmed(p);
	else if (ret < 0)
		(void)send_flush(p->send, /* reterr= */ NULL);
	else
		ret = finish_publish(p, reterr);
out:
	send_free(checker);
	if (!standard)
		fclose(f);
	return ret;
}

int
publish_main(struct cli *cli)
{
	const char *path = cli_flag(cli, "file");
	struct publish p = { .cli = cli, .many = true };
	struct err err = { 0 };
	int ret;

	if (!path)
		return cli_misuse(cli, "missing subcommand or --file");
	if (read_wait_options(&p, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	p.known = cli_schemas_new(cli_config(cli), &err);
	p.schemas = cli_schemas_get(p.known);
	ret = p.schemas ? publish_file(&p, path, &err) : ERR_NOMEM;
	return end_publish(&p, ret, &err);
}
