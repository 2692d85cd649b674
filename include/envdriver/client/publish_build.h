/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish_build: a command in plain JSON, made from options of the command
 * line.
 *
 * Owns the options that every command takes, and the kinds of those that an
 * operation adds. Knows nothing of Kafka and of the command's schema: send
 * checks the result.
 */
#ifndef ENVDRIVER_CLIENT_PUBLISH_BUILD_H
#define ENVDRIVER_CLIENT_PUBLISH_BUILD_H

#include "envdriver/base/buf.h"

struct cli;
struct err;

/* What an option becomes in the operation (cli_option.kind; the name of the
 * field is cli_option.field). */
enum publish_kind {
	PUBLISH_NONE = 0, /* no field of the operation */
	PUBLISH_TEXT,
	PUBLISH_STDIN, /* text, or @FILE */
	PUBLISH_PIPE,  /* a switch: what is on standard input */
	PUBLISH_JSON,  /* JSON, or @FILE */
	PUBLISH_LEASE, /* JSON, @FILE, or the bare id */
	PUBLISH_INT,
	PUBLISH_TRUE,	  /* a switch */
	PUBLISH_ENV,	  /* K=V, repeated; with PUBLISH_SECRET one object */
	PUBLISH_SECRET,	  /* K=SECRET-ID, repeated */
	PUBLISH_DURATION, /* in ms */
	PUBLISH_NOW,	  /* of the command: the empty ordering key */
	PUBLISH_RERUN,	  /* of the command: rerunIfInterrupted */
};

/* The options that every command takes, whatever its operation. */
#define PUBLISH_OPTIONS \
	{ .name = "target", .value = "PLUGIN:DRIVER", .help = "Driver of a named plugin" }, \
	{ .name = "provider", .value = "NAME", \
	  .help = "Sandbox provider: the first ready plugin that offers it" }, \
	{ .name = "plugin-id", .value = "ID", \
	  .help = "Registry id of the only plugin that may serve the command" }, \
	{ .name = "config", .value = "JSON|@FILE", .help = "Config of the driver" }, \
	{ .name = "environment", .value = "ID", .help = "Environment" }, \
	{ .name = "company", .value = "ID", .help = "Company (tenant): its secrets and state" }, \
	{ .name = "issue", .value = "ID", .help = "Work item" }, \
	{ .name = "id", .value = "ID", .help = "Command id (default: a new UUID)" }, \
	{ .name = "issued-by", .value = "NAME", .help = "Requester, for audits" }, \
	{ .name = "ordering-key", .value = "KEY", \
	  .help = "Key of commands that run one after another (default: the lease id; " \
		  "empty: no order)" }, \
	{ .name = "expires", .value = "TIME|DURATION", \
	  .help = "Skip the command if it has not started by this time, or within this " \
		  "duration" }, \
	{ .name = "traceparent", .value = "TEXT", .help = "W3C trace context" }

/* Values for options that were not given; ptr NULL: none. */
struct publish_given {
	struct span lease;  /* JSON object; wins over --lease */
	struct span target; /* JSON object */
	struct span company, environment;
	struct span config; /* JSON object */
};

/* Appends the command of the record `operation` ("Execute"), from the options
 * of the command line and its command's own table. ERR_INVALID names the
 * option. May read files and standard input. */
int publish_build(const struct cli *cli, const char *operation, const struct publish_given *given,
		  struct buf *out, struct err *reterr);

#endif
