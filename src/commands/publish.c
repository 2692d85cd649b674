/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

enum { STEP_MS = 1000, DEFAULT_WAIT_MS = 5 * 60 * 1000, PROGRESS_MS = 10000 };

struct publish {
	struct cli *cli;
	bool waiting;
	int64_t timeout_ms;
	struct cli_schemas *known;
	struct schemas *schemas;	/* of known */
	struct send *send;
	struct wait *wait;
	struct cli_table *table;	/* of what was published; NULL with --wait */
	size_t placed;
	bool failed;
	struct err err;			/* the first failure of a delivery */
};

static const struct cli_column columns[] = {
	{ "commandId", CLI_TEXT, 36 },
	{ "topic", CLI_TEXT, 20 },
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
		if (!p->failed)
			p->err = *error;
		p->failed = true;
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
	return cli_duration(p->cli, "timeout", &p->timeout_ms, reterr);
}

/* Shows the results; an exit code, or a negative error. */
static int
await(struct publish *p, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + p->timeout_ms;
	struct record_list *list = record_list_new(p->cli, false);
	int ret = EXIT_DONE, rc = 0;

	while (wait_pending(p->wait) > 0) {
		int64_t left = deadline - clock_mono_ms();
		struct record r;
		bool final;

		if (left <= 0) {
			rc = err_set(reterr, ERR_TIMEOUT,
				     "no result of '%s' within --timeout (%zu of %zu missing); "
				     "it is published and will be processed: envdriver watch "
				     "--from 1h --command '%s'", wait_some(p->wait),
				     wait_pending(p->wait), p->placed, wait_some(p->wait));
			break;
		}
		rc = wait_next(p->wait, left < STEP_MS ? (int)left : STEP_MS, &r, &final, reterr);
		if (rc < 0)
			break;
		if (rc == 0)
			continue;
		record_list_add(list, &r);
		if (!wait_succeeded(&r))
			ret = EXIT_FINDINGS;
		record_release(&r);
	}
	record_list_end(list);
	return rc < 0 ? rc : ret;
}

static int
finish_publish(struct publish *p, struct err *reterr)
{
	int ret = send_flush(p->send, reterr);

	if (ret < 0)
		return ret;
	if (p->wait) {
		ret = await(p, reterr);
		if (ret < 0)
			return ret;
	}
	if (p->failed && reterr)
		*reterr = p->err;
	return p->failed ? p->err.code : ret;
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
	const struct publish_given nothing = { SPAN_NULL, SPAN_NULL, SPAN_NULL, SPAN_NULL };
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
		ret = send_put(p->send, command, reterr);
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
	if (ret == ERR_INVALID) {
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

/* One line of --file; without `put` it is only checked. */
static int
publish_line(struct publish *p, struct send *send, bool put, char *line, size_t len,
	     struct err *reterr)
{
	struct send_command command = SEND_COMMAND_INIT;
	int ret;

	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	if (len == 0)
		return 0;
	ret = send_encode(send, (struct span){ line, len }, cli_has(p->cli, "new-ids"), &command,
			  reterr);
	if (ret == 0 && put)
		ret = send_put(send, &command, reterr);
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
	if (ret < 0)
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
	struct publish p = { .cli = cli };
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
