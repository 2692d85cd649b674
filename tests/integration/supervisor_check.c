/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes, the registry and a real Redis. */
#include "supervisor_rig.h"

static void
test_start_call_stop(void **state)
{
	struct test_call t = { 0 }, u = { 0 };

	(void)state;
	assert_int_equal(supervisor_status(supervisor, "p1"), WORKER_NONE);
	assert_false(supervisor_startable(supervisor, "p1"));
	add_plugin("p1", ECHOES);
	await("p1", WORKER_RUNNING);
	assert_true(supervisor_supports(supervisor, "p1", "environmentProbe"));
	assert_false(supervisor_supports(supervisor, "p1", "environmentExecute"));
	await_record("p1", "status", "running");
	assert_true(kill(atoi(record("p1", "pid")), 0) == 0);
	assert_string_equal(record("p1", "incarnation"), "inc-1");
	assert_string_equal(record("p1", "supportedMethods"), "[\"health\",\"environmentProbe\"]");
	assert_string_equal(record("p1", "consecutiveCrashes"), "0");
	assert_string_equal(record("p1", "lastCrashAt"), "(nil)");
	assert_string_equal(record("p1", "endpoint"), "(nil)");
	assert_true(atoi(rig_ask(&rig, "PTTL envdriver:worker:p1:us")) > 14000);
	assert_true(changes > 0);
	call(&t, "p1", "environmentProbe", 5000);
	call(&u, "nobody", "environmentProbe", 5000);
	expect_answer(&t, "result {};");
	expect_answer(&u, "unsent No worker registered for plugin \"nobody\";");
	rig_ask(&rig, "HSET envdriver:plugin:p1 status disabled");
	await("p1", WORKER_STOPPED);
	await_record("p1", "status", "stopped");
	assert_string_equal(record("p1", "pid"), "(nil)");
	call(&t, "p1", "environmentProbe", 5000);
	expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p1\" is "
			  "stopped;");
	expect_events("p1", "WORKER_STARTING\nWORKER_STARTED\nWORKER_STOPPED code=0\n");
	rig_ask(&rig, "HSET envdriver:plugin:p1 status ready");
	await("p1", WORKER_RUNNING);
}

static void
test_crash_and_restart(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	add_plugin("p2", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"crash\","
			 "\"err\",\"boom\",\"exit\",\"5\"");
	await("p2", WORKER_RUNNING);
	call(&t, "p2", "crash", 5000);
	expect_answer(&t, "died Worker process exited (code=5, signal=null)\n\nWorker "
		"stderr:\nboom;");
	assert_int_equal(supervisor_status(supervisor, "p2"), WORKER_BACKOFF);
	await_record("p2", "status", "backoff");
	assert_string_equal(record("p2", "consecutiveCrashes"), "1");
	assert_string_not_equal(record("p2", "nextRestartAt"), "(nil)");
	assert_string_not_equal(record("p2", "lastCrashAt"), "(nil)");
	call(&t, "p2", "environmentProbe", 5000);
	expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p2\" is "
			  "backoff;");
	await("p2", WORKER_RUNNING);
	expect_events("p2", "WORKER_STARTING\nWORKER_STARTED\nWORKER_CRASHED code=5 restart=1 "
		"Worker "
		       "process exited (code=5, signal=null)\nWORKER_STARTING\nWORKER_RESTARTED\n");
	await_record("p2", "status", "running");
	assert_string_equal(record("p2", "totalCrashes"), "1");
}

static void
test_held_calls(void **state)
{
	struct test_call t = { 0 }, u = { .keep_late = true }, v = { 0 };

	(void)state;
	add_plugin("p3", "\"sleep\",\"500\",\"init\",\"expect\",\"configChanged\",\"reply\","
		"\"null\","
			 "\"expect\",\"environmentProbe\",\"reply\",\"1\",\"sleep\",\"300\","
			 "\"reply\",\"1\",\"echo\"");
	await("p3", WORKER_STARTING);
	call(&t, "p3", "environmentProbe", 5000);
	call(&u, "p3", "tooLate", 100);
	call(&v, "p3", "forgotten", 5000);
	plugin_call_free(v.call);
	expect_answer(&u, "timeout RPC call \"tooLate\" timed out after 100ms;late unsent RPC call "
			  "\"tooLate\" timed out after 100ms;");
	assert_int_equal(supervisor_status(supervisor, "p3"), WORKER_STARTING);
	expect_answer(&t, "result 1;");
	/* Its second answer to the same request is nobody's. */
	call(&t, "p3", "environmentProbe", 5000);
	expect_answer(&t, "result {};");
}

