/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan: the topics on their way into a ledger, in three passes: the commands
 * of the range; where the group stands; the events, from before the first of
 * these commands to the end of the log. In this order the events of all that
 * the group has finished with lie in what is read last. The time of an event is
 * its worker's: before an event counts as missing, those from before that time
 * are read, too.
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

/* A partition of an event topic. */
struct scan_events {
	bool edge;		/* it lost its beginning; no record has shown up to when */
	int64_t first, end;	/* this pass reads what lies between */
};

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
	bool positions_known;		/* the group has committed something */
	int64_t earliest;		/* of the commands' times; -1: there is none */
	struct scan_events *events[TOPIC_COUNT];	/* by partition */
	int32_t n_events[TOPIC_COUNT];
	bool from_beginning;		/* where the events were read from */
	size_t n_read;			/* records of this pass */
};

/* Reads everything into the ledger; blocks. Negative: could not. */
int scan_run(struct scan *s, struct err *reterr);
/* Also after an error. */
void scan_release(struct scan *s);

#endif
