/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit: `envdriver audit verify`: its options. What it does is in
 * src/audit.
 */
#include "envdriver/audit/audit.h"

#include "envdriver/base/err.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"
#include "envdriver/commands/commands.h"

static int
read_audit_options(const struct cli *cli, struct audit_options *ret, struct err *reterr)
{
	const char *limit = cli_flag(cli, "limit"), *wait = cli_flag(cli, "wait");
	const char *partition = cli_flag(cli, "partition"), *offsets = cli_flag(cli, "offsets");
	int64_t seconds, n = -1;

	if (audit_check(cli, reterr) < 0)
		return ERR_INVALID;
	if (limit && units_int(limit, &ret->limit, NULL) < 0)
		return err_set(reterr, ERR_INVALID, "--limit: '%.64s' is not a number", limit);
	if (wait && units_int(wait, &seconds, NULL) == 0 && seconds <= INT32_MAX)
		ret->wait_ms = seconds * 1000;
	else if (cli_duration(cli, "wait", &ret->wait_ms, reterr) < 0)
		return ERR_INVALID;
	if (partition && (units_int(partition, &n, NULL) < 0 || n > INT32_MAX))
		return err_set(reterr, ERR_INVALID, "--partition: '%.64s' is not a valid partition",
			       partition);
	ret->partition = (int32_t)n;
	if (offsets && !partition)
		return err_set(reterr, ERR_INVALID, "--offsets needs --partition");
	return reader_parse_range(cli_flag(cli, "from"), cli_flag(cli, "to"), offsets, &ret->from,
				  &ret->to, reterr);
}

static int
verify_main(struct cli *cli)
{
	struct audit_options options = { .limit = 0 };
	struct err err = { 0 };
	int ret = read_audit_options(cli, &options, &err);

	if (ret < 0)
		return cli_misuse(cli, "%s", err.text);
	if (cli_has(cli, "limit") && !options.limit)
		cli_note(cli, "note: --limit 0 is no limit");
	ret = audit_verify(cli, &options, &err);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : ret);
}

static const struct cli_option verify_options[] = {
	{ .name = "from", .value = "PLACE",
	  .help = "First command: beginning (default), a time, or a duration ago" },
	{ .name = "to", .value = "PLACE",
	  .help = "End of the range, exclusive: end (default: now), a time, or a duration ago" },
	{ .name = "partition", .value = "N", .help = "Only commands of this partition" },
	{ .name = "offsets", .value = "FIRST..LAST",
	  .help = "Offsets of --partition, both included; excludes --from and --to" },
	{ .name = "wait", .value = "DURATION",
	  .help = "Time that commands without a final event have to get one" },
	{ .name = "limit", .value = "N", .help = "Largest number of findings shown; all are "
						 "counted" },
	{ .name = NULL },
};

static const struct cli_command verify_command = {
	.name = "verify",
	.summary = "Prove that each command record has exactly one final event",
	.options = verify_options,
	.text = "The range selects command records by their Kafka time, wherever they are in the\n"
		"log. Their events are searched for in all result topics and the dead letters,\n"
		"from an hour before the first command to the last stable offset; if one is\n"
		"missing then, from the beginning.\n"
		"Exit 0: proven. Exit 1: findings, one per line, each with its topic, partition,\n"
		"offset and command:\n\n"
		"    gap           no final event, and nobody is working on the command\n"
		"    pending       no final event yet; --wait gives it time\n"
		"    duplicate     a second final event\n"
		"    orphan        a final event of a record that does not exist\n"
		"    wrong-id      a final event that names another command than its record\n"
		"    wrong-record  a result that this command cannot have\n"
		"    served-twice  two records with the same command id have a result\n"
		"    wrong-first   DUPLICATE_COMMAND that names no earlier command\n"
		"    output        incomplete output: missing pieces, bytes, wrong SHA-256\n"
		"    unreadable    an event that cannot be read\n\n"
		"\"gone\" is not a finding: records below the beginning of a log can no longer be\n"
		"checked. Running commands are pending: end the range before them (--to 10min)\n"
		"or wait. Takes about 80 bytes of memory per command.\n\n"
		"    envdriver audit verify --from 24h --wait 1min\n"
		"    envdriver audit verify --partition 3 --offsets 1000..1999 --json\n",
	.run = verify_main,
};

static const struct cli_command *const subs[] = { &verify_command, NULL };

const struct cli_command audit_command = {
	.name = "audit",
	.summary = "Prove from the records that each command ended exactly once",
	.subs = subs,
};