static void
test_failed_hand_shake(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	add_plugin("p4", "\"sleep\",\"200\",\"expect\",\"initialize\",\"reply\",\"{}\",\"eof\"");
	await("p4", WORKER_STARTING);
	call(&t, "p4", "environmentProbe", 5000);
	expect_answer(&t, "unsent Cannot call \"environmentProbe\" \xe2\x80\x94 worker for "
		"\"p4\" is "
			  "backoff;");
	/* What it lacked is there now: the next try succeeds. */
	make_package("p4", ECHOES);
	await("p4", WORKER_RUNNING);
	expect_events("p4", "WORKER_STARTING\nWORKER_CRASHED signal=SIGKILL restart=1 Worker "
		"initialize "
		       "failed for \"p4\": Worker initialize returned ok=false\n"
		       "WORKER_STARTING\nWORKER_RESTARTED\n");
}

static void
test_late_answer(void **state)
{
	struct test_call t = { .keep_late = true }, u = { 0 };

	(void)state;
	add_plugin("p5", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"slow\","
			 "\"sleep\",\"300\",\"reply\",\"\\\"late\\\"\",\"echo\"");
	await("p5", WORKER_RUNNING);
	call(&t, "p5", "slow", 100);
	rig_until(&rig, is_answered, &t, PATIENCE_MS);
	call(&u, "p5", "environmentProbe", 5000);
	expect_answer(&u, "result {};");
	assert_string_equal(t.answers.data, "timeout RPC call \"slow\" timed out after 100ms;"
					    "late result \"late\";");
	buf_release(&t.answers);
}

static void
test_slots(void **state)
{
	int before;

	(void)state;
	assert_false(supervisor_slot_take(supervisor, "nobody"));
	assert_true(supervisor_slot_take(supervisor, "p1"));
	assert_true(supervisor_slot_take(supervisor, "p1"));
	assert_false(supervisor_slot_take(supervisor, "p1"));
	rig_run(&rig, 20);
	before = changes;
	supervisor_slot_give(supervisor, "p1");
	rig_run(&rig, 20);
	assert_int_equal(changes, before + 1);
	supervisor_slot_give(supervisor, "p1");
	rig_run(&rig, 20);
	assert_int_equal(changes, before + 1);
}

static void
test_gives_up(void **state)
{
	(void)state;
	add_plugin("p6", "\"init\",\"exit\",\"1\"");
	/* Ten tries, and a few wishes more: the first back-offs may be shorter. */
	for (int n = 0; n < 20 && supervisor_status(supervisor, "p6") != WORKER_CRASHED; n++) {
		rig_run(&rig, 1100);	/* a command's wish is heard once a second */
		supervisor_start(supervisor, "p6");
	}
	assert_int_equal(supervisor_status(supervisor, "p6"), WORKER_CRASHED);
	assert_false(supervisor_startable(supervisor, "p6"));
	await_record("p6", "status", "crashed");
	assert_non_null(strstr(events.data, "p6 WORKER_GAVE_UP"));
	make_package("p6", ECHOES);
	rig_ask(&rig, "HSET envdriver:plugin:p6 manifest %s", "{\"n\":2}");
	await("p6", WORKER_RUNNING);
	buf_reset(&events);
}

static void
test_changed_manifest(void **state)
{
	struct test_call t = { 0 };
	char pid[16];

	(void)state;
	add_plugin("p7", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"slow\","
			 "\"sleep\",\"300\",\"reply\",\"1\",\"echo\"");
	await("p7", WORKER_RUNNING);
	await_record("p7", "status", "running");
	snprintf(pid, sizeof(pid), "%s", record("p7", "pid"));
	call(&t, "p7", "slow", 5000);
	make_package("p7", ECHOES);
	rig_ask(&rig, "HSET envdriver:plugin:p7 manifest %s", "{\"n\":2}");
	/* Not before its call has ended. */
	expect_answer(&t, "result 1;");
	assert_string_equal(record("p7", "pid"), pid);
	await("p7", WORKER_STOPPING);
	/* A call meanwhile waits for the successor. */
	call(&t, "p7", "environmentProbe", 5000);
	expect_answer(&t, "result {};");
	assert_string_not_equal(record("p7", "pid"), pid);
	expect_events("p7", "WORKER_STARTING\nWORKER_STARTED\nWORKER_STOPPED "
		"code=0\nWORKER_STARTING\n"
		       "WORKER_STARTED\n");
}

