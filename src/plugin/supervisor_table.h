/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_table: when a plugin's worker is started, stopped and started
 * again (docs/decisions.md D17): state x event -> what to do, next state.
 *
 * Owns nothing; the clock and the dice are passed in. Knows nothing of
 * processes.
 */
#ifndef ENVDRIVER_PLUGIN_SUPERVISOR_TABLE_H
#define ENVDRIVER_PLUGIN_SUPERVISOR_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/plugin/supervisor.h"

enum {
	SUPERVISOR_BACKOFF_MIN_MS = 1000,
	SUPERVISOR_BACKOFF_MAX_MS = 300000,
	SUPERVISOR_CRASHES_MAX = 10,
	SUPERVISOR_FAILED_STARTS_MAX = 2,	/* from then on nobody waits for the next one */
	SUPERVISOR_WINDOW_MS = 600000,	/* crashes further apart are not one series */
};

enum supervisor_event {
	SUPERVISOR_WANTED,	/* the plugin is ready and its package is here */
	SUPERVISOR_UNWANTED,	/* it is not (any more), or we are to stop */
	SUPERVISOR_DEMAND,	/* a command wants it now */
	SUPERVISOR_CHANGED,	/* another manifest, package or readiness in the registry, or
				 * it is to be started anew */
	SUPERVISOR_UP,		/* the hand-shake is done */
	SUPERVISOR_FAILED,	/* it was not, by a process that lived or never came to be */
	SUPERVISOR_DIED,	/* the process is gone */
	SUPERVISOR_DUE,		/* the back-off is over */
	SUPERVISOR_IDLE,	/* no call is left */
	SUPERVISOR_NOW,		/* stop without waiting for calls */
	SUPERVISOR_NEXT_UP,	/* the hand-shake of a successor is done */
	SUPERVISOR_NEXT_FAILED,	/* a successor is gone, or did not come to be */
	SUPERVISOR_EVENTS,
};

enum supervisor_action {
	SUPERVISOR_NOTHING = 1,	/* 0 would be a hole in the table */
	SUPERVISOR_SPAWN,	/* start a process (a waiting back-off is over) */
	SUPERVISOR_WAIT,	/* until next_restart_ms, then SUPERVISOR_DUE */
	SUPERVISOR_DRAIN,	/* take no new calls; SUPERVISOR_IDLE when none is left. No
				 * successor either */
	SUPERVISOR_LADDER,	/* the stop ladder, now */
	SUPERVISOR_RENEW,	/* start a successor, in place of one that is starting */
	SUPERVISOR_PROMOTE,	/* the successor is called; the other ends with its last call */
	SUPERVISOR_ADOPT,	/* the other is gone: the successor is the one that is starting */
	SUPERVISOR_REST,	/* no process, and none is to come: a timer is off */
	SUPERVISOR_GIVE_UP,	/* as REST, after a series of crashes */
	SUPERVISOR_BAD,		/* cannot happen */
};

enum supervisor_renewal {
	RENEWAL_NONE,
	RENEWAL_STARTING,	/* a successor is starting */
	RENEWAL_WAITING,	/* the next try is waited for: next_restart_ms */
};

struct supervisor_row {
	enum worker_status status;
	bool wanted;
	enum supervisor_renewal renewal;	/* of one that is RUNNING */
	int renewals;		/* tries of it that failed */
	bool draining;		/* STOPPING, and calls are still running */
	bool gave_up;
	int crashes;		/* in this series, failed hand-shakes not counted */
	int consecutive;	/* with failed hand-shakes: what the back-off grows by */
	int total;
	int failed_starts;	/* since it last came up, or a new series began */
	int64_t up_ms;		/* monotonic; when it came up */
	int64_t last_crash_ms;	/* monotonic; 0: never */
	int64_t next_restart_ms;	/* monotonic; 0: none is waited for */
	int64_t spawned_ms;	/* monotonic; the last try to start it; 0: none yet */
};

struct supervisor_rules {
	bool restart;		/* plugin.restart */
};

/* `dice` is in [-1, 1]: the back-off is spread by a quarter of itself. */
enum supervisor_action supervisor_table_step(struct supervisor_row *row,
					     const struct supervisor_rules *rules,
					     enum supervisor_event event, int64_t now_ms,
					     double dice);
/* How many crashes the record shows now: a worker that has run for
 * SUPERVISOR_WINDOW_MS has none behind it. */
int supervisor_table_crashes(const struct supervisor_row *row, int64_t now_ms);
/* It is starting, or makes way for a successor, and has not failed at that more
 * than once since it last ran. */
bool supervisor_table_coming(const struct supervisor_row *row);
/* SUPERVISOR_DEMAND would start it, or it is starting or running. */
bool supervisor_table_startable(const struct supervisor_row *row);
/* Appends how a worker is, and why, as one sentence without its stop. */
void supervisor_table_add_why(const struct supervisor_view *v, struct buf *out);

#endif
