/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core: struct engine, and what every stage does with it: step an entry, ask
 * for another turn of the loop, end an entry, end the process.
 *
 * Owns the entries (in windows or not), their lists and the counts that
 * back-pressure looks at. Knows nothing of the stages: what an event makes
 * them do is the table `actions`, which engine.c gives at the start. So the
 * stages call the core and one another downwards only; engine.c is on top.
 *
 * Callbacks only change state and lists; the work that follows from them is
 * done once a turn of the loop (engine.c), so that what comes together goes
 * together.
 */
#ifndef ENVDRIVER_ENGINE_CORE_H
#define ENVDRIVER_ENGINE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "command_log.h"
#include "entry.h"
#include "envdriver/engine/engine.h"
#include "envdriver/kafka/topic.h"
#include "envdriver/result/result.h"
#include "partition.h"
#include "envdriver/redis/redis_watch.h"

struct best_effort;
struct claims;
struct config;
struct consumer;
struct instance;
struct plugin_event;
struct publisher;
struct redis;
struct registry;
struct schemas;
struct secret_spots_cache;
struct supervisor;
struct time_limit_keys;

struct answering;
struct calling;
struct committing;
struct decoding;
struct dispatch;
struct orphans;
struct rebalance;
struct shutdown;
struct stall;
struct startup;
struct status;
struct unread;

enum {
	ENGINE_TICK_MS = 1000,
	ENGINE_CLOSE_MS = 5000,		/* for librdkafka's handles to end */
	ENGINE_STOOD_STILL_MS = 5000,	/* docs/engine.md section 3, CLAIMING */
	ENGINE_REDIS_GONE_MS = 10000,	/* LEFT calls are given up then (section 7) */
	ENGINE_BATCH_BYTES = 8 << 20,
};

enum engine_stage {
	STAGE_REDIS,		/* waiting for Redis and for the facts of the cluster */
	STAGE_META,		/* does the prefix serve our group? */
	STAGE_SCHEMAS,		/* our schemas get their ids, when there is a registry */
	STAGE_PRODUCER,		/* INIT of the producer */
	STAGE_INSTANCE,		/* is a predecessor alive? */
	STAGE_PLUGINS,		/* the ready plugins of this host come up */
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
	int64_t start_wait, start_timeout, commit_interval, handover, revoke_drain;
	enum command_log_mode log_commands;
};

/* Where an entry waits: it is in one list at most (entry_list_remove finds
 * it). Two more are dispatch's (for a slot) and a partition's (unread). */
struct engine_lists {
	struct entry_list runnable;	/* READ: its key is free */
	struct entry_list starting;	/* READ: for a worker's start, or for the registry */
	struct entry_list verify;	/* CLAIMING: NEW was answered, and nothing is done yet */
	struct entry_list waiting;	/* WAITING */
	struct entry_list ready;	/* READY */
	struct entry_list large;	/* READY, pieces of them go first */
	struct entry_list left;		/* LEFT */
	struct entry_list handing;	/* HANDING */
};

/* Why it is not ready; "": no reason. */
struct engine_why {
	char consumer[200];
	char publisher[200];
	char commit[600];		/* commits fail, and go on failing */
};

struct engine_handles {
	uv_prepare_t prepare;		/* the turn */
	uv_timer_t tick, soon;
	uv_idle_t again;		/* another turn at once */
	int closing;			/* how many still are */
};

typedef void engine_action_fn(struct engine *eng, struct entry *e);

/* fields: 26 of them are one pointer for each module below the engine and for
 * each of its stages: this is where they find one another. */
struct engine {
	uv_loop_t *loop;
	const struct config *config;
	struct engine_limits limits;
	struct time_limit_keys *time_limits;
	struct secret_spots_cache *spots;	/* of the drivers' config schemas */
	struct engine_events ev;
	engine_action_fn *const *actions;	/* by enum entry_action */
	struct engine_handles handles;
	unsigned ticks;
	enum engine_stage stage;
	bool exiting;			/* on_exit was called */
	int exit_code;			/* of shutdown_leave; 0: an end that was asked for */

	struct schemas *schemas;
	struct redis *redis;
	struct registry *registry;
	struct instance *instance;
	struct supervisor *supervisor;
	struct claims *claims;
	struct consumer *consumer;	/* NULL before STAGE_RUNNING */
	struct publisher *publisher;	/* NULL before STAGE_PRODUCER */
	struct best_effort *best_effort;
	struct result_ctx *results;
	struct result_limits result_limits;
	struct buf credential_prefix;	/* of result_limits */
	char *topics[TOPIC_COUNT];	/* full names */

	struct startup *startup;
	struct decoding *decoding;
	struct unread *unread;
	struct dispatch *dispatch;
	struct calling *calling;
	struct answering *answering;
	struct stall *stall;
	struct committing *committing;
	struct orphans *orphans;
	struct rebalance *rebalance;
	struct shutdown *shutdown;
	struct status *status;

	struct partitions partitions;
	struct engine_lists lists;
	bool revoking;			/* a revoke event is being answered: no seal but its last */
	size_t entries;			/* in windows */
	size_t bytes;			/* of all entries */
	struct idle idle;		/* of all partitions */
	size_t recording;		/* answers being written to Redis */
	size_t owning;			/* take-overs of our own claims under way */
	bool paused_all;		/* as the consumer was told */
	bool looking_at_held;		/* may held partitions be read? */
	int64_t ticked_at;		/* mono ms: do we run? */
	int64_t redis_down_since;	/* mono ms, 0: up */
	struct redis_watch redis_watch;
	struct engine_why why;
};

/* From the configuration. False: out of memory. */
void core_read_limits(struct engine *eng);
bool core_name_topics(struct engine *eng);

/* One event of the table of entry.c: sets the next state, then does the
 * action. An event that the table does not know in this state is a bug, and
 * aborts. The entry may be gone afterwards. */
void core_step(struct engine *eng, struct entry *e, enum entry_event event);
/* READY: queued for sealing (DO_PUBLISH). */
void core_publish(struct engine *eng, struct entry *e);
/* The plugin's slot that the entry holds, if any. */
void core_release_slot(struct engine *eng, struct entry *e);
/* The entry is owed nothing any more (DO_DROP): out of all lists, and freed,
 * unless the publisher still borrows its events or a thread reads it: then
 * the verdict, or the thread's end, finds it GONE and calls this again. */
void core_close_entry(struct engine *eng, struct entry *e);
/* After what it holds has changed. */
void core_count_bytes(struct engine *eng, struct entry *e);

/* Sends a PluginEvent, best effort. */
void core_plugin_event(struct engine *eng, const struct plugin_event *event);

/* Another turn before the loop waits. */
void core_again(struct engine *eng);
/* A turn in `ms` at the latest. */
void core_soon(struct engine *eng, int64_t ms);

/* The process is to end now, with this code. Only the first one counts. */
void core_exit(struct engine *eng, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Out of memory where nothing can be undone: exit 75. */
void core_nomem(struct engine *eng);

#endif
