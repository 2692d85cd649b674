/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: `envdriver exec`: an Execute made from the options and from what is
 * recorded of its lease. exec_follow publishes it and shows its output.
 */
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/lease_facts.h"
#include "envdriver/client/publish_build.h"
#include "envdriver/commands/commands.h"
#include "exec_follow.h"

/* Longer than any time limit of a provider that we know, and its queue. */
enum { DEFAULT_WAIT_MS = 24 * 60 * 60 * 1000, LEASE_MAX = 1024 * 1024 };

/* Live output needs a company: without one, requests have no invocation id. */
#define DEFAULT_COMPANY "envdriver-exec"

/* The lease as --lease has it. */
struct named_lease {
	struct buf json;	/* what the user wrote; empty: a bare id */
	struct buf id;		/* empty: the JSON names none */
	bool has_metadata;
};

static int
read_lease_option(const struct cli *cli, struct named_lease *ret, struct err *reterr)
{
	const char *value = cli_flag(cli, "lease");
	struct jtext lease, id;
	int rc = 0;

	if (value[0] != '{' && value[0] != '@') {
		buf_adds(&ret->id, value);
		return ret->id.failed ? err_nomem(reterr) : 0;
	}
	if (value[0] == '@')
		rc = cli_read(value + 1, LEASE_MAX, &ret->json, reterr);
	else
		buf_adds(&ret->json, value);
	if (rc == 0)
		rc = jtext_check(buf_span(&ret->json), JTEXT_DEPTH_MAX, &lease, reterr);
	if (rc < 0) {
		err_prefix(reterr, "--lease");
		return rc;
	}
	id = jtext_get(lease, "providerLeaseId");
	if (id.kind == JTEXT_STRING)
		jtext_decode(id, &ret->id, NULL);
	ret->has_metadata = jtext_get(lease, "metadata").kind != JTEXT_MISSING;
	return ret->json.failed || ret->id.failed ? err_nomem(reterr) : 0;
}

static void
release_named_lease(struct named_lease *l)
{
	buf_release(&l->json);
	buf_release(&l->id);
}

static struct span
text_or_null(const struct buf *text)
{
	return text->len ? buf_span(text) : SPAN_NULL;
}

/* What the options leave open, the lease's events tell. */
static int
take_facts(const struct cli *cli, const char *id, bool aimed, const struct lease_facts *facts,
	   struct publish_given *given, struct err *reterr)
{
	if (!facts->target.len && !aimed)
		return err_set(reterr, ERR_NOTFOUND,
			       "no event of lease '%.100s' is recorded; add --target PLUGIN:DRIVER "
			       "or --provider NAME", id);
	if (facts->gone)
		cli_note(cli, "lease '%.100s' was destroyed or lost; trying anyway", id);
	if (facts->no_config && !cli_has(cli, "config"))
		return err_set(reterr, ERR_NOTFOUND,
			       "the config of lease '%.100s' is not known: its command at %s is "
			       "gone or cannot be read; add --config JSON", id, facts->place.data);
	if (!given->lease.ptr)
		given->lease = text_or_null(&facts->lease);
	given->target = text_or_null(&facts->target);
	given->environment = text_or_null(&facts->environment);
	given->config = text_or_null(&facts->config);
	if (facts->company.len)
		given->company = buf_span(&facts->company);
	return 0;
}

/* Looks the lease up, unless the options say all that its events could. */
static int
complete_from_lease(const struct cli *cli, const struct schemas *schemas,
		    const struct named_lease *named, struct lease_facts *facts,
		    struct publish_given *given, struct err *reterr)
{
	bool aimed = cli_has(cli, "target") || cli_has(cli, "provider");
	const char *id = named->id.data;
	int ret;

	given->company = SPAN_LIT(DEFAULT_COMPANY);
	if (named->json.len && (named->has_metadata || !named->id.len))
		given->lease = buf_span(&named->json);
	if (!named->id.len)
		return aimed ? 0 : err_set(reterr, ERR_INVALID,
					   "--lease: the object has no providerLeaseId");
	if (aimed && named->has_metadata && cli_has(cli, "company") && cli_has(cli, "config"))
		return 0;
	ret = lease_facts_find(cli_config(cli), schemas, id, !cli_has(cli, "config"), facts,
			       reterr);
	if (ret == 0)
		ret = take_facts(cli, id, aimed, facts, given, reterr);
	if (ret == 0 && !given->lease.ptr && named->json.len)
		given->lease = buf_span(&named->json);
	return ret;
}

