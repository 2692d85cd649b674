/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "execlog.h"
#include "worker_impl.h"

#define HOST_VERSION "2026.916.1"

enum {
	STDERR_LINE_MAX = 16 << 10,
	STDERR_DRAIN_READS = 64,
	HANDLES = 2,
};

const struct worker_limits worker_limits_default = {
	.shutdown_ms = 10000,
	.linger_ms = 500,
	.term_ms = 5000,
	.kill_ms = 2000,
	.drain_ms = 200,
	.queue_max = 64 << 20,
};

/* stderr */

static void
on_err_line(void *arg, struct span line, bool repaired)
{
	struct worker *w = arg;

	(void)repaired;
	stderr_tail_add(&w->tail, line);
	w->ev.on_stderr(w->ev.arg, line);
}

static void
on_err_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct worker *w = h->data;

	(void)hint;
	*ret = uv_buf_init(w->err_buf, sizeof(w->err_buf));
}

static void
on_err_read(uv_stream_t *s, ssize_t n, const uv_buf_t *data)
{
	struct worker *w = s->data;

	if (n > 0) {
		frame_feed(w->err_frame, data->base, (size_t)n);
	} else if (n < 0) {
		uv_read_stop(s);
		w->err_ended = true;
		worker_end_if_empty(w);
	}
}

void
worker_drain_stderr(struct worker *w)
{
	uv_os_fd_t fd;
	ssize_t n;

	if (w->err_ended || uv_fileno((uv_handle_t *)&w->err_pipe, &fd) < 0)
		return;
	for (int i = 0; i < STDERR_DRAIN_READS; i++) {
		n = read(fd, w->err_buf, sizeof(w->err_buf));
		if (n <= 0)
			return;
		frame_feed(w->err_frame, w->err_buf, (size_t)n);
	}
}

/* A begun line belongs to what was before. */
static uint64_t
stderr_end(const struct worker *w)
{
	return stderr_tail_end(&w->tail) + frame_partial(w->err_frame);
}

/* Where stderr stands now. */
static uint64_t
place(struct worker *w)
{
	if (w->scope.shared)
		worker_drain_stderr(w);
	return stderr_end(w);
}

/* Of a call that ended. What it wrote before its answer was in stderr's pipe
 * when the answer was read: one look serves all answers that came together. */
static uint64_t
place_of_end(struct worker *w, enum rpc_end end)
{
	uint64_t reads = channel_reads(w->channel);

	if (end > RPC_BAD_RESPONSE)
		return place(w);	/* no answer: it ends now */
	if (w->scope.shared && w->drained_for != reads) {
		worker_drain_stderr(w);
		w->drained_for = reads;
	}
	return stderr_end(w);
}

/* Calls */

static void
on_call_end(struct channel_pending *rpc, const struct rpc_answer *answer)
{
	struct worker_invocation *c = CONTAINER_OF(rpc, struct worker_invocation, rpc);
	struct worker *w = c->worker;

	if (answer->end == RPC_TIMED_OUT) {
		scope_settle(&w->scope, &c->scope);
		c->on_answer(c, answer);
		return;
	}
	scope_end(&w->scope, &c->scope, place_of_end(w, answer->end));
	c->on_answer(c, answer);
	c->on_gone(c);
}

static void
on_call_late(struct channel_pending *rpc, const struct rpc_answer *answer)
{
	struct worker_invocation *c = CONTAINER_OF(rpc, struct worker_invocation, rpc);
	struct worker *w = c->worker;

	/* Given up, it may be at work for ever: nobody is shown its stderr. */
	if (answer->end == RPC_TIMED_OUT)
		w->scope.blind = true;
	scope_end(&w->scope, &c->scope, place_of_end(w, answer->end));
	c->on_late(c, answer);
	c->on_gone(c);
}

int
worker_invoke(struct worker *w, struct worker_invocation *c, struct span params,
	      struct span traceparent, struct err *reterr)
{
	struct channel_request r = { params, c->scope.invocation_id, c->scope.company,
				     traceparent };
	bool shared = w->scope.shared;
	int ret;

