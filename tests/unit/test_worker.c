/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/plugin/conftell.h"
#include "envdriver/plugin/worker.h"

/* This program is its own plugin. */
#define FAKE_PLUGIN_EMBEDDED
#include "../fake/fake_plugin.c"

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))
#define V "{\"jsonrpc\":\"2.0\""

enum { STEPS = 24, CALLS = 4, TIMEOUT_MS = 20000 };

static char self[PATH_MAX];

struct test_call {
	struct worker_call call;
	struct bench *b;
	bool used;
};

/* Made as soon as the worker is up, or when it says "go". */
struct planned {
	const char *method, *company, *invocation;
	int64_t timeout_ms;
	bool on_go;
};

struct bench {
	const struct planned *plan;
	uv_loop_t loop;
	struct worker *worker;
	uint64_t next_id;
	struct test_call calls[CALLS];
	struct conftell teller;
	struct buf out;		/* what happened */
	int pid;
	bool up, ended;
	int64_t began_ms, ended_ms;
};

/* Calls */

static void
on_answer(struct worker_call *call, const struct rpc_answer *a)
{
	struct bench *b = CONTAINER_OF(call, struct test_call, call)->b;
	static const char *const ends[] = { "result", "error", "bad", "timeout", "died", "unsent" };

	buf_addf(&b->out, "%s %s %.*s%s\n", a->method, ends[a->end], SPAN_FMT(a->result.raw),
		 a->text ? a->text : "");
}

static void
on_late(struct worker_call *call, const struct rpc_answer *a)
{
	struct bench *b = CONTAINER_OF(call, struct test_call, call)->b;

	buf_adds(&b->out, "late ");
	on_answer(call, a);
}

static void
on_chunk(struct worker_call *call, bool is_stderr, struct span text)
{
	struct bench *b = CONTAINER_OF(call, struct test_call, call)->b;

	buf_addf(&b->out, "%s chunk %d %.*s\n", call->rpc.method, is_stderr ? 2 : 1, SPAN_FMT(text));
}

static void
on_gone(struct worker_call *call)
{
	CONTAINER_OF(call, struct test_call, call)->used = false;
}

static int
make_call(struct bench *b, int i, const char *method, const char *company, const char *invocation,
	  int64_t timeout)
{
	struct test_call *c = &b->calls[i];

	*c = (struct test_call){ .b = b, .used = true };
	c->call.rpc.method = method;
	c->call.rpc.timeout_ms = timeout;
	c->call.scope.company = span_of(company);
	c->call.scope.invocation_id = invocation;
	c->call.scope.wants_log = true;
	c->call.on_answer = on_answer;
	c->call.on_late = on_late;
	c->call.on_chunk = on_chunk;
	c->call.on_gone = on_gone;
	return worker_call(b->worker, &c->call, SPAN_LIT("{\"p\":1}"), SPAN_NULL, NULL);
}

/* The worker */

static void
make_calls(struct bench *b, bool on_go)
{
	for (int i = 0; i < CALLS && b->plan && b->plan[i].method; i++)
		if (b->plan[i].on_go == on_go &&
		    make_call(b, i, b->plan[i].method, b->plan[i].company, b->plan[i].invocation,
			      b->plan[i].timeout_ms) < 0)
			buf_addf(&b->out, "%s not sent\n", b->plan[i].method);
}

static void
on_up(void *arg)
{
	struct bench *b = arg;

	b->up = true;
	buf_addf(&b->out, "up %.*s\n", SPAN_FMT(worker_methods(b->worker).raw));
	make_calls(b, false);
}

static void
on_request(void *arg, const struct rpc_message *m)
{
	struct bench *b = arg;
	struct buf line = BUF_INIT;

	buf_addf(&b->out, "request %.*s\n", SPAN_FMT(m->method.raw));
	rpc_add_result(&line, m->id, SPAN_LIT("\"granted\""));
	worker_write(b->worker, buf_span(&line));
	buf_release(&line);
}

static void
on_notification(void *arg, const struct rpc_message *m)
{
	struct bench *b = arg;

	buf_addf(&b->out, "notification %.*s\n", SPAN_FMT(m->method.raw));
	if (jtext_is(m->method, "go"))
		make_calls(b, true);
}

