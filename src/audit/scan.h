/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: the topics on their way into a ledger, in three passes: the commands
 * of the range; where the group stands; the events, from before the first of
 * these commands to the end of the log. In this order the events of all that
 * the group has finished with lie in what is read last.
 *
 * Owns the ledger and the Kafka client of the pass that runs. Knows nothing
 * of what is printed: it hands findings, notes and progress to the report.
 */
#ifndef ENVDRIVER_AUDIT_SCAN_H
#define ENVDRIVER_AUDIT_SCAN_H

#include "audit_read.h"
#include "envdriver/kafka/topic.h"

struct audit_options;
struct config;
struct err;
struct report;

/* { .config, .options, .report, .read.schemas, .earliest = -1 } is one that
 * has not run; these are borrowed. */
struct scan {
	const struct config *config;
	const struct audit_options *options;
	struct report *report;
	struct audit_read read;
	struct reader_range *parts;	/* of the command topic; first -1: not verified */
	int32_t n_parts;
	bool timeless;			/* a command has no time */
	int64_t earliest;		/* of the commands' times; -1: there is none */
	/* Partitions that lost their beginning, until a record shows up to
	 * when; by topic and partition. */
	bool *edges[TOPIC_COUNT];
	size_t n_read;			/* records of this pass */
};

/* Reads everything into the ledger; blocks. Negative: could not. */
int scan_run(struct scan *s, struct err *reterr);
/* Also after an error. */
void scan_release(struct scan *s);

#endif
