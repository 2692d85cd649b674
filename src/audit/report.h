/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: what an audit prints: findings as they come, notes, a line of
 * progress on a terminal, and the summary.
 *
 * Owns the table and the notes. Knows nothing of how findings are made.
 */
#ifndef ENVDRIVER_AUDIT_REPORT_H
#define ENVDRIVER_AUDIT_REPORT_H

#include "ledger.h"

struct cli;
struct err;
struct report;

/* ERR_INVALID: -o names a column that is not there. */
int report_check(const struct cli *cli, struct err *reterr);
/* Shows `limit` findings; 0: all. NULL when out of memory. */
struct report *report_new(struct cli *cli, int64_t limit);
/* Accepts NULL. */
void report_free(struct report *r);

/* `arg` is the report. */
void report_finding(void *arg, const struct finding *f);
/* Something that is not a finding, but should be known. */
void report_note(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Shown at most twice a second: so many records of `what` were read, and so
 * many commands have no final event. */
void report_progress(struct report *r, size_t records, const char *what, size_t waiting);

/* A range of offsets of a partition that was verified. */
struct report_range {
	int32_t partition;
	int64_t first, last;	/* both included */
};
/* Ends the table and writes the summary. True when it is clean. */
bool report_summary(struct report *r, const struct ledger_sums *sums,
		    const struct report_range *ranges, size_t n_ranges);

#endif