static void
on_stderr(void *arg, struct span line)
{
	struct bench *b = arg;

	buf_addf(&b->out, "stderr %.*s\n", SPAN_FMT(line));
}

static void
on_bad(void *arg, const char *why)
{
	struct bench *b = arg;

	buf_addf(&b->out, "ignored %s\n", why);
}

static void
on_dead(void *arg, const struct worker_end *end)
{
	struct bench *b = arg;

	buf_addf(&b->out, "%s%s%s%s%s\n", end->up ? "dead " : "failed ", end->asked ? "asked " : "",
		 end->answered ? "answered " : "", end->failure ? end->failure : end->text,
		 end->failure && end->answered ? " / " : "");
	conftell_end(&b->teller);
}

static void
on_end(void *arg)
{
	struct bench *b = arg;

	buf_adds(&b->out, "end\n");
	b->ended = true;
	b->ended_ms = clock_mono_ms();
}

static const struct worker_limits quick = {
	.start_ms = 5000, .shutdown_ms = 400, .linger_ms = 150, .term_ms = 300, .kill_ms = 2000,
	.drain_ms = 200, .line_max = 1 << 20, .queue_max = 1 << 20, .log_max = 1 << 20,
};

struct script {
	const char *steps[STEPS];
	struct worker_limits limits;	/* start_ms 0: the quick ones */
	bool use_sigchld;
};

static void
begin(struct bench *b, const struct script *s, const struct planned *plan)
{
	char *argv[STEPS + 3] = { self, (char *)"fake" };
	char *env[] = { (char *)"A=1", (char *)"B=two", NULL };
	struct worker_spec spec = {
		.dir = "/tmp", .argv = argv, .env = env, .instance_id = "host-a",
		.manifest = SPAN_LIT("{\"id\":\n\"acme.x\"}"),
		.limits = s->limits.start_ms ? s->limits : quick, .use_sigchld = s->use_sigchld,
	};
	struct worker_events ev = {
		on_up, on_request, on_notification, on_stderr, on_bad, on_dead, on_end, b,
	};

	*b = (struct bench){ .next_id = 1, .began_ms = clock_mono_ms(), .plan = plan };
	for (int i = 0; i < STEPS && s->steps[i]; i++)
		argv[i + 2] = (char *)s->steps[i];
	assert_int_equal(uv_loop_init(&b->loop), 0);
	b->worker = worker_new(&b->loop, &spec, &b->next_id, &ev, NULL);
	assert_non_null(b->worker);
	b->pid = worker_pid(b->worker);
}

static void
finish(struct bench *b)
{
	worker_free(b->worker);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	for (int i = 0; i < CALLS; i++)
		assert_false(b->calls[i].used);
	conftell_release(&b->teller);
	buf_release(&b->out);
}

static void
on_tick(uv_timer_t *t)
{
	(void)t;
}

static void
run_until(struct bench *b, const bool *flag, const char *name)
{
	int64_t until = clock_mono_ms() + TIMEOUT_MS;
	uv_timer_t tick;

	/* So that the loop comes back even when nothing happens. */
	uv_timer_init(&b->loop, &tick);
	uv_timer_start(&tick, on_tick, 50, 50);
	while (!*flag) {
		uv_run(&b->loop, UV_RUN_ONCE);
		if (clock_mono_ms() > until)
			fail_msg("%s: too late; so far: %s", name, b->out.data);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&b->loop, UV_RUN_NOWAIT);
}

#define UP "up [\"health\",\"environmentProbe\"]\n"
#define CALL(method, company, id, ms) { method, company, id, ms, false }
#define PROBE { CALL("probe", "co-1", "i-1", 5000) }
#define LOG(id, text) V ",\"method\":\"execute.log\",\"params\":{\"stream\":\"stdout\"," \
	"\"chunk\":\"" text "\"},\"paperclipInvocationId\":\"" id "\"}"

