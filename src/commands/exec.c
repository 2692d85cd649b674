/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: `envdriver exec`: publishes an Execute, shows its output as it comes
 * and exits as the command did.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/exec_output.h"
#include "envdriver/client/lease_facts.h"
#include "envdriver/client/publish_build.h"
#include "envdriver/client/send.h"
#include "envdriver/client/wait.h"
#include "envdriver/commands/commands.h"

enum { STEP_MS = 250, QUIET_MS = 10000, REST_MS = 30000, STREAM_STDOUT = 0, STREAM_STDERR = 1 };

struct exec {
	struct cli *cli;
	struct cli_schemas *known;
	struct schemas *schemas;	/* borrowed from `known` */
	struct send *send;
	struct wait *wait;
	struct lease_facts lease;
	struct exec_output output;
	bool ended;		/* the result is there */
	int64_t total[2];	/* bytes of the whole, once the result is there */
	struct err err;		/* of the delivery */
	bool placed;
};

/* The signal's number; the command itself continues in its lease. */
static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
	interrupted = number;
}

static void
on_exec_placed(void *arg, const char *id, int32_t partition, int64_t offset,
	       const struct err *error)
{
	struct exec *x = arg;

	if (error)
		x->err = *error;
	else
		x->placed = wait_expect(x->wait, partition, offset, id, &x->err) == 0;
	if (x->placed && cli_verbose(x->cli))
		cli_note(x->cli, "published command '%s' to partition %d, offset %lld", id,
			 partition, (long long)offset);
}

static void
show_output(struct exec *x, int stream, struct span text)
{
	if (stream == STREAM_STDOUT) {
		cli_write(x->cli, text);
		return;
	}
	while (text.len) {
		ssize_t n = write(STDERR_FILENO, text.ptr, text.len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text.ptr += n;
			text.len -= (size_t)n;
		}
	}
}

/* LIVE pieces are shown as they come; FINAL ones fill the gaps. */
static void
on_output_record(struct exec *x, const struct record *r)
{
	const char *name = avro_field_get_enum(&r->value, "stream");
	int stream = name && strcmp(name, "STDERR") == 0 ? STREAM_STDERR : STREAM_STDOUT;
	int64_t offset = 0;

	/* The result names the attempt that counts. */
	if (x->ended && !span_is(r->token, x->output.token))
		return;
	if (exec_output_restart(&x->output, r->token))
		cli_note(x->cli, "another worker started the command again");
	(void)avro_field_get_int(&r->value, "byteOffset", &offset);
	show_output(x, stream,
		    exec_output_take(&x->output, stream, offset,
				     avro_field_get_span(&r->value, "text")));
}

static int
report_failure(struct exec *x, const struct record *r)
{
	cli_complain(x->cli, "%.*s", SPAN_FMT(buf_span(&r->summary)));
	return exec_output_failure_code(r->status, buf_span(&r->summary));
}

/* A plugin's limit ended the command: whatever its exit code says, it is no success. */
static bool
is_cut(const struct exec *x, const struct record *r)
{
	int64_t limit = 0;

	if (!exec_output_is_cut(avro_field_get_span(&r->value, "metadata"), &limit))
		return false;
	if (limit > 0)
		cli_complain(x->cli, "the command was ended at the plugin's output limit of %lld "
			     "bytes; what came after it is missing", (long long)limit);
	else
		cli_complain(x->cli, "the plugin cut the command's output");
	return true;
}

/* Shows the rest of the output that the result holds; returns the exit code. */
static int
on_result(struct exec *x, const struct record *r)
{
	int64_t code = 0;
	bool timed_out = false, has_code;
	int ret;

	x->ended = true;
	if (!wait_succeeded(r))
		return report_failure(x, r);
	if (r->token.ptr && exec_output_restart(&x->output, r->token))
		cli_note(x->cli, "the output so far came from an abandoned attempt");
	show_output(x, STREAM_STDOUT,
		    exec_output_take(&x->output, STREAM_STDOUT, 0,
				     avro_field_get_span(&r->value, "stdout")));
	show_output(x, STREAM_STDERR,
		    exec_output_take(&x->output, STREAM_STDERR, 0,
				     avro_field_get_span(&r->value, "stderr")));
	(void)avro_field_get_int(&r->value, "stdoutBytes", &x->total[STREAM_STDOUT]);
	(void)avro_field_get_int(&r->value, "stderrBytes", &x->total[STREAM_STDERR]);
	(void)avro_field_get_bool(&r->value, "timedOut", &timed_out);
	has_code = avro_field_get_int(&r->value, "exitCode", &code);
	ret = exec_output_code(timed_out, has_code, code, avro_field_get_span(&r->value, "signal"));
	if (timed_out)
		cli_note(x->cli, "the command exceeded its time limit");
	if (ret < 0) {
		cli_complain(x->cli, "the command ended without an exit code");
		ret = EXIT_EXEC_FAILED;
	}
	return is_cut(x, r) ? EXIT_EXEC_CUT : ret;
}

