/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_impl: what the files of flow share, and nobody else sees.
 *
 *	flow.c		one step of one entry; the turn of the loop
 *	flow_life.c	made and unmade, start-up
 *	engine_stop.c	shutdown, in the order of docs/engine.md section 8
 *	flow_show.c	readiness and status
 *	flow_intake.c	messages become entries; back-pressure
 *	flow_schema.c	the schema registry: our ids, commands whose schema is not known yet
 *	flow_run.c	entries find their plugin, a slot, and send their claim
 *	flow_claim.c	what the claim said; waiting for another holder
 *	flow_still.c	a stand-still of the loop is looked into first
 *	engine_call.c	the plugin is called, its answer shaped
 *	engine_shape.c	the same of a long answer, on a thread
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
#ifndef ENVDRIVER_ENGINE_ENGINE_IMPL_H
#define ENVDRIVER_ENGINE_ENGINE_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/config.h"
#include "envdriver/avro/schema.h"
#include "envdriver/kafka/cluster.h"
#include "envdriver/claim/claims.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/result/deadletter.h"
#include "entry.h"
#include "envdriver/engine/engine.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/kafka/publisher.h"
#include "envdriver/result/plugin_event_record.h"
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
	ENGINE_TICK_MS = 1000,
	ENGINE_CLOSE_MS = 5000,		/* for librdkafka's handles to end */
	ENGINE_STOOD_STILL_MS = 5000,	/* docs/engine.md section 3, CLAIMING */
	ENGINE_REDIS_GONE_MS = 10000,	/* LEFT calls are given up then (section 7) */
	ENGINE_BATCH_BYTES = 8 << 20,
	ENGINE_RECORD_BYTES = (1 << 20) - 4096,	/* max.message.bytes less head room */
	ENGINE_LETTER_BYTES = (2 << 20) - 8192,
	ENGINE_PARK_MS = 2000,
	ENGINE_LATE_MAX = 1024,
	ENGINE_UNREAD_MAX = 64,		/* of a partition, then it is paused */
};

/* A beat may be a beat old when the stand-still begins. */
_Static_assert((int)INSTANCE_WATCH_MS >= (int)ENGINE_STOOD_STILL_MS + 2 * (int)INSTANCE_BEAT_MS,
	       "a stand-still that costs the name is noticed");

