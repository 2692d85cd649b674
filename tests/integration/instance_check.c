/* SPDX-License-Identifier: Apache-2.0 */
/* The instance record, its beat, the checks at start and the judgement on
 * others, on a real Redis. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/state/instance.h"
#include "envdriver/state/process.h"
#include "redis_rig.h"

enum { PATIENCE_MS = 20000, NO_PID = 4194303 };

static struct rig rig;
static struct instance *instance;
static struct process self;
static bool ready;
static int refused;
static char why[600];

static void
on_ready(void *arg)
{
	(void)arg;
	assert_false(ready);
	ready = true;
}

static void
on_refused(void *arg, int exit_code, const char *text)
{
	(void)arg;
	assert_int_equal(refused, 0);
	refused = exit_code;
	snprintf(why, sizeof(why), "%s", text);
}

static int
set_up(void **state)
{
	const struct instance_events ev = { on_ready, on_refused, NULL };
	struct err err;

	(void)state;
	ready = false;
	refused = 0;
	why[0] = '\0';
	process_self(&self);
	rig_open(&rig);
	instance = instance_new(&rig.loop, rig.redis, rig.config, &ev, &err);
	assert_non_null(instance);
	rig_start(&rig);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	instance_free(instance);
	rig_close(&rig);
	return 0;
}

static bool
is_settled(void *arg)
{
	(void)arg;
	return ready || refused;
}

static void
begin(void)
{
	instance_begin(instance, "cluster-1");
	rig_until(&rig, is_settled, NULL, PATIENCE_MS);
}

static const char *
field(const char *name)
{
	return rig_ask(&rig, "HGET envdriver:instance:us %s", name);
}

/* A record under `id`. */
static void
put_other(const char *id, const char *incarnation, const char *boot_id, int pid)
{
	rig_ask(&rig, "DEL envdriver:instance:%s", id);
	rig_ask(&rig, "HSET envdriver:instance:%s incarnation %s beat 5 host there bootId %s "
		      "pidNamespace %s pid %d pidStart 77",
		id, incarnation, boot_id, self.pid_namespace, pid);
}

/* --- start --- */

static void
test_first(void **state)
{
	char token[64], again[64], beat[32];

	(void)state;
	assert_false(instance_ready(instance));
	begin();
	assert_true(ready && instance_ready(instance));
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta clusterId"), "cluster-1");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta group"), "envdriver");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta topicPrefix"), "environment.");
	assert_string_equal(field("incarnation"), instance_incarnation(instance));
	assert_string_equal(field("bootId"), self.boot_id);
	assert_string_equal(field("pidNamespace"), self.pid_namespace);
	assert_int_equal(atoi(field("pid")), getpid());
	assert_true(strtoull(field("pidStart"), NULL, 10) == self.start);
	assert_string_equal(field("group"), "envdriver");
	assert_string_equal(field("partitions"), "[]");
	assert_int_equal(strlen(field("startedAt")), 24);
	snprintf(beat, sizeof(beat), "%s", field("beat"));
	instance_show(instance, (const int32_t[]){ 0, 3 }, 2, 7);
	rig_run(&rig, 2500);
	assert_in_range(atoi(field("beat")), atoi(beat) + 2, atoi(beat) + 3);
	assert_string_equal(field("partitions"), "[0,3]");
	assert_string_equal(field("inFlight"), "7");
	assert_in_range(atol(rig_ask(&rig, "PTTL envdriver:instance:us")), 55000, 60000);
	instance_token(instance, token);
	instance_token(instance, again);
	assert_string_not_equal(token, again);
	assert_memory_equal(token, instance_incarnation(instance), 36);
	assert_int_equal(token[36], '.');
}

static void
test_predecessor_gone(void **state)
{
	int64_t from = clock_mono_ms();

	(void)state;
	put_other("us", "old", self.boot_id, NO_PID);
	begin();
	assert_true(ready);
	assert_true(clock_mono_ms() - from < 1500);
	assert_string_equal(field("incarnation"), instance_incarnation(instance));
	assert_string_equal(field("beat"), "1");
}

