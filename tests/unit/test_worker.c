/* SPDX-License-Identifier: Apache-2.0 */
/* worker: whole lives, from the hand-shake to the death. */
#include "unit.h"

#include "worker_rig.h"

#define LOG(id, text) V ",\"method\":\"execute.log\",\"params\":{\"stream\":\"stdout\"," \
	"\"chunk\":\"" text "\"},\"paperclipInvocationId\":\"" id "\"}"

/* Whole lives, up to the end. */
static const struct row {
	const char *name;
	struct worker_script script;
	struct planned calls[CALLS];
	const char *out;
	int64_t min_ms, max_ms;
} rows[] = {
	/* The hand-shake */
	{ "initialize, exactly", { .steps = { "expect", V ",\"id\":1,\"method\":\"initialize\","
	  "\"params\":"
	  "{\"manifest\":{\"id\": \"acme.x\"},\"config\":{},"
	  "\"instanceInfo\":{\"instanceId\":\"host-a\","
	  "\"hostVersion\":\"2026.916.1\",\"deploymentMode\":\"local_trusted\","
	  "\"deploymentExposure\":\"private\"},\"apiVersion\":1,\"databaseNamespace\":null}}\n",
	  "reply", "{\"ok\":true}", "exit", "0" } }, { { 0 } },
	  "up []\ndead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "exits in the hand-shake", { .steps = { "err", "fatal: no license", "exit", "4" } },
	  { { 0 } },
	  "stderr fatal: no license\nfailed Worker process exited (code=4, signal=null)\n\n"
	  "Worker stderr:\nfatal: no license\nend\n", 0, 3000 },
	{ "forgot to run", { .steps = { "exit", "0" } }, { { 0 } },
	  "failed Worker process exited (code=0, signal=null); it ended before it answered "
	  "\"initialize\": is runWorker() called, and standard input read?\nend\n", 0, 3000 },
	{ "says no", { .steps = { "expect", "initialize", "reply", "{\"ok\":false}", "eof" } },
	  { { 0 } },
	  "failed answered Worker initialize returned ok=false / \nend\n", 0, 3000 },
	{ "says null", { .steps = { "expect", "initialize", "reply", "null", "eof" } }, { { 0 } },
	  "failed answered Worker initialize returned ok=false / \nend\n", 0, 3000 },
	{ "fails", { .steps = { "send", V ",\"id\":1,\"error\":{\"code\":-32002,"
	  "\"message\":\"no key\"}}",
	  "sleep", "20000" } }, { { 0 } }, "failed answered no key / \nend\n", 0, 3000 },
	{ "hangs", { .steps = { "sleep", "20000" }, .limits = { .start_ms = 200, .kill_ms = 2000,
	  .drain_ms = 200,
	  .line_max = 1 << 20, .queue_max = 1 << 20 } }, { { 0 } },
	  "failed answered RPC call \"initialize\" timed out after 200ms / \nend\n", 200, 3000 },
	{ "writes, but no whole line, and hangs", { .steps = { "send", "Hello!", "raw",
	  V ",\"id\":1,\"resu", "sleep", "20000" }, .limits = { .start_ms = 300,
	  .kill_ms = 2000, .drain_ms = 200, .line_max = 1 << 20, .queue_max = 1 << 20 } },
	  { { 0 } },
	  "ignored not JSON\nignored not JSON\n"
	  "failed answered RPC call \"initialize\" timed out after 300ms; 29 bytes "
	  "came without a line end: each message must end with '\\n', and be flushed; 1 line was "
	  "ignored: standard output is for messages only / \nend\n", 300, 3000 },
	{ "ok is truthy", { .steps = { "expect", "initialize", "reply",
	  "{\"ok\":\"yes\",\"supportedMethods\":3}" } },
	  { { 0 } }, "up []\ndead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "asks and tells before it answers", { .steps = { "send", "plain text", "send",
	  V ",\"id\":1,\"method\":\"config.get\"}", "send", V ",\"method\":\"log\"}", "init",
	  "expect", V ",\"id\":1,\"result\":\"granted\"}" } }, { { 0 } },
	  "ignored not JSON\nrequest \"config.get\"\nnotification \"log\"\n" UP
	  "dead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },

	/* Calls and death */
	{ "a call", { .steps = { "init", "expect", V ",\"id\":2,\"method\":\"probe\","
	  "\"params\":{\"p\":1},"
	  "\"paperclipInvocation\":{\"id\":\"i-1\",\"scope\":{\"companyId\":\"co-1\"}}}\n",
	  "reply", "{\"ok\":true}", "exit", "3" } }, PROBE,
	  UP "probe result {\"ok\":true}\ndead Worker process exited (code=3, signal=null)\nend\n",
	  0, 3000 },
	{ "dies with calls", { .steps = { "init", "expect", "one", "expect", "two", "err",
	  "boom\nbang", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-1", "i-2", 5000) },
	  UP "stderr boom\nstderr bang\ndead Worker process exited (code=5, signal=null)\n"
	  "two died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nboom\nbang\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker "
	  "stderr:\nboom\nbang\nend\n",
	  0, 3000 },
	{ "dies by a signal", { .steps = { "init", "expect", "probe", "kill", "11" } }, PROBE,
	  UP "dead Worker process exited (code=null, signal=SIGSEGV)\n"
	  "probe died Worker process exited (code=null, signal=SIGSEGV)\nend\n", 0, 3000 },
	{ "an unterminated answer, then it exits", { .steps = { "init", "expect", "probe", "raw",
	  V ",\"id\":2,\"result\":\"last words\"}", "exit", "3" } }, PROBE,
	  UP "probe result \"last words\"\ndead Worker process exited (code=3, "
	  "signal=null)\nend\n", 0, 3000 },
	{ "half an answer, then it exits", { .steps = { "init", "expect", "probe", "raw",
	  V ",\"id\":2,\"resu", "exit", "7" } }, PROBE,
	  UP "ignored not JSON\ndead Worker process exited (code=7, signal=null)\n"
	  "probe died Worker process exited (code=7, signal=null)\nend\n", 0, 3000 },
	{ "unterminated stderr", { .steps = { "init", "expect", "probe", "rawerr", "oops", "exit",
	  "1" } }, PROBE,
	  UP "stderr oops\ndead Worker process exited (code=1, signal=null)\n"
	  "probe died Worker process exited (code=1, signal=null)\n\nWorker stderr:\noops\nend\n",
	  0, 3000 },
	{ "a grandchild holds the pipes", { .steps = { "init", "expect", "probe", "hold", "exit",
	  "2" } }, PROBE,
	  UP "dead Worker process exited (code=2, signal=null)\n"
	  "probe died Worker process exited (code=2, signal=null)\nend\n", 0, 1500 },
	{ "one that left the group holds them", { .steps = { "init", "expect", "probe", "away",
	  "exit", "2" } }, PROBE,
	  UP "dead Worker process exited (code=2, signal=null)\n"
	  "probe died Worker process exited (code=2, signal=null)\nend\n", 150, 2000 },
	{ "SIGCHLD instead of a pidfd", { .steps = { "init", "expect", "probe", "exit", "6" },
	  .use_sigchld = true }, PROBE,
	  UP "dead Worker process exited (code=6, signal=null)\n"
	  "probe died Worker process exited (code=6, signal=null)\nend\n", 0, 3000 },
	{ "closes its stdout and lives", { .steps = { "init", "close", "1", "sleep", "20000" } },
	  PROBE,
	  UP "dead Worker process exited (code=null, signal=SIGKILL)\n"
	  "probe died Worker process exited (code=null, signal=SIGKILL)\nend\n", 100, 3000 },
	{ "closes its stdin and lives", { .steps = { "init", "close", "0", "send",
	  V ",\"method\":\"go\"}",
	  "sleep", "20000" } }, { { "probe", "co-1", "i-1", 5000, true } },
	  UP "notification \"go\"\ndead Worker process exited (code=null, signal=SIGKILL)\n"
	  "probe died Worker process exited (code=null, signal=SIGKILL)\nend\n", 100, 3000 },
	{ "time-out and a late answer", { .steps = { "init", "expect", "probe", "sleep", "200",
	  "reply", "{}" } },
	  { CALL("probe", "co-1", "i-1", 50) },
	  UP "probe timeout RPC call \"probe\" timed out after 50ms\nlate probe result {}\n"
	  "dead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "time-out and no answer", { .steps = { "init", "expect", "probe", "sleep", "200" } },
	  { CALL("probe", "co-1", "i-1", 50) },
	  UP "probe timeout RPC call \"probe\" timed out after 50ms\n"
	  "dead Worker process exited (code=0, signal=null)\n"
	  "late probe died Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },

	/* stderr is shown to nobody else's calls */
	{ "two companies at work", { .steps = { "init", "expect", "one", "expect", "two", "err",
	  "secret", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "stderr secret\ndead Worker process exited (code=5, signal=null)\n"
	  "two died Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\nend\n", 0, 3000 },
	{ "another company before", { .steps = { "init", "expect", "one", "expect", "two", "err",
	  "secret of two", "reply",
	  "{}", "sleep", "100", "err", "mine", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "stderr secret of two\ntwo result {}\nstderr mine\n"
	  "dead Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nmine\nend\n",
	  0, 3000 },
	{ "another company's begun line", { .steps = { "init", "expect", "one", "expect", "two",
	  "rawerr", "secret ", "reply",
	  "{}", "sleep", "100", "err", "more\nmine", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "two result {}\nstderr secret more\nstderr mine\n"
	  "dead Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nmine\nend\n",
	  0, 3000 },

	/* Live output */
	{ "live output", { .steps = { "init", "expect", "exec", "send", LOG("i-1", "one\\n"),
	  "send", LOG("i-9", "x"),
	  "reply", "{}", "send", LOG("i-1", "late") } }, { CALL("exec", "co-1", "i-1", 5000) },
	  UP "exec chunk 1 one\n\nignored no execution has that invocation id\nexec result {}\n"
	  "ignored no execution has that invocation id\ndead Worker process exited (code=0, "
	  "signal=null)\nend\n",
	  0, 3000 },
};

/* Processes of the group that are more than a zombie its new parent has not
 * reaped yet. */
static int
group_size(int group)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char path[300], kind;
		int pgrp;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = atoi(e->d_name) > 0 ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		if (fscanf(f, "%*d (%*[^)]) %c %*d %d", &kind, &pgrp) == 2 && pgrp == group)
			n += kind != 'Z';
		fclose(f);
	}
	closedir(d);
	return n;
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct worker_rig b;
		int64_t took;

		worker_rig_begin(&b, &row->script, row->calls);
		worker_rig_run_until(&b, &b.ended, row->name);
		took = b.ended_ms - b.began_ms;
		if (row->out && strcmp(b.out.data, row->out) != 0)
			fail_msg("%s: %s", row->name, b.out.data);
		if (took < row->min_ms || took > row->max_ms)
			fail_msg("%s: %lld ms", row->name, (long long)took);
		/* It is reaped, and nothing it left in its group runs. */
		if (kill(b.pid, 0) == 0 || errno != ESRCH)
			fail_msg("%s: not reaped", row->name);
		for (int n = 0; group_size(b.pid) > 0; n++) {
			if (n == 100)
				fail_msg("%s: something is left", row->name);
			usleep(10000);
		}
		worker_rig_finish(&b);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return worker_rig_main(argc, argv, tests, COUNT(tests));
}