struct partition {
	struct engine *flow;
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

/* A long answer in the making (engine_shape.c). */
struct engine_shape;

/* One call and whom it is for; lives until its answer, or, for a lease that
 * may still come after a time-out, until that. */
struct engine_call {
	struct engine *flow;
	struct entry *entry;		/* NULL once nobody waits for the answer */
	struct plugin_call *call;
	struct buf late_command_id;	/* of a late lease: what the orphan list needs */
	struct buf orphan;		/* calling_json */
	char token[CLAIM_TOKEN_MAX];
	char plugin_id[128], plugin_key[256];
	struct engine_call *next_late;
};

enum engine_stage {
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
struct engine_limits {
	size_t in_flight, bytes, batch;
	int64_t call_timeout, start_wait, commit_interval, handover, revoke_drain;
};

struct engine {
	uv_loop_t *loop;
	const struct config *config;
	struct engine_limits limits;
	struct engine_events ev;
	enum engine_stage stage;
	bool was_ready;
	bool exiting;			/* on_exit was called */
	int exit_code;			/* of engine_leave; 0: an end that was asked for */
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
	struct best_effort *notices;
	struct result_ctx *results;
	struct result_limits result_limits;
	struct engine_shape *shapes;	/* the first is at work, the others wait */
	struct cluster_facts facts;
	struct cluster_job *look;	/* under way; else NULL */
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
	struct engine_call *late;
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
void engine_turn(struct engine *f);
/* One event of the table of entry.h: next state and action. */
void engine_step(struct engine *f, struct entry *e, enum entry_event event);
/* Another turn before the loop waits. */
void engine_again(struct engine *f);
/* A turn in `ms` at the latest. */
void engine_soon(struct engine *f, int64_t ms);
void engine_exit(struct engine *f, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The work cannot go on under our name, but what was answered can be handed
 * over: the shutdown without its drain, then on_exit. */
void engine_leave(struct engine *f, int exit_code, const char *text);
/* Out of memory where nothing can be undone: exit 75. */
void engine_nomem(struct engine *f);
/* Sends a PluginEvent, best effort. */
void engine_plugin_event(struct engine *f, const struct plugin_event *p);
struct partition *engine_partition(const struct engine *f, int32_t id);
/* The entry is owed nothing any more: unlinked and freed, unless the
 * publisher still borrows its events. */
void engine_retire(struct engine *f, struct entry *e);
void engine_count_bytes(struct engine *f, struct entry *e);

/* engine_stop.c */
/* What the shutdown does next. */
void engine_stop_turn(struct engine *f);

/* flow_show.c */
void status_tick(struct engine *f);
/* What start-up waits for, in the log: before these facts are taken. */
void status_facts(const struct engine *f, const struct cluster_facts *facts);
void status_no_redis(struct engine *f);

/* flow_intake.c */
void intake_message(void *arg, rd_kafka_message_t *m);
void intake_pressure(struct engine *f);
/* Commands in windows that have no answer yet. */
size_t intake_unanswered(const struct engine *f);
/* False: its schema is not known yet, nothing was done. */
bool intake_read(struct engine *f, struct entry *e);
void intake_dead_letter(struct engine *f, struct entry *e);
void intake_duplicate(struct engine *f, struct entry *e);
/* A dead letter that the broker refused: a smaller one. */
void intake_rebuild_letter(struct engine *f, struct entry *e);

/* flow_schema.c */
int unread_new(struct engine *f, struct err *reterr);
/* Has our schemas registered; true when they are, or need not be. */
bool unread_start(struct engine *f);
/* The plugins in Redis changed: their workers start once what they do can be
 * written down. */
void unread_plugins(void *arg);
/* Behind those of its partition that wait already. */
void unread_wait(struct engine *f, struct entry *e);
void unread_turn(struct engine *f);
void unread_tick(struct engine *f);
/* How many of a partition may wait before it is paused. */
size_t unread_room(const struct engine *f);
void unread_why(const struct engine *f, struct buf *out);

/* flow_run.c */
void dispatch_turn(struct engine *f);
void dispatch_plugin_changed(void *arg, const char *plugin_id);
void dispatch_tick(struct engine *f);
void dispatch_ask_again(struct engine *f, struct entry *e);
void dispatch_give_slot(struct engine *f, struct entry *e);
void dispatch_free(struct engine *f);
void dispatch_drop_read(struct engine *f);

/* flow_claim.c */
void claiming_send(struct engine *f, struct entry *e);
void claiming_fetch(struct engine *f, struct entry *e);
void claiming_take_over(struct engine *f, struct entry *e);
void claiming_attach(struct engine *f, struct entry *e);
void claiming_watch(struct engine *f, struct entry *e);
void claiming_record(struct engine *f, struct entry *e);
void claiming_release(struct engine *f, struct entry *e);
void claiming_finish(struct engine *f, struct entry *e);
void claiming_tick(struct engine *f);
void claiming_handover(void *arg, struct span message);
void claiming_reassert(struct engine *f);
struct claim_record claiming_key(const struct entry *e);
/* Claims the command with the token of the entry. NULL when out of memory. */
struct claims_request *claiming_ask(struct engine *f, struct entry *e, bool call);
/* Takes the claim of `seen_token` over, with a new token. NULL when out of memory. */
struct claims_request *claiming_seize(struct engine *f, struct entry *e, struct span seen_token,
				      claims_takeover_fn *fn, void *arg);

/* flow_still.c */
/* NEW was answered before the stand-still: claimed anew once the record is
 * known to be ours. */
void stall_verify(struct engine *f, struct entry *e);
/* Reads the own record; until then nothing is claimed. */
void stall_check(struct engine *f);

/* engine_call.c */
void calling_start(struct engine *f, struct entry *e);
void calling_interrupted(struct engine *f, struct entry *e);
/* Builds the event of an end without a call into e->events. */
int calling_fail(struct engine *f, struct entry *e, const struct outcome *o);
void calling_trace(const struct engine *f, const struct entry *e, struct trace *ret);
struct chosen calling_chosen(const struct entry *e);
void calling_abandon(struct engine *f, struct entry *e);
void calling_forget_late(struct engine *f);
/* What destroying a lease of this command needs, as JSON. */
void calling_json(const struct entry *e, struct buf *out);
void calling_orphan(struct engine *f, struct entry *e);
/* Its events are in the entry. */
void calling_ended(struct engine *f, struct engine_call *c, enum rpc_end end);
void calling_free(struct engine_call *c);

/* engine_shape.c */
/* False: it is no long answer, or memory is short. Else it takes the line, and
 * calling_ended comes. */
bool answering_start(struct engine *f, struct engine_call *c, const struct trace *t,
		      const struct rpc_answer *answer);
/* Waits for the one at work. */
void answering_free(struct engine *f);

/* flow_orphan.c */
void orphans_tick(struct engine *f);
void orphans_free(struct engine *f);

/* flow_seal.c */
void committing_turn(struct engine *f);
bool committing_possible(const struct engine *f);
/* The last batch before partitions go. */
void committing_last(struct engine *f);
void committing_publish(struct engine *f, struct entry *e);
void committing_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
		       enum topic topic);

/* flow_pieces.c */
/* The next set of pieces, when the publisher is idle. */
void large_output_turn(struct engine *f);
void large_output_verdict(struct engine *f, struct entry *e, bool done);
/* HANDING: the answer to Redis, once what is too large for it is in Kafka. */
void large_output_hand_over(struct engine *f, struct entry *e);

/* flow_move.c */
void rebalance_assign(void *arg, const struct assigned *parts, size_t n);
void rebalance_revoke(void *arg, const int32_t *partitions, size_t n, bool lost);
void rebalance_gap(void *arg, int32_t partition, int64_t log_start, bool beyond);
void rebalance_turn(struct engine *f);
void rebalance_tick(struct engine *f);
void rebalance_hand_over(struct engine *f, struct entry *e);
void rebalance_leave(struct engine *f, struct entry *e);
void rebalance_take_own(struct engine *f, struct entry *e);
void rebalance_retry_assign(struct engine *f);
/* What is still here leaves as if its partition were lost. */
void rebalance_give_all_up(struct engine *f);
void rebalance_free(struct engine *f);
/* Answers the assign under way with everything held. */
void rebalance_hold(struct engine *f);
bool rebalance_rewound(const struct partition *p, int64_t recorded);
void rebalance_say_held(const struct partition *p, int64_t recorded);
/* Gives all LEFT calls up that may be. */
void rebalance_give_up_left(struct engine *f);
void rebalance_unlink(struct partition *p, struct entry *e);
void rebalance_link(struct partition *p, struct entry *e);

/* flow_hold.c */
void held_tick(struct engine *f);
/* Held partitions: may they be read by now? */
void held_look(struct engine *f);

#endif
