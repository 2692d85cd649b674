/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <signal.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "death.h"
#include "execlog.h"
#include "envdriver/rpc/handshake.h"
#include "envdriver/rpc/spawn.h"
#include "envdriver/rpc/stderr_pipe.h"
#include "worker_secrets.h"

enum phase {
	IN_HANDSHAKE,		/* initialize is pending */
	IN_USE,
	IN_SHUTDOWN,		/* the shutdown request is pending */
	IN_LINGER,		/* it was answered; or the pipes broke */
	IN_TERM,
	IN_KILL,
	IN_EXITED,		/* the process is gone, its pipes may not be empty */
	IN_DONE,
};

struct worker {
	enum phase phase;
	struct worker_limits limits;
	struct worker_events ev;
	struct spawn *spawn;
	struct channel *channel;
	struct stderr_pipe *err;
	struct worker_secrets *secrets;
	uv_timer_t timer;
	bool closing;
	struct worker_end how;	/* it ends, as far as is known */
	struct scope scope;
	struct channel_pending initialize, shutdown;
	struct buf methods, failure, text, chunk;
	size_t n_bad;		/* lines that were ignored */
};

const struct worker_limits worker_limits_default = {
	.shutdown_ms = 10000, .linger_ms = 500,
	.term_ms = 5000,
	.kill_ms = 2000,
	.drain_ms = 200,
	.queue_max = 64 << 20,
};

/* Calls */

/* Where stderr stands. `moment` as for stderr_pipe_drain. */
static uint64_t
stderr_position(struct worker *w, uint64_t moment)
{
	if (w->scope.shared)
		stderr_pipe_drain(w->err, moment);
	return stderr_pipe_position(w->err);
}

/* Where it stands for a call that ended. What the plugin wrote before its
 * answer was in stderr's pipe when the answer was read. */
static uint64_t
stderr_position_at_end(struct worker *w, enum rpc_end end)
{
	return stderr_position(w, end > RPC_BAD_RESPONSE ? 0 : channel_reads(w->channel));
}

static void
on_invocation_end(struct channel_pending *p, const struct rpc_answer *answer)
{
	struct worker_invocation *c = CONTAINER_OF(p, struct worker_invocation, rpc);
	struct worker *w = c->worker;

	worker_secrets_flush(w->secrets, c, /* cut= */ answer->end > RPC_BAD_RESPONSE);
	if (answer->end == RPC_TIMED_OUT) {
		scope_settle(&w->scope, &c->scope);
		c->on_answer(c, answer);
		return;
	}
	scope_end(&w->scope, &c->scope, stderr_position_at_end(w, answer->end));
	c->on_answer(c, answer);
	c->on_gone(c);
}

static void
on_invocation_late(struct channel_pending *p, const struct rpc_answer *answer)
{
	struct worker_invocation *c = CONTAINER_OF(p, struct worker_invocation, rpc);
	struct worker *w = c->worker;

	/* It may be at work for ever: nobody is shown its stderr from now on. */
	if (answer->end == RPC_TIMED_OUT)
		w->scope.blind = true;
	scope_end(&w->scope, &c->scope, stderr_position_at_end(w, answer->end));
	c->on_late(c, answer);
	c->on_gone(c);
}

int
worker_learn(struct worker *w, const struct mask *values, struct err *reterr)
{
	return worker_secrets_add(w->secrets, values, reterr);
}

int
worker_invoke(struct worker *w, struct worker_invocation *c, struct span params,
	      struct span traceparent, struct err *reterr)
{
	struct channel_request r = { params, c->scope.invocation_id, c->scope.company,
				     traceparent, c->scope.mask != NULL };
	bool shared = w->scope.shared;
	int ret;

