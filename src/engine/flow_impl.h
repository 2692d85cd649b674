/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_impl: what the files of flow share, and nobody else sees.
 *
 *	flow.c		one step of one entry; the turn of the loop
 *	flow_life.c	made and unmade, start-up
 *	flow_stop.c	shutdown, in the order of ENGINE section 8
 *	flow_show.c	readiness and status
 *	flow_intake.c	messages become entries; back-pressure
 *	flow_schema.c	the schema registry: our ids, commands whose schema is not known yet
 *	flow_run.c	entries find their plugin, a slot, and send their claim
 *	flow_claim.c	what the claim said; waiting for another holder
 *	flow_still.c	a stand-still of the loop is looked into first
 *	flow_call.c	the plugin is called, its answer shaped
 *	flow_shape.c	the same of a long answer, on a thread
 *	flow_seal.c	answers and offsets become a batch; its verdict
 *	flow_pieces.c	large output goes ahead of its result
 *	flow_orphan.c	leases that belong to nobody are destroyed
 *	flow_move.c	partitions come and go; calls that outlive them
 *	flow_hold.c	partitions that are ours and are not read
 *
 * Callbacks only change state and lists; the work that follows from them is
 * done once a turn of the loop (flow.c, turn), so that what comes together
 * goes together.
 */
#ifndef ENVDRIVER_ENGINE_FLOW_IMPL_H
#define ENVDRIVER_ENGINE_FLOW_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/config.h"
#include "envdriver/avro/schema.h"
#include "envdriver/kafka/broker.h"
#include "envdriver/claim/claim.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/result/deadletter.h"
#include "entry.h"
#include "envdriver/engine/flow.h"
#include "envdriver/kafka/notice.h"
#include "envdriver/kafka/publisher.h"
#include "envdriver/result/result.h"
#include "scheduler.h"
#include "envdriver/engine/window.h"
#include "envdriver/plugin/rpc.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/instance.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/registry.h"
#include "envdriver/registry/schema_registry.h"

_Static_assert((int)ENTRY_TOKEN_MAX == (int)CLAIM_TOKEN_MAX, "an entry keeps a claim's token");

enum {
	FLOW_TICK_MS = 1000,
	FLOW_CLOSE_MS = 5000,		/* for librdkafka's handles to end */
	FLOW_STOOD_STILL_MS = 5000,	/* ENGINE section 3, CLAIMING */
	FLOW_REDIS_GONE_MS = 10000,	/* LEFT calls are given up then (section 7) */
	FLOW_BATCH_BYTES = 8 << 20,
	FLOW_RECORD_BYTES = (1 << 20) - 4096,	/* max.message.bytes less head room */
	FLOW_LETTER_BYTES = (2 << 20) - 8192,
	FLOW_PARK_MS = 2000,
	FLOW_LATE_MAX = 1024,
	FLOW_UNREAD_MAX = 64,		/* of a partition, then it is paused */
};

/* A beat may be a beat old when the stand-still begins. */
_Static_assert((int)INSTANCE_WATCH_MS >= (int)FLOW_STOOD_STILL_MS + 2 * (int)INSTANCE_BEAT_MS,
	       "a stand-still that costs the name is noticed");

struct partition {
	struct flow *flow;
	int32_t id;
	bool open;			/* ours, between step 4 of assign and revoke */
	bool held;			/* its offset was rewound, or lies beyond the log's end */
	bool beyond;			/* the latter */
	bool unchecked;			/* held: Redis was away, its position is not known */
	int64_t committed;		/* at the assign, -1: nothing */
	bool paused;			/* as the consumer was told */
	bool dirty;			/* offsets alone want a commit */
	struct window *window;
	struct scheduler *scheduler;
	struct entry *first, *last;	/* through `all`, in log order */
	struct entry_list unread;	/* the first one's schema is not known yet */
};

/* Entries that wait for a free slot of one plugin's worker. */
struct slot_wait;

/* A lease that is being looked after (flow_orphan.c). */
struct orphan;

/* A long answer in the making (flow_shape.c). */
struct flow_shape;

/* One call and whom it is for; lives until its answer, or, for a lease that
 * may still come after a time-out, until that. */
