/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_follow.h"

#include <signal.h>
#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/exec_stop.h"
#include "envdriver/client/pickup.h"
#include "envdriver/client/wait.h"

enum {
	STEP_MS = 250,
	LOOK_MS = 3000,		/* without a sign of it, until we look where it is */
	QUIET_MS = 10000,	/* until we complain */
	REST_MS = 30000,
	STOP_MS = 30000,
};

/* The signal's number; the command itself continues in its lease. */
static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
	interrupted = number;
}

/* A second signal ends the process as usual; one that is ignored stays so. */
static void
catch_interrupts(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = {
		.sa_handler = on_interrupt,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct sigaction old;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

static void
on_exec_placed(void *arg, const char *id, int32_t partition, int64_t offset,
	       const struct err *error)
{
	struct exec *x = arg;

	x->placed = !error && wait_expect(x->wait, partition, offset, id, &x->err) == 0;
	if (error)
		x->err = *error;
	if (x->placed && !x->stop_id[0]) {
		x->partition = partition;
		x->offset = offset;
	}
	if (x->placed && cli_verbose(x->cli))
		cli_note(x->cli, "published command '%s' to partition %d, offset %lld", id,
			 partition, (long long)offset);
}

/* --- what it waits for --- */

/* A silent command that runs gets no alarm; one that nobody has taken does. */
static void
tell_place(struct exec *x, const struct pickup_seen *seen, bool late)
{
	char more[40] = "";
	size_t workers;

	switch (seen->state) {
	case PICKUP_TAKEN:
		x->quiet = false;
		return;
	case PICKUP_BEHIND:
		if (span_is(span_of(x->behind), seen->behind))
			return;
		snprintf(x->behind, sizeof(x->behind), "%s", seen->behind);
		if (seen->between)
			snprintf(more, sizeof(more), ", and behind %zu more", seen->between);
		cli_note(x->cli, "the command waits behind '%s' of %s, which runs%s", x->behind,
			 cli_has(x->cli, "ordering-key") ? "its ordering key" : "the lease",
			 more);
		return;
	case PICKUP_OPEN:
		workers = late ? pickup_workers(x->pickup) : 0;
		if (workers)
			cli_note(x->cli, "no worker has taken the command yet; %zu of the group "
				 "run: does its plugin? see `envdriver plugin list`", workers);
		else if (late)
			cli_note(x->cli, "no worker has taken the command yet, and none of the "
				 "group runs: see `envdriver worker`");
		break;
	case PICKUP_UNKNOWN:
		if (late)
			cli_note(x->cli, "no sign of the command yet, and whether a worker has "
				 "taken it cannot be seen: %s", seen->why);
		break;
	}
	x->told = late;
}

static void
look_for_it(struct exec *x, struct pickup_seen *seen)
{
	if (!x->pickup)
		x->pickup = pickup_new(cli_config(x->cli), x->schemas, x->command.id,
				       buf_span(&x->command.key), x->partition, x->offset);
	*seen = (struct pickup_seen){ .state = PICKUP_UNKNOWN, .why = "out of memory" };
	if (x->pickup)
		pickup_look(x->pickup, seen);
}

static void
look_when_due(struct exec *x, int64_t waited_ms)
{
	struct pickup_seen seen;
	int64_t now = clock_mono_ms();

	if (!x->quiet || x->told || now < x->next_look_ms)
		return;
	look_for_it(x, &seen);
	tell_place(x, &seen, waited_ms >= QUIET_MS);
	x->next_look_ms = clock_mono_ms() + LOOK_MS;
}

/* --- nobody wants to wait any longer --- */

/* What to type: `envdriver publish release ...`, with the same files. */
static void
tell_how_to_stop(struct exec *x)
{
	const char *config = cli_flag(x->cli, "config"), *file;
	struct buf line = BUF_INIT;

	buf_adds(&line, "envdriver publish");
	for (size_t i = 0; (file = cli_flag_at(x->cli, "config-file", i)); i++) {
		buf_adds(&line, " -c ");
		exec_stop_quote(&line, span_of(file));
	}
	buf_addch(&line, ' ');
	exec_stop_words(x->json, config, &line);
	if (!line.failed)
		cli_note(x->cli, "to stop it: %s", line.data);
	buf_release(&line);
}

static void
tell_how_to_watch(struct exec *x)
{
	struct buf id = BUF_INIT;

	exec_stop_quote(&id, span_of(x->command.id));
	if (!id.failed)
		cli_note(x->cli, "to watch it: envdriver watch --results execution,logs --from 1h "
			 "--command %s", id.data);
	buf_release(&id);
}

/* Whether it has begun, or nobody can say. */
static bool
may_run(struct exec *x, const char *why)
{
	struct pickup_seen seen = { .state = PICKUP_TAKEN };

	if (x->quiet)
		look_for_it(x, &seen);
	if (seen.state == PICKUP_BEHIND)
		cli_complain(x->cli, "%s; command '%s' has not begun: it waits behind '%s', and "
			     "will run after that", why, x->command.id, seen.behind);
	else if (seen.state == PICKUP_OPEN)
		cli_complain(x->cli, "%s; command '%s' has not begun: no worker has taken it yet; "
			     "it will run when one does", why, x->command.id);
	return seen.state == PICKUP_TAKEN || seen.state == PICKUP_UNKNOWN;
}

/* Publishes it and waits until it is placed. */
static int
publish_command(struct exec *x, const struct send_command *c, struct err *reterr)
{
	int ret = send_put(x->send, c, reterr);

	if (ret == 0)
		ret = send_flush(x->send, reterr);
	if (ret == 0 && !x->placed) {
		*reterr = x->err;
		ret = x->err.code;
	}
	return ret;
}

/* Publishes the release that ends it. */
static int
stop_command(struct exec *x, const char *why, struct err *reterr)
{
	struct send_command release = SEND_COMMAND_INIT;
	struct buf json = BUF_INIT;
	int ret;

	exec_stop_command(x->json, &json);
	ret = json.failed ? err_nomem(reterr)
			  : send_encode(x->send, buf_span(&json), false, &release, reterr);
	if (ret == 0) {
		snprintf(x->stop_id, sizeof(x->stop_id), "%s", release.id);
		x->stop_ms = clock_mono_ms() + STOP_MS;
		cli_note(x->cli, "%s; the command is being stopped by '%s', a release of its "
			 "lease", why, release.id);
		ret = publish_command(x, &release, reterr);
	}
	send_command_release(&release);
	buf_release(&json);
	return ret;
}

/* The exit code of an end that we chose; not returned to when nobody reads. */
static int
end_unfinished(const struct exec *x)
{
	if (x->show.unread)
		cli_check_reader();
	return EXIT_SIGNAL + (interrupted ? interrupted : SIGPIPE);
}

/* Returns the exit code, or -1 when it goes on until what stops it has ended. */
static int
give_up(struct exec *x, const char *why)
{
	struct err err = { 0 };

	if (may_run(x, why)) {
		if (x->cancels && stop_command(x, why, &err) == 0)
			return -1;
		if (err.code)
			cli_complain(x->cli, "the command cannot be stopped: %s", err.text);
		cli_complain(x->cli, "%s; command '%s' goes on in its lease", why, x->command.id);
		tell_how_to_stop(x);
	}
	tell_how_to_watch(x);
	return end_unfinished(x);
}

/* The release's own end; the execution's comes with it. Returns the exit code
 * when it did not help. */
static int
on_release_ended(struct exec *x, const struct record *r)
{
	if (wait_succeeded(r))
		return -1;
	cli_complain(x->cli, "the command was not stopped: %.*s", SPAN_FMT(buf_span(&r->summary)));
	tell_how_to_watch(x);
	return end_unfinished(x);
}

/* --- the whole --- */

/* The next record; the exit code when it is the end. */
static int
take_record(struct exec *x, const struct record *r, bool final, int64_t *end_ms)
{
	int code;

	if (final && x->stop_id[0] && span_is(r->command_id, x->stop_id))
		return on_release_ended(x, r);
	x->quiet = false;
	*end_ms = clock_mono_ms();	/* as long as something comes */
	if (!final) {
		exec_show_piece(&x->show, r);
		return -1;
	}
	code = exec_show_result(&x->show, r);
	if (!x->stop_id[0])
		return code;
	cli_note(x->cli, "the command has ended");
	return end_unfinished(x);
}

/* An error, or 0, or the exit code at which to end before the result is there. */
static int
check_patience(struct exec *x, int64_t start, struct err *reterr)
{
	int64_t now = clock_mono_ms();
	int code = -1;

	x->show.unread |= cli_reader_is_gone();
	if (x->stop_id[0]) {
		if (now <= x->stop_ms)
			return 0;
		cli_complain(x->cli, "the provider has not confirmed within %d s that command '%s' "
			     "ended", STOP_MS / 1000, x->command.id);
		tell_how_to_watch(x);
		return end_unfinished(x);
	}
	if (interrupted)
		code = give_up(x, "interrupted");
	else if (x->show.unread)
		code = give_up(x, "nobody reads the output any more");
	else if (now - start > x->patience_ms)
		return err_set(reterr, ERR_TIMEOUT, "no result within --wait; the command is "
			       "published and continues: envdriver watch --results "
			       "execution,logs --from 1h --command '%s'", x->command.id);
	else
		look_when_due(x, now - start);
	return code < 0 ? 0 : code;
}

static int
rest_is_missing(const struct exec *x, struct err *reterr)
{
	return err_set(reterr, ERR_TIMEOUT, "the rest of the output is missing: %lld of %lld bytes "
		       "of standard output, %lld of %lld of standard error",
		       (long long)x->show.output.shown[0], (long long)x->show.total[0],
		       (long long)x->show.output.shown[1], (long long)x->show.total[1]);
}

/* Follows the command to its end. Returns the exit code, or a negative error. */
static int
follow_command(struct exec *x, struct err *reterr)
{
	int64_t start = clock_mono_ms(), end = 0;
	int code = -1, rc;
	bool final;
	struct record r;

	x->quiet = true;
	x->next_look_ms = start + LOOK_MS;
	while (code < 0 || !exec_show_complete(&x->show)) {
		rc = code < 0 ? check_patience(x, start, reterr) : 0;
		if (rc)
			return rc;
		if (code >= 0 && interrupted)
			return EXIT_SIGNAL + interrupted;
		if (code >= 0 && clock_mono_ms() - end > REST_MS)
			return rest_is_missing(x, reterr);
		if (code >= 0 && x->show.unread)
			cli_check_reader();
		rc = wait_next(x->wait, STEP_MS, &r, &final, reterr);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		rc = take_record(x, &r, final, &end);
		record_release(&r);
		if (rc >= 0 && !x->show.ended)
			return rc;
		if (rc >= 0)
			code = rc;
	}
	return code;
}

static int
start_command(struct exec *x, struct err *reterr)
{
	bool topics[TOPIC_COUNT] = { [TOPIC_EXECUTION_RESULTS] = true,
				     [TOPIC_EXECUTION_LOGS] = true,
				     [TOPIC_LEASE_RESULTS] = x->cancels };
	int ret;

	x->send = send_new(cli_config(x->cli), x->schemas, on_exec_placed, x, reterr);
	if (!x->send)
		return ERR_UNAVAILABLE;
	ret = send_encode(x->send, x->json, false, &x->command, reterr);
	if (ret < 0)
		return ret;
	x->wait = wait_new(cli_config(x->cli), x->schemas, topics, reterr);
	if (!x->wait)
		return ERR_UNAVAILABLE;
	catch_interrupts();
	send_stop_on(x->send, &interrupted);
	ret = publish_command(x, &x->command, reterr);
	send_stop_on(x->send, NULL);
	return ret;
}

int
exec_follow(struct exec *x, struct err *reterr)
{
	int ret = start_command(x, reterr);

	if (ret < 0 && interrupted) {
		cli_complain(x->cli, "interrupted; command '%s' may be published all the same",
			     x->command.id);
		tell_how_to_watch(x);
		return EXIT_SIGNAL + interrupted;
	}
	return ret < 0 ? ret : follow_command(x, reterr);
}

void
exec_release(struct exec *x)
{
	pickup_free(x->pickup);
	send_command_release(&x->command);
	send_free(x->send);
	wait_free(x->wait);
}
