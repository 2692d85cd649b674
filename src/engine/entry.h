/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: one command record in this worker, and the table of its states
 * (docs/engine.md section 3).
 *
 * Owns the record's bytes, the command, its events. The table says what an
 * event does in a state; the core runs the actions. The table is pure: a unit
 * test walks every row.
 */
#ifndef ENVDRIVER_ENGINE_ENTRY_H
#define ENVDRIVER_ENGINE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "envdriver/base/buf.h"
#include "envdriver/command/time_limit.h"
#include "envdriver/kafka/event.h"
#include "envdriver/kafka/source.h"

enum { ENTRY_TOKEN_MAX = 64 };

struct claims_request;
struct command;
struct engine;
struct partition;
struct pending_call;
struct key_queue;
struct reject;
struct secret_refs;

enum entry_state {
	ENTRY_READ,		/* queued: its schema, its key, a worker's start, a free slot */
	ENTRY_CLAIMING,		/* claim (or fetch, or take-over) sent, not answered */
	ENTRY_CALLING,		/* the request may have reached the plugin */
	ENTRY_WAITING,		/* another incarnation's call may be running; no slot */
	ENTRY_READY,		/* final events encoded and size-checked */
	ENTRY_SEALED,		/* in the batch the transaction thread holds */
	ENTRY_DONE,		/* its commit is certain */
	ENTRY_LEFT,		/* call still running, partition gone */
	ENTRY_HANDING,		/* answer known, partition gone, being written to Redis */
	ENTRY_GONE,		/* nothing is owed any more */
	ENTRY_STATE_COUNT
};

/* What happens to an entry. */
enum entry_event {
	ON_REJECTED,		/* unreadable or invalid */
	ON_RUN,			/* key free, resolved, slot held */
	ON_RUN_NO_CALL,		/* key free; expired, or resolution failed */
	ON_NEW_CALL,		/* claim answered NEW; we asked to call */
	ON_NEW_NO_CALL,		/* claim answered NEW; the event was recorded with it */
	ON_STOOD_STILL,		/* NEW, but the loop stood still since the claim was sent */
	ON_DUPLICATE,
	ON_CLAIM_DONE,
	ON_CLAIM_INTERRUPTED,
	ON_CLAIM_ANSWERED,
	ON_ANSWER_FETCHED,
	ON_ANSWER_MISSING,	/* first time: the claim is asked again */
	ON_ANSWER_LOST,		/* missing or bad for the second time */
	ON_CALLING_LEFT,	/* CALLING with the token of a LEFT entry here */
	ON_CALLING_ELSEWHERE,	/* CALLING by another incarnation, or by us HANDING */
	ON_HOLDER_DEAD,
	ON_TAKEN_RERUN,
	ON_TAKEN_INTERRUPTED,
	ON_TAKE_REFUSED,	/* another worker was faster */
	ON_CLAIM_CHANGED,	/* WAITING: no longer calling with the token seen */
	ON_ENDED,		/* answer, error, time-out or worker death; encoded */
	ON_ENDED_RECORD,	/* the same of an AcquireLease that brought a lease */
	ON_RECORDED,
	ON_RECORD_REFUSED,	/* taken over meanwhile */
	ON_SEALED,
	ON_COMMITTED,
	ON_ABORTED,
	ON_REVOKED,		/* READY, SEALED: with an answer of our own token */
	ON_REVOKED_FOREIGN,	/* READY, SEALED: without */
	ON_REVOKED_RECORDING,	/* CALLING, and the answer is being written */
	ON_HANDED,
	ON_HAND_REFUSED,
	ON_GIVE_UP,		/* handover.timeout, or Redis away for 10 s */
	ENTRY_EVENT_COUNT
};

/* What is done then (engine.c has the functions). */
enum entry_action {
	DO_NOTHING,
	DO_DEAD_LETTER,		/* build it, no claim */
	DO_CLAIM,		/* send claim (call) */
	DO_CLAIM_NO_CALL,	/* send claim with the encoded event */
	DO_CALL,		/* write the request to the plugin */
	DO_VERIFY_AND_CLAIM,	/* read the own instance record, claim under a new token */
	DO_PUBLISH,		/* queue for sealing */
	DO_DUPLICATE,		/* dead letter naming the first */
	DO_SKIP,		/* no event; offsets alone may be sealed */
	DO_INTERRUPTED,		/* build the INTERRUPTED result */
	DO_FETCH,		/* get the answer */
	DO_TAKE_OVER,
	DO_ASK_AGAIN,		/* back to the scheduler, which sends the claim anew */
	DO_ATTACH,		/* the LEFT call belongs to the window again */
	DO_WATCH,		/* give the slot back, look every second */
	DO_RECORD,		/* write the answer to Redis first */
	DO_ORPHAN_AND_ASK,	/* lease to orphans, answer dropped */
	DO_FINISH,		/* finish the claim, free the key */
	DO_DROP,
	DO_RELEASE,		/* send release with our token, never call */
	DO_LEAVE,		/* free the key; the call runs on */
	DO_HAND_OVER,		/* write the events to Redis */
	DO_HAND_ON,		/* the same, if it waited for the batch */
	DO_FINISH_GONE,		/* commit certain after all */
	DO_ORPHAN_AND_DROP,	/* a warning; a lease goes to the orphan list */
	DO_TAKE_OWN,		/* take the own claim over, abandon the call */
	ENTRY_ACTION_COUNT
};

struct entry_row {
	enum entry_state state;
	enum entry_event event;
	enum entry_action action;
	enum entry_state next;
};

