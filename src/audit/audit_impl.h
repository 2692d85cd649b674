/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of audit share: audit_verify is the command and what it
 * prints, audit_scan reads the topics, audit_read takes one record apart.
 */
#ifndef ENVDRIVER_AUDIT_AUDIT_IMPL_H
#define ENVDRIVER_AUDIT_AUDIT_IMPL_H

#include "ledger.h"
#include "envdriver/client/reader.h"

struct cli;
struct cli_command;
struct cli_schemas;
struct cli_table;
struct err;

extern const struct cli_command audit_verify_command;

/* Which commands, and for how long late events are waited for. */
struct audit_range {
	struct reader_place from, to;
	int32_t partition;	/* -1: all */
	int64_t wait_ms;
};

struct audit {
	struct cli *cli;
	struct audit_range range;
	int64_t limit;			/* rows shown; 0: all */
	struct cli_schemas *schemas;
	struct reader *reader;		/* of the pass that runs */
	struct ledger *ledger;
	struct reader_range *parts;	/* of the command topic */
	int32_t n_parts;
	bool timeless;			/* a command has no time */
	int64_t earliest;		/* of the commands' times; -1: there is none */
	/* Partitions that lost their beginning, until a record shows up to
	 * when; by topic and partition. */
	bool *edges[TOPIC_COUNT];
	const char *step;		/* for the progress line */
	size_t records;			/* read in this step */
	struct cli_table *table;
	int64_t shown, progress_ms;
	bool progress;			/* a line of it stands on the terminal */
	struct buf notes;		/* JSON strings, "," between */
};

/* The ledger's callback. */
void audit_verify_found(void *arg, const struct ledger_finding *f);
/* What is no finding, and should be known. */
void audit_verify_note(struct audit *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Called often; shows now and then how far it is. */
void audit_verify_progress(struct audit *a);

/* Reads everything into the ledger. Negative: could not. */
int audit_scan_run(struct audit *a, struct err *reterr);
void audit_scan_release(struct audit *a);

/* One record into the ledger. Negative when out of memory, or when the log or
 * the schema registry could not be asked. */
int audit_read_command(struct audit *a, const struct reader_record *raw, struct err *reterr);
int audit_read_event(struct audit *a, const struct reader_record *raw, struct err *reterr);

#endif