	if (!w->how.up || w->phase > IN_SHUTDOWN)
		return err_set(reterr, ERR_CLOSED, "it is not running");
	if (c->scope.mask && (ret = worker_learn(w, c->scope.mask, reterr)) < 0)
		return ret;
	c->worker = w;
	c->rpc.on_end = on_invocation_end;
	c->rpc.on_late = on_invocation_late;
	if (!scope_begin(&w->scope, &c->scope))
		return err_nomem(reterr);
	/* The first call of a second company: what the first one's wrote may
	 * still be on its way. */
	if (w->scope.shared && !shared)
		scope_touch(&w->scope, stderr_position(w, 0));
	ret = channel_send(w->channel, &c->rpc, &r, reterr);
	if (ret < 0)
		scope_end(&w->scope, &c->scope, stderr_position(w, 0));
	return ret;
}

void
worker_write(struct worker *w, struct span line)
{
	if (!channel_write(w->channel, line))
		w->ev.on_bad(w->ev.arg, "reply dropped: the plugin is not reading its input",
			     SPAN_NULL);
}

/* The end */

static void enter_phase(struct worker *w, enum phase phase);

/* The words of its death for one call: with what it wrote to stderr, if that
 * can only be about this call's company. */
static const char *
death_text(void *arg, struct channel_pending *p)
{
	struct worker *w = arg;
	uint64_t from = 0;

	if (p != &w->initialize && p != &w->shutdown)
		from = scope_from(&w->scope,
				  &CONTAINER_OF(p, struct worker_invocation, rpc)->scope);
	return death_write(&w->text, &w->how, stderr_pipe_excerpt(w->err, from));
}

/* Ends what the process left behind: lines, calls, the worker itself. */
static void
end_run(struct worker *w)
{
	uv_timer_stop(&w->timer);
	channel_finish(w->channel);
	stderr_pipe_finish(w->err);
	w->phase = IN_DONE;
	if (!w->how.up && w->failure.len == 0) {
		buf_adds(&w->failure, death_text(w, &w->initialize));
		handshake_add_end(&w->failure, w->how.code, w->n_bad);
	}
	w->how.failure = w->how.up ? NULL : buf_span(&w->failure).ptr;
	w->how.text = death_write(&w->text, &w->how, SPAN_NULL);
	/* Before the calls end: the owner of a call that is told of the death
	 * may ask how things stand, or call again. */
	w->ev.on_dead(w->ev.arg, &w->how);
	channel_fail(w->channel, death_text, w);
	w->ev.on_end(w->ev.arg);
}

static void
end_if_empty(struct worker *w)
{
	if (w->phase == IN_EXITED && stderr_pipe_ended(w->err) && channel_ended(w->channel))
		end_run(w);
}

static void
on_worker_exit(void *arg, int code, int signal_number)
{
	struct worker *w = arg;

	w->how.code = code;
	w->how.signal = signal_number;
	enter_phase(w, IN_EXITED);
	end_if_empty(w);
}

/* Time is up in this phase: the next step. */
static void
on_phase_over(uv_timer_t *t)
{
	struct worker *w = t->data;

	switch (w->phase) {
	case IN_LINGER:
		enter_phase(w, w->how.asked ? IN_TERM : IN_KILL);
		break;
	case IN_TERM:
		enter_phase(w, IN_KILL);
		break;
	case IN_KILL:
		/* Not even SIGKILL helps: it hangs in the kernel, and is left there. */
		w->how.code = -1;
		w->how.signal = SIGKILL;
		end_run(w);
		break;
	case IN_EXITED:
		if (channel_parsing(w->channel))
			enter_phase(w, IN_EXITED);	/* what it said before it died counts */
		else
			end_run(w);
		break;
	default:
		break;
	}
}

static void
on_shutdown_answer(struct channel_pending *p, const struct rpc_answer *a)
{
	struct worker *w = CONTAINER_OF(p, struct worker, shutdown);

	if (a->end == RPC_TIMED_OUT)
		channel_cancel(w->channel, p);
	if (w->phase == IN_SHUTDOWN)
		enter_phase(w, IN_LINGER);
}

