/* SPDX-License-Identifier: Apache-2.0 */
/* worker: the stop ladder, what a child is given, configs. */
#include "unit.h"

#include <sys/resource.h>

#include "worker_rig.h"
#include "alloc_rig.h"

/* The stop ladder */
static const struct stop_row {
	const char *name;
	const char *steps[STEPS];
	struct planned calls[CALLS];
	bool at_once;		/* before the hand-shake is done */
	const char *out;
	int64_t min_ms, max_ms;
} stop_rows[] = {
	{ "graceful", { "init", "expect", V ",\"id\":2,\"method\":\"shutdown\",\"params\":{}}\n",
	  "reply", "null" }, { { 0 } }, false,
	  UP "dead asked Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "exits without an answer", { "init", "expect", "shutdown", "exit", "0" }, { { 0 } },
	  false,
	  UP "dead asked Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "with a pending call", { "init", "expect", "probe", "expect", "shutdown", "reply",
	  "null" }, PROBE,
	  false, UP "dead asked Worker process exited (code=0, signal=null)\n"
	  "probe died Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "answers and stays: SIGTERM", { "init", "expect", "shutdown", "reply", "null", "sleep",
	  "20000" },
	  { { 0 } }, false, UP "dead asked Worker process exited (code=null, "
	  "signal=SIGTERM)\nend\n",
	  150, 500 },
	{ "does not answer: SIGTERM", { "init", "expect", "shutdown", "sleep", "20000" },
	  { { 0 } }, false,
	  UP "dead asked Worker process exited (code=null, signal=SIGTERM)\nend\n", 550, 1000 },
	{ "deaf: SIGKILL", { "deaf", "init", "expect", "shutdown", "sleep", "20000" }, { { 0 } },
	  false,
	  UP "dead asked Worker process exited (code=null, signal=SIGKILL)\nend\n", 850, 1500 },
	{ "while it starts", { "sleep", "20000" }, { { 0 } }, true,
	  "failed asked Worker process exited (code=null, signal=SIGTERM)\nend\n", 0, 250 },
};

static void
test_stop(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stop_rows); i++) {
		const struct stop_row *row = &stop_rows[i];
		struct worker_script script = { .steps = { 0 } };
		struct worker_rig b;
		int64_t asked, took;

		memcpy(script.steps, row->steps, sizeof(script.steps));
		worker_rig_begin(&b, &script, row->calls);
		if (!row->at_once)
			worker_rig_run_until(&b, &b.up, row->name);
		asked = clock_mono_ms();
		worker_stop(b.worker);
		worker_stop(b.worker);
		worker_rig_run_until(&b, &b.ended, row->name);
		took = b.ended_ms - asked;
		if (strcmp(b.out.data, row->out) != 0)
			fail_msg("%s: %s", row->name, b.out.data);
		if (took < row->min_ms || took > row->max_ms)
			fail_msg("%s: %lld ms", row->name, (long long)took);
		worker_rig_finish(&b);
	}
}

/* What the child is given, and what not. */
static void
test_isolation(void **state)
{
	struct worker_script s = { .steps = { "init", "expect", "probe", "show", "eof" } };
	static const struct planned plan[CALLS] = PROBE;
	struct worker_rig b;
	sigset_t blocked;

	(void)state;
	/* Neither our mask nor an open descriptor is handed down. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	worker_rig_begin(&b, &s, plan);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	while (!strstr(b.out.data ? b.out.data : "", "probe result"))
		uv_run(&b.loop, UV_RUN_ONCE);
	assert_string_equal(b.out.data,
			    UP "probe result {\"fds\":3,\"leader\":1,\"death\":9,\"privs\":1,"
			    "\"pipe\":1,"
			    "\"blocked\":0,\"dir\":\"/tmp\",\"env\":[\"A=1\",\"B=two\"]}\n");
	/* Freed while it runs: it is killed. */
	worker_rig_finish(&b);
	assert_true(kill(b.pid, 0) < 0 && errno == ESRCH);
}

/* A limit holds for the child and not for us, and is never above our own. */
static void
test_limits(void **state)
{
	static const struct planned plan[CALLS] = PROBE;
	struct spawn_limit limits[] = { { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 40 },
					{ RLIMIT_NPROC, 0 } };
	struct worker_script s = { .steps = { "init", "expect", "probe", "limits", "eof" },
			    .rlimits = limits, .n_rlimits = COUNT(limits) };
	struct rlimit before, processes, after;
	struct worker_rig b;
	char wanted[200];

	(void)state;
	if (getenv("HARNESS_VALGRIND")) {
		print_message("valgrind keeps limits of descriptors to itself\n");
		skip();
	}
	getrlimit(RLIMIT_NOFILE, &before);
	getrlimit(RLIMIT_NPROC, &processes);
	limits[2].value = processes.rlim_max == RLIM_INFINITY ? 4096 : processes.rlim_max + 1;
	worker_rig_begin(&b, &s, plan);
	while (!strstr(b.out.data ? b.out.data : "", "probe result"))
		uv_run(&b.loop, UV_RUN_ONCE);
	snprintf(wanted, sizeof(wanted),
		 UP "probe result {\"core\":0,\"files\":40,\"soft\":40,\"processes\":%llu}\n",
		 (unsigned long long)(processes.rlim_max == RLIM_INFINITY ? 4096 :
								     processes.rlim_max));
	assert_string_equal(b.out.data, wanted);
	worker_rig_finish(&b);
	getrlimit(RLIMIT_NOFILE, &after);
	assert_true(before.rlim_cur == after.rlim_cur && before.rlim_max == after.rlim_max);
}