struct flow_call {
	struct flow *flow;
	struct entry *entry;		/* NULL once nobody waits for the answer */
	struct supervisor_call *call;
	struct buf late_command_id;	/* of a late lease: what the orphan list needs */
	struct buf orphan;		/* flow_call_json */
	char token[CLAIM_TOKEN_MAX];
	char plugin_id[128], plugin_key[256];
	struct flow_call *next_late;
};

enum flow_stage {
	STAGE_REDIS,		/* waiting for Redis and for what the broker says */
	STAGE_META,		/* does the prefix serve our group? */
	STAGE_SCHEMAS,		/* our schemas get their ids, when there is a registry */
	STAGE_PRODUCER,		/* INIT of the producer */
	STAGE_INSTANCE,		/* is a predecessor alive? */
	STAGE_RUNNING,
	STAGE_DRAINING,		/* SIGTERM: calls may end and are published */
	STAGE_LEAVING,		/* revoke event of the last assignment */
	STAGE_LEFT,		/* calls run on, answers are handed over */
	STAGE_STOPPING,		/* the producer, then the plugin workers end */
	STAGE_STOPPED,
};

/* Settings that are looked at for every command; times in ms. */
struct flow_limits {
	size_t in_flight, bytes, batch;
	int64_t call_timeout, start_wait, commit_interval, handover, revoke_drain;
};

struct flow {
	uv_loop_t *loop;
	const struct config *config;
	struct flow_limits limits;
	struct flow_events ev;
	enum flow_stage stage;
	bool was_ready;
	bool exiting;			/* on_exit was called */
	int exit_code;			/* of flow_leave; 0: an end that was asked for */
	char exit_text[600];

	struct schemas *schemas;
	struct schema_registry *schema_registry;	/* NULL: none is configured */
	bool schemas_added;		/* ours, to be registered */
	bool schemas_changed;		/* it knows more: look at what is unread */
	struct command_decoder *decoder;
	struct redis *redis;
	struct registry *registry;
	struct instance *instance;
	struct supervisor *supervisor;
	struct claims *claims;
	struct consumer *consumer;
	struct publisher *publisher;
	struct notices *notices;
	struct result_ctx *results;
	struct result_limits result_limits;
	struct flow_shape *shapes;	/* the first is at work, the others wait */
	struct broker_facts facts;
	struct broker_job *look;	/* under way; else NULL */
	char *topics[TOPIC_COUNT];	/* full names */
	struct buf channel;		/* of hand-overs */

	uv_prepare_t prepare;		/* the turn */
	uv_timer_t tick, soon;
	uv_idle_t again;		/* another turn at once */
	int closing;			/* handles being closed */
	int64_t prepared_boot;		/* when the loop last went to wait */
	int64_t prepared_cpu, turn_max;	/* CPU time of the loop: then, and of its longest turn */
	int64_t next_look;		/* of the broker, mono ms */

	struct partition **parts;	/* by id; NULL: not ours */
	size_t n_parts;
	struct assigned *assigning;	/* their positions are being read */
	size_t n_assigning;
	bool reading_positions, positions_stale;
	int64_t assigning_since;	/* mono ms */
	bool looking_at_held;		/* is a position accepted? */
	bool revoking;
	bool revoke_lost;
	bool revoke_sealed;		/* the last batch was sealed */
	int32_t *revoked;
	size_t n_revoked;
	int64_t revoke_deadline;

	struct entry_list runnable, starting, verify, ready, waiting, left, handing;
	struct entry_list large;	/* READY, pieces of theirs go first */
	bool pieces_went;		/* the last batch was of pieces: now others */
	struct slot_wait *slot_waits;
	struct orphan *orphan;		/* the one being looked after, or NULL */
	bool orphan_scanning, orphan_more;
	size_t orphan_turn;
	uint64_t orphan_cursor;
	struct flow_call *late;
	size_t n_late;
	size_t owning;			/* take-overs of our own claims under way */
	size_t entries;			/* in windows */
	size_t calling;			/* without an answer */
	size_t recording;		/* answers being written to Redis */
	size_t bytes;
	bool paused_all;
	unsigned ticks;
	bool was_busy;			/* commands were in flight at the last tick */
	bool slots_changed;		/* a slot may be free: look at slot_waits */
	bool closing_consumer;

