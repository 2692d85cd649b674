/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of ledger share. */
#ifndef ENVDRIVER_AUDIT_LEDGER_IMPL_H
#define ENVDRIVER_AUDIT_LEDGER_IMPL_H

#include "ledger.h"

#define uthash_malloc(size) buf_realloc(NULL, size)
#define uthash_free(ptr, size) free(ptr)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct digest;

enum { TEXT_MAX = 1200, AVRO_PATH_MAX = 300 };
enum { LEDGER_ID_MAX = 200 };	/* a longer one makes no command */

/* What the group says of a record that has no event. */
enum { KNOWN = 1, BEHIND = 2 };
/* What the records say: it has a result; another one has its id. */
enum { SERVED = 4, TWIN = 8 };

/* One command record. Numbered from 0; where a number may be missing it is
 * stored with 1 added. */
struct entry {
	int64_t offset, time_ms;
	int64_t event_offset;	/* of its first final event */
	int32_t event_partition;
	int32_t partition;
	uint32_t id;		/* in ledger_ids; 0: it is no command */
	uint32_t twin;		/* the next record of the same id */
	uint8_t event_topic;	/* TOPIC_COUNT: it has none yet */
	uint8_t answers;
	uint8_t flags;
};

struct part {
	bool chosen;
	struct ledger_range range;
	uint32_t *entries;	/* ascending offsets */
	uint32_t n, cap;
};

/* A dead letter DUPLICATE_COMMAND. */
struct refusal {
	uint32_t entry;
	bool ours;		/* it names a place in the command topic */
	int64_t partition, offset;
	struct ledger_place at;
	int64_t time_ms;
};

/* Texts of ids, each stored once, and the first entry of each. */
struct ledger_ids {
	char *text;		/* a length and the bytes, in units of four */
	size_t len, cap;
	uint32_t *slots;	/* entries */
	size_t n_slots, count;
	uint64_t seed;
};

/* Pieces of one stream, as they came. */
struct stream {
	struct digest *digest;	/* NULL: none came, or the last one did */
	int64_t count, bytes;	/* of different pieces */
	uint64_t *sums;		/* one a piece: what it held */
	size_t cap;
	bool last;
	char sha256[LEDGER_SHA256 + 1];
	char wrong[100];	/* the first thing that was */
};

/* What one call token's result said and what came. */
struct output {
	UT_hash_handle hh;
	struct stream streams[LEDGER_STREAMS];
	bool told;		/* the result was read; what follows is its */
	struct ledger_place at;
	int64_t event_ms, time_ms, records, bytes[LEDGER_STREAMS];
	bool cut[LEDGER_STREAMS];
	char expected[LEDGER_STREAMS][LEDGER_SHA256 + 1];
	char command_id[LEDGER_ID_MAX + 1];
	char token[];
};

struct ledger {
	struct ledger_options options;
	char commands[300];	/* whole name of the command topic */
	struct part *parts;
	struct entry *entries;
	size_t n_entries, cap;
	struct ledger_ids ids;
	struct refusal *refusals;
	size_t n_refusals, cap_refusals;
	struct output *outputs;
	size_t unsettled;	/* outputs told of and not complete */
	size_t waiting, behind;	/* entries without an event; of them, those done with */
	int64_t horizons[TOPIC_COUNT];
	bool positions;		/* the group has one */
	struct ledger_sums sums;
};

/* Doubles; false when out of memory. */
bool ledger_grow(void **array, size_t *cap, size_t n, size_t size);

/* "environment.probe-results[3]@17" */
const char *ledger_place_text(const struct ledger *l, const struct ledger_place *at,
			      char text[AVRO_PATH_MAX]);
struct ledger_place ledger_entry_place(const struct entry *e);
void ledger_found(struct ledger *l, enum ledger_kind kind, const struct ledger_place *at,
		  struct span command_id, int64_t time_ms, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* The number of the id, stored when it is new, and the first entry that has
 * it (plus 1, 0: none). False when out of memory. */
bool ledger_ids_add(struct ledger *l, struct span id, uint32_t entry, uint32_t *ret_id,
		    uint32_t *ret_first);
/* The text; `keep` holds it when it is packed. Borrowed until an id is
 * added. */
struct span ledger_ids_text(const struct ledger *l, uint32_t id, char keep[40]);
void ledger_ids_release(struct ledger_ids *ids);
/* Nobody who does not know the seed can make two texts of the same. */
uint64_t ledger_ids_hash(uint64_t seed, struct span text);

/* The entry at an offset; NULL when there is none. */
struct entry *ledger_find(const struct ledger *l, int64_t partition, int64_t offset);

/* The output of a result of the range; negative when out of memory. */
int ledger_output_tell(struct ledger *l, const struct ledger_event *e);
void ledger_output_end(struct ledger *l);
void ledger_output_release(struct ledger *l);

#endif