	if (!w->up || w->phase > WORKER_IN_SHUTDOWN)
		return err_set(reterr, ERR_CLOSED, "it is not running");
	c->worker = w;
	c->rpc.on_end = on_call_end;
	c->rpc.on_late = on_call_late;
	if (!scope_begin(&w->scope, &c->scope))
		return err_nomem(reterr);
	/* The first call of a second company: what the first one's wrote may
	 * still be on its way. */
	if (w->scope.shared && !shared)
		scope_touch(&w->scope, place(w));
	ret = channel_send(w->channel, &c->rpc, &r, reterr);
	if (ret < 0)
		scope_end(&w->scope, &c->scope, place(w));
	return ret;
}

void
worker_write(struct worker *w, struct span line)
{
	if (!channel_write(w->channel, line))
		w->ev.on_bad(w->ev.arg, "an answer to it was dropped, it does not read");
}

/* What the plugin says */

static void
on_request(void *arg, const struct rpc_message *m)
{
	struct worker *w = arg;

	w->ev.on_request(w->ev.arg, m);
}

static void
on_notification(void *arg, const struct rpc_message *m)
{
	struct worker *w = arg;
	struct execlog_chunk chunk;
	struct worker_invocation *c;
	const char *why;

	if (!jtext_is(m->method, "execute.log")) {
		w->ev.on_notification(w->ev.arg, m);
		return;
	}
	why = execlog_take(&w->scope, m, w->limits.log_max, &w->chunk, &chunk);
	if (why) {
		w->ev.on_bad(w->ev.arg, why);
		return;
	}
	c = CONTAINER_OF(chunk.call, struct worker_invocation, scope);
	c->on_chunk(c, chunk.is_stderr, chunk.text);
}

static void
on_bad(void *arg, const char *why)
{
	struct worker *w = arg;

	w->ev.on_bad(w->ev.arg, why);
}

/* A pipe is dead. The process is expected to be so too in a moment; one that
 * goes on living cannot be of use any more. */
static void
on_broken(void *arg)
{
	struct worker *w = arg;

	if (w->phase <= WORKER_IN_SHUTDOWN && !w->asked)
		worker_enter(w, WORKER_IN_LINGER);
	worker_end_if_empty(w);
}

/* The hand-shake */

static void
take_methods(struct worker *w, struct jtext result)
{
	struct jtext methods = jtext_get(result, "supportedMethods");

	if (methods.kind == JTEXT_ARRAY)
		buf_addspan(&w->methods, methods.raw);
}

static void
hello_error(struct worker *w, const struct rpc_answer *a)
{
	buf_reset(&w->failure);
	if (a->end == RPC_ERROR && a->message.kind == JTEXT_STRING)
		jtext_decode(a->message, &w->failure, /* ret_replaced= */ NULL);
	else if (a->end == RPC_ERROR)
		buf_addspan(&w->failure, a->message.raw);
	else if (a->end == RPC_RESULT)
		buf_adds(&w->failure, "Worker initialize returned ok=false");
	else if (a->end == RPC_BAD_RESPONSE)
		buf_adds(&w->failure, "Unexpected response format for \"initialize\"");
	else
		buf_adds(&w->failure, a->text);
}

static void
on_hello(struct channel_pending *c, const struct rpc_answer *a)
{
	struct worker *w = CONTAINER_OF(c, struct worker, hello);

	if (a->end == RPC_RESULT && rpc_truthy(jtext_get(a->result, "ok"))) {
		take_methods(w, a->result);
		w->up = true;
		/* Asked to stop meanwhile: the ladder goes on. */
		if (w->phase != WORKER_IN_HELLO)
			return;
		w->phase = WORKER_IN_UP;
		w->ev.on_up(w->ev.arg);
		return;
	}
	hello_error(w, a);
	w->answered = a->end != RPC_DIED;
	if (a->end == RPC_TIMED_OUT)
		channel_drop(w->channel, c);
	if (w->phase == WORKER_IN_HELLO)
		worker_enter(w, WORKER_IN_KILL);
}

static int
say_hello(struct worker *w, const struct worker_spec *spec, struct err *reterr)
{
	struct buf params = BUF_INIT;
	struct channel_request r = { 0 };
	int ret;

	buf_adds(&params, "{\"manifest\":");
	buf_addspan(&params, spec->manifest);
	buf_adds(&params, ",\"config\":{},\"instanceInfo\":{\"instanceId\":");
	jtext_add_string(&params, span_of(spec->instance_id));
	buf_adds(&params, ",\"hostVersion\":\"" HOST_VERSION "\","
			  "\"deploymentMode\":\"local_trusted\","
			  "\"deploymentExposure\":\"private\"},\"apiVersion\":1,"
			  "\"databaseNamespace\":null}");
	w->hello = (struct channel_pending){
		.method = "initialize", .timeout_ms = w->limits.start_ms, .on_end = on_hello,
	};
	r.params = buf_span(&params);
	ret = params.failed ? err_nomem(reterr) : channel_send(w->channel, &w->hello, &r, reterr);
	buf_release(&params);
	return ret;
}

