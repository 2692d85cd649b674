/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes, the registry and a real Redis. */
#include "unit.h"

#include <signal.h>

#include "fake_plugin.h"
#include "supervisor_rig.h"

static void
test_start_call_stop(void **state)
{
	struct test_call t = { 0 }, u = { 0 };

	(void)state;
	assert_int_equal(supervisor_status(sup.supervisor, "p1"), WORKER_NONE);
	assert_false(supervisor_startable(sup.supervisor, "p1"));
	sup_add_plugin("p1", ECHOES);
	sup_await("p1", WORKER_RUNNING);
	assert_true(supervisor_supports(sup.supervisor, "p1", "environmentProbe"));
	assert_false(supervisor_supports(sup.supervisor, "p1", "environmentExecute"));
	sup_await_record("p1", "status", "running");
	assert_true(kill(atoi(sup_record("p1", "pid")), 0) == 0);
	assert_string_equal(sup_record("p1", "incarnation"), "inc-1");
	assert_string_equal(sup_record("p1", "supportedMethods"),
		"[\"health\",\"environmentProbe\"]");
	assert_string_equal(sup_record("p1", "consecutiveCrashes"), "0");
	assert_string_equal(sup_record("p1", "lastCrashAt"), "(nil)");
	assert_string_equal(sup_record("p1", "endpoint"), "(nil)");
	assert_true(atoi(rig_ask(&sup.redis, "PTTL envdriver:worker:p1:us")) > 14000);
	assert_true(sup.changes > 0);
	sup_call(&t, "p1", "environmentProbe", 5000);
	sup_call(&u, "nobody", "environmentProbe", 5000);
	sup_expect_answer(&t, "result {};");
	sup_expect_answer(&u, "unsent No worker registered for plugin \"nobody\";");
	rig_ask(&sup.redis, "HSET envdriver:plugin:p1 status disabled");
	sup_await("p1", WORKER_STOPPED);
	sup_await_record("p1", "status", "stopped");
	assert_string_equal(sup_record("p1", "pid"), "(nil)");
	sup_call(&t, "p1", "environmentProbe", 5000);
	sup_expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p1\" is "
			  "stopped;");
	sup_expect_events("p1", "WORKER_STARTING\nWORKER_STARTED\nWORKER_STOPPED code=0\n");
	rig_ask(&sup.redis, "HSET envdriver:plugin:p1 status ready");
	sup_await("p1", WORKER_RUNNING);
}

static void
test_crash_and_restart(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	sup_add_plugin("p2", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"crash\","
			 "\"err\",\"boom\",\"exit\",\"5\"");
	sup_await("p2", WORKER_RUNNING);
	sup_call(&t, "p2", "crash", 5000);
	sup_expect_answer(&t, "died Worker process exited (code=5, signal=null)\n\nWorker "
		"stderr:\nboom;");
	assert_int_equal(supervisor_status(sup.supervisor, "p2"), WORKER_BACKOFF);
	sup_await_record("p2", "status", "backoff");
	assert_string_equal(sup_record("p2", "consecutiveCrashes"), "1");
	assert_string_not_equal(sup_record("p2", "nextRestartAt"), "(nil)");
	assert_string_not_equal(sup_record("p2", "lastCrashAt"), "(nil)");
	sup_call(&t, "p2", "environmentProbe", 5000);
	sup_expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p2\" is "
			  "backoff;");
	sup_await("p2", WORKER_RUNNING);
	sup_expect_events("p2", "WORKER_STARTING\nWORKER_STARTED\nWORKER_CRASHED code=5 restart=1 "
		"Worker "
		       "process exited (code=5, signal=null)\nWORKER_STARTING\nWORKER_RESTARTED\n");
	sup_await_record("p2", "status", "running");
	assert_string_equal(sup_record("p2", "totalCrashes"), "1");
}