	bool publisher_ready;
	struct batch *batch;		/* in flight, or NULL */
	int64_t sealed_at;		/* mono ms */
	size_t sealed_n;		/* records of the last batch */
	int64_t commit_took;		/* ms, of the last one with a verdict */
	int64_t retry_at;		/* no sealing before, mono ms */
	int failures;			/* of batches, in a row */
	bool warned_key;		/* a publisher's key was wrong, said once */
	bool warned_schemas;		/* commands wait for the schema registry: said */
	bool need_assign;		/* no sealing until an assign event was served */
	int64_t parked_until[TOPIC_COUNT];
	int64_t park_said[TOPIC_COUNT];	/* when to say so again */

	bool verifying;			/* the own instance record is being read */
	bool verify_failed;		/* to be read again */
	int64_t waited_at;		/* mono ms, of the last tick: do we run? */
	int64_t redis_down_since;	/* mono ms, 0: up */
	int64_t stop_deadline;		/* mono ms */
	int64_t handover_deadline;
	char why_seal[600];		/* commits fail, and why */
	char why_redis[160], why_consumer[200], why_publisher[200], why_claims[80];
};

/* flow.c */
/* The work that follows from what callbacks changed. */
void flow_turn(struct flow *f);
/* One event of the table of entry.h: next state and action. */
void flow_step(struct flow *f, struct entry *e, enum entry_event event);
/* Another turn before the loop waits. */
void flow_again(struct flow *f);
/* A turn in `ms` at the latest. */
void flow_soon(struct flow *f, int64_t ms);
void flow_exit(struct flow *f, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The work cannot go on under our name, but what was answered can be handed
 * over: the shutdown without its drain, then on_exit. */
void flow_leave(struct flow *f, int exit_code, const char *text);
/* Out of memory where nothing can be undone: exit 75. */
void flow_nomem(struct flow *f);
struct partition *flow_partition(const struct flow *f, int32_t id);
/* The entry is owed nothing any more: unlinked and freed, unless the
 * publisher still borrows its events. */
void flow_retire(struct flow *f, struct entry *e);
void flow_count_bytes(struct flow *f, struct entry *e);

/* flow_stop.c */
/* What the shutdown does next. */
void flow_stop_turn(struct flow *f);

/* flow_show.c */
void flow_show_tick(struct flow *f);
/* What start-up waits for, in the log: before these facts are taken. */
void flow_show_facts(const struct flow *f, const struct broker_facts *facts);
void flow_show_no_redis(struct flow *f);

/* flow_intake.c */
void flow_intake_message(void *arg, rd_kafka_message_t *m);
void flow_intake_pressure(struct flow *f);
/* Commands in windows that have no answer yet. */
size_t flow_intake_unanswered(const struct flow *f);
/* False: its schema is not known yet, nothing was done. */
bool flow_intake_read(struct flow *f, struct entry *e);
void flow_intake_dead_letter(struct flow *f, struct entry *e);
void flow_intake_duplicate(struct flow *f, struct entry *e);
/* A dead letter that the broker refused: a smaller one. */
void flow_intake_rebuild_letter(struct flow *f, struct entry *e);

/* flow_schema.c */
int flow_schema_new(struct flow *f, struct err *reterr);
/* Has our schemas registered; true when they are, or need not be. */
bool flow_schema_start(struct flow *f);
/* The plugins in Redis changed: their workers start once what they do can be
 * written down. */
void flow_schema_plugins(void *arg);
/* Behind those of its partition that wait already. */
void flow_schema_wait(struct flow *f, struct entry *e);
void flow_schema_turn(struct flow *f);
void flow_schema_tick(struct flow *f);
/* How many of a partition may wait before it is paused. */
size_t flow_schema_room(const struct flow *f);
void flow_schema_why(const struct flow *f, struct buf *out);

/* flow_run.c */
void flow_run_turn(struct flow *f);
void flow_run_plugin_changed(void *arg, const char *plugin_id);
void flow_run_tick(struct flow *f);
void flow_run_ask_again(struct flow *f, struct entry *e);
void flow_run_give_slot(struct flow *f, struct entry *e);
void flow_run_free(struct flow *f);
void flow_run_drop_read(struct flow *f);

/* flow_claim.c */
void flow_claim_send(struct flow *f, struct entry *e);
void flow_claim_fetch(struct flow *f, struct entry *e);
void flow_claim_take_over(struct flow *f, struct entry *e);
void flow_claim_attach(struct flow *f, struct entry *e);
void flow_claim_watch(struct flow *f, struct entry *e);
void flow_claim_record(struct flow *f, struct entry *e);
void flow_claim_release(struct flow *f, struct entry *e);
void flow_claim_finish(struct flow *f, struct entry *e);
void flow_claim_tick(struct flow *f);
void flow_claim_handover(void *arg, struct span message);
void flow_claim_reassert(struct flow *f);
struct claim_record flow_claim_key(const struct entry *e);

/* flow_still.c */
/* NEW was answered before the stand-still: claimed anew once the record is
 * known to be ours. */
void flow_still_verify(struct flow *f, struct entry *e);
/* Reads the own record; until then nothing is claimed. */
void flow_still_check(struct flow *f);

/* flow_call.c */
void flow_call_start(struct flow *f, struct entry *e);
void flow_call_interrupted(struct flow *f, struct entry *e);
/* Builds the event of an end without a call into e->events. */
int flow_call_fail(struct flow *f, struct entry *e, const struct outcome *o);
void flow_call_trace(const struct flow *f, const struct entry *e, struct trace *ret);
struct chosen flow_call_chosen(const struct entry *e);
void flow_call_abandon(struct flow *f, struct entry *e);
void flow_call_forget_late(struct flow *f);
/* What destroying a lease of this command needs, as JSON. */
void flow_call_json(const struct entry *e, struct buf *out);
void flow_call_orphan(struct flow *f, struct entry *e);
/* Its events are in the entry. */
void flow_call_ended(struct flow *f, struct flow_call *c, enum rpc_end end);
void flow_call_free(struct flow_call *c);

/* flow_shape.c */
/* False: it is no long answer, or memory is short. Else it takes the line, and
 * flow_call_ended comes. */
bool flow_shape_start(struct flow *f, struct flow_call *c, const struct trace *t,
		      const struct rpc_answer *answer);
/* Waits for the one at work. */
void flow_shape_free(struct flow *f);

/* flow_orphan.c */
void flow_orphan_tick(struct flow *f);
void flow_orphan_free(struct flow *f);

/* flow_seal.c */
void flow_seal_turn(struct flow *f);
bool flow_seal_possible(const struct flow *f);
/* The last batch before partitions go. */
void flow_seal_last(struct flow *f);
void flow_seal_publish(struct flow *f, struct entry *e);
void flow_seal_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
		       enum topic topic);

