/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit: whether each recorded command has exactly one final event, and all
 * of its output (docs/engine.md, P1 and P5).
 *
 * Reads the topics, compares, and writes findings as they come and a summary
 * at the end. Owns its Kafka clients only while it runs; changes nothing.
 */
#ifndef ENVDRIVER_AUDIT_AUDIT_H
#define ENVDRIVER_AUDIT_AUDIT_H

#include <stdint.h>

#include "envdriver/client/reader.h"

struct cli;
struct err;

/* Which commands, how long late events are waited for, how much is shown. */
struct audit_options {
	struct reader_place from, to;
	int32_t partition;	/* -1: all */
	int64_t wait_ms;
	int64_t limit;		/* findings shown; 0: all */
};

/* ERR_INVALID: -o names a column that is not there. */
int audit_check(const struct cli *cli, struct err *reterr);
/* Blocks until everything is read. Returns EXIT_DONE, EXIT_FINDINGS, or a
 * negative error: then nothing is proven. */
int audit_verify(struct cli *cli, const struct audit_options *options, struct err *reterr);

#endif
