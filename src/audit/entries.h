/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries: the command records of a range, by their number (from 0, in the
 * order of adding) and by their position.
 *
 * Owns them, and their ids. Knows nothing of events and findings: their fields
 * in an entry are the ledger's.
 */
#ifndef ENVDRIVER_AUDIT_ENTRIES_H
#define ENVDRIVER_AUDIT_ENTRIES_H

#include "finding.h"
#include "id_store.h"

/* What the group says of a record: nothing, something, that it has finished
 * with it. What the records say: it has a result; others have its id; and it
 * is not the first of these. */
enum { ENTRY_KNOWN = 1, ENTRY_BEHIND = 2, ENTRY_SERVED = 4, ENTRY_TWIN = 8, ENTRY_LATER = 16 };

/* One command record. */
struct entry {
	int64_t offset, time_ms;
	int64_t event_offset;	/* of its first final event */
	int32_t event_partition;
	int32_t partition;
	uint32_t twin;		/* the next record of the same id, plus 1; 0: none */
	uint8_t event_topic;	/* TOPIC_COUNT: it has none yet */
	uint8_t answers;	/* the topic of its result */
	uint8_t flags;
};

/* Offsets of one partition: the log is [start, end), of it [first, last) is
 * verified. */
struct entries_range {
	int64_t start, first, last, end;
};

/* Offsets that were left out, [first, last). */
struct entries_gap {
	int64_t first, last;
};

struct entries_part {
	bool chosen;		/* its range is set */
	struct entries_range range;
	uint32_t *numbers;	/* of its entries, by ascending offsets */
	size_t n, cap;
	struct entries_gap *gaps;
	size_t n_gaps, cap_gaps;
};

struct entries {
	struct entry *at;
	size_t n, cap;
	struct entries_part *parts;
	int32_t n_parts;
	struct id_store ids;
};

/* False when out of memory. */
bool entries_init(struct entries *l, int32_t n_parts, uint64_t seed);
void entries_release(struct entries *l);

/* Adds a record behind those of its partition; id ptr NULL: it is not a
 * command. Entries of the same id become twins. NULL when out of memory.
 * Borrowed until the next one is added. */
struct entry *entries_add(struct entries *l, int32_t partition, int64_t offset, struct span id);
/* Leaves out a record that lies behind the last one added or left out. False
 * when out of memory. */
bool entries_leave_out(struct entries *l, int32_t partition, int64_t offset);
/* Whether that offset was left out. */
bool entries_left_out(const struct entries_part *p, int64_t offset);
/* NULL when there is none. */
struct entry *entries_find(const struct entries *l, int64_t partition, int64_t offset);

struct finding_position entries_position(const struct entry *e);
/* See id_store_text. */
struct span entries_id(const struct entries *l, const struct entry *e, char keep[ID_STORE_KEEP]);
bool entries_same_id(const struct entries *l, const struct entry *a, const struct entry *b);
/* What they take. */
size_t entries_bytes(const struct entries *l);

#endif