/* flow_pieces.c */
/* The next set of pieces, when the publisher is idle. */
void flow_pieces_turn(struct flow *f);
void flow_pieces_verdict(struct flow *f, struct entry *e, bool done);
/* HANDING: the answer to Redis, once what is too large for it is in Kafka. */
void flow_pieces_hand_over(struct flow *f, struct entry *e);

/* flow_move.c */
void flow_move_assign(void *arg, const struct assigned *parts, size_t n);
void flow_move_revoke(void *arg, const int32_t *partitions, size_t n, bool lost);
void flow_move_gap(void *arg, int32_t partition, int64_t log_start, bool beyond);
void flow_move_turn(struct flow *f);
void flow_move_tick(struct flow *f);
void flow_move_hand_over(struct flow *f, struct entry *e);
void flow_move_leave(struct flow *f, struct entry *e);
void flow_move_take_own(struct flow *f, struct entry *e);
void flow_move_retry_assign(struct flow *f);
/* What is still here leaves as if its partition were lost. */
void flow_move_give_all_up(struct flow *f);
void flow_move_free(struct flow *f);
/* Answers the assign under way with everything held. */
void flow_move_hold(struct flow *f);
bool flow_move_rewound(const struct partition *p, int64_t recorded);
void flow_move_say_held(const struct partition *p, int64_t recorded);
/* Gives all LEFT calls up that may be. */
void flow_move_give_up_left(struct flow *f);
void flow_move_unlink(struct partition *p, struct entry *e);
void flow_move_link(struct partition *p, struct entry *e);

/* flow_hold.c */
void flow_hold_tick(struct flow *f);
/* Held partitions: may they be read by now? */
void flow_hold_look(struct flow *f);

#endif