static void
test_cannot_run(void **state)
{
	char *argv[] = { (char *)"/nowhere/program", NULL }, *env[] = { NULL };
	struct worker_spec spec = { .dir = "/tmp", .argv = argv, .env = env, .instance_id = "h",
				    .manifest = SPAN_LIT("{}"), .limits = worker_rig_quick };
	struct worker_events ev;
	struct worker_rig b;
	static const char *const dirs[] = { "/tmp", "/nowhere" };
	static const char *const outs[] = {
		"cannot run '/nowhere/program': No such file or directory",
		"cannot change to '/nowhere': No such file or directory",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char wanted[400];

		b = (struct worker_rig){ .next_id = 1 };
		ev = worker_rig_events(&b);
		uv_loop_init(&b.loop);
		spec.dir = dirs[i];
		b.worker = worker_new(&b.loop, &spec, &b.next_id, &ev, NULL);
		assert_non_null(b.worker);
		worker_rig_run_until(&b, &b.ended, outs[i]);
		snprintf(wanted, sizeof(wanted), "stderr %s\nfailed Worker process exited "
			"(code=127, "
			 "signal=null)\n\nWorker stderr:\n%s\nend\n", outs[i], outs[i]);
		assert_string_equal(b.out.data, wanted);
		worker_rig_finish(&b);
	}
}

static void
on_told(void *arg, struct span company, const struct rpc_answer *a)
{
	struct worker_rig *b = arg;

	buf_addf(&b->out, "told %.*s %d\n", SPAN_FMT(company), (int)a->end);
}

/* Configs go out one after the other, each in its company's scope. */
static void
test_configs(void **state)
{
	struct worker_script s = { .steps = { "init", "expect", "\"method\":\"configChanged\","
		"\"params\":{\"config\":"
			      "{\"a\":1},\"companyId\":\"co-1\"},"
			      "\"paperclipInvocation\":{\"id\":\"",
			      "reply", "null", "expect", "{\"config\":{},\"companyId\":\"co-2\"}",
			      "sleep", "400",
			      "expect", "{\"config\":{\"c\":3},\"companyId\":\"co-3\"}", "reply",
			      "null",
			      "exit", "0" } };
	struct jtext config;
	struct worker_rig b;

	(void)state;
	worker_rig_begin(&b, &s, NULL);
	b.push = (struct config_push){ .timeout_ms = 300, .on_answer = on_told, .arg = &b };
	worker_rig_run_until(&b, &b.up, "up");
	assert_int_equal(jtext_check(SPAN_LIT("{\"co-1\":{\"a\":1},\"x\":5,\"co-2\":{},"
		"\"co-3\":{\"c\":3}}"),
				     64, &config, NULL), 0);
	config_push_begin(&b.push, b.worker, config);
	worker_rig_run_until(&b, &b.ended, "configs");
	assert_string_equal(b.out.data, UP "told co-1 0\ntold co-2 3\ntold co-3 0\n"
			    "dead Worker process exited (code=0, signal=null)\nend\n");
	worker_rig_finish(&b);
}

static int fail_in;

static void *
failing(void *ptr, size_t size)
{
	return fail_in-- == 0 ? NULL : realloc(ptr, size);
}

/* Whichever allocation fails: nothing runs and nothing is lost. */
static void
test_no_memory(void **state)
{
	char *argv[] = { worker_rig_self, (char *)"fake", (char *)"eof", NULL }, *env[] = { NULL };
	struct worker_spec spec = { .dir = "/tmp", .argv = argv, .env = env, .instance_id = "h",
				    .manifest = SPAN_LIT("{}"), .limits = worker_rig_quick };
	struct worker_rig b = { .next_id = 1 };
	struct worker_events ev = worker_rig_events(&b);

	(void)state;
	uv_loop_init(&b.loop);
	for (int n = 0; !b.worker; n++) {
		fail_in = n;
		alloc_replace(failing);
		b.worker = worker_new(&b.loop, &spec, &b.next_id, &ev, NULL);
		alloc_replace(NULL);
		assert_true(n < 100);
	}
	assert_true(b.next_id == 2);
	assert_null(b.out.data);
	worker_rig_finish(&b);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_isolation),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_configs),
		cmocka_unit_test(test_no_memory),
	};

	return worker_rig_main(argc, argv, tests, COUNT(tests));
}