static void
test_held_calls(void **state)
{
	struct test_call t = { 0 }, u = { .keep_late = true }, v = { 0 };

	(void)state;
	sup_add_plugin("p3", "\"sleep\",\"500\",\"init\",\"expect\",\"configChanged\",\"reply\","
		"\"null\","
			 "\"expect\",\"environmentProbe\",\"reply\",\"1\",\"sleep\",\"300\","
			 "\"reply\",\"1\",\"echo\"");
	sup_await("p3", WORKER_STARTING);
	sup_call(&t, "p3", "environmentProbe", 5000);
	sup_call(&u, "p3", "tooLate", 100);
	sup_call(&v, "p3", "forgotten", 5000);
	plugin_call_free(v.call);
	sup_expect_answer(&u,
		"timeout RPC call \"tooLate\" timed out after 100ms;late unsent RPC call "
			  "\"tooLate\" timed out after 100ms;");
	assert_int_equal(supervisor_status(sup.supervisor, "p3"), WORKER_STARTING);
	sup_expect_answer(&t, "result 1;");
	/* Its second answer to the same request is nobody's. */
	sup_call(&t, "p3", "environmentProbe", 5000);
	sup_expect_answer(&t, "result {};");
}

static void
test_failed_hand_shake(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	sup_add_plugin("p4",
		"\"sleep\",\"200\",\"expect\",\"initialize\",\"reply\",\"{}\",\"eof\"");
	sup_await("p4", WORKER_STARTING);
	sup_call(&t, "p4", "environmentProbe", 5000);
	sup_expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p4\" is "
			  "backoff;");
	/* What it lacked is there now: the next try succeeds. */
	sup_make_package("p4", ECHOES);
	sup_await("p4", WORKER_RUNNING);
	sup_expect_events("p4", "WORKER_STARTING\nWORKER_CRASHED signal=SIGKILL restart=1 Worker "
		"initialize "
		       "failed for \"p4\": Worker initialize returned ok=false\n"
		       "WORKER_STARTING\nWORKER_RESTARTED\n");
}

static void
test_late_answer(void **state)
{
	struct test_call t = { .keep_late = true }, u = { 0 };

	(void)state;
	sup_add_plugin("p5", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"slow\","
			 "\"sleep\",\"300\",\"reply\",\"\\\"late\\\"\",\"echo\"");
	sup_await("p5", WORKER_RUNNING);
	sup_call(&t, "p5", "slow", 100);
	rig_until(&sup.redis, sup_is_answered, &t, SUP_PATIENCE_MS);
	sup_call(&u, "p5", "environmentProbe", 5000);
	sup_expect_answer(&u, "result {};");
	assert_string_equal(t.answers.data, "timeout RPC call \"slow\" timed out after 100ms;"
					    "late result \"late\";");
	buf_release(&t.answers);
}

static void
test_slots(void **state)
{
	int before;

	(void)state;
	assert_false(supervisor_slot_take(sup.supervisor, "nobody"));
	assert_true(supervisor_slot_take(sup.supervisor, "p1"));
	assert_true(supervisor_slot_take(sup.supervisor, "p1"));
	assert_false(supervisor_slot_take(sup.supervisor, "p1"));
	rig_run(&sup.redis, 20);
	before = sup.changes;
	supervisor_slot_give(sup.supervisor, "p1");
	rig_run(&sup.redis, 20);
	assert_int_equal(sup.changes, before + 1);
	supervisor_slot_give(sup.supervisor, "p1");
	rig_run(&sup.redis, 20);
	assert_int_equal(sup.changes, before + 1);
}

static void
test_gives_up(void **state)
{
	(void)state;
	sup_add_plugin("p6", "\"init\",\"exit\",\"1\"");
	/* Ten tries, and a few wishes more: the first back-offs may be shorter. */
	for (int n = 0; n < 20 && supervisor_status(sup.supervisor, "p6") != WORKER_CRASHED; n++) {
		rig_run(&sup.redis, 1100);	/* a command's wish is heard once a second */
		supervisor_start(sup.supervisor, "p6");
	}
	assert_int_equal(supervisor_status(sup.supervisor, "p6"), WORKER_CRASHED);
	assert_false(supervisor_startable(sup.supervisor, "p6"));
	sup_await_record("p6", "status", "crashed");
	assert_non_null(strstr(sup.events.data, "p6 WORKER_GAVE_UP"));
	sup_make_package("p6", ECHOES);
	rig_ask(&sup.redis, "HSET envdriver:plugin:p6 manifest %s", "{\"n\":2}");
	sup_await("p6", WORKER_RUNNING);
	buf_reset(&sup.events);
}

