/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finding: what an audit finds: a record that breaks the promise of exactly
 * one final event per command (P1, docs/engine.md section 1), and how often.
 *
 * Owns the counts and the words. Knows nothing of how a finding is made or
 * shown.
 */
#ifndef ENVDRIVER_AUDIT_FINDING_H
#define ENVDRIVER_AUDIT_FINDING_H

#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/topic.h"

enum finding_kind {
	FINDING_GAP,		/* no final event, and nobody will bring one */
	FINDING_PENDING,	/* no final event yet: the group has not finished with it */
	FINDING_DUPLICATE,	/* a second final event */
	FINDING_ORPHAN,		/* a final event of a record that does not exist */
	FINDING_WRONG_ID,	/* it names another command than its record holds */
	FINDING_WRONG_RECORD,	/* a result that this command cannot have */
	FINDING_SERVED_TWICE,	/* two records of one command id have a result */
	FINDING_WRONG_FIRST,	/* DUPLICATE_COMMAND that names no earlier command */
	FINDING_OUTPUT,		/* output is missing, cut or not what was promised */
	FINDING_UNREADABLE,	/* an event that cannot be read */
	FINDING_GONE,		/* no finding: it can no longer be checked */
	FINDING_KINDS
};

/* "gap", "wrong-id", … */
const char *finding_kind_name(enum finding_kind kind);

struct finding_position {
	enum topic topic;
	int32_t partition;
	int64_t offset;
};

/* Borrowed during the call. */
struct finding {
	enum finding_kind kind;
	struct finding_position at;	/* of the record that is wrong */
	struct span command_id;		/* ptr NULL: it has none */
	int64_t time_ms;		/* of that record; -1: unknown */
	const char *text;		/* what is wrong */
};

/* Where findings go. The owner sets the first three. */
struct findings {
	const char *prefix;		/* of topic names; borrowed */
	void (*on_finding)(void *arg, const struct finding *f);
	void *arg;
	size_t counts[FINDING_KINDS];
};

/* Counts a finding and hands it on at once. */
void finding_add(struct findings *l, enum finding_kind kind, const struct finding_position *at,
		 struct span command_id, int64_t time_ms, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

enum { FINDING_POSITION_MAX = 300 };

/* "environment.probe-results[3]@17"; returns `text`. */
const char *finding_position_text(const struct findings *l, const struct finding_position *at,
				  char text[FINDING_POSITION_MAX]);

#endif