static void
test_predecessor_still(void **state)
{
	int64_t from = clock_mono_ms();

	(void)state;
	put_other("us", "old", "another-boot", (int)getpid());
	begin();
	assert_true(ready);
	assert_in_range(clock_mono_ms() - from, 3000, 7000);
}

static bool
beat_other(void *arg)
{
	rig_ask(&rig, "HINCRBY envdriver:instance:%s beat 1", (const char *)arg);
	return is_settled(NULL);
}

static void
test_predecessor_lives(void **state)
{
	char us[] = "us";

	(void)state;
	put_other("us", "old", "another-boot", 4242);
	instance_begin(instance, NULL);
	rig_until(&rig, beat_other, us, PATIENCE_MS);
	assert_int_equal(refused, 69);
	assert_string_equal(why, "instance 'us' is alive (host there, pid 4242): give each worker "
				 "its own instance.id");
	assert_string_equal(field("incarnation"), "old");
	rig_run(&rig, 1500);
	assert_string_equal(field("incarnation"), "old");
}

/* Two at once: only one gets the name. */
static void
test_another_is_faster(void **state)
{
	char us[] = "us";

	(void)state;
	put_other("us", "old", "another-boot", 4242);
	instance_begin(instance, "cluster-1");
	rig_run(&rig, 2500);
	put_other("us", "faster", "another-boot", 4243);
	rig_until(&rig, beat_other, us, PATIENCE_MS);
	assert_int_equal(refused, 69);
	assert_non_null(strstr(why, "pid 4243"));
}

static void
test_meta_differs(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:meta group theirs");
	begin();
	assert_int_equal(refused, 78);
	assert_string_equal(why,
			    "redis.prefix 'envdriver:' serves group 'theirs', this worker has "
			    "'envdriver': one prefix is for one group on one cluster, give "
			    "another redis.prefix");
	assert_string_equal(rig_ask(&rig, "HGETALL envdriver:meta"), "group theirs");
	assert_string_equal(field("incarnation"), "(nil)");
}

static void
test_cluster_differs(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:meta group envdriver clusterId cluster-2");
	begin();
	assert_int_equal(refused, 78);
	assert_non_null(strstr(why, "serves clusterId 'cluster-2', this worker has 'cluster-1'"));
}