static bool
is_complete(const struct exec *x)
{
	return x->output.shown[STREAM_STDOUT] >= x->total[STREAM_STDOUT] &&
	       x->output.shown[STREAM_STDERR] >= x->total[STREAM_STDERR];
}

/* Follows the command to its end. Returns the exit code, or a negative error. */
static int
follow_command(struct exec *x, int64_t patience_ms, struct err *reterr)
{
	int64_t start = clock_mono_ms(), end = 0;
	int code = -1, rc;
	bool quiet = true, final;
	struct record r;

	while (code < 0 || !is_complete(x)) {
		int64_t now = clock_mono_ms();

		if (interrupted) {
			cli_note(x->cli, "interrupted; the command continues in its lease");
			return EXIT_SIGNAL + interrupted;
		}
		if (code < 0 && patience_ms && now - start > patience_ms)
			return err_set(reterr, ERR_TIMEOUT, "no result within --wait; the command "
				       "is published and continues");
		if (code >= 0 && now - end > REST_MS)
			return err_set(reterr, ERR_TIMEOUT, "the rest of the output is missing: "
				       "%lld of %lld bytes of standard output, %lld of %lld of "
				       "standard error", (long long)x->output.shown[0],
				       (long long)x->total[0], (long long)x->output.shown[1],
				       (long long)x->total[1]);
		if (quiet && now - start > QUIET_MS) {
			cli_note(x->cli, "no sign of the command yet; is a worker running?");
			quiet = false;
		}
		rc = wait_next(x->wait, STEP_MS, &r, &final, reterr);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		quiet = false;
		end = clock_mono_ms();	/* as long as something comes */
		if (final)
			code = on_result(x, &r);
		else
			on_output_record(x, &r);
		record_release(&r);
	}
	return code;
}

/* Live output needs a company: without one, requests have no invocation id. */
#define DEFAULT_COMPANY "envdriver-exec"

/* With --target or --provider, the lease's events tell the company alone. */
static int
find_company(struct exec *x, struct publish_given *given, struct err *reterr)
{
	const char *id = cli_flag(x->cli, "lease");
	int ret = 0;

	if (!cli_flag(x->cli, "company") && id[0] != '{' && id[0] != '@')
		ret = lease_facts_find(cli_config(x->cli), x->schemas, id, &x->lease, reterr);
	given->company = x->lease.company.len ? buf_span(&x->lease.company)
					      : SPAN_LIT(DEFAULT_COMPANY);
	return ret;
}

/* Without --target and --provider the lease's own events tell. */
static int
find_lease(struct exec *x, struct publish_given *given, struct err *reterr)
{
	const char *id = cli_flag(x->cli, "lease");
	int ret;

	if (cli_flag(x->cli, "target") || cli_flag(x->cli, "provider"))
		return find_company(x, given, reterr);
	if (id[0] == '{' || id[0] == '@')
		return err_set(reterr, ERR_INVALID, "--lease in JSON needs --target or --provider");
	ret = lease_facts_find(cli_config(x->cli), x->schemas, id, &x->lease, reterr);
	if (ret < 0)
		return ret;
	if (!x->lease.target.len)
		return err_set(reterr, ERR_NOTFOUND,
			       "no event of lease '%.100s' is recorded; add --target PLUGIN:DRIVER "
			       "or --provider NAME", id);
	if (x->lease.gone)
		cli_note(x->cli, "lease '%.100s' was destroyed or lost; trying anyway", id);
	given->lease = buf_span(&x->lease.lease);
	given->target = buf_span(&x->lease.target);
	given->company = x->lease.company.len ? buf_span(&x->lease.company)
					      : SPAN_LIT(DEFAULT_COMPANY);
	given->environment = buf_span(&x->lease.environment);
	return 0;
}

static int
start_command(struct exec *x, struct span json, struct err *reterr)
{
	bool topics[TOPIC_COUNT] = { [TOPIC_EXECUTION_RESULTS] = true,
				     [TOPIC_EXECUTION_LOGS] = true };
	struct send_command command = SEND_COMMAND_INIT;
	int ret;

	x->send = send_new(cli_config(x->cli), x->schemas, on_exec_placed, x, reterr);
	if (!x->send)
		return ERR_UNAVAILABLE;
	ret = send_encode(x->send, json, false, &command, reterr);
	if (ret < 0)
		goto out;
	ret = ERR_UNAVAILABLE;
	x->wait = wait_new(cli_config(x->cli), x->schemas, topics, reterr);
	if (!x->wait)
		goto out;
	ret = send_put(x->send, &command, reterr);
	if (ret == 0)
		ret = send_flush(x->send, reterr);
	if (ret == 0 && !x->placed) {
		*reterr = x->err;
		ret = x->err.code;
	}
out:
	send_command_release(&command);
	return ret;
}