/* The new worker first; the old one ends with its last call. */
static void
test_changed_manifest(void **state)
{
	struct test_call slow = { 0 }, t = { 0 };
	char pid[16];

	(void)state;
	sup_add_plugin("p7", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"slow\","
			 "\"sleep\",\"1500\",\"reply\",\"1\",\"echo\"");
	sup_await("p7", WORKER_RUNNING);
	sup_await_record("p7", "status", "running");
	snprintf(pid, sizeof(pid), "%s", sup_record("p7", "pid"));
	sup_call(&slow, "p7", "slow", 5000);
	rig_run(&sup.redis, 50);
	sup_make_package("p7", ECHOES);
	rig_ask(&sup.redis, "HSET envdriver:plugin:p7 manifest %s", "{\"n\":2}");
	for (int i = 0; i < 100 && strcmp(sup_record("p7", "pid"), pid) == 0; i++)
		rig_run(&sup.redis, 10);
	assert_int_equal(supervisor_status(sup.supervisor, "p7"), WORKER_RUNNING);
	sup_call(&t, "p7", "environmentProbe", 5000);
	sup_expect_answer(&t, "result {};");
	assert_string_not_equal(sup_record("p7", "pid"), pid);
	sup_expect_answer(&slow, "result 1;");
	for (int i = 0; i < 100 && !strstr(sup.events.data, "WORKER_STOPPED"); i++)
		rig_run(&sup.redis, 20);
	sup_expect_events("p7", "WORKER_STARTING\nWORKER_STARTED\nWORKER_STARTING\n"
			  "WORKER_STARTED\nWORKER_STOPPED code=0\n");
	/* One that does not come up leaves the other where it is, and says why. */
	snprintf(pid, sizeof(pid), "%s", sup_record("p7", "pid"));
	sup_make_package("p7", "\"exit\",\"3\"");
	rig_ask(&sup.redis, "HSET envdriver:plugin:p7 generation 1");
	for (int i = 0; i < 100 && !*supervisor_reason(sup.supervisor, "p7"); i++)
		rig_run(&sup.redis, 20);
	assert_non_null(strstr(supervisor_reason(sup.supervisor, "p7"), "code=3"));
	sup_call(&t, "p7", "environmentProbe", 5000);
	sup_expect_answer(&t, "result {};");
	assert_string_equal(sup_record("p7", "pid"), pid);
	assert_int_equal(supervisor_status(sup.supervisor, "p7"), WORKER_RUNNING);
	/* The next try finds it mended. */
	sup_make_package("p7", ECHOES);
	for (int i = 0; i < 200 && *supervisor_reason(sup.supervisor, "p7"); i++)
		rig_run(&sup.redis, 20);
	assert_string_equal(supervisor_reason(sup.supervisor, "p7"), "");
	assert_string_not_equal(sup_record("p7", "pid"), pid);
}

static void
test_packages(void **state)
{
	(void)state;
	sup_add_plugin("p8", ECHOES);
	rig_ask(&sup.redis,
		"HSET envdriver:plugin:p9 pluginKey k9 status ready manifest %s package "
		"/usr/bin", "{}");
	rig_ask(&sup.redis, "ZADD envdriver:plugins 2 p9");
	sup_await("p8", WORKER_RUNNING);
	assert_int_equal(supervisor_status(sup.supervisor, "p9"), WORKER_NONE);
	assert_false(supervisor_startable(sup.supervisor, "p9"));
	rig_ask(&sup.redis, "HSET envdriver:plugin:p9 package %s/p9", sup.dirs);
	rig_run(&sup.redis, 50);
	assert_false(supervisor_startable(sup.supervisor, "p9"));
	/* It appears without a word from the registry: a command's question
	 * finds it. */
	sup_make_package("p9", ECHOES);
	rig_run(&sup.redis, 1100);
	assert_true(supervisor_startable(sup.supervisor, "p9"));
	sup_await("p9", WORKER_RUNNING);
	/* A plugin that is taken out of the registry is stopped and forgotten. */
	rig_ask(&sup.redis, "ZREM envdriver:plugins p9");
	rig_ask(&sup.redis, "DEL envdriver:plugin:p9");
	sup_await("p9", WORKER_STOPPED);
	rig_ask(&sup.redis, "HSET envdriver:plugin:p8 config %s",
		"{\"co-1\":{\"a\":2},\"co-2\":{}}");
	sup_await("p9", WORKER_NONE);
}

