/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_filter: the options that choose records, by what they say of
 * themselves.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_CLIENT_RECORD_FILTER_H
#define ENVDRIVER_CLIENT_RECORD_FILTER_H

#include <stdbool.h>

struct cli;
struct err;
struct record;

/* Those options, and --envelope: for the option tables of commands. */
#define RECORD_OPTIONS \
	{ .name = "command", .value = "ID", .help = "Records of this command" }, \
	{ .name = "lease", .value = "ID", .help = "Records of this lease" }, \
	{ .name = "environment", .value = "ID", .help = "Records of this environment" }, \
	{ .name = "company", .value = "ID", .help = "Records of this company" }, \
	{ .name = "operation", .value = "NAME,...", .many = true, \
	  .help = "Records of these operations, e.g. Execute" }, \
	{ .name = "status", .value = "STATUS,...", .many = true, \
	  .help = "Outcomes: SUCCEEDED, FAILED, INTERRUPTED, EXPIRED, DEAD_LETTER, or error " \
		  "codes" }, \
	{ .name = "envelope", .help = "In JSON, add topic, partition, offset, time and key" }

/* ERR_INVALID: a value that no record can have; names the nearest right one. */
int record_filter_check(const struct cli *cli, struct err *reterr);
/* Whether the record passes them. */
bool record_wanted(const struct record *r, const struct cli *cli);

#endif
