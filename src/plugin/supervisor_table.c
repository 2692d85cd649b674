/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor_table.h"

#include "envdriver/base/backoff.h"

const char *
supervisor_status_name(enum worker_status s)
{
	static const char *const names[] = {
		[WORKER_NONE] = "none",
		[WORKER_STARTING] = "starting",
		[WORKER_RUNNING] = "running",
		[WORKER_STOPPING] = "stopping",
		[WORKER_STOPPED] = "stopped",
		[WORKER_CRASHED] = "crashed",
		[WORKER_BACKOFF] = "backoff",
	};

	return names[s];
}

/* What a cell of the table does beyond its plain action and next state. */
enum special {
	PLAIN,
	IF_WANTED,	/* only when it is wanted; else nothing */
	BEGIN_RENEWAL,
	IF_RENEWAL_WAITS,	/* ... for its next try */
	RENEWED,
	RENEWAL_FAILED,
	RETRY,		/* a failed hand-shake: back-off, for ever */
	CRASH,		/* counted: back-off, or give up */
	RESET,		/* the series begins anew */
	AGAIN,		/* stopped: start again when it is wanted */
	RESUME,		/* wanted again before the ladder began */
	BEGIN_STOP,	/* drain, then the ladder */
	HURRY,		/* now, but not sooner than a second after the last try */
};

struct cell {
	enum supervisor_action action;
	enum worker_status next;	/* WORKER_NONE: stays */
	enum special special;
};

#define NONE { SUPERVISOR_NOTHING, WORKER_NONE, PLAIN }
#define BAD { SUPERVISOR_BAD, WORKER_NONE, PLAIN }

