/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: every command record of a range against every final event: what
 * was seen, and where P1 is broken (DESIGN sections 2 and 8).
 *
 * Owns about a hundred bytes a command: its place, its id and where its event
 * stands; of output that did not fit into a result, counts and a digest.
 * Knows nothing of Kafka, Avro or time: it is told what was read, in the order
 * of each partition, and says what is wrong.
 *
 * The order of calls: ledger_partition for each partition of the range,
 * ledger_command for all of their records, ledger_position, then events and
 * pieces as they come, in the end ledger_end. Findings that need no more
 * records come at once.
 */
#ifndef ENVDRIVER_AUDIT_LEDGER_H
#define ENVDRIVER_AUDIT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/topic.h"

struct err;
struct ledger;

enum ledger_kind {
	LEDGER_GAP,		/* no final event, and nobody will bring one */
	LEDGER_PENDING,		/* no final event yet: the group is not done with it */
	LEDGER_DUPLICATE,	/* a second final event */
	LEDGER_ORPHAN,		/* a final event of a record that is not there */
	LEDGER_WRONG_ID,	/* it names another command than its record is */
	LEDGER_WRONG_RECORD,	/* a result that this command cannot have */
	LEDGER_SERVED_TWICE,	/* two records of one command id have a result */
	LEDGER_WRONG_FIRST,	/* DUPLICATE_COMMAND without a first one */
	LEDGER_OUTPUT,		/* output is missing, cut or not what was promised */
	LEDGER_UNREADABLE,	/* an event that nobody can read */
	LEDGER_GONE,		/* no finding: it cannot be checked any more */
	LEDGER_KINDS
};

/* "gap", "wrong-id", ... */
const char *ledger_kind_name(enum ledger_kind kind);

struct ledger_place {
	enum topic topic;
	int32_t partition;
	int64_t offset;
};

/* Borrowed during the call. */
struct ledger_finding {
	enum ledger_kind kind;
	struct ledger_place at;		/* of the record that is wrong */
	struct span command_id;		/* ptr NULL: it has none */
	int64_t time_ms;		/* of that record; -1 unknown */
	const char *text;		/* what is wrong */
};

struct ledger_options {
	const char *prefix;		/* of topic names; borrowed */
	int32_t partitions;		/* of the command topic */
	int64_t claim_retention_ms;	/* so long an id is remembered */
	uint64_t seed;			/* random: no id can be made to collide */
	void (*found)(void *arg, const struct ledger_finding *f);
	void *arg;
};

/* NULL when out of memory. */
struct ledger *ledger_new(const struct ledger_options *options);
/* Accepts NULL. */
void ledger_free(struct ledger *l);

/* Offsets of one partition: the log is [start, end), of it [first, last) is
 * verified. Partitions that are never named are not. */
struct ledger_range {
	int64_t start, first, last, end;
};
void ledger_partition(struct ledger *l, int32_t partition, const struct ledger_range *range);
/* The log goes on while it is read. */
void ledger_log(struct ledger *l, int32_t partition, int64_t start, int64_t end);

/* A record of the range. `id` ptr NULL: it is no command. `answers`: where
 * its result belongs. Negative when out of memory. */
int ledger_command(struct ledger *l, int32_t partition, int64_t offset, int64_t time_ms,
		   struct span id, enum topic answers, struct err *reterr);

/* What the group says it has done with: everything below `end` but the n
 * offsets in `open`, ascending. Without such a call nothing is known. */
void ledger_position(struct ledger *l, int32_t partition, int64_t end, const int64_t *open,
		     size_t n);

enum { LEDGER_STREAMS = 2, LEDGER_SHA256 = 64 };	/* stdout, stderr; hex */

/* What an ExecutionResult says of its output. */
struct ledger_output {
	struct span token;
	int64_t time_ms;	/* when the answer was complete */
	int64_t records;	/* finalLogRecords */
	struct {
		bool cut;		/* the whole is in the pieces */
		int64_t bytes;		/* of the whole */
		size_t inline_bytes;	/* of the text in the result */
		struct span sha256;
	} streams[LEDGER_STREAMS];
};

/* A result or a dead letter. */
struct ledger_event {
	struct ledger_place at;
	int64_t time_ms;
	struct span source_topic;	/* the record that it names */
	int64_t source_partition, source_offset;
	struct span command_id;		/* ptr NULL: it names none */
	bool refused;			/* DUPLICATE_COMMAND; then: */
	struct span first_topic;
	int64_t first_partition, first_offset;
	const struct ledger_output *output;	/* NULL: it has none */
};

/* 0; LEDGER_ASK: nothing was done, because the log may have moved: call
 * ledger_log, then this again with `sure`. Negative when out of memory. */
enum { LEDGER_ASK = 1 };
int ledger_event(struct ledger *l, const struct ledger_event *e, bool sure, struct err *reterr);

/* An event that cannot be read. */
void ledger_unreadable(struct ledger *l, const struct ledger_place *at, int64_t time_ms,
		       struct span command_id, const char *why);

/* A FINAL piece, in the order of its partition; it may come again. */
struct ledger_piece {
	struct span token;
	size_t stream;
	int64_t sequence, byte_offset;
	struct span text;
	bool last;
};
int ledger_piece(struct ledger *l, const struct ledger_piece *p, struct err *reterr);

/* Records of `topic` up to this time may have been deleted. */
void ledger_horizon(struct ledger *l, enum topic topic, int64_t time_ms);

/* Commands without a final event; and of them, and of results, those whose
 * event or output should be there by now. */
size_t ledger_waiting(const struct ledger *l);
size_t ledger_overdue(const struct ledger *l);

struct ledger_sums {
	size_t commands, outputs, bytes;
	size_t events, results, dead_letters;	/* of commands of the range */
	size_t of_gone_commands;	/* events: their command left the log */
	size_t found[LEDGER_KINDS];
	int64_t oldest_pending_ms;	/* record time; -1: none is pending */
};

/* Finds what only the end shows. Call it once. */
void ledger_end(struct ledger *l);
void ledger_sum(const struct ledger *l, struct ledger_sums *ret);

#endif