static int
read_on_interrupt(struct exec *x, struct err *reterr)
{
	const char *what = cli_flag(x->cli, "on-interrupt");

	x->cancels = what && strcmp(what, "cancel") == 0;
	if (!what || x->cancels || strcmp(what, "leave") == 0)
		return 0;
	return err_set(reterr, ERR_INVALID, "--on-interrupt: '%.64s' is neither cancel nor leave",
		       what);
}

/* Returns the exit code, or a negative error. */
static int
run_exec(struct exec *x, const struct named_lease *named, struct err *reterr)
{
	struct publish_given given = { .config = SPAN_NULL };
	struct lease_facts facts = LEASE_FACTS_INIT;
	struct buf json = BUF_INIT;
	int ret = complete_from_lease(x->cli, x->schemas, named, &facts, &given, reterr);

	if (ret == 0)
		ret = publish_build(x->cli, "Execute", &given, &json, reterr);
	x->json = buf_span(&json);
	if (ret == 0)
		ret = exec_follow(x, reterr);
	buf_release(&json);
	lease_facts_release(&facts);
	return ret;
}

static int
exec_main(struct cli *cli)
{
	struct exec x = { .cli = cli, .show = { .cli = cli }, .patience_ms = DEFAULT_WAIT_MS };
	struct named_lease named = { .has_metadata = false };
	struct cli_schemas *known = NULL;
	struct err err = { 0 };
	int ret = cli_duration(cli, "wait", &x.patience_ms, &err);

	if (ret == 0)
		ret = read_on_interrupt(&x, &err);
	if (ret == 0)
		ret = read_lease_option(cli, &named, &err);
	if (ret == 0) {
		known = cli_schemas_new(cli_config(cli), &err);
		x.schemas = cli_schemas_get(known);
		ret = x.schemas ? run_exec(&x, &named, &err) : ERR_NOMEM;
	}
	if (ret == ERR_INVALID) {
		ret = cli_misuse(cli, "%s", err.text);
	} else if (ret < 0) {
		cli_complain(cli, "%s", err.text);
		ret = EXIT_EXEC_FAILED;
	}
	ret = cli_end(cli, ret);
	exec_release(&x);
	release_named_lease(&named);
	cli_schemas_free(known);
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
	  .help = "Time limit of the command, after which it is ended, exit 124 (default: the "
		  "plugin's own)" },
	{ .name = "stdin", .field = "stdin", .kind = PUBLISH_PIPE,
	  .help = "Send standard input to the command; it is read to its end first" },
	{ .name = "wait", .value = "DURATION",
	  .help = "Longest wait for the result (default: 24h); then exit 125" },
	{ .name = "on-interrupt", .value = "cancel|leave",
	  .help = "After Ctrl-C: stop the command by releasing its lease with cancelActiveWork, or "
		  "leave it running (default)" },
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
		"is not executable, 127 if it was not found.\n"
		"What the options leave open (plugin, company, environment, config, the lease's\n"
		"metadata), the records of the lease tell. Where they name no company, it is\n"
		"\"envdriver-exec\", as live output needs one.\n"
		"While nothing is seen of the command, a line says whether it waits behind\n"
		"another one of its lease, or for a worker.\n"
		"Ctrl-C leaves the command running and says how to stop it. With --on-interrupt\n"
		"cancel it stops it, by a release of the lease with cancelActiveWork (some\n"
		"providers end the lease with that), and waits for that up to 30 s; a second\n"
		"Ctrl-C ends at once. The same counts when nobody reads the output any more.\n\n"
		"    envdriver exec --lease L -- make test\n"
		"    envdriver exec --lease L --timeout 5min -e CI=1 -- sh -c 'echo $CI'\n"
		"    tar c src | base64 | envdriver exec --lease L --stdin -- sh -c 'base64 -d "
		"| tar x'\n",
	.run = exec_main,
};
