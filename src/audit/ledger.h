/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: every command record of a range against every final event: what
 * was seen, and where P1 (exactly one final event per command) is broken.
 *
 * Owns about 80 bytes a command: its position, its id and the position of its
 * event; of output that did not fit into a result, counts and a digest.
 * Knows nothing of Kafka, Avro or time: the caller tells it what was read, in
 * the order of each partition, and it says what is wrong.
 *
 * The order of calls: ledger_partition for each partition of the range,
 * ledger_command or ledger_leave_out for all of their records, ledger_position, then events and
 * pieces as they come, at the end ledger_end. Findings that need no more
 * records come at once.
 */
#ifndef ENVDRIVER_AUDIT_LEDGER_H
#define ENVDRIVER_AUDIT_LEDGER_H

#include "entries.h"
#include "finding.h"
#include "outputs.h"

struct err;
struct ledger;

struct ledger_options {
	const char *prefix;		/* of topic names; borrowed */
	int32_t partitions;		/* of the command topic */
	int64_t claim_retention_ms;	/* how long an id is remembered */
	uint64_t seed;			/* random: no id can be made to collide */
	void (*on_finding)(void *arg, const struct finding *f);
	void *arg;
};

/* NULL when out of memory. */
struct ledger *ledger_new(const struct ledger_options *options);
/* Accepts NULL. */
void ledger_free(struct ledger *l);

/* What of a partition is verified. Partitions that are never named are not. Once
 * more, when all commands are there, if the range has become longer. */
void ledger_partition(struct ledger *l, int32_t partition, const struct entries_range *range);
/* The log goes on while it is read. */
void ledger_log(struct ledger *l, int32_t partition, int64_t start, int64_t end);

/* A record of the range. `id` ptr NULL: it is not a command. `answers`: the
 * topic of its result. ERR_NOMEM. */
int ledger_command(struct ledger *l, int32_t partition, int64_t offset, int64_t time_ms,
		   struct span id, enum topic answers, struct err *reterr);

/* A record between those of the range that is not of it. ERR_NOMEM. */
int ledger_leave_out(struct ledger *l, int32_t partition, int64_t offset, struct err *reterr);

/* What the group has finished with: everything below `end` but the n offsets
 * in `open`, ascending. Without such a call nothing is known. */
void ledger_position(struct ledger *l, int32_t partition, int64_t end, const int64_t *open,
		     size_t n);

/* A result or a dead letter. */
struct ledger_event {
	struct finding_position at;
	int64_t time_ms;
	struct span source_topic;	/* the record that it names */
	int64_t source_partition, source_offset;
	struct span command_id;		/* ptr NULL: it names none */
	bool refused;			/* DUPLICATE_COMMAND; then: */
	struct span first_topic;
	int64_t first_partition, first_offset;
	const struct outputs_result *output;	/* NULL: it has none */
};

/* 0; LEDGER_ASK: nothing was done, because the log may have moved: call
 * ledger_log, then this again with `sure`. ERR_NOMEM. */
enum { LEDGER_ASK = 1 };
int ledger_event(struct ledger *l, const struct ledger_event *e, bool sure, struct err *reterr);

/* An event that cannot be read. */
void ledger_unreadable(struct ledger *l, const struct finding_position *at, int64_t time_ms,
		       struct span command_id, const char *why);

/* A FINAL piece. ERR_NOMEM. */
int ledger_piece(struct ledger *l, const struct outputs_piece *p, struct err *reterr);

/* Records of `topic` up to this time may have been deleted. */
void ledger_horizon(struct ledger *l, enum topic topic, int64_t time_ms);

/* Commands without a final event; and of them, and of results, those whose
 * event or output should have come by now. */
size_t ledger_waiting(const struct ledger *l);
size_t ledger_overdue(const struct ledger *l);

struct ledger_sums {
	size_t commands, outputs, bytes;
	size_t events, results, dead_letters;	/* of commands of the range */
	size_t of_gone_commands;	/* events whose command left the log */
	size_t found[FINDING_KINDS];
	int64_t oldest_pending_ms;	/* record time; -1: none is pending */
};

/* Finds what only the end shows. Call it once. */
void ledger_end(struct ledger *l);
void ledger_sum(const struct ledger *l, struct ledger_sums *ret);

#endif
