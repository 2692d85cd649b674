/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: one call to a plugin through the plugin layer alone, for recorded
 * calls that no operation makes: a method that is no operation's, a time limit
 * of their own.
 *
 *	call INSTANCE_ID METHOD COMPANY TIMEOUT_MS STOP_MS DIR PROGRAM [ARG...]
 *
 * The first line of stdin is the manifest, the second one the parameters;
 * PROGRAM is the worker, DIR its working folder; it gets our environment. The
 * worker is stopped when the call has ended, or, when STOP_MS is not 0, that
 * long after it was made.
 * Prints one JSON object: {"result":...}, or {"error":{"end":...,"message":...}}
 * with the "code" and "data" of a plugin's own error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "plugin/worker.h"

enum { ARGS = 7, LINE_MAX_BYTES = 128 << 20, START_MS = 15000, LATE_MS = 1000 };

struct program {
	struct worker *worker;
	struct worker_invocation call;
	struct buf manifest, params, out;
	const char *method, *company;
	int64_t timeout_ms;
	uint64_t stop_ms;
	uv_timer_t stop;
	bool failed;
};

static void
add_member(struct buf *out, const char *name, struct jtext value)
{
	if (value.kind == JTEXT_MISSING)
		return;
	buf_addf(out, ",\"%s\":", name);
	buf_addspan(out, value.raw);
}

static void
print_answer(struct program *p, const struct rpc_answer *a)
{
	static const char *const ends[] = {
		[RPC_ERROR] = "error",
		[RPC_BAD_RESPONSE] = "bad response",
		[RPC_TIMED_OUT] = "timed out",
		[RPC_DIED] = "died",
		[RPC_NOT_SENT] = "not sent",
	};

	if (a->end == RPC_RESULT) {
		buf_adds(&p->out, "{\"result\":");
		buf_addspan(&p->out, a->result.raw);
		buf_adds(&p->out, "}\n");
		return;
	}
	buf_addf(&p->out, "{\"error\":{\"end\":\"%s\"", ends[a->end]);
	if (a->end == RPC_ERROR) {
		add_member(&p->out, "code", a->code);
		add_member(&p->out, "message", a->message);
		add_member(&p->out, "data", a->data);
	} else {
		buf_adds(&p->out, ",\"message\":");
		jtext_add_string(&p->out, span_of(a->text ? a->text : ""));
	}
	buf_adds(&p->out, "}}\n");
}

static void
on_stop_timer(uv_timer_t *t)
{
	struct program *p = t->data;

	worker_stop(p->worker);
}

static void
on_answer(struct worker_invocation *c, const struct rpc_answer *a)
{
	struct program *p = CONTAINER_OF(c, struct program, call);

	print_answer(p, a);
	/* The late line shall still be seen. */
	if (a->end == RPC_TIMED_OUT)
		uv_timer_start(&p->stop, on_stop_timer, LATE_MS, 0);
	else if (a->end != RPC_DIED)
		worker_stop(p->worker);
}

static void
on_chunk(struct worker_invocation *c, bool is_stderr, struct span text)
{
	(void)c;
	(void)is_stderr;
	(void)text;
}

static void
on_late(struct worker_invocation *c, const struct rpc_answer *a)
{
	(void)c;
	(void)a;
}

static void
on_gone(struct worker_invocation *c)
{
	(void)c;
}

static void
on_up(void *arg)
{
	struct program *p = arg;
	struct err err;

	p->call = (struct worker_invocation){
		.rpc = { .method = p->method, .timeout_ms = p->timeout_ms },
		.scope = { .invocation_id = "9b2ff2a6-3f4c-4a56-8a6e-0a2f5f1d7c11",
			   .company = rpc_trim(span_of(p->company)) },
		.on_answer = on_answer, .on_chunk = on_chunk, .on_late = on_late,
		.on_gone = on_gone,
	};
	if (p->stop_ms)
		uv_timer_start(&p->stop, on_stop_timer, p->stop_ms, 0);
	if (worker_invoke(p->worker, &p->call, buf_span(&p->params), SPAN_NULL, &err) == 0)
		return;
	fprintf(stderr, "call: %s\n", err.text);
	p->failed = true;
	worker_stop(p->worker);
}

static void
on_message(void *arg, const struct rpc_message *m)
{
	(void)arg;
	(void)m;
}

static void
on_stderr(void *arg, struct span line)
{
	(void)arg;
	fprintf(stderr, "%.*s\n", SPAN_FMT(line));
}

static void
on_bad(void *arg, const char *why, struct span line)
{
	(void)arg, (void)line;
	fprintf(stderr, "call: ignored: %s\n", why);
}

static void
on_dead(void *arg, const struct worker_end *end)
{
	struct program *p = arg;

	if (!end->failure)
		return;
	fprintf(stderr, "call: %s\n", end->failure);
	p->failed = true;
}

static void
on_end(void *arg)
{
	struct program *p = arg;

	worker_free(p->worker);
	uv_close((uv_handle_t *)&p->stop, NULL);
}

static void
read_line(struct buf *into)
{
	int c;

	while ((c = getchar()) != EOF && c != '\n')
		buf_addch(into, (char)c);
}

static int
run(struct program *p, uv_loop_t *loop, char **argv)
{
	struct worker_events ev = { on_up, on_message, on_message, on_stderr, on_bad,
				    on_dead, on_end, p };
	struct worker_spec spec = {
		.dir = argv[6], .argv = argv + ARGS, .env = environ, .instance_id = argv[1],
		.manifest = buf_span(&p->manifest), .limits = worker_limits_default,
	};
	uint64_t next_id = 1;
	struct err err;

	spec.limits.start_ms = START_MS;
	spec.limits.line_max = spec.limits.log_max = LINE_MAX_BYTES;
	p->worker = worker_new(loop, &spec, &next_id, &ev, &err);
	if (!p->worker) {
		fprintf(stderr, "call: %s\n", err.text);
		return 1;
	}
	uv_timer_init(loop, &p->stop);
	p->stop.data = p;
	uv_run(loop, UV_RUN_DEFAULT);
	fputs(p->out.data ? p->out.data : "", stdout);
	return p->failed || !p->out.len;
}

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	uv_loop_t loop;
	int ret;

	if (argc <= ARGS) {
		fputs("usage: call INSTANCE_ID METHOD COMPANY TIMEOUT_MS STOP_MS DIR PROGRAM "
		      "[ARG...]\n", stderr);
		return 64;
	}
	p.method = argv[2];
	p.company = argv[3];
	p.timeout_ms = strtoll(argv[4], NULL, 10);
	p.stop_ms = strtoull(argv[5], NULL, 10);
	read_line(&p.manifest);
	read_line(&p.params);
	uv_loop_init(&loop);
	ret = run(&p, &loop, argv);
	uv_loop_close(&loop);
	buf_release(&p.manifest);
	buf_release(&p.params);
	buf_release(&p.out);
	return ret;
}
