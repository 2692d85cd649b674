/* SPDX-License-Identifier: Apache-2.0 */
/* The instance record, its beat and the checks at start, on a real Redis. */
#include "unit.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "instance_rig.h"

/* --- start --- */

static void
test_first(void **state)
{
	char token[64], again[64], beat[32];

	(void)state;
	assert_false(instance_ready(instance));
	instance_rig_begin();
	assert_true(ready && instance_ready(instance));
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta clusterId"), "cluster-1");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta group"), "envdriver");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:meta topicPrefix"), "environment.");
	assert_string_equal(instance_rig_field("incarnation"), instance_incarnation(instance));
	assert_string_equal(instance_rig_field("bootId"), self.boot_id);
	assert_string_equal(instance_rig_field("pidNamespace"), self.pid_namespace);
	assert_int_equal(atoi(instance_rig_field("pid")), getpid());
	assert_true(strtoull(instance_rig_field("pidStart"), NULL, 10) == self.start);
	assert_string_equal(instance_rig_field("group"), "envdriver");
	assert_string_equal(instance_rig_field("partitions"), "[]");
	assert_int_equal(strlen(instance_rig_field("startedAt")), 24);
	snprintf(beat, sizeof(beat), "%s", instance_rig_field("beat"));
	instance_show(instance, (const int32_t[]){ 0, 3 }, 2, 7);
	rig_run(&rig, 2500);
	assert_in_range(atoi(instance_rig_field("beat")), atoi(beat) + 2, atoi(beat) + 3);
	assert_string_equal(instance_rig_field("partitions"), "[0,3]");
	assert_string_equal(instance_rig_field("inFlight"), "7");
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
	instance_rig_put("us", "old", self.boot_id, NO_PID);
	instance_rig_begin();
	assert_true(ready);
	assert_true(clock_mono_ms() - from < 1500);
	assert_string_equal(instance_rig_field("incarnation"), instance_incarnation(instance));
	assert_string_equal(instance_rig_field("beat"), "1");
}

static void
test_predecessor_still(void **state)
{
	int64_t from = clock_mono_ms();

	(void)state;
	instance_rig_put("us", "old", "another-boot", (int)getpid());
	instance_rig_begin();
	assert_true(ready);
	assert_in_range(clock_mono_ms() - from, INSTANCE_WATCH_MS, INSTANCE_WATCH_MS + 4000);
}

static bool
heartbeat_other(void *arg)
{
	rig_ask(&rig, "HINCRBY envdriver:instance:%s beat 1", (const char *)arg);
	return instance_rig_settled(NULL);
}

static void
test_predecessor_lives(void **state)
{
	char us[] = "us";

	(void)state;
	instance_rig_put("us", "old", "another-boot", 4242);
	instance_check(instance, NULL);
	instance_begin(instance);
	rig_until(&rig, heartbeat_other, us, PATIENCE_MS);
	assert_int_equal(refused, 69);
	assert_string_equal(why, "instance 'us' is alive (host there, pid 4242): give each worker "
				 "its own instance.id");
	assert_string_equal(instance_rig_field("incarnation"), "old");
	rig_run(&rig, 1500);
	assert_string_equal(instance_rig_field("incarnation"), "old");
}

/* Two at once: only one gets the name. */
static void
test_another_is_faster(void **state)
{
	char us[] = "us";

	(void)state;
	instance_rig_put("us", "old", "another-boot", 4242);
	instance_check(instance, "cluster-1");
	instance_begin(instance);
	rig_run(&rig, INSTANCE_WATCH_MS - 500);
	instance_rig_put("us", "faster", "another-boot", 4243);
	rig_until(&rig, heartbeat_other, us, PATIENCE_MS);
	assert_int_equal(refused, 69);
	assert_non_null(strstr(why, "pid 4243"));
}

static void
test_meta_differs(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:meta group theirs");
	instance_rig_begin();
	assert_int_equal(refused, 78);
	assert_string_equal(why,
			    "redis.prefix 'envdriver:' serves group 'theirs', this worker has "
			    "'envdriver': one prefix is for one group on one cluster, give "
			    "another redis.prefix");
	assert_string_equal(rig_ask(&rig, "HGETALL envdriver:meta"), "group theirs");
	assert_string_equal(instance_rig_field("incarnation"), "(nil)");
}

static void
test_cluster_differs(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:meta group envdriver clusterId cluster-2");
	instance_rig_begin();
	assert_int_equal(refused, 78);
	assert_non_null(strstr(why, "serves clusterId 'cluster-2', this worker has 'cluster-1'"));
}

static void
test_lost_while_starting(void **state)
{
	(void)state;
	instance_rig_put("us", "old", "another-boot", 4242);
	instance_check(instance, "cluster-1");
	instance_begin(instance);
	for (int i = 0; i < 3; i++) {
		rig_run(&rig, 700);
		rig_ask(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	}
	rig_until(&rig, instance_rig_settled, NULL, PATIENCE_MS);
	assert_true(ready);
}

/* --- later --- */

static void
test_overtaken(void **state)
{
	(void)state;
	instance_rig_begin();
	instance_rig_put("us", "zombie-killer", "another-boot", 99);
	rig_until(&rig, instance_rig_settled, NULL, PATIENCE_MS);
	rig_run(&rig, 1500);
	assert_int_equal(refused, 69);
	assert_string_equal(why,
			    "another worker has taken over the name 'us' (host there, pid 99): "
			    "give each worker its own instance.id");
	assert_string_equal(instance_rig_field("beat"), "5");
	assert_false(instance_ready(instance));
}

static void
test_expired_record_comes_back(void **state)
{
	(void)state;
	instance_rig_begin();
	rig_ask(&rig, "DEL envdriver:instance:us");
	rig_run(&rig, 1500);
	assert_int_equal(refused, 0);
	assert_string_equal(instance_rig_field("incarnation"), instance_incarnation(instance));
	assert_string_equal(instance_rig_field("group"), "envdriver");
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
	instance_rig_begin();
	assert_int_equal(verify(), 1);
	rig_ask(&rig, "SCRIPT FLUSH");
	assert_int_equal(verify(), -1);	/* ask again */
	assert_int_equal(refused, 0);
	assert_int_equal(verify(), 1);
	instance_rig_put("us", "other", "another-boot", 99);
	assert_int_equal(verify(), -1);
	assert_int_equal(refused, 69);
}

static void
test_verify_down(void **state)
{
	(void)state;
	instance_rig_begin();
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
	instance_rig_begin();
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
	instance_rig_begin();
	instance_rig_put("us", "other", "another-boot", 99);
	end();
	assert_string_equal(instance_rig_field("incarnation"), "other");
}

static void
test_end_without_redis(void **state)
{
	(void)state;
	instance_rig_begin();
	rig_server_kill(&rig);
	end();
}

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