/* Whole lives, up to the end. */
static const struct row {
	const char *name;
	struct script script;
	struct planned calls[CALLS];
	const char *out;
	int64_t min_ms, max_ms;
} rows[] = {
	/* The hand-shake */
	{ "initialize, exactly", { .steps = { "expect", V ",\"id\":1,\"method\":\"initialize\",\"params\":"
	  "{\"manifest\":{\"id\": \"acme.x\"},\"config\":{},\"instanceInfo\":{\"instanceId\":\"host-a\","
	  "\"hostVersion\":\"2026.916.1\",\"deploymentMode\":\"local_trusted\","
	  "\"deploymentExposure\":\"private\"},\"apiVersion\":1,\"databaseNamespace\":null}}\n",
	  "reply", "{\"ok\":true}", "exit", "0" } }, { { 0 } },
	  "up []\ndead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "exits in the hand-shake", { .steps = { "err", "fatal: no license", "exit", "4" } }, { { 0 } },
	  "stderr fatal: no license\nfailed Worker process exited (code=4, signal=null)\n\n"
	  "Worker stderr:\nfatal: no license\nend\n", 0, 3000 },
	{ "forgot to run", { .steps = { "exit", "0" } }, { { 0 } },
	  "failed Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "says no", { .steps = { "expect", "initialize", "reply", "{\"ok\":false}", "eof" } }, { { 0 } },
	  "failed answered Worker initialize returned ok=false / \nend\n", 0, 3000 },
	{ "says null", { .steps = { "expect", "initialize", "reply", "null", "eof" } }, { { 0 } },
	  "failed answered Worker initialize returned ok=false / \nend\n", 0, 3000 },
	{ "fails", { .steps = { "send", V ",\"id\":1,\"error\":{\"code\":-32002,\"message\":\"no key\"}}",
	  "sleep", "20000" } }, { { 0 } }, "failed answered no key / \nend\n", 0, 3000 },
	{ "hangs", { .steps = { "sleep", "20000" }, .limits = { .start_ms = 200, .kill_ms = 2000, .drain_ms = 200,
	  .line_max = 1 << 20, .queue_max = 1 << 20 } }, { { 0 } },
	  "failed answered RPC call \"initialize\" timed out after 200ms / \nend\n", 200, 3000 },
	{ "ok is truthy", { .steps = { "expect", "initialize", "reply", "{\"ok\":\"yes\",\"supportedMethods\":3}" } },
	  { { 0 } }, "up []\ndead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "asks and tells before it answers", { .steps = { "send", "plain text", "send",
	  V ",\"id\":1,\"method\":\"config.get\"}", "send", V ",\"method\":\"log\"}", "init",
	  "expect", V ",\"id\":1,\"result\":\"granted\"}" } }, { { 0 } },
	  "ignored not valid JSON\nrequest \"config.get\"\nnotification \"log\"\n" UP
	  "dead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },

	/* Calls and death */
	{ "a call", { .steps = { "init", "expect", V ",\"id\":2,\"method\":\"probe\",\"params\":{\"p\":1},"
	  "\"paperclipInvocation\":{\"id\":\"i-1\",\"scope\":{\"companyId\":\"co-1\"}}}\n",
	  "reply", "{\"ok\":true}", "exit", "3" } }, PROBE,
	  UP "probe result {\"ok\":true}\ndead Worker process exited (code=3, signal=null)\nend\n",
	  0, 3000 },
	{ "dies with calls", { .steps = { "init", "expect", "one", "expect", "two", "err", "boom\nbang", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-1", "i-2", 5000) },
	  UP "stderr boom\nstderr bang\ndead Worker process exited (code=5, signal=null)\n"
	  "two died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nboom\nbang\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nboom\nbang\nend\n",
	  0, 3000 },
	{ "dies by a signal", { .steps = { "init", "expect", "probe", "kill", "11" } }, PROBE,
	  UP "dead Worker process exited (code=null, signal=SIGSEGV)\n"
	  "probe died Worker process exited (code=null, signal=SIGSEGV)\nend\n", 0, 3000 },
	{ "an unterminated answer, then it exits", { .steps = { "init", "expect", "probe", "raw",
	  V ",\"id\":2,\"result\":\"last words\"}", "exit", "3" } }, PROBE,
	  UP "probe result \"last words\"\ndead Worker process exited (code=3, signal=null)\nend\n", 0, 3000 },
	{ "half an answer, then it exits", { .steps = { "init", "expect", "probe", "raw",
	  V ",\"id\":2,\"resu", "exit", "7" } }, PROBE,
	  UP "ignored not valid JSON\ndead Worker process exited (code=7, signal=null)\n"
	  "probe died Worker process exited (code=7, signal=null)\nend\n", 0, 3000 },
	{ "unterminated stderr", { .steps = { "init", "expect", "probe", "rawerr", "oops", "exit", "1" } }, PROBE,
	  UP "stderr oops\ndead Worker process exited (code=1, signal=null)\n"
	  "probe died Worker process exited (code=1, signal=null)\n\nWorker stderr:\noops\nend\n", 0, 3000 },
	{ "a grandchild holds the pipes", { .steps = { "init", "expect", "probe", "hold", "exit", "2" } }, PROBE,
	  UP "dead Worker process exited (code=2, signal=null)\n"
	  "probe died Worker process exited (code=2, signal=null)\nend\n", 0, 1500 },
	{ "one that left the group holds them", { .steps = { "init", "expect", "probe", "away", "exit", "2" } }, PROBE,
	  UP "dead Worker process exited (code=2, signal=null)\n"
	  "probe died Worker process exited (code=2, signal=null)\nend\n", 150, 2000 },
	{ "SIGCHLD instead of a pidfd", { .steps = { "init", "expect", "probe", "exit", "6" }, .use_sigchld = true }, PROBE,
	  UP "dead Worker process exited (code=6, signal=null)\n"
	  "probe died Worker process exited (code=6, signal=null)\nend\n", 0, 3000 },
	{ "closes its stdout and lives", { .steps = { "init", "close", "1", "sleep", "20000" } }, PROBE,
	  UP "dead Worker process exited (code=null, signal=SIGKILL)\n"
	  "probe died Worker process exited (code=null, signal=SIGKILL)\nend\n", 100, 3000 },
	{ "closes its stdin and lives", { .steps = { "init", "close", "0", "send", V ",\"method\":\"go\"}",
	  "sleep", "20000" } }, { { "probe", "co-1", "i-1", 5000, true } },
	  UP "notification \"go\"\ndead Worker process exited (code=null, signal=SIGKILL)\n"
	  "probe died Worker process exited (code=null, signal=SIGKILL)\nend\n", 100, 3000 },
	{ "time-out and a late answer", { .steps = { "init", "expect", "probe", "sleep", "200", "reply", "{}" } },
	  { CALL("probe", "co-1", "i-1", 50) },
	  UP "probe timeout RPC call \"probe\" timed out after 50ms\nlate probe result {}\n"
	  "dead Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },
	{ "time-out and no answer", { .steps = { "init", "expect", "probe", "sleep", "200" } },
	  { CALL("probe", "co-1", "i-1", 50) },
	  UP "probe timeout RPC call \"probe\" timed out after 50ms\n"
	  "dead Worker process exited (code=0, signal=null)\n"
	  "late probe died Worker process exited (code=0, signal=null)\nend\n", 0, 3000 },

	/* stderr is shown to nobody else's calls */
	{ "two companies at work", { .steps = { "init", "expect", "one", "expect", "two", "err", "secret", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "stderr secret\ndead Worker process exited (code=5, signal=null)\n"
	  "two died Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\nend\n", 0, 3000 },
	{ "another company before", { .steps = { "init", "expect", "one", "expect", "two", "err", "secret of two", "reply",
	  "{}", "sleep", "100", "err", "mine", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "stderr secret of two\ntwo result {}\nstderr mine\n"
	  "dead Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nmine\nend\n", 0, 3000 },
	{ "another company's begun line", { .steps = { "init", "expect", "one", "expect", "two", "rawerr", "secret ", "reply",
	  "{}", "sleep", "100", "err", "more\nmine", "exit", "5" } },
	  { CALL("one", "co-1", "i-1", 5000), CALL("two", "co-2", "i-2", 5000) },
	  UP "two result {}\nstderr secret more\nstderr mine\n"
	  "dead Worker process exited (code=5, signal=null)\n"
	  "one died Worker process exited (code=5, signal=null)\n\nWorker stderr:\nmine\nend\n", 0, 3000 },

	/* Live output */
	{ "live output", { .steps = { "init", "expect", "exec", "send", LOG("i-1", "one\\n"), "send", LOG("i-9", "x"),
	  "reply", "{}", "send", LOG("i-1", "late") } }, { CALL("exec", "co-1", "i-1", 5000) },
	  UP "exec chunk 1 one\n\nignored no execution has that invocation id\nexec result {}\n"
	  "ignored no execution has that invocation id\ndead Worker process exited (code=0, signal=null)\nend\n",
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
		struct bench b;
		int64_t took;

		begin(&b, &row->script, row->calls);
		run_until(&b, &b.ended, row->name);
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
		finish(&b);
	}
}

/* The stop ladder */
static const struct stop_row {
	const char *name;
	const char *steps[STEPS];
	struct planned calls[CALLS];
	bool at_once;		/* before the hand-shake is done */
	bool kill;
	const char *out;
	int64_t min_ms, max_ms;
} stop_rows[] = {
	{ "graceful", { "init", "expect", V ",\"id\":2,\"method\":\"shutdown\",\"params\":{}}\n",
	  "reply", "null" }, { { 0 } }, false, false,
	  UP "dead asked Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "exits without an answer", { "init", "expect", "shutdown", "exit", "0" }, { { 0 } }, false, false,
	  UP "dead asked Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "with a pending call", { "init", "expect", "probe", "expect", "shutdown", "reply", "null" }, PROBE,
	  false, false, UP "dead asked Worker process exited (code=0, signal=null)\n"
	  "probe died Worker process exited (code=0, signal=null)\nend\n", 0, 350 },
	{ "answers and stays: SIGTERM", { "init", "expect", "shutdown", "reply", "null", "sleep", "20000" },
	  { { 0 } }, false, false, UP "dead asked Worker process exited (code=null, signal=SIGTERM)\nend\n",
	  150, 500 },
	{ "does not answer: SIGTERM", { "init", "expect", "shutdown", "sleep", "20000" }, { { 0 } }, false, false,
	  UP "dead asked Worker process exited (code=null, signal=SIGTERM)\nend\n", 550, 1000 },
	{ "deaf: SIGKILL", { "deaf", "init", "expect", "shutdown", "sleep", "20000" }, { { 0 } }, false, false,
	  UP "dead asked Worker process exited (code=null, signal=SIGKILL)\nend\n", 850, 1500 },
	{ "while it starts", { "sleep", "20000" }, { { 0 } }, true, false,
	  "failed asked Worker process exited (code=null, signal=SIGTERM)\nend\n", 0, 250 },
	{ "killed", { "deaf", "init", "sleep", "20000" }, PROBE, false, true,
	  UP "dead asked Worker process exited (code=null, signal=SIGKILL)\n"
	  "probe died Worker process exited (code=null, signal=SIGKILL)\nend\n", 0, 250 },
};

static void
test_stop(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(stop_rows); i++) {
		const struct stop_row *row = &stop_rows[i];
		struct script script = { { 0 }, { 0 }, false };
		struct bench b;
		int64_t asked, took;

		memcpy(script.steps, row->steps, sizeof(script.steps));
		begin(&b, &script, row->calls);
		if (!row->at_once)
			run_until(&b, &b.up, row->name);
		asked = clock_mono_ms();
		if (row->kill)
			worker_kill(b.worker);
		else
			worker_stop(b.worker);
		worker_stop(b.worker);
		run_until(&b, &b.ended, row->name);
		took = b.ended_ms - asked;
		if (strcmp(b.out.data, row->out) != 0)
			fail_msg("%s: %s", row->name, b.out.data);
		if (took < row->min_ms || took > row->max_ms)
			fail_msg("%s: %lld ms", row->name, (long long)took);
		finish(&b);
	}
}

/* What the child is given, and what not. */
static void
test_isolation(void **state)
{
	struct script s = { { "init", "expect", "probe", "show", "eof" }, { 0 }, false };
	static const struct planned plan[CALLS] = PROBE;
	struct bench b;
	sigset_t blocked;

	(void)state;
	/* Neither our mask nor an open descriptor is handed down. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	begin(&b, &s, plan);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	while (!strstr(b.out.data ? b.out.data : "", "probe result"))
		uv_run(&b.loop, UV_RUN_ONCE);
	assert_string_equal(b.out.data,
			    UP "probe result {\"fds\":3,\"leader\":1,\"death\":9,\"privs\":1,\"pipe\":1,"
			    "\"blocked\":0,\"dir\":\"/tmp\",\"env\":[\"A=1\",\"B=two\"]}\n");
	/* Freed while it runs: it is killed. */
	finish(&b);
	assert_true(kill(b.pid, 0) < 0 && errno == ESRCH);
}

static void
test_cannot_run(void **state)
{
	char *argv[] = { (char *)"/nowhere/program", NULL }, *env[] = { NULL };
	struct worker_spec spec = { .dir = "/tmp", .argv = argv, .env = env, .instance_id = "h",
				    .manifest = SPAN_LIT("{}"), .limits = quick };
	struct worker_events ev;
	struct bench b;
	static const char *const dirs[] = { "/tmp", "/nowhere" };
	static const char *const outs[] = {
		"cannot run '/nowhere/program': No such file or directory",
		"cannot change to '/nowhere': No such file or directory",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char wanted[400];

		b = (struct bench){ .next_id = 1 };
		ev = (struct worker_events){ on_up, on_request, on_notification, on_stderr, on_bad,
					     on_dead, on_end, &b };
		uv_loop_init(&b.loop);
		spec.dir = dirs[i];
		b.worker = worker_new(&b.loop, &spec, &b.next_id, &ev, NULL);
		assert_non_null(b.worker);
		run_until(&b, &b.ended, outs[i]);
		snprintf(wanted, sizeof(wanted), "stderr %s\nfailed Worker process exited (code=127, "
			 "signal=null)\n\nWorker stderr:\n%s\nend\n", outs[i], outs[i]);
		assert_string_equal(b.out.data, wanted);
		finish(&b);
	}
}

static void
on_told(void *arg, struct span company, const struct rpc_answer *a)
{
	struct bench *b = arg;

	buf_addf(&b->out, "told %.*s %d\n", SPAN_FMT(company), (int)a->end);
}

/* Configs go out one after the other, each in its company's scope. */
static void
test_configs(void **state)
{
	struct script s = { { "init", "expect", "\"method\":\"configChanged\",\"params\":{\"config\":"
			      "{\"a\":1},\"companyId\":\"co-1\"},\"paperclipInvocation\":{\"id\":\"",
			      "reply", "null", "expect", "{\"config\":{},\"companyId\":\"co-2\"}", "sleep", "400",
			      "expect", "{\"config\":{\"c\":3},\"companyId\":\"co-3\"}", "reply", "null",
			      "exit", "0" }, { 0 }, false };
	struct jtext config;
	struct bench b;

	(void)state;
	begin(&b, &s, NULL);
	b.teller = (struct conftell){ .timeout_ms = 300, .on_answer = on_told, .arg = &b };
	run_until(&b, &b.up, "up");
	assert_int_equal(jtext_check(SPAN_LIT("{\"co-1\":{\"a\":1},\"x\":5,\"co-2\":{},\"co-3\":{\"c\":3}}"),
				     64, &config, NULL), 0);
	conftell_begin(&b.teller, b.worker, config);
	run_until(&b, &b.ended, "configs");
	assert_string_equal(b.out.data, UP "told co-1 0\ntold co-2 3\ntold co-3 0\n"
			    "dead Worker process exited (code=0, signal=null)\nend\n");
	finish(&b);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_isolation),
		cmocka_unit_test(test_cannot_run),
		cmocka_unit_test(test_configs),
	};

	if (argc > 1 && strcmp(argv[1], "fake") == 0)
		return fake_plugin(argc - 2, argv + 2);
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