static void
send_shutdown(struct worker *w)
{
	struct channel_request r = { .params = SPAN_LIT("{}") };

	w->shutdown = (struct channel_pending){
		.method = "shutdown", .timeout_ms = w->limits.shutdown_ms,
		.on_end = on_shutdown_answer,
	};
	if (channel_send(w->channel, &w->shutdown, &r, /* reterr= */ NULL) < 0)
		enter_phase(w, IN_LINGER);
}

static void
enter_phase(struct worker *w, enum phase phase)
{
	const int64_t waits[] = {
		[IN_LINGER] = w->limits.linger_ms,
		[IN_TERM] = w->limits.term_ms,
		[IN_KILL] = w->limits.kill_ms,
		[IN_EXITED] = w->limits.drain_ms,
	};

	w->phase = phase;
	if (phase == IN_SHUTDOWN) {
		send_shutdown(w);
		return;
	}
	if (phase == IN_TERM || phase == IN_KILL)
		spawn_kill(w->spawn, phase == IN_TERM ? SIGTERM : SIGKILL);
	uv_timer_start(&w->timer, on_phase_over, (uint64_t)waits[phase], 0);
}

void
worker_stop(struct worker *w)
{
	if (w->how.asked || w->phase >= IN_EXITED)
		return;
	w->how.asked = true;
	if (w->phase == IN_USE)
		enter_phase(w, w->limits.shutdown_ms ? IN_SHUTDOWN : IN_TERM);
	else if (w->phase == IN_HANDSHAKE)
		enter_phase(w, IN_TERM);
}

/* What the plugin says */

static void
on_worker_request(void *arg, const struct rpc_message *m)
{
	struct worker *w = arg;

	w->ev.on_request(w->ev.arg, m);
}

static void
on_worker_notification(void *arg, const struct rpc_message *m)
{
	struct worker *w = arg;
	struct execlog_chunk chunk;
	struct worker_invocation *c;
	const char *why;

	if (!jtext_is(m->method, "execute.log")) {
		w->ev.on_notification(w->ev.arg, m);
	} else if ((why = execlog_take(&w->scope, m, w->limits.log_max, &w->chunk, &chunk))) {
		w->ev.on_bad(w->ev.arg, why, SPAN_NULL);
	} else {
		c = CONTAINER_OF(chunk.call, struct worker_invocation, scope);
		worker_secrets_chunk(w->secrets, c, chunk.is_stderr, chunk.output);
	}
}

static void
on_worker_bad(void *arg, const char *why, struct span line)
{
	struct worker *w = arg;

	w->n_bad++;
	w->ev.on_bad(w->ev.arg, why, line);
}

/* A pipe is dead. The process should be so too in a moment; one that lives on
 * is of no more use. */
static void
on_worker_broken(void *arg)
{
	struct worker *w = arg;

	if (w->phase <= IN_SHUTDOWN && !w->how.asked)
		enter_phase(w, IN_LINGER);
	end_if_empty(w);
}

static void
on_worker_stderr(void *arg, struct span line)
{
	struct worker *w = arg;

	w->ev.on_stderr(w->ev.arg, line);
}

static void
on_worker_stderr_end(void *arg)
{
	end_if_empty(arg);
}

/* The hand-shake */

static void
on_initialized(struct channel_pending *p, const struct rpc_answer *a)
{
	struct worker *w = CONTAINER_OF(p, struct worker, initialize);

	if (handshake_read(a, &w->methods)) {
		w->how.up = true;
		/* Asked to stop meanwhile: the ladder goes on. */
		if (w->phase != IN_HANDSHAKE)
			return;
		w->phase = IN_USE;
		w->ev.on_up(w->ev.arg);
		return;
	}
	buf_reset(&w->failure);
	handshake_add_failure(&w->failure, a, channel_partial(w->channel), w->n_bad);
	w->how.answered = a->end != RPC_DIED;
	if (a->end == RPC_TIMED_OUT)
		channel_cancel(w->channel, p);
	if (w->phase == IN_HANDSHAKE)
		enter_phase(w, IN_KILL);
}