static void
test_lost_while_starting(void **state)
{
	(void)state;
	put_other("us", "old", "another-boot", 4242);
	instance_begin(instance, "cluster-1");
	for (int i = 0; i < 3; i++) {
		rig_run(&rig, 700);
		rig_ask(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	}
	rig_until(&rig, is_settled, NULL, PATIENCE_MS);
	assert_true(ready);
}

/* --- later --- */

static void
test_overtaken(void **state)
{
	(void)state;
	begin();
	put_other("us", "zombie-killer", "another-boot", 99);
	rig_until(&rig, (bool (*)(void *))is_settled, NULL, PATIENCE_MS);
	rig_run(&rig, 1500);
	assert_int_equal(refused, 69);
	assert_string_equal(why, "another worker has taken over the name 'us' (host there, pid 99): "
				 "give each worker its own instance.id");
	assert_string_equal(field("beat"), "5");
	assert_false(instance_ready(instance));
}

static void
test_expired_record_comes_back(void **state)
{
	(void)state;
	begin();
	rig_ask(&rig, "DEL envdriver:instance:us");
	rig_run(&rig, 1500);
	assert_int_equal(refused, 0);
	assert_string_equal(field("incarnation"), instance_incarnation(instance));
	assert_string_equal(field("group"), "envdriver");
}

static int verified;	/* 1 ours, -1 not, 0 not yet */

static void
on_verified(void *arg, bool ours)
{
	(void)arg;
	verified = ours ? 1 : -1;
}

static bool
is_verified(void *arg)
{
	(void)arg;
	return verified != 0;
}

static int
verify(void)
{
	verified = 0;
	instance_verify(instance, on_verified, NULL);
	rig_until(&rig, is_verified, NULL, PATIENCE_MS);
	return verified;
}

static void
test_verify(void **state)
{
	(void)state;
	assert_int_equal(verify(), -1);	/* not begun */
	begin();
	assert_int_equal(verify(), 1);
	rig_ask(&rig, "SCRIPT FLUSH");
	assert_int_equal(verify(), -1);	/* ask again */
	assert_int_equal(refused, 0);
	assert_int_equal(verify(), 1);
	put_other("us", "other", "another-boot", 99);
	assert_int_equal(verify(), -1);
	assert_int_equal(refused, 69);
}

static void
test_verify_down(void **state)
{
	(void)state;
	begin();
	verified = 0;
	kill(rig.server, SIGSTOP);
	instance_verify(instance, on_verified, NULL);
	rig_server_kill(&rig);
	rig_until(&rig, is_verified, NULL, PATIENCE_MS);
	assert_int_equal(verified, -1);
	assert_int_equal(verify(), -1);
	rig_server_start(&rig);
	rig_run(&rig, 1500);
	assert_int_equal(verify(), 1);
}

static bool ended;

static void
on_ended(void *arg)
{
	(void)arg;
	ended = true;
}

static bool
is_ended(void *arg)
{
	(void)arg;
	return ended;
}

static void
end(void)
{
	ended = false;
	instance_end(instance, on_ended, NULL);
	rig_until(&rig, is_ended, NULL, PATIENCE_MS);
}

static void
test_end(void **state)
{
	(void)state;
	begin();
	instance_position(instance, "t", 3, 40);
	end();
	assert_string_equal(rig_ask(&rig, "EXISTS envdriver:instance:us"), "0");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:positions t:3"), "40");
	rig_run(&rig, 1500);
	assert_string_equal(rig_ask(&rig, "EXISTS envdriver:instance:us"), "0");
	assert_int_equal(refused, 0);
}

static void
test_end_of_another(void **state)
{
	(void)state;
	begin();
	put_other("us", "other", "another-boot", 99);
	end();
	assert_string_equal(field("incarnation"), "other");
}

static void
test_end_without_redis(void **state)
{
	(void)state;
	begin();
	rig_server_kill(&rig);
	end();
}

/* --- others --- */

static enum instance_verdict
judge(const char *id, const char *incarnation)
{
	return instance_judge(instance, span_of(id), span_of(incarnation));
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
	put_other("moved-on", "after", "another-boot", 1);
	put_other("gone", "i", self.boot_id, NO_PID);
	put_other("far", "i", "another-boot", NO_PID);
	rig_ask(&rig, "SET envdriver:instance:text x");
	assert_int_equal(judge("us", "before"), INSTANCE_UNKNOWN);	/* not ours yet */
	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		(void)judge(rows[i].id, rows[i].incarnation);
	rig_run(&rig, 200);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (judge(rows[i].id, rows[i].incarnation) != rows[i].want)
			fail_msg("%s: %d", rows[i].name, judge(rows[i].id, rows[i].incarnation));
	assert_int_equal(judge("us", instance_incarnation(instance)), INSTANCE_ALIVE);
	assert_int_equal(judge("else", instance_incarnation(instance)), INSTANCE_ALIVE);
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
	begin();
	put_other("still", "i", "another-boot", 1);
	put_other("beats", "i", "another-boot", 1);
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
	begin();
	put_other("beats", "i", "another-boot", 1);
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
	begin();
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

static void
test_positions_many_and_down(void **state)
{
	(void)state;
	begin();
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first),
		TEST(test_predecessor_gone),
		TEST(test_predecessor_still),
		TEST(test_predecessor_lives),
		TEST(test_another_is_faster),
		TEST(test_meta_differs),
		TEST(test_cluster_differs),
		TEST(test_lost_while_starting),
		TEST(test_overtaken),
		TEST(test_expired_record_comes_back),
		TEST(test_verify),
		TEST(test_verify_down),
		TEST(test_end),
		TEST(test_end_of_another),
		TEST(test_end_without_redis),
		TEST(test_judge_at_once),
		TEST(test_judge_beats),
		TEST(test_judge_redis_slept),
		TEST(test_positions),
		TEST(test_positions_many_and_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