static const struct cell table[][SUPERVISOR_EVENTS] = {
	[WORKER_STOPPED] = {
		[SUPERVISOR_WANTED] = { SUPERVISOR_SPAWN, WORKER_STARTING, PLAIN },
		[SUPERVISOR_UNWANTED] = NONE,
		[SUPERVISOR_DEMAND] = { SUPERVISOR_SPAWN, WORKER_STARTING, IF_WANTED },
		[SUPERVISOR_CHANGED] = { SUPERVISOR_NOTHING, WORKER_NONE, RESET },
		[SUPERVISOR_UP] = BAD,
		[SUPERVISOR_FAILED] = BAD,
		[SUPERVISOR_DIED] = BAD,
		[SUPERVISOR_DUE] = NONE,
		[SUPERVISOR_IDLE] = NONE,
		[SUPERVISOR_NOW] = NONE,
		[SUPERVISOR_NEXT_UP] = BAD,
		[SUPERVISOR_NEXT_FAILED] = BAD,
	},
	[WORKER_STARTING] = {
		[SUPERVISOR_WANTED] = NONE,
		[SUPERVISOR_UNWANTED] = { SUPERVISOR_LADDER, WORKER_STOPPING, PLAIN },
		[SUPERVISOR_DEMAND] = NONE,
		/* Nobody has been called yet: the other one is started at once. */
		[SUPERVISOR_CHANGED] = { SUPERVISOR_LADDER, WORKER_STOPPING, RESET },
		[SUPERVISOR_UP] = { SUPERVISOR_NOTHING, WORKER_RUNNING, PLAIN },
		[SUPERVISOR_FAILED] = { SUPERVISOR_WAIT, WORKER_BACKOFF, RETRY },
		[SUPERVISOR_DIED] = { SUPERVISOR_WAIT, WORKER_BACKOFF, CRASH },
		[SUPERVISOR_DUE] = NONE,
		[SUPERVISOR_IDLE] = NONE,
		[SUPERVISOR_NOW] = NONE,
		[SUPERVISOR_NEXT_UP] = BAD,
		[SUPERVISOR_NEXT_FAILED] = BAD,
	},
	[WORKER_RUNNING] = {
		[SUPERVISOR_WANTED] = NONE,
		[SUPERVISOR_UNWANTED] = { SUPERVISOR_DRAIN, WORKER_STOPPING, BEGIN_STOP },
		[SUPERVISOR_DEMAND] = NONE,
		[SUPERVISOR_CHANGED] = { SUPERVISOR_RENEW, WORKER_NONE, BEGIN_RENEWAL },
		[SUPERVISOR_UP] = BAD,
		[SUPERVISOR_FAILED] = BAD,
		[SUPERVISOR_DIED] = { SUPERVISOR_WAIT, WORKER_BACKOFF, CRASH },
		[SUPERVISOR_DUE] = { SUPERVISOR_RENEW, WORKER_NONE, IF_RENEWAL_WAITS },
		[SUPERVISOR_IDLE] = NONE,
		[SUPERVISOR_NOW] = NONE,
		[SUPERVISOR_NEXT_UP] = { SUPERVISOR_PROMOTE, WORKER_NONE, RENEWED },
		[SUPERVISOR_NEXT_FAILED] = { SUPERVISOR_WAIT, WORKER_NONE, RENEWAL_FAILED },
	},
	[WORKER_STOPPING] = {
		[SUPERVISOR_WANTED] = { SUPERVISOR_NOTHING, WORKER_RUNNING, RESUME },
		[SUPERVISOR_UNWANTED] = NONE,
		[SUPERVISOR_DEMAND] = NONE,
		[SUPERVISOR_CHANGED] = { SUPERVISOR_NOTHING, WORKER_NONE, RESET },
		/* The hand-shake was answered on the way down. */
		[SUPERVISOR_UP] = NONE,
		[SUPERVISOR_FAILED] = { SUPERVISOR_REST, WORKER_STOPPED, AGAIN },
		[SUPERVISOR_DIED] = { SUPERVISOR_REST, WORKER_STOPPED, AGAIN },
		[SUPERVISOR_DUE] = NONE,
		[SUPERVISOR_IDLE] = { SUPERVISOR_LADDER, WORKER_NONE, PLAIN },
		[SUPERVISOR_NOW] = { SUPERVISOR_LADDER, WORKER_NONE, PLAIN },
		[SUPERVISOR_NEXT_UP] = BAD,
		[SUPERVISOR_NEXT_FAILED] = BAD,
	},
	[WORKER_CRASHED] = {
		[SUPERVISOR_WANTED] = NONE,
		[SUPERVISOR_UNWANTED] = { SUPERVISOR_REST, WORKER_STOPPED, PLAIN },
		[SUPERVISOR_DEMAND] = NONE,
		[SUPERVISOR_CHANGED] = { SUPERVISOR_SPAWN, WORKER_STARTING, RESET },
		[SUPERVISOR_UP] = BAD,
		[SUPERVISOR_FAILED] = BAD,
		[SUPERVISOR_DIED] = BAD,
		[SUPERVISOR_DUE] = NONE,
		[SUPERVISOR_IDLE] = NONE,
		[SUPERVISOR_NOW] = NONE,
		[SUPERVISOR_NEXT_UP] = BAD,
		[SUPERVISOR_NEXT_FAILED] = BAD,
	},
	[WORKER_BACKOFF] = {
		[SUPERVISOR_WANTED] = NONE,
		[SUPERVISOR_UNWANTED] = { SUPERVISOR_REST, WORKER_STOPPED, PLAIN },
		[SUPERVISOR_DEMAND] = { SUPERVISOR_SPAWN, WORKER_STARTING, HURRY },
		[SUPERVISOR_CHANGED] = { SUPERVISOR_SPAWN, WORKER_STARTING, RESET },
		[SUPERVISOR_UP] = BAD,
		[SUPERVISOR_FAILED] = BAD,
		[SUPERVISOR_DIED] = BAD,
		[SUPERVISOR_DUE] = { SUPERVISOR_SPAWN, WORKER_STARTING, PLAIN },
		[SUPERVISOR_IDLE] = NONE,
		[SUPERVISOR_NOW] = NONE,
		[SUPERVISOR_NEXT_UP] = BAD,
		[SUPERVISOR_NEXT_FAILED] = BAD,
	},
};