static int
send_initialize(struct worker *w, const struct worker_spec *spec, struct err *reterr)
{
	struct buf params = BUF_INIT;
	struct channel_request r = { 0 };
	int ret;

	handshake_add_params(&params, spec->manifest, spec->instance_id);
	w->initialize = (struct channel_pending){
		.method = "initialize", .timeout_ms = w->limits.start_ms, .on_end = on_initialized,
	};
	r.params = buf_span(&params);
	ret = params.failed ? err_nomem(reterr) :
			      channel_send(w->channel, &w->initialize, &r, reterr);
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

/* Starting and closing */

static void
on_worker_closed(uv_handle_t *h)
{
	struct worker *w = h->data;

	scope_release(&w->scope);
	buf_release(&w->methods);
	buf_release(&w->failure);
	buf_release(&w->text);
	buf_release(&w->chunk);
	free(w);
}

void
worker_free(struct worker *w)
{
	struct scope_entry *e;

	if (!w || w->closing)
		return;
	w->closing = true;
	w->phase = IN_DONE;
	while ((e = LIST_FIRST(&w->scope.calls))) {
		struct worker_invocation *i = CONTAINER_OF(e, struct worker_invocation, scope);

		channel_cancel(w->channel, &i->rpc);
		scope_end(&w->scope, e, 0);
		worker_secrets_release(i);
		i->on_gone(i);
	}
	channel_close(w->channel);
	spawn_close(w->spawn);
	stderr_pipe_close(w->err);
	worker_secrets_free(w->secrets);
	uv_close((uv_handle_t *)&w->timer, on_worker_closed);
}

/* Takes the three descriptors. */
static int
connect_pipes(struct worker *w, uv_loop_t *loop, const int take_fds[3], uint64_t *next_id,
	      struct err *reterr)
{
	const struct mask *mask = worker_secrets_mask(w->secrets);
	struct channel_limits limits = { w->limits.line_max, w->limits.queue_max, mask };
	struct channel_events ev = {
		on_worker_request, on_worker_notification, on_worker_bad, on_worker_broken, w,
	};
	struct stderr_pipe_events err_ev = { on_worker_stderr, on_worker_stderr_end, w };

	w->channel = channel_new(loop, take_fds[0], take_fds[1], next_id, &limits, &ev, reterr);
	w->err = stderr_pipe_new(loop, take_fds[2], mask, &err_ev, reterr);
	return w->channel && w->err ? 0 : ERR_IO;
}

struct worker *
worker_new(uv_loop_t *loop, const struct worker_spec *spec, uint64_t *next_id,
	   const struct worker_events *ev, struct err *reterr)
{
	struct spawn_options o = {
		.argv = spec->argv, .env = spec->env, .dir = spec->dir,
		.limits = spec->rlimits, .n_limits = spec->n_rlimits, .jail = spec->jail,
		.pass_fds = spec->pass_fds, .n_pass_fds = spec->n_pass_fds,
		.cgroup = spec->cgroup,
		.use_sigchld = spec->use_sigchld, .processes_max = spec->processes_max,
	};
	struct worker *w = malloc(sizeof(*w));
	int fds[3];

	if (!w) {
		err_nomem(reterr);
		return NULL;
	}
	*w = (struct worker){ .limits = spec->limits, .ev = *ev, .how.code = -1 };
	uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	w->secrets = worker_secrets_new(loop, &w->scope, spec->given, reterr);
	if (w->secrets)
		w->spawn = spec->is_peer ? spawn_peer(loop, spec->take_peer_fd, spec->peer_pid,
						      on_worker_exit, w, fds, reterr) :
					   spawn_new(loop, &o, on_worker_exit, w, fds, reterr);
	if (!w->spawn || connect_pipes(w, loop, fds, next_id, reterr) < 0 ||
	    send_initialize(w, spec, reterr) < 0) {
		worker_free(w);
		return NULL;
	}
	return w;
}