/* NULL when the table has no such row: the event is a bug in that state. */
const struct entry_row *entry_row(enum entry_state state, enum entry_event event);
/* For the test that walks the table: row i, NULL at the end. */
const struct entry_row *entry_table(size_t i);
const char *entry_state_name(enum entry_state s);
const char *entry_event_name(enum entry_event e);

/* Entries that wait for the same thing, through `queue`. An entry is in one
 * such list at most, and knows it. */
struct entry_list {
	TAILQ_HEAD(entry_queue, entry) entries;
	size_t n;
};

/* The claim, as this worker asked for it. */
struct entry_claim {
	char token[ENTRY_TOKEN_MAX];	/* "" before the first claim */
	int attempt;
	struct claims_request *request;	/* outstanding, or NULL */
	bool asking;			/* it is a claim, which a revoke must release */
	int64_t sent_boot;		/* CLOCK_BOOTTIME ms */
	bool no_call;			/* it asked for no call */
	bool ours;			/* it is this record's: finish it */
	bool answered;			/* an answer may stand in Redis */
	bool recording;			/* CALLING, HANDING: the answer is being written */
	bool asked_again;		/* its answer was missing once */
	bool answer_lost;		/* and again: the take-over may take `answered` */
	bool lost;			/* CALLING, LEFT: it was taken over */
	bool in_doubt;			/* done, but maybe by another owner: finish with care */
};

/* The holder of a claim that was met: of WAITING, or of an answer. */
struct entry_holder {
	char *token, *instance, *incarnation;	/* NULL: none was met */
	int attempt;
	int64_t waiting_since;		/* mono ms */
};

/* The call of the plugin. */
struct entry_call {
	char plugin_id[128];		/* chosen, "" when none */
	char plugin_key[256];
	bool has_slot;
	struct buf params;		/* built before the claim, sent after it, */
	struct secret_refs *secrets;	/* with their values; NULL: there are none */
	struct pending_call *pending;	/* running, or NULL */
	char invocation_id[37];
	int64_t started_at;		/* wall ms, 0: not called */
	struct time_limit limit;	/* .ms is 0 until it is known */
	int64_t live_sequence[2], live_bytes[2];
	bool shaping;			/* a thread makes events of the answer */
	struct buf credential;		/* of the answer, until it is in Redis; wipes */
	int64_t credential_until;	/* wall ms */
	size_t line_bytes;		/* what that needs at the worst */
};

/* How the final event gets into Kafka. */
struct entry_commit {
	bool in_batch;			/* the publisher borrows `events` */
	int refused;			/* how often the broker refused it */
	int64_t not_before;		/* not sealed before, mono ms */
};

/* The bools beside `state` are facts that outlast a state (whose answer it
 * is, what was met in Redis) or come and go within one (the entry is
 * borrowed); no row of the table would differ by them alone but those that
 * leaving.c picks by `own` and `claim.recording`. */
struct entry {
	enum entry_state state;
	struct engine *engine;
	struct partition *part;		/* NULL once its partition is gone */
	int64_t received_at;		/* wall ms */
	size_t bytes;			/* counted against in.flight.max.bytes */
	size_t idle_bytes;		/* of these, what its partition counts as idle */
	bool idle;			/* its partition counts it as idle */

	struct source source;		/* spans into `raw` */
	struct buf raw;			/* emptied once the plugin is called */
	struct event_header *headers;
	struct command *cmd;		/* NULL: dead letter, or not read yet */
	struct reject *reject;		/* why it was no command, or NULL */
	struct first_record first;	/* DUPLICATE: where the first one is; owns `topic` */

	struct entry_claim claim;
	struct entry_holder holder;
	struct entry_call call;
	struct entry_commit commit;
	struct events events;		/* the final ones, once READY */
	bool own;			/* they are an answer of our own token */
	struct buf lease_id;		/* brought by a call that makes a lease */
	int64_t start_deadline;		/* READ: of its wait for a worker, mono ms, 0: none */
	int64_t start_limit;		/* READ: the latest that this may become */
	int64_t left_since;		/* LEFT, HANDING: mono ms */

	TAILQ_ENTRY(entry) in_partition;	/* every entry of it, in log order */
	TAILQ_ENTRY(entry) queue;	/* runnable, waiting for a slot, ready, ... */
	struct entry_list *in;		/* the list `queue` is in */
	STAILQ_ENTRY(entry) behind;	/* under the same ordering key */
	struct key_queue *key;		/* scheduler's */
};

struct entry *entry_new(void);
void entry_free(struct entry *e);
/* The raw record is needed no longer (it will not be a dead letter). */
void entry_release_raw(struct entry *e);
/* The live credential that its answer brought leaves memory. */
void entry_wipe_credential(struct entry *e);
/* The holder of the claim that was met; false when out of memory. */
bool entry_set_holder(struct entry *e, struct span token, struct span instance,
		      struct span incarnation, int attempt);
/* The first record with this command id; false when out of memory. */
bool entry_set_first(struct entry *e, struct span topic, int32_t partition, int64_t offset);

void entry_list_init(struct entry_list *l);
void entry_list_push(struct entry_list *l, struct entry *e);
void entry_list_push_front(struct entry_list *l, struct entry *e);
void entry_list_remove(struct entry *e);	/* does nothing when in none */
struct entry *entry_list_pop(struct entry_list *l);
/* NULL at the end. */
static inline struct entry *
entry_list_first(const struct entry_list *l)
{
	return TAILQ_FIRST(&l->entries);
}

static inline struct entry *
entry_list_next(const struct entry *e)
{
	return TAILQ_NEXT(e, queue);
}

#endif