static int64_t
restart_delay(int consecutive, double dice)
{
	static const struct backoff backoff = {
		.min_ms = SUPERVISOR_BACKOFF_MIN_MS,
		.max_ms = SUPERVISOR_BACKOFF_MAX_MS,
	};
	int64_t ms = backoff_spread(backoff_ms(&backoff, (unsigned)consecutive), dice);

	return ms < backoff.max_ms ? ms : backoff.max_ms;
}

static bool
series_over(const struct supervisor_row *row, int64_t now)
{
	return (row->last_crash_ms && now - row->last_crash_ms > SUPERVISOR_WINDOW_MS) ||
	       (row->status == WORKER_RUNNING && now - row->up_ms >= SUPERVISOR_WINDOW_MS);
}

static void
reset_series(struct supervisor_row *row)
{
	row->crashes = row->consecutive = row->failed_starts = 0;
	row->gave_up = false;
}

/* It is gone, and its successor is on its way. */
static enum supervisor_action
adopt(struct supervisor_row *row, int64_t now)
{
	row->renewal = RENEWAL_NONE;
	row->status = WORKER_STARTING;
	row->total++;
	row->last_crash_ms = now;
	row->next_restart_ms = 0;
	return SUPERVISOR_ADOPT;
}

/* Unlike the original, a worker that came up and dies at once counts on; and
 * a failed hand-shake is tried again for ever, because what it waits for (a
 * licence server, say) may come back. */
static enum supervisor_action
crash(struct supervisor_row *row, const struct supervisor_rules *rules, bool failed, int64_t now,
      double dice)
{
	if (series_over(row, now))
		reset_series(row);
	if (row->renewal == RENEWAL_STARTING)
		return adopt(row, now);
	row->renewal = RENEWAL_NONE;
	row->failed_starts += row->status == WORKER_STARTING;
	row->crashes += !failed;
	row->consecutive++;
	row->total++;
	row->last_crash_ms = now;
	row->gave_up = rules->restart && row->crashes >= SUPERVISOR_CRASHES_MAX;
	if (!rules->restart || row->gave_up) {
		row->status = WORKER_CRASHED;
		return row->gave_up ? SUPERVISOR_GIVE_UP : SUPERVISOR_REST;
	}
	row->status = WORKER_BACKOFF;
	row->next_restart_ms = now + restart_delay(row->consecutive, dice);
	return SUPERVISOR_WAIT;
}

/* The one that runs goes on; without restarts, until the record changes again. */
static enum supervisor_action
renewal_failed(struct supervisor_row *row, const struct supervisor_rules *rules, int64_t now,
	       double dice)
{
	row->renewal = rules->restart ? RENEWAL_WAITING : RENEWAL_NONE;
	if (!rules->restart)
		return SUPERVISOR_NOTHING;
	row->next_restart_ms = now + restart_delay(++row->renewals, dice);
	return SUPERVISOR_WAIT;
}

/* A command that waits asks again with each change, and a start that fails is
 * one: without this a worker that cannot start would be tried in a circle. */
static bool
too_early(struct supervisor_row *row, int64_t now, enum supervisor_action *ret)
{
	int64_t at = row->spawned_ms + SUPERVISOR_BACKOFF_MIN_MS;

	if (!row->spawned_ms || now >= at)
		return false;
	*ret = row->next_restart_ms > at ? SUPERVISOR_WAIT : SUPERVISOR_NOTHING;
	if (row->next_restart_ms > at)
		row->next_restart_ms = at;
	return true;
}

static enum supervisor_action
again(struct supervisor_row *row)
{
	row->draining = false;
	row->status = row->wanted ? WORKER_STARTING : WORKER_STOPPED;
	return row->wanted ? SUPERVISOR_SPAWN : SUPERVISOR_REST;
}

