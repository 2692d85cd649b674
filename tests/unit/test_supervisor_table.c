/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "plugin/supervisor_table.h"

enum { STEPS = 12 };

static const struct supervisor_rules restart = { true }, no_restart = { false };

static const enum worker_status states[] = {
	WORKER_NONE, WORKER_STARTING, WORKER_RUNNING, WORKER_STOPPING, WORKER_STOPPED,
	WORKER_CRASHED, WORKER_BACKOFF,
};

/* No cell is left out, and only what cannot happen is bad. */
static void
test_complete(void **state)
{
	static const struct {
		enum supervisor_event event;
		bool bad[COUNT(states)];	/* in the order of states[] */
	} cannot[] = {
		{ SUPERVISOR_UP, { true, false, true, false, true, true, true } },
		{ SUPERVISOR_FAILED, { true, false, true, false, true, true, true } },
		{ SUPERVISOR_DIED, { true, false, false, false, true, true, true } },
		{ SUPERVISOR_NEXT_UP, { true, true, false, true, true, true, true } },
		{ SUPERVISOR_NEXT_FAILED, { true, true, false, true, true, true, true } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(states); i++) {
		for (int e = 0; e < SUPERVISOR_EVENTS; e++) {
			struct supervisor_row row = { .status = states[i], .wanted = true };
			enum supervisor_action a = supervisor_table_step(&row, &restart, e, 5000,
				0);
			bool bad = false;

			for (size_t c = 0; c < COUNT(cannot); c++)
				if ((int)cannot[c].event == e)
					bad = cannot[c].bad[i];
			if (a == 0 || (a == SUPERVISOR_BAD) != bad)
				fail_msg("state %d, event %d: action %d", (int)states[i], e,
					(int)a);
		}
	}
}

/* What an event does, and the state after it. */
struct step {
	enum supervisor_event event;
	enum supervisor_action action;
	enum worker_status status;
};

#define START { SUPERVISOR_WANTED, SUPERVISOR_SPAWN, WORKER_STARTING }
#define UP { SUPERVISOR_UP, SUPERVISOR_NOTHING, WORKER_RUNNING }
#define RENEW { SUPERVISOR_CHANGED, SUPERVISOR_RENEW, WORKER_RUNNING }
#define DIES { SUPERVISOR_DIED, SUPERVISOR_WAIT, WORKER_BACKOFF }
#define DUE { SUPERVISOR_DUE, SUPERVISOR_SPAWN, WORKER_STARTING }

static const struct story {
	const char *name;
	const struct supervisor_rules *rules;
	struct step steps[STEPS];
} stories[] = {
	{ "start, run, stop", &restart, { START, UP,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_DRAIN, WORKER_STOPPING },
	  { SUPERVISOR_IDLE, SUPERVISOR_LADDER, WORKER_STOPPING },
	  { SUPERVISOR_IDLE, SUPERVISOR_NOTHING, WORKER_STOPPING },
	  { SUPERVISOR_DIED, SUPERVISOR_REST, WORKER_STOPPED } } },
	{ "stop now", &restart, { START, UP,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_DRAIN, WORKER_STOPPING },
	  { SUPERVISOR_NOW, SUPERVISOR_LADDER, WORKER_STOPPING },
	  { SUPERVISOR_NOW, SUPERVISOR_NOTHING, WORKER_STOPPING } } },
	{ "stop while starting", &restart, { START,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_LADDER, WORKER_STOPPING },
	  { SUPERVISOR_UP, SUPERVISOR_NOTHING, WORKER_STOPPING },
	  { SUPERVISOR_DIED, SUPERVISOR_REST, WORKER_STOPPED } } },
	{ "wanted again while draining", &restart, { START, UP,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_DRAIN, WORKER_STOPPING },
	  { SUPERVISOR_WANTED, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_IDLE, SUPERVISOR_NOTHING, WORKER_RUNNING } } },
	{ "wanted again on the ladder", &restart, { START, UP,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_DRAIN, WORKER_STOPPING },
	  { SUPERVISOR_IDLE, SUPERVISOR_LADDER, WORKER_STOPPING },
	  { SUPERVISOR_WANTED, SUPERVISOR_NOTHING, WORKER_STOPPING },
	  { SUPERVISOR_DIED, SUPERVISOR_SPAWN, WORKER_STARTING }, UP } },
	{ "crash and restart", &restart, { START, UP, DIES, DUE, UP } },
	{ "crash while starting", &restart, { START, DIES, DUE } },
	{ "hand-shake failed", &restart, { START,
	  { SUPERVISOR_FAILED, SUPERVISOR_WAIT, WORKER_BACKOFF }, DUE, UP } },
	{ "demand cuts the back-off short", &restart, { START, UP, DIES,
	  { SUPERVISOR_DEMAND, SUPERVISOR_SPAWN, WORKER_STARTING },
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_STARTING } } },
	{ "demand while it runs", &restart, { START,
	  { SUPERVISOR_DEMAND, SUPERVISOR_NOTHING, WORKER_STARTING }, UP,
	  { SUPERVISOR_DEMAND, SUPERVISOR_NOTHING, WORKER_RUNNING } } },
	{ "demand for what is not wanted", &restart, {
	  { SUPERVISOR_DEMAND, SUPERVISOR_NOTHING, WORKER_NONE } } },
	{ "no longer wanted in back-off", &restart, { START, DIES,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_REST, WORKER_STOPPED },
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_STOPPED }, START } },
	{ "changed in back-off", &restart, { START, DIES,
	  { SUPERVISOR_CHANGED, SUPERVISOR_SPAWN, WORKER_STARTING } } },
	{ "changed while it runs", &restart, { START, UP, RENEW,
	  { SUPERVISOR_IDLE, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_NEXT_UP, SUPERVISOR_PROMOTE, WORKER_RUNNING },
	  { SUPERVISOR_IDLE, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_RUNNING }, DIES, DUE } },
	{ "changed twice", &restart, { START, UP, RENEW, RENEW,
	  { SUPERVISOR_NEXT_UP, SUPERVISOR_PROMOTE, WORKER_RUNNING } } },
	{ "the successor does not start", &restart, { START, UP, RENEW,
	  { SUPERVISOR_NEXT_FAILED, SUPERVISOR_WAIT, WORKER_RUNNING },
	  { SUPERVISOR_IDLE, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_DUE, SUPERVISOR_RENEW, WORKER_RUNNING },
	  { SUPERVISOR_NEXT_FAILED, SUPERVISOR_WAIT, WORKER_RUNNING }, RENEW,
	  { SUPERVISOR_NEXT_UP, SUPERVISOR_PROMOTE, WORKER_RUNNING } } },
	{ "no restart, and the successor does not start", &no_restart, { START, UP, RENEW,
	  { SUPERVISOR_NEXT_FAILED, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_RUNNING }, RENEW } },
	{ "it dies while its successor starts", &restart, { START, UP, RENEW,
	  { SUPERVISOR_DIED, SUPERVISOR_ADOPT, WORKER_STARTING }, UP, DIES } },
	{ "it dies while the next try is waited for", &restart, { START, UP, RENEW,
	  { SUPERVISOR_NEXT_FAILED, SUPERVISOR_WAIT, WORKER_RUNNING }, DIES, DUE, UP,
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_RUNNING } } },
	{ "stopped while its successor starts", &restart, { START, UP, RENEW,
	  { SUPERVISOR_UNWANTED, SUPERVISOR_DRAIN, WORKER_STOPPING },
	  { SUPERVISOR_WANTED, SUPERVISOR_NOTHING, WORKER_RUNNING },
	  { SUPERVISOR_DUE, SUPERVISOR_NOTHING, WORKER_RUNNING }, DIES } },
	{ "changed while starting", &restart, { START,
	  { SUPERVISOR_CHANGED, SUPERVISOR_LADDER, WORKER_STOPPING },
	  { SUPERVISOR_CHANGED, SUPERVISOR_NOTHING, WORKER_STOPPING },
	  { SUPERVISOR_DIED, SUPERVISOR_SPAWN, WORKER_STARTING }, UP } },
	{ "no restart", &no_restart, { START, UP,
	  { SUPERVISOR_DIED, SUPERVISOR_REST, WORKER_CRASHED },
	  { SUPERVISOR_DEMAND, SUPERVISOR_NOTHING, WORKER_CRASHED },
	  { SUPERVISOR_WANTED, SUPERVISOR_NOTHING, WORKER_CRASHED },
	  { SUPERVISOR_CHANGED, SUPERVISOR_SPAWN, WORKER_STARTING } } },
	{ "no restart, hand-shake failed", &no_restart, { START,
	  { SUPERVISOR_FAILED, SUPERVISOR_REST, WORKER_CRASHED },
	  { SUPERVISOR_UNWANTED, SUPERVISOR_REST, WORKER_STOPPED } } },
};

