/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runs: the processes of one plugin: the one that is called, a successor that starts
 * beside it, and older ones that end with their last calls.
 *
 * Owns the processes and the check of a pinned package. Knows nothing of why one is
 * started, or when again.
 */
#ifndef ENVDRIVER_PLUGIN_RUNS_H
#define ENVDRIVER_PLUGIN_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "plugin_process.h"

struct mask;
struct pin_check;
struct plugin_record;
struct worker_record;
struct worker_report;

/* All from the loop. None may free the runs. */
struct runs_events {
	/* The hand-shake of the one that is called, or of its successor, is done. */
	void (*on_up)(void *arg);
	void (*on_next_up)(void *arg);
	/* It is gone, or (`end` NULL, `pid` 0) did not come to be: `why`. Before its
	 * calls end. */
	void (*on_down)(void *arg, int pid, const struct worker_end *end, const char *why);
	void (*on_next_down)(void *arg, int pid, const struct worker_end *end,
			     const char *why);
	/* The one that is called has no call left. */
	void (*on_idle)(void *arg);
	void *arg;
	/* There is one process less. */
	void (*wake)(void *arg);
	void *wake_arg;
};

enum { RUNS_OLD_MAX = 16 };

struct runs {
	/* Borrowed for its life. */
	const struct plugin_process_shared *shared;
	const struct plugin_record *record;
	struct worker_report *report;
	struct runs_events ev;

	struct plugin_process *current, *next;	/* NULL: none */
	struct plugin_process *old[RUNS_OLD_MAX];
	size_t n_old;
	struct pin_check *check;	/* of the package, before a process is made; or NULL */
	bool check_is_next;
	uint64_t next_id;		/* of requests, over all processes */
	struct mask *given;		/* secrets, to the processes so far; NULL: no process yet */
};

void runs_init(struct runs *r, const struct plugin_process_shared *shared,
	       const struct plugin_record *record, struct worker_report *report,
	       const struct runs_events *ev);
/* Starts one to be called; there must be none. One that does not come to be is told by
 * on_down, perhaps before this returns. */
void runs_begin(struct runs *r);
/* Starts a successor, in place of one that is starting; on_next_down likewise. */
void runs_begin_next(struct runs *r);
/* The successor is called from now on; the other one ends with its last call. */
void runs_promote(struct runs *r);
/* The successor, which is starting, takes the place of one that is gone. */
void runs_adopt(struct runs *r);
/* Ends the successor, if there is one. */
void runs_drop_next(struct runs *r);
/* Ends the one that is called, by the stop ladder. on_down follows. */
void runs_stop(struct runs *r);
/* Ends the older ones, too, whatever they do. */
void runs_stop_old(struct runs *r);
/* To be called every few seconds: ends older ones whose time is over. */
void runs_tick(struct runs *r);
/* After each change of the record: hands what it has to all of them, and pushes
 * `configs` (a JSON object; "": nothing new) to the one that is called when it is up. */
void runs_refresh(struct runs *r, bool up, struct span configs);
/* What its record in Redis has of the one that is called. */
void runs_show(const struct runs *r, struct worker_record *out);
/* The one that is called was given so many secrets that a successor should begin
 * without them. */
bool runs_filling(const struct runs *r);
/* Any process is there, or is about to be. */
bool runs_any(const struct runs *r);
/* The one that is called has no call. True when there is none. */
bool runs_idle(const struct runs *r);
/* Kills what runs; nothing is called back any more. */
void runs_release(struct runs *r);

#endif