/* Returns the exit code, or a negative error. */
static int
run_exec(struct exec *x, struct err *reterr)
{
	struct publish_given given = { SPAN_NULL, SPAN_NULL, SPAN_NULL, SPAN_NULL };
	struct buf json = BUF_INIT;
	int64_t patience = 0;
	int ret = cli_duration(x->cli, "wait", &patience, reterr);

	if (ret < 0)
		return ret;
	x->known = cli_schemas_new(cli_config(x->cli), reterr);
	x->schemas = cli_schemas_get(x->known);
	if (!x->schemas)
		return ERR_NOMEM;
	ret = find_lease(x, &given, reterr);
	if (ret < 0)
		return ret;
	ret = publish_build(x->cli, "Execute", &given, &json, reterr);
	if (ret == 0)
		ret = start_command(x, buf_span(&json), reterr);
	buf_release(&json);
	return ret < 0 ? ret : follow_command(x, patience, reterr);
}

static int
exec_main(struct cli *cli)
{
	struct exec x = { .cli = cli, .lease = LEASE_FACTS_INIT };
	struct sigaction action = { .sa_handler = on_interrupt };
	struct err err = { 0 };
	int ret;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ret = run_exec(&x, &err);
	if (ret == ERR_INVALID) {
		ret = cli_misuse(cli, "%s", err.text);
	} else if (ret < 0) {
		cli_complain(cli, "%s", err.text);
		ret = EXIT_EXEC_FAILED;
	}
	ret = cli_end(cli, ret);
	send_free(x.send);
	wait_free(x.wait);
	cli_schemas_free(x.known);
	lease_facts_release(&x.lease);
	return ret;
}

static const struct cli_option options[] = {
	{ .name = "lease", .value = "ID|JSON|@FILE", .field = "lease", .kind = PUBLISH_LEASE,
	  .help = "Lease to run the command in", .required = true },
	{ .name = "cwd", .value = "FOLDER", .field = "cwd", .kind = PUBLISH_TEXT,
	  .help = "Working folder" },
	{ .name = "env", .letter = 'e', .value = "NAME=VALUE", .many = true, .field = "env",
	  .kind = PUBLISH_ENV, .help = "Environment variable" },
	{ .name = "env-secret", .value = "NAME=SECRET-ID", .many = true, .field = "env",
	  .kind = PUBLISH_SECRET, .help = "Environment variable whose value is a secret" },
	{ .name = "timeout", .value = "DURATION", .field = "timeoutMs", .kind = PUBLISH_DURATION,
	  .help = "Time limit of the command; after it the command is ended, exit 124" },
	{ .name = "stdin", .field = "stdin", .kind = PUBLISH_PIPE,
	  .help = "Send standard input to the command; it is read to its end first" },
	{ .name = "wait", .value = "DURATION",
	  .help = "Longest wait for the result (default: no limit)" },
	{ .name = "bypass-session", .field = "bypassSession", .kind = PUBLISH_TRUE,
	  .help = "Run outside the lease's session" },
	{ .name = "rerun-if-interrupted", .kind = PUBLISH_RERUN,
	  .help = "Allow another call after a crash in the middle" },
	PUBLISH_OPTIONS,
	{ .name = NULL },
};

const struct cli_command exec_command = {
	.name = "exec",
	.summary = "Run a command in a lease as if it ran here",
	.args = "[--] COMMAND [ARG...]",
	.min_args = 1,
	.max_args = -1,
	.passes_on = true,
	.options = options,
	.text = "Shows the output while the command runs and exits with its exit code: 128 + n\n"
		"for signal n, 122 if it was interrupted and may or may not have run, 123 if\n"
		"the plugin's limit cut its output, 124 if it exceeded --timeout, 125 if\n"
		"envdriver, the plugin or Kafka failed (see standard error), 126 if the program\n"
		"is not executable, 127 if it was not found. Without --target and --provider,\n"
		"the recorded events of the lease tell which plugin serves it. Without\n"
		"--company, they tell the company; where they name none, it is\n"
		"\"envdriver-exec\", as live output needs one.\n\n"
		"    envdriver exec --lease L -- make test\n"
		"    envdriver exec --lease L --timeout 5min -e CI=1 -- sh -c 'echo $CI'\n"
		"    tar c src | base64 | envdriver exec --lease L --stdin -- sh -c 'base64 -d "
		"| tar x'\n",
	.run = exec_main,
};
