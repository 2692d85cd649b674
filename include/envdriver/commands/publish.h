/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: commands from options: the tables of `envdriver publish`'s
 * subcommands, and the plain JSON that is made from them.
 */
#ifndef ENVDRIVER_COMMANDS_PUBLISH_H
#define ENVDRIVER_COMMANDS_PUBLISH_H

#include "envdriver/base/buf.h"

struct cli;
struct cli_command;
struct err;

/* What an option becomes in the operation (cli_option.kind; its field in
 * cli_option.field). */
enum publish_kind {
	PUBLISH_NONE = 0,	/* none of the operation's fields */
	PUBLISH_TEXT,
	PUBLISH_STDIN,	/* text, or @FILE */
	PUBLISH_PIPE,	/* a switch: what is on standard input */
	PUBLISH_JSON,	/* JSON, or @FILE */
	PUBLISH_LEASE,	/* JSON, @FILE, or the bare id */
	PUBLISH_INT,
	PUBLISH_TRUE,	/* a switch */
	PUBLISH_ENV,	/* K=V again and again; with PUBLISH_SECRET one object */
	PUBLISH_SECRET,	/* K=SECRET-ID again and again */
	PUBLISH_DURATION,	/* in ms */
	PUBLISH_NOW,	/* of the command: the empty ordering key */
	PUBLISH_RERUN,	/* of the command: rerunIfInterrupted */
};

/* Options that every command takes, whatever the operation. */
#define PUBLISH_OPTIONS \
	{ .name = "target", .value = "PLUGIN:DRIVER", .help = "Driver of a named plugin" }, \
	{ .name = "provider", .value = "NAME", .help = "First ready plugin that offers it" }, \
	{ .name = "plugin-id", .value = "ID", .help = "Pin to this plugin's registry id" }, \
	{ .name = "config", .value = "JSON|@FILE", .help = "The driver's config" }, \
	{ .name = "environment", .value = "ID", .help = "Environment" }, \
	{ .name = "company", .value = "ID", .help = "Tenant: its secrets and state" }, \
	{ .name = "issue", .value = "ID", .help = "Work item" }, \
	{ .name = "id", .value = "ID", .help = "Command id; made when not given" }, \
	{ .name = "issued-by", .value = "WHO", .help = "Who asks, for audits" }, \
	{ .name = "ordering-key", .value = "KEY", \
	  .help = "Commands with the same key run one after another; the lease's id when not " \
		  "given, empty: no order" }, \
	{ .name = "expires", .value = "TIME|DURATION", \
	  .help = "Not called any more then, or so much later" }, \
	{ .name = "traceparent", .value = "TEXT", .help = "W3C trace context" }


/* The subcommands: probe, validate, acquire, … */
extern const struct cli_command *const publish_subs[];
/* The operation's record that a subcommand stands for. */
const char *publish_operation(const struct cli_command *sub);
/* Runs one of them (publish.c). */
int publish_one(struct cli *cli);

/* What stands in for options that were not given; ptr NULL: nothing does. */
struct publish_given {
	struct span lease;	/* JSON object: in place of --lease, also when that is there */
	struct span target;	/* JSON object */
	struct span company, environment;
};

/* Appends the command as plain JSON. ERR_INVALID names the option. */
int publish_build(const struct cli *cli, const char *operation, const struct publish_given *given,
		  struct buf *out, struct err *reterr);

#endif