static void
test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stories); i++) {
		const struct story *s = &stories[i];
		struct supervisor_row row = { 0 };

		for (int n = 0; n < STEPS && s->steps[n].action; n++) {
			enum supervisor_action a = supervisor_table_step(&row, s->rules,
									 s->steps[n].event,
									 1000 * (n + 1), 0);

			if (a != s->steps[n].action || row.status != s->steps[n].status)
				fail_msg("%s, step %d: action %d, status %d", s->name, n, (int)a,
					 (int)row.status);
		}
	}
}

/* One life: comes up (or not) and ends after `run_ms`. */
static enum supervisor_action
life(struct supervisor_row *row, int64_t *now, bool up, int64_t run_ms, enum supervisor_event end)
{
	if (row->status == WORKER_BACKOFF) {
		*now = row->next_restart_ms;
		supervisor_table_step(row, &restart, SUPERVISOR_DUE, *now, 0);
	} else {
		supervisor_table_step(row, &restart, SUPERVISOR_WANTED, *now, 0);
	}
	assert_int_equal(row->status, WORKER_STARTING);
	if (up)
		supervisor_table_step(row, &restart, SUPERVISOR_UP, *now, 0);
	*now += run_ms;
	return supervisor_table_step(row, &restart, end, *now, 0);
}

