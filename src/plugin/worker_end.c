/* SPDX-License-Identifier: Apache-2.0 */
/* worker: how it ends: the stop ladder, the exit, the words for it. */

#include "worker_impl.h"

#include <signal.h>

static const char *
exit_text(struct worker *w)
{
	char name[16];

	buf_reset(&w->text);
	if (w->signal)
		buf_addf(&w->text, "Worker process exited (code=null, signal=%s)",
			 spawn_signal_name(w->signal, name));
	else
		buf_addf(&w->text, "Worker process exited (code=%d, signal=null)", w->code);
	return w->text.failed ? "Worker process exited" : w->text.data;
}

/* The words of its death for one call: with what it wrote to stderr, if that
 * can only be about this call's company. */
static const char *
death_text(void *arg, struct channel_pending *rpc)
{
	struct worker *w = arg;
	uint64_t from = 0;
	struct span excerpt;

	exit_text(w);
	if (rpc != &w->hello && rpc != &w->bye)
		from = scope_from(&w->scope,
				  &CONTAINER_OF(rpc, struct worker_invocation, rpc)->scope);
	excerpt = stderr_tail_excerpt(&w->tail, from);
	if (excerpt.len) {
		buf_adds(&w->text, "\n\nWorker stderr:\n");
		buf_addspan(&w->text, excerpt);
	}
	return w->text.failed ? "Worker process exited" : w->text.data;
}

/* Ends what the process left behind: lines, calls, the worker itself. */
static void
finish(struct worker *w)
{
	struct worker_end end = {
		.code = w->code, .signal = w->signal, .up = w->up, .asked = w->asked,
	};

	uv_timer_stop(&w->timer);
	channel_finish(w->channel);
	worker_drain_stderr(w);
	uv_read_stop((uv_stream_t *)&w->err_pipe);
	w->err_ended = true;
	frame_end(w->err_frame);
	w->phase = WORKER_IN_DONE;
	if (!w->up && w->failure.len == 0)
		buf_adds(&w->failure, death_text(w, &w->hello));
	end.answered = w->answered;
	end.failure = w->up ? NULL : buf_span(&w->failure).ptr;
	end.text = exit_text(w);
	/* Said before calls end: who is told of a death may ask how things
	 * stand, or call again. */
	w->ev.on_dead(w->ev.arg, &end);
	channel_fail(w->channel, death_text, w);
	w->ev.on_end(w->ev.arg);
}

void
worker_end_if_empty(struct worker *w)
{
	if (w->phase == WORKER_IN_EXITED && w->err_ended && channel_ended(w->channel))
		finish(w);
}

void
worker_exited(void *arg, int code, int signal_number)
{
	struct worker *w = arg;

	w->code = code;
	w->signal = signal_number;
	worker_enter(w, WORKER_IN_EXITED);
	worker_end_if_empty(w);
}

/* Time is up in this phase: the next step. */
static void
on_timer(uv_timer_t *t)
{
	struct worker *w = t->data;

	switch (w->phase) {
	case WORKER_IN_LINGER:
		worker_enter(w, w->asked ? WORKER_IN_TERM : WORKER_IN_KILL);
		break;
	case WORKER_IN_TERM:
		worker_enter(w, WORKER_IN_KILL);
		break;
	case WORKER_IN_KILL:
		/* Not even SIGKILL: it hangs in the kernel. We let it go. */
		w->code = -1;
		w->signal = SIGKILL;
		finish(w);
		break;
	case WORKER_IN_EXITED:
		/* It answered before it died: that counts. */
		if (channel_parsing(w->channel))
			worker_enter(w, WORKER_IN_EXITED);
		else
			finish(w);
		break;
	default:
		break;
	}
}

static void
on_bye(struct channel_pending *c, const struct rpc_answer *a)
{
	struct worker *w = CONTAINER_OF(c, struct worker, bye);

	if (a->end == RPC_TIMED_OUT)
		channel_drop(w->channel, c);
	if (w->phase == WORKER_IN_SHUTDOWN)
		worker_enter(w, WORKER_IN_LINGER);
}

static void
say_bye(struct worker *w)
{
	struct channel_request r = { .params = SPAN_LIT("{}") };

	w->bye = (struct channel_pending){
		.method = "shutdown", .timeout_ms = w->limits.shutdown_ms, .on_end = on_bye,
	};
	if (channel_send(w->channel, &w->bye, &r, /* reterr= */ NULL) < 0)
		worker_enter(w, WORKER_IN_LINGER);
}

void
worker_enter(struct worker *w, enum worker_phase phase)
{
	const struct worker_limits *l = &w->limits;
	const int64_t waits[] = {
		[WORKER_IN_LINGER] = l->linger_ms,
		[WORKER_IN_TERM] = l->term_ms,
		[WORKER_IN_KILL] = l->kill_ms,
		[WORKER_IN_EXITED] = l->drain_ms,
	};

	w->phase = phase;
	if (phase == WORKER_IN_SHUTDOWN) {
		say_bye(w);
		return;
	}
	if (phase == WORKER_IN_TERM)
		spawn_kill(w->spawn, SIGTERM);
	else if (phase == WORKER_IN_KILL)
		spawn_kill(w->spawn, SIGKILL);
	uv_timer_start(&w->timer, on_timer, (uint64_t)waits[phase], 0);
}

void
worker_stop(struct worker *w)
{
	if (w->asked || w->phase >= WORKER_IN_EXITED)
		return;
	w->asked = true;
	if (w->phase == WORKER_IN_UP)
		worker_enter(w, WORKER_IN_SHUTDOWN);
	else if (w->phase == WORKER_IN_HELLO)
		worker_enter(w, WORKER_IN_TERM);
}

void
worker_kill(struct worker *w)
{
	w->asked = true;
	if (w->phase < WORKER_IN_KILL)
		worker_enter(w, WORKER_IN_KILL);
}