static void
note_up(struct supervisor_row *row, int64_t now)
{
	row->up_ms = now;
	row->failed_starts = 0;
}

static void
note_event(struct supervisor_row *row, enum supervisor_event event, int64_t now)
{
	if (event == SUPERVISOR_WANTED)
		row->wanted = true;
	else if (event == SUPERVISOR_UNWANTED)
		row->wanted = false;
	else if (event == SUPERVISOR_UP || event == SUPERVISOR_NEXT_UP)
		note_up(row, now);
}

/* An event that the state itself does not tell apart. */
static bool
passes(const struct supervisor_row *row, enum supervisor_event event, enum special special)
{
	if (event == SUPERVISOR_IDLE || event == SUPERVISOR_NOW || special == RESUME)
		return row->draining;
	if (special == IF_RENEWAL_WAITS)
		return row->renewal == RENEWAL_WAITING;
	return special != IF_WANTED || row->wanted;
}

static enum supervisor_action
do_step(struct supervisor_row *row, const struct supervisor_rules *rules,
	enum supervisor_event event, int64_t now_ms, double dice)
{
	enum supervisor_action later;
	/* A managed worker that was never started is as a stopped one. */
	const struct cell *c = &table[row->status ? row->status : WORKER_STOPPED][event];

	note_event(row, event, now_ms);
	if (!passes(row, event, c->special))
		return SUPERVISOR_NOTHING;
	switch (c->special) {
	case BEGIN_RENEWAL:
		row->renewals = 0;
		/* fall through */
	case IF_RENEWAL_WAITS:
		row->renewal = RENEWAL_STARTING;
		break;
	case RENEWED:
		row->renewal = RENEWAL_NONE;
		reset_series(row);
		break;
	case RENEWAL_FAILED:
		return renewal_failed(row, rules, now_ms, dice);
	case RETRY:
	case CRASH:
		return crash(row, rules, c->special == RETRY, now_ms, dice);
	case RESET:
		reset_series(row);
		break;
	case AGAIN:
		return again(row);
	case HURRY:
		if (too_early(row, now_ms, &later))
			return later;
		break;
	case RESUME:
		row->draining = false;
		break;
	case BEGIN_STOP:
		row->draining = true;
		break;
	case IF_WANTED:
	case PLAIN:
		break;
	}
	if (c->action == SUPERVISOR_LADDER)
		row->draining = false;
	else if (c->action == SUPERVISOR_DRAIN)
		row->renewal = RENEWAL_NONE;
	if (c->action != SUPERVISOR_NOTHING)
		row->next_restart_ms = 0;
	if (c->next)
		row->status = c->next;
	return c->action;
}

enum supervisor_action
supervisor_table_step(struct supervisor_row *row, const struct supervisor_rules *rules,
		      enum supervisor_event event, int64_t now_ms, double dice)
{
	enum supervisor_action action = do_step(row, rules, event, now_ms, dice);

	if (action == SUPERVISOR_SPAWN)
		row->spawned_ms = now_ms;
	return action;
}

int
supervisor_table_crashes(const struct supervisor_row *row, int64_t now_ms)
{
	return series_over(row, now_ms) ? 0 : row->consecutive;
}

bool
supervisor_table_startable(const struct supervisor_row *row)
{
	return row->wanted && row->status != WORKER_CRASHED;
}

bool
supervisor_table_coming(const struct supervisor_row *row)
{
	if (row->status == WORKER_STOPPING)
		return row->wanted;
	return row->status == WORKER_STARTING &&
	       row->failed_starts < SUPERVISOR_FAILED_STARTS_MAX;
}

void
supervisor_table_add_why(const struct supervisor_view *v, struct buf *out)
{
	buf_addf(out, "The worker of plugin \"%s\" is %s%s%s", v->id,
		 v->gave_up ? "crashed for good" : supervisor_status_name(v->status),
		 *v->reason ? ": " : "", v->reason);
}