/* Dying right after every start counts, however often the hand-shake was
 * done: 1 s, 2 s, 4 s … and the tenth time it is given up. */
static void
test_gives_up(void **state)
{
	(void)state;
	for (int up = 0; up < 2; up++) {
		struct supervisor_row row = { 0 };
		int64_t now = 1000, delay = 1000;

		for (int n = 1; n <= SUPERVISOR_CRASHES_MAX; n++) {
			enum supervisor_action a = life(&row, &now, up, 5, SUPERVISOR_DIED);

			assert_int_equal(row.consecutive, n);
			assert_int_equal(row.total, n);
			if (n == SUPERVISOR_CRASHES_MAX) {
				assert_int_equal(a, SUPERVISOR_GIVE_UP);
				break;
			}
			assert_int_equal(a, SUPERVISOR_WAIT);
			assert_int_equal(row.next_restart_ms - now, delay);
			assert_true(supervisor_table_startable(&row));
			delay *= 2;
		}
		assert_int_equal(row.status, WORKER_CRASHED);
		assert_true(row.gave_up);
		assert_false(supervisor_table_startable(&row));
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_DEMAND, now, 0),
				 SUPERVISOR_NOTHING);
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_CHANGED, now, 0),
				 SUPERVISOR_SPAWN);
		assert_false(row.gave_up);
		assert_int_equal(row.consecutive, 0);
	}
}

/* A start that fails is a change, with which a command that waits asks again:
 * at once when the worker had lived, else a second after the last try. */
static void
test_demand_is_not_hasty(void **state)
{
	struct supervisor_row row = { 0 };
	int64_t now = 5000;

	(void)state;
	assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_WANTED, now, 0),
			 SUPERVISOR_SPAWN);
	for (int n = 0; n < 4; n++) {
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_FAILED, now, 0),
				 SUPERVISOR_WAIT);
		/* The back-off of the first failure is no longer than that. */
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_DEMAND, now, 0),
				 n ? SUPERVISOR_WAIT : SUPERVISOR_NOTHING);
		assert_int_equal(row.next_restart_ms, now + SUPERVISOR_BACKOFF_MIN_MS);
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_DEMAND, now, 0),
				 SUPERVISOR_NOTHING);
		now += SUPERVISOR_BACKOFF_MIN_MS;
		assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_DEMAND, now, 0),
				 SUPERVISOR_SPAWN);
	}
	supervisor_table_step(&row, &restart, SUPERVISOR_UP, now, 0);
	now += SUPERVISOR_BACKOFF_MIN_MS;
	supervisor_table_step(&row, &restart, SUPERVISOR_DIED, now, 0);
	assert_int_equal(supervisor_table_step(&row, &restart, SUPERVISOR_DEMAND, now, 0),
			 SUPERVISOR_SPAWN);
}

/* A failed hand-shake never parks a plugin; the wait is at most 5 minutes. */
static void
test_failed_for_ever(void **state)
{
	struct supervisor_row row = { 0 };
	int64_t now = 1000;

	(void)state;
	for (int n = 1; n <= 100; n++) {
		assert_int_equal(life(&row, &now, false, 15000, SUPERVISOR_FAILED),
			SUPERVISOR_WAIT);
		if (n >= 10)
			assert_int_equal(row.next_restart_ms - now, SUPERVISOR_BACKOFF_MAX_MS);
	}
	assert_true(supervisor_table_startable(&row));
}