int
worker_pid(const struct worker *w)
{
	return spawn_pid(w->spawn);
}

struct scope *
worker_scope(struct worker *w)
{
	return &w->scope;
}

struct jtext
worker_methods(const struct worker *w)
{
	struct span none = SPAN_LIT("[]");

	return (struct jtext){ JTEXT_ARRAY, w->methods.len ? buf_span(&w->methods) : none };
}

static void
release(struct worker *w)
{
	frame_free(w->err_frame);
	stderr_tail_release(&w->tail);
	scope_release(&w->scope);
	buf_release(&w->methods);
	buf_release(&w->failure);
	buf_release(&w->text);
	buf_release(&w->chunk);
	free(w);
}

static void
on_closed(uv_handle_t *h)
{
	struct worker *w = h->data;

	if (--w->open == 0)
		release(w);
}

void
worker_free(struct worker *w)
{
	struct scope_entry *sc;

	if (!w || w->closing)
		return;
	w->closing = true;
	w->phase = WORKER_IN_DONE;
	while ((sc = w->scope.calls)) {
		struct worker_invocation *c = CONTAINER_OF(sc, struct worker_invocation, scope);

		channel_drop(w->channel, &c->rpc);
		scope_end(&w->scope, sc, 0);
		c->on_gone(c);
	}
	channel_close(w->channel);
	spawn_close(w->spawn);
	uv_close((uv_handle_t *)&w->err_pipe, on_closed);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}

static int
connect_pipes(struct worker *w, uv_loop_t *loop, int fds[3], uint64_t *next_id, struct err *reterr)
{
	struct channel_limits limits = { w->limits.line_max, w->limits.queue_max };
	struct channel_events ev = { on_request, on_notification, on_bad, on_broken, w };
	int ret;

	w->channel = channel_new(loop, fds[0], fds[1], next_id, &limits, &ev, reterr);
	fds[0] = fds[1] = -1;
	if (!w->channel)
		return ERR_IO;
	ret = uv_pipe_open(&w->err_pipe, fds[2]);
	if (ret >= 0) {
		fds[2] = -1;
		ret = uv_read_start((uv_stream_t *)&w->err_pipe, on_err_alloc, on_err_read);
	}
	if (ret < 0)
		return err_set(reterr, ERR_IO, "cannot use a pipe: %s", uv_strerror(ret));
	return 0;
}

struct worker *
worker_new(uv_loop_t *loop, const struct worker_spec *spec, uint64_t *next_id,
	   const struct worker_events *ev, struct err *reterr)
{
	struct spawn_options o = {
		.argv = spec->argv, .env = spec->env, .dir = spec->dir,
		.limits = spec->rlimits, .n_limits = spec->n_rlimits,
		.use_sigchld = spec->use_sigchld,
	};
	struct worker *w = buf_realloc(NULL, sizeof(*w));
	struct frame_events fev = { on_err_line, NULL, w };
	int fds[3] = { -1, -1, -1 };

	if (!w) {
		err_nomem(reterr);
		return NULL;
	}
	*w = (struct worker){ .limits = spec->limits, .ev = *ev, .code = -1, .open = HANDLES };
	uv_pipe_init(loop, &w->err_pipe, 0);
	uv_timer_init(loop, &w->timer);
	w->err_pipe.data = w->timer.data = w;
	w->err_frame = frame_new(FRAME_TEXT, STDERR_LINE_MAX, &fev, reterr);
	if (!w->err_frame)
		goto fail;
	w->spawn = spawn_new(loop, &o, worker_exited, w, fds, reterr);
	if (!w->spawn || connect_pipes(w, loop, fds, next_id, reterr) < 0 ||
	    say_hello(w, spec, reterr) < 0)
		goto fail;
	return w;
fail:
	if (fds[2] >= 0)
		close(fds[2]);
	worker_free(w);
	return NULL;
}