static void
test_host_requests(void **state)
{
	struct test_call t = { 0 };

	(void)state;
#define ASK(id, method, params) "\"send\",\"" V ",\\\"id\\\":" id ",\\\"method\\\":\\\"" method \
	"\\\",\\\"params\\\":" params ",\\\"paperclipInvocationId\\\":\\\"i-1\\\"}\""
#define KEY "\\\"scopeKind\\\":\\\"company\\\",\\\"scopeId\\\":\\\"co-1\\\"," \
	"\\\"stateKey\\\":\\\"k\\\""
#define GOT(id, result) "\"expect\",\"\\\"id\\\":" id ",\\\"result\\\":" result "}\""
	/* The answer goes out before the last reply is read: "reply" answers
	 * the last line read, so the call's is written by hand. */
	sup_add_plugin("pa", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"probe\","
		   ASK("1", "state.set", "{" KEY ",\\\"value\\\":{\\\"n\\\":1}}") "," GOT("1",
		   "null") ","
		   ASK("2", "state.get", "{" KEY "}") "," GOT("2", "{\\\"n\\\":1}") ","
		   ASK("3", "state.delete", "{" KEY "}") "," GOT("3", "null") ","
		   ASK("4", "state.get", "{" KEY "}") "," GOT("4", "null") ","
		   ASK("5", "config.get", "{}") "," GOT("5", "{\\\"a\\\":1}") ","
		   ASK("6", "activity.log", "{\\\"companyId\\\":\\\"co-1\\\","
		   "\\\"message\\\":\\\"did it\\\"}") ","
		   GOT("6", "null") ",\"send\",\"" V ",\\\"id\\\":3,\\\"result\\\":\\\"all "
		   "well\\\"}\",\"echo\"");
	sup_await("pa", WORKER_RUNNING);
	sup_call(&t, "pa", "probe", 5000);
	sup_expect_answer(&t, "result \"all well\";");
	sup_expect_events("pa", "WORKER_STARTING\nWORKER_STARTED\nACTIVITY did it command=c-1\n");
	assert_string_equal(rig_ask(&sup.redis, "EXISTS envdriver:state:pa:co-1"), "0");
}

static void
test_redis_away(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	rig_server_kill(&sup.redis);
	rig_run(&sup.redis, 300);
	/* Nothing is stopped, calls go on. */
	assert_int_equal(supervisor_status(sup.supervisor, "p1"), WORKER_RUNNING);
	sup_call(&t, "p1", "environmentProbe", 5000);
	sup_expect_answer(&t, "result {};");
	rig_server_start(&sup.redis);
	rig_ask(&sup.redis, "DEL envdriver:worker:p1:us");
	sup_await_record("p1", "status", "running");
}

static bool stopped;

static void
on_stopped(void *arg)
{
	(void)arg;
	stopped = true;
}

static bool
is_stopped(void *arg)
{
	(void)arg;
	return stopped;
}

static void
test_stop(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	sup_add_plugin("pb", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"hang\","
			 "\"expect\",\"shutdown\",\"reply\",\"null\"");
	sup_await("pb", WORKER_RUNNING);
	sup_call(&t, "pb", "hang", 60000);
	supervisor_stop(sup.supervisor, false, NULL, NULL);
	sup_await("p1", WORKER_STOPPED);
	assert_int_equal(supervisor_status(sup.supervisor, "pb"), WORKER_STOPPING);
	assert_int_equal(t.n, 0);
	supervisor_stop(sup.supervisor, true, on_stopped, NULL);
	assert_false(stopped);
	sup_expect_answer(&t, "died Worker process exited (code=0, signal=null);");
	rig_until(&sup.redis, is_stopped, NULL, SUP_PATIENCE_MS);
	rig_run(&sup.redis, 50);
	assert_string_equal(rig_ask(&sup.redis, "KEYS envdriver:worker:*"), "");
	assert_int_equal(supervisor_count(sup.supervisor, WORKER_RUNNING), 0);
	assert_false(supervisor_startable(sup.supervisor, "p1"));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_call_stop),
		cmocka_unit_test(test_crash_and_restart),
		cmocka_unit_test(test_held_calls),
		cmocka_unit_test(test_failed_hand_shake),
		cmocka_unit_test(test_late_answer),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_changed_manifest),
		cmocka_unit_test(test_packages),
		cmocka_unit_test(test_host_requests),
		cmocka_unit_test(test_redis_away),
		cmocka_unit_test(test_stop),
	};

	if (argc > 1 && strcmp(argv[1], "fake") == 0)
		return fake_plugin(argc - 2, argv + 2);
	return cmocka_run_group_tests(tests, sup_set_up, sup_tear_down);
}
