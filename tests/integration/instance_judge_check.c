/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement on other instances, and the positions, on a real Redis. */
#include "unit.h"

#include <inttypes.h>
#include <signal.h>

#include "envdriver/base/clock.h"
#include "instance_rig.h"

static enum instance_verdict
judge(const char *id, const char *incarnation)
{
	return instance_judge(instance, span_of(id), span_of(incarnation), 0);
}

static void
test_judge_at_once(void **state)
{
	static const struct row {
		const char *name, *id, *incarnation;
		enum instance_verdict want;
	} rows[] = {
		{ "another incarnation is in the record", "moved-on", "before", INSTANCE_DEAD },
		{ "its process is gone", "gone", "i", INSTANCE_DEAD },
		{ "on another machine, seen once", "far", "i", INSTANCE_UNKNOWN },
		{ "no record", "absent", "i", INSTANCE_UNKNOWN },
		{ "our name, another incarnation", "us", "before", INSTANCE_DEAD },
		{ "no instance id", "", "i", INSTANCE_UNKNOWN },
		{ "record of a wrong type", "text", "i", INSTANCE_UNKNOWN },
	};

	(void)state;
	instance_rig_put("moved-on", "after", "another-boot", 1);
	instance_rig_put("gone", "i", self.boot_id, NO_PID);
	instance_rig_put("far", "i", "another-boot", NO_PID);
	rig_ask(&rig, "SET envdriver:instance:text x");
	assert_int_equal(judge("us", "before"), INSTANCE_UNKNOWN);	/* not ours yet */
	instance_rig_begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		(void)judge(rows[i].id, rows[i].incarnation);
	rig_run(&rig, 200);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (judge(rows[i].id, rows[i].incarnation) != rows[i].want)
			fail_msg("%s: %d", rows[i].name, judge(rows[i].id, rows[i].incarnation));
	assert_int_equal(judge("us", instance_incarnation(instance)), INSTANCE_ALIVE);
	assert_int_equal(judge("else", instance_incarnation(instance)), INSTANCE_ALIVE);
}

/* An instance that came back: its record was read before its claim was seen,
 * and showed its predecessor. */
static void
test_judge_not_by_an_old_record(void **state)
{
	int64_t seen;

	(void)state;
	instance_rig_put("again", "before", "another-boot", 1);
	instance_rig_begin();
	(void)judge("again", "before");
	rig_run(&rig, 200);
	assert_int_equal(judge("again", "after"), INSTANCE_DEAD);	/* of an old claim */
	instance_rig_put("again", "after", "another-boot", 1);
	seen = clock_mono_ms();
	assert_int_equal(instance_judge(instance, span_of("again"), span_of("after"), seen),
			 INSTANCE_UNKNOWN);
	rig_run(&rig, 1500);
	assert_int_not_equal(instance_judge(instance, span_of("again"), span_of("after"), seen),
			     INSTANCE_DEAD);
	assert_int_equal(instance_judge(instance, span_of("again"), span_of("before"), seen),
			 INSTANCE_DEAD);
}

/* Asks every second, as a WAITING command does. */
static int64_t
until_dead(const char *id, int ms)
{
	int64_t from = clock_mono_ms();

	while (judge(id, "i") != INSTANCE_DEAD && clock_mono_ms() - from < ms) {
		assert_int_not_equal(judge("beats", "i"), INSTANCE_DEAD);
		rig_ask(&rig, "HINCRBY envdriver:instance:beats beat 1");
		rig_run(&rig, 500);
	}
	return clock_mono_ms() - from;
}

static void
test_judge_beats(void **state)
{
	int64_t ms;

	(void)state;
	instance_rig_begin();
	instance_rig_put("still", "i", "another-boot", 1);
	instance_rig_put("beats", "i", "another-boot", 1);
	ms = until_dead("still", 30000);
	assert_in_range(ms, 15000, 19000);
	assert_int_equal(judge("beats", "i"), INSTANCE_ALIVE);
	/* It was only slow. */
	rig_ask(&rig, "HINCRBY envdriver:instance:still beat 1");
	rig_run(&rig, 1500);
	assert_int_not_equal(judge("still", "i"), INSTANCE_DEAD);
}

/* While Redis slept nobody could beat. */
static void
test_judge_redis_slept(void **state)
{
	int64_t from;

	(void)state;
	instance_rig_begin();
	instance_rig_put("beats", "i", "another-boot", 1);
	from = clock_mono_ms();
	until_dead("absent", 8000);
	kill(rig.server, SIGSTOP);
	rig_run(&rig, 4500);
	kill(rig.server, SIGCONT);
	assert_true(redis_up(rig.redis));
	until_dead("absent", 30000);
	assert_in_range(clock_mono_ms() - from, 8000 + 4500 + 15000, 40000);
}

/* --- positions --- */

static bool read_ok;
static int64_t read_ends[3];
static int n_read;

static void
on_positions(void *arg, bool ok, const int64_t *ends, size_t n)
{
	(void)arg;
	read_ok = ok;
	n_read++;
	for (size_t i = 0; ok && i < n; i++)
		read_ends[i] = ends[i];
}

static bool
is_read(void *arg)
{
	(void)arg;
	return n_read > 0;
}

static void
read_positions(void)
{
	n_read = 0;
	instance_positions(instance, "t", (const int32_t[]){ 0, 1, 2 }, 3, on_positions, NULL);
	rig_until(&rig, is_read, NULL, PATIENCE_MS);
	assert_int_equal(n_read, 1);
}

static void
test_positions(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:positions t:0 100 t:2 x");
	instance_rig_begin();
	read_positions();
	assert_true(read_ok);
	assert_int_equal(read_ends[0], 100);
	assert_int_equal(read_ends[1], -1);
	assert_int_equal(read_ends[2], -1);
	instance_position(instance, "t", 0, 99);	/* never lowered */
	for (int64_t end = 1; end <= 50; end++)
		instance_position(instance, "t", 1, end);
	instance_position(instance, "t", 2, INT64_C(1) << 52);
	rig_run(&rig, 2200);
	read_positions();
	assert_int_equal(read_ends[0], 100);
	assert_int_equal(read_ends[1], 50);
	assert_int_equal(read_ends[2], INT64_C(1) << 52);
	instance_position(instance, "t", 0, 101);
	rig_run(&rig, 1500);
	assert_string_equal(rig_ask(&rig, "HGET envdriver:positions t:0"), "101");
}

/* More than one call to Redis takes. */
static void
test_positions_many_at_once(void **state)
{
	(void)state;
	instance_rig_begin();
	for (int p = 0; p < 100; p++)
		instance_position(instance, "t", p, 7);
	rig_run(&rig, 1500);
	assert_string_equal(rig_ask(&rig, "HLEN envdriver:positions"), "100");
}

static void
test_positions_many_and_down(void **state)
{
	(void)state;
	instance_rig_begin();
	for (int p = 0; p < 50; p++)
		instance_position(instance, "t", p, 7);
	rig_server_kill(&rig);
	rig_run(&rig, 1500);
	read_positions();
	assert_false(read_ok);
	rig_server_start(&rig);
	rig_run(&rig, 6000);
	assert_string_equal(rig_ask(&rig, "HLEN envdriver:positions"), "50");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_judge_at_once),
		TEST(test_judge_not_by_an_old_record),
		TEST(test_judge_beats),
		TEST(test_judge_redis_slept),
		TEST(test_positions),
		TEST(test_positions_many_at_once),
		TEST(test_positions_many_and_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
