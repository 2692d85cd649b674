/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_rig.h"

#include "fake_plugin.h"

char worker_rig_self[PATH_MAX];

const struct worker_limits worker_rig_quick = {
	.start_ms = 5000, .shutdown_ms = 400, .linger_ms = 150, .term_ms = 300, .kill_ms = 2000,
	.drain_ms = 200, .line_max = 1 << 20, .queue_max = 1 << 20, .log_max = 1 << 20,
};

static void
on_answer(struct worker_invocation *call, const struct rpc_answer *a)
{
	struct worker_rig *b = CONTAINER_OF(call, struct test_call, call)->b;
	static const char *const ends[] = { "result", "error", "bad", "timeout", "died", "unsent" };

	buf_addf(&b->out, "%s %s %.*s%s\n", a->method, ends[a->end], SPAN_FMT(a->result.raw),
		 a->text ? a->text : "");
}

static void
on_late(struct worker_invocation *call, const struct rpc_answer *a)
{
	struct worker_rig *b = CONTAINER_OF(call, struct test_call, call)->b;

	buf_adds(&b->out, "late ");
	on_answer(call, a);
}

static void
on_chunk(struct worker_invocation *call, bool is_stderr, struct span text)
{
	struct worker_rig *b = CONTAINER_OF(call, struct test_call, call)->b;

	buf_addf(&b->out, "%s chunk %d %.*s\n", call->rpc.method, is_stderr ? 2 : 1,
		SPAN_FMT(text));
}

static void
on_gone(struct worker_invocation *call)
{
	CONTAINER_OF(call, struct test_call, call)->used = false;
}

static int
make_call(struct worker_rig *b, int i, const char *method, const char *company,
	  const char *invocation, int64_t timeout)
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
	return worker_invoke(b->worker, &c->call, SPAN_LIT("{\"p\":1}"), SPAN_NULL, NULL);
}

static void
make_calls(struct worker_rig *b, bool on_go)
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
	struct worker_rig *b = arg;

	b->up = true;
	buf_addf(&b->out, "up %.*s\n", SPAN_FMT(worker_methods(b->worker).raw));
	make_calls(b, false);
}

static void
on_request(void *arg, const struct rpc_message *m)
{
	struct worker_rig *b = arg;
	struct buf line = BUF_INIT;

	buf_addf(&b->out, "request %.*s\n", SPAN_FMT(m->method.raw));
	rpc_add_result(&line, m->id, SPAN_LIT("\"granted\""));
	worker_write(b->worker, buf_span(&line));
	buf_release(&line);
}

static void
on_notification(void *arg, const struct rpc_message *m)
{
	struct worker_rig *b = arg;

	buf_addf(&b->out, "notification %.*s\n", SPAN_FMT(m->method.raw));
	if (jtext_is(m->method, "go"))
		make_calls(b, true);
}

static void
on_stderr(void *arg, struct span line)
{
	struct worker_rig *b = arg;

	buf_addf(&b->out, "stderr %.*s\n", SPAN_FMT(line));
}

static void
on_bad(void *arg, const char *why, struct span line)
{
	struct worker_rig *b = arg;

	(void)line;
	buf_addf(&b->out, "ignored %s\n", why);
}

static void
on_dead(void *arg, const struct worker_end *end)
{
	struct worker_rig *b = arg;

	buf_addf(&b->out, "%s%s%s%s%s\n", end->up ? "dead " : "failed ", end->asked ? "asked " : "",
		 end->answered ? "answered " : "", end->failure ? end->failure : end->text,
		 end->failure && end->answered ? " / " : "");
	config_push_end(&b->push);
}

static void
on_end(void *arg)
{
	struct worker_rig *b = arg;

	buf_adds(&b->out, "end\n");
	b->ended = true;
	b->ended_ms = clock_mono_ms();
}

struct worker_events
worker_rig_events(struct worker_rig *b)
{
	return (struct worker_events){
		on_up, on_request, on_notification, on_stderr, on_bad, on_dead, on_end, b,
	};
}

void
worker_rig_begin(struct worker_rig *b, const struct worker_script *s, const struct planned *plan)
{
	char *argv[STEPS + 3] = { worker_rig_self, (char *)"fake" };
	char *env[] = { (char *)"A=1", (char *)"B=two", NULL };
	struct worker_spec spec = {
		.dir = "/tmp", .argv = argv, .env = env, .instance_id = "host-a",
		.manifest = SPAN_LIT("{\"id\":\n\"acme.x\"}"),
		.limits = s->limits.start_ms ? s->limits : worker_rig_quick,
		.use_sigchld = s->use_sigchld, .rlimits = s->rlimits, .n_rlimits = s->n_rlimits,
	};
	struct worker_events ev = worker_rig_events(b);

	*b = (struct worker_rig){ .next_id = 1, .began_ms = clock_mono_ms(), .plan = plan };
	for (int i = 0; i < STEPS && s->steps[i]; i++)
		argv[i + 2] = (char *)s->steps[i];
	assert_int_equal(uv_loop_init(&b->loop), 0);
	b->worker = worker_new(&b->loop, &spec, &b->next_id, &ev, NULL);
	assert_non_null(b->worker);
	b->pid = worker_pid(b->worker);
}

void
worker_rig_finish(struct worker_rig *b)
{
	worker_free(b->worker);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	for (int i = 0; i < CALLS; i++)
		assert_false(b->calls[i].used);
	config_push_release(&b->push);
	buf_release(&b->out);
}

static void
on_tick(uv_timer_t *t)
{
	(void)t;
}

void
worker_rig_run_until(struct worker_rig *b, const bool *flag, const char *name)
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

int
worker_rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	if (argc > 1 && strcmp(argv[1], "fake") == 0)
		return fake_plugin(argc - 2, argv + 2);
	assert_true(readlink("/proc/self/exe", worker_rig_self, sizeof(worker_rig_self) - 1) > 0);
	signal(SIGPIPE, SIG_IGN);
	return _cmocka_run_group_tests("worker", tests, n, NULL, NULL);
}