static void
test_packages(void **state)
{
	(void)state;
	add_plugin("p8", ECHOES);
	rig_ask(&rig, "HSET envdriver:plugin:p9 pluginKey k9 status ready manifest %s package "
		"/usr/bin", "{}");
	rig_ask(&rig, "ZADD envdriver:plugins 2 p9");
	await("p8", WORKER_RUNNING);
	assert_int_equal(supervisor_status(supervisor, "p9"), WORKER_NONE);
	assert_false(supervisor_startable(supervisor, "p9"));
	rig_ask(&rig, "HSET envdriver:plugin:p9 package %s/p9", dirs);
	rig_run(&rig, 50);
	assert_false(supervisor_startable(supervisor, "p9"));
	/* It appears without a word from the registry: a command's question
	 * finds it. */
	make_package("p9", ECHOES);
	rig_run(&rig, 1100);
	assert_true(supervisor_startable(supervisor, "p9"));
	await("p9", WORKER_RUNNING);
	/* A plugin that is taken out of the registry is stopped and forgotten. */
	rig_ask(&rig, "ZREM envdriver:plugins p9");
	rig_ask(&rig, "DEL envdriver:plugin:p9");
	awaited.id = "p9";
	awaited.status = WORKER_STOPPED;
	rig_until(&rig, has_status, NULL, PATIENCE_MS);
	rig_ask(&rig, "HSET envdriver:plugin:p8 config %s", "{\"co-1\":{\"a\":2},\"co-2\":{}}");
	awaited.status = WORKER_NONE;
	rig_until(&rig, has_status, NULL, PATIENCE_MS);
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
	add_plugin("pa", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
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
	await("pa", WORKER_RUNNING);
	call(&t, "pa", "probe", 5000);
	expect_answer(&t, "result \"all well\";");
	expect_events("pa", "WORKER_STARTING\nWORKER_STARTED\nACTIVITY did it command=c-1\n");
	assert_string_equal(rig_ask(&rig, "EXISTS envdriver:state:pa:co-1"), "0");
}

static void
test_redis_away(void **state)
{
	struct test_call t = { 0 };

	(void)state;
	rig_server_kill(&rig);
	rig_run(&rig, 300);
	/* Nothing is stopped, calls go on. */
	assert_int_equal(supervisor_status(supervisor, "p1"), WORKER_RUNNING);
	call(&t, "p1", "environmentProbe", 5000);
	expect_answer(&t, "result {};");
	rig_server_start(&rig);
	rig_ask(&rig, "DEL envdriver:worker:p1:us");
	await_record("p1", "status", "running");
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
	add_plugin("pb", "\"init\",\"expect\",\"configChanged\",\"reply\",\"null\",\"expect\","
		"\"hang\","
			 "\"expect\",\"shutdown\",\"reply\",\"null\"");
	await("pb", WORKER_RUNNING);
	call(&t, "pb", "hang", 60000);
	supervisor_stop(supervisor, false, NULL, NULL);
	await("p1", WORKER_STOPPED);
	assert_int_equal(supervisor_status(supervisor, "pb"), WORKER_STOPPING);
	assert_int_equal(t.n, 0);
	supervisor_stop(supervisor, true, on_stopped, NULL);
	assert_false(stopped);
	expect_answer(&t, "died Worker process exited (code=0, signal=null);");
	rig_until(&rig, is_stopped, NULL, PATIENCE_MS);
	rig_run(&rig, 50);
	assert_string_equal(rig_ask(&rig, "KEYS envdriver:worker:*"), "");
	assert_int_equal(supervisor_count(supervisor, WORKER_RUNNING), 0);
	assert_false(supervisor_startable(supervisor, "p1"));
}

static void
on_redis_up(void *arg)
{
	(void)arg;
	supervisor_republish(supervisor);
}

static int
set_up(void **state)
{
	struct supervisor_events ev = { on_change, on_plugin_event, NULL };
	struct redis_listener listener = { .on_up = on_redis_up };
	struct err err;

	(void)state;
	rig_open(&rig);
	snprintf(dirs, sizeof(dirs), "%s/plugins", rig.folder);
	mkdir(dirs, 0755);
	rig_set(&rig, "plugin.dirs", dirs);
	rig_set(&rig, "plugin.max.in.flight", "2");
	rig_set(&rig, "heartbeat.interval", "500ms");
	registry = registry_new(rig.redis, on_registry, NULL, &err);
	assert_non_null(registry);
	redis_listen(rig.redis, &listener);
	supervisor = supervisor_new(&rig.loop, rig.config, registry, rig.redis, "us", "inc-1",
		&ev, &err);
	assert_non_null(supervisor);
	rig_start(&rig);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	supervisor_free(supervisor);
	registry_free(registry);
	rig_close(&rig);
	buf_release(&events);
	return 0;
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
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
