/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outputs: output that did not fit into its result (P5, no output is lost); the
 * result names a call token, and the pieces on the log topic carry it.
 *
 * Results and pieces may be read in any order. Pieces of a token that no
 * result names, or only one with finalLogRecords 0, are left over from an
 * attempt that was lost. A piece may come twice, the same (docs/engine.md
 * section 6), so the hash of each is kept.
 *
 * Owns counts and a digest for each output. Knows nothing of commands.
 */
#ifndef ENVDRIVER_AUDIT_OUTPUTS_H
#define ENVDRIVER_AUDIT_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "finding.h"

enum { OUTPUTS_STREAMS = 2, OUTPUTS_SHA256 = 64 };	/* stdout, stderr; hex */

/* { .findings = …, .seed = … } is an empty one. */
struct outputs {
	struct findings *findings;	/* borrowed */
	uint64_t seed;
	struct output *by_token;
	size_t n_cut;		/* results whose output is in pieces */
	size_t n_unsettled;	/* results whose pieces are not complete */
};

void outputs_release(struct outputs *l);

/* What an ExecutionResult says of its output. */
struct outputs_result {
	struct span token;
	int64_t time_ms;	/* when the answer was complete */
	int64_t records;	/* finalLogRecords */
	struct {
		bool cut;		/* the whole is in the pieces */
		int64_t bytes;		/* of the whole */
		size_t inline_bytes;	/* of the text in the result */
		struct span sha256;
	} streams[OUTPUTS_STREAMS];
};

/* A FINAL piece, in the order of its partition; it may come again. */
struct outputs_piece {
	struct span token;
	size_t stream;
	int64_t sequence, byte_offset;
	struct span text;
	bool last;
};

/* `f` names the result's record and its command. False when out of memory. */
bool outputs_add_result(struct outputs *l, const struct finding *f, const struct outputs_result *r);
bool outputs_add_piece(struct outputs *l, const struct outputs_piece *p);
/* Finds what only the end shows. Log records up to `horizon_ms` may have been
 * deleted. */
void outputs_end(struct outputs *l, int64_t horizon_ms);

#endif