/* A command may wait for a start: not for one that failed twice since it last ran,
 * and for the successor of one that makes way. */
static void
test_coming(void **state)
{
	struct supervisor_row row = { 0 };
	int64_t now = 1000;

	(void)state;
	assert_false(supervisor_table_coming(&row));
	for (int round = 0; round < 2; round++) {
		static const enum supervisor_event ends[] = { SUPERVISOR_FAILED, SUPERVISOR_DIED };

		for (int n = 0; n < 4; n++) {
			supervisor_table_step(&row, &restart, n || round ? SUPERVISOR_DUE :
							       SUPERVISOR_WANTED, now, 0);
			assert_int_equal(row.status, WORKER_STARTING);
			assert_int_equal(supervisor_table_coming(&row),
					 n < SUPERVISOR_FAILED_STARTS_MAX);
			supervisor_table_step(&row, &restart, ends[round], now, 0);
			assert_false(supervisor_table_coming(&row));
		}
		supervisor_table_step(&row, &restart, SUPERVISOR_DUE, now, 0);
		supervisor_table_step(&row, &restart, SUPERVISOR_UP, now, 0);
		assert_false(supervisor_table_coming(&row));
		/* That it crashed while it ran is no failed start. */
		supervisor_table_step(&row, &restart, SUPERVISOR_DIED, now, 0);
	}
	supervisor_table_step(&row, &restart, SUPERVISOR_DUE, now, 0);
	supervisor_table_step(&row, &restart, SUPERVISOR_UP, now, 0);
	supervisor_table_step(&row, &restart, SUPERVISOR_DIED, now, 0);
	supervisor_table_step(&row, &restart, SUPERVISOR_DUE, now, 0);
	supervisor_table_step(&row, &restart, SUPERVISOR_CHANGED, now, 0);
	assert_int_equal(row.status, WORKER_STOPPING);
	assert_true(supervisor_table_coming(&row));
	supervisor_table_step(&row, &restart, SUPERVISOR_UNWANTED, now, 0);
	assert_false(supervisor_table_coming(&row));
}

static void
test_series_ends(void **state)
{
	struct supervisor_row row = { 0 };
	int64_t now = 1000;

	(void)state;
	for (int n = 0; n < 5; n++)
		life(&row, &now, true, 10, SUPERVISOR_DIED);
	assert_int_equal(row.consecutive, 5);
	/* Ten minutes of running end the series. */
	life(&row, &now, true, SUPERVISOR_WINDOW_MS, SUPERVISOR_DIED);
	assert_int_equal(row.consecutive, 1);
	assert_int_equal(row.total, 6);
	life(&row, &now, true, SUPERVISOR_WINDOW_MS - 2000, SUPERVISOR_DIED);
	assert_int_equal(row.consecutive, 2);
	/* What the record shows. */
	now = row.next_restart_ms;
	supervisor_table_step(&row, &restart, SUPERVISOR_DUE, now, 0);
	supervisor_table_step(&row, &restart, SUPERVISOR_UP, now, 0);
	assert_int_equal(supervisor_table_crashes(&row, now + 1000), 2);
	assert_int_equal(supervisor_table_crashes(&row, now + SUPERVISOR_WINDOW_MS), 0);
}

static const struct {
	int crashes;
	double dice;
	int64_t wait;
} waits[] = {
	{ 1, -1, 750 }, { 1, 0, 1000 }, { 1, 1, 1250 }, { 2, 0, 2000 }, { 5, -1, 12000 },
	{ 9, 1, 300000 }, { 9, 0, 256000 },
};

static void
test_spread(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(waits); i++) {
		struct supervisor_row row = { .status = WORKER_RUNNING, .wanted = true,
					      .consecutive = waits[i].crashes - 1 };

		supervisor_table_step(&row, &restart, SUPERVISOR_DIED, 7000, waits[i].dice);
		if (row.next_restart_ms - 7000 != waits[i].wait)
			fail_msg("row %zu: %lld ms", i, (long long)(row.next_restart_ms - 7000));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_failed_for_ever),
		cmocka_unit_test(test_demand_is_not_hasty),
		cmocka_unit_test(test_coming),
		cmocka_unit_test(test_series_ends),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
