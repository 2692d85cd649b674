/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/plugin_call.h"

#include <inttypes.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "plugin_calls.h"
#include "supervisor_table.h"
#include "worker.h"

struct plugin_calls {
	const char *id;
	void (*on_idle)(void *arg);
	void *arg;
	size_t count, slots;
	bool slot_refused;
	struct plugin_call_list held;
	struct deadlines deadlines;
	uv_timer_t timer;
};

static void
free_now(struct plugin_call *c)
{
	secret_fill_release(&c->secrets);
	buf_release(&c->params);
	buf_release(&c->text);
	buf_release(&c->why);
	free(c);
}

/* Nothing will come to it any more. */
static void
end_plugin_call(struct plugin_call *c)
{
	c->state = CALL_GONE;
	c->calls = NULL;
	if (c->freed)
		free_now(c);
}

static void
count_in(struct plugin_call *c, struct plugin_calls *cs)
{
	if (c->calls)
		c->calls->count--;
	cs->count++;
	c->calls = cs;
}

static void
count_out(struct plugin_call *c)
{
	struct plugin_calls *cs = c->calls;

	c->calls = NULL;
	if (cs && --cs->count == 0 && cs->on_idle)
		cs->on_idle(cs->arg);
}

/* Tells the caller how it ended. The call may be freed meanwhile only in the
 * state GONE, which none has while this runs. */
static void
answer(struct plugin_call *c, const struct rpc_answer *a)
{
	if (!c->freed)
		c->ev.on_answer(c->ev.arg, a);
}

static void
answer_unsent(struct plugin_call *c, enum rpc_end end)
{
	struct rpc_answer a = {
		.end = end,
		.method = c->invocation.rpc.method,
		.text = c->text.failed || !c->text.data ? "out of memory" : c->text.data,
		.retryable = c->retryable,
	};

	if (c->why.len && !c->why.failed)
		a.why = c->why.data;
	answer(c, &a);
	/* Nothing was sent, so nothing will come late. */
	a.end = RPC_NOT_SENT;
	if (end == RPC_TIMED_OUT && !c->freed && c->ev.on_late)
		c->ev.on_late(c->ev.arg, &a);
}

/* From the worker */

static struct plugin_call *
call_of(struct worker_invocation *i)
{
	return CONTAINER_OF(i, struct plugin_call, invocation);
}

static void
on_plugin_answer(struct worker_invocation *i, const struct rpc_answer *a)
{
	answer(call_of(i), a);
	count_out(call_of(i));
}

static void
on_plugin_late(struct worker_invocation *i, const struct rpc_answer *a)
{
	struct plugin_call *c = call_of(i);

	if (!c->freed && c->ev.on_late)
		c->ev.on_late(c->ev.arg, a);
}

static void
on_plugin_chunk(struct worker_invocation *i, bool is_stderr, struct span output)
{
	struct plugin_call *c = call_of(i);

	if (!c->freed && c->ev.on_chunk)
		c->ev.on_chunk(c->ev.arg, is_stderr, output);
}

static void
on_plugin_gone(struct worker_invocation *i)
{
	/* When it was not answered the whole supervisor ends: no on_idle. */
	end_plugin_call(call_of(i));
}

/* Sending, holding, refusing */

void
plugin_call_make_due(struct plugin_call *c)
{
	c->state = CALL_DUE;
	TAILQ_INSERT_TAIL(&c->due->list, c, link);
	c->due->wake(c->due->arg);
}

void
plugin_call_send(struct plugin_call *c, struct plugin_calls *cs, struct worker *worker,
		 struct span params)
{
	struct err err = { 0 };

	c->state = CALL_SENT;
	c->invocation.rpc.spent_ms = clock_mono_ms() - c->began_ms;
	if (worker_invoke(worker, &c->invocation, params, c->traceparent, &err) == 0) {
		count_in(c, cs);
		return;
	}
	buf_addf(&c->text, "Failed to send \"%s\" to worker: %s", c->invocation.rpc.method,
		 err.text);
	count_out(c);
	plugin_call_make_due(c);
}

static void on_held_timer(uv_timer_t *t);

static void
arm_held(struct plugin_calls *cs)
{
	struct deadline *first = deadline_first(&cs->deadlines);
	int64_t wait;

	if (!first)
		return;
	wait = first->at_ms - clock_mono_ms();
	uv_timer_start(&cs->timer, on_held_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

void
plugin_call_hold(struct plugin_call *c, struct plugin_calls *cs, struct span params)
{
	buf_addspan(&c->params, params);
	if (c->params.failed ||
	    !deadline_add(&cs->deadlines, &c->deadline,
			  c->began_ms + c->invocation.rpc.timeout_ms)) {
		buf_addf(&c->text, "Failed to send \"%s\" to worker: out of memory",
			 c->invocation.rpc.method);
		plugin_call_make_due(c);
		return;
	}
	c->state = CALL_HELD;
	count_in(c, cs);
	TAILQ_INSERT_TAIL(&cs->held, c, link);
	arm_held(cs);
}

static void
take_held(struct plugin_call *c)
{
	deadline_remove(&c->calls->deadlines, &c->deadline);
	TAILQ_REMOVE(&c->calls->held, c, link);
}

static void
on_held_timer(uv_timer_t *t)
{
	struct plugin_calls *cs = t->data;
	struct deadline *first;
	int64_t now = clock_mono_ms();

	while ((first = deadline_first(&cs->deadlines)) && first->at_ms <= now) {
		struct plugin_call *c = CONTAINER_OF(first, struct plugin_call, deadline);

		take_held(c);
		c->state = CALL_SENT;
		buf_addf(&c->text, "RPC call \"%s\" timed out after %" PRId64 "ms",
			 c->invocation.rpc.method, c->invocation.rpc.timeout_ms);
		answer_unsent(c, RPC_TIMED_OUT);
		count_out(c);
		end_plugin_call(c);
	}
	arm_held(cs);
}

void
plugin_calls_send_held(struct plugin_calls *from, struct plugin_calls *to,
		       struct worker *worker)
{
	struct plugin_call *c;

	while ((c = TAILQ_FIRST(&from->held))) {
		take_held(c);
		plugin_call_send(c, to, worker, buf_span(&c->params));
		buf_release(&c->params);
	}
}

void
plugin_call_refuse(struct plugin_call *c, const struct supervisor_view *how)
{
	supervisor_table_add_why(how, &c->why);
	buf_addf(&c->text, "Cannot call \"%s\" \xe2\x80\x94 worker for \"%s\" is %s",
		 c->invocation.rpc.method, how->id, supervisor_status_name(how->status));
	count_out(c);
	plugin_call_make_due(c);
}

void
plugin_call_refuse_unknown(struct plugin_call *c, const char *plugin_id)
{
	buf_addf(&c->text, "No worker registered for plugin \"%s\"", plugin_id);
	plugin_call_make_due(c);
}

void
plugin_calls_refuse_held(struct plugin_calls *cs, const struct supervisor_view *how)
{
	struct plugin_call *c;

	while ((c = TAILQ_FIRST(&cs->held))) {
		take_held(c);
		plugin_call_refuse(c, how);
	}
}

/* What is due */

void
plugin_calls_due_init(struct plugin_calls_due *d, void (*wake)(void *arg), void *arg)
{
	TAILQ_INIT(&d->list);
	d->wake = wake;
	d->arg = arg;
}

void
plugin_calls_due_deliver(struct plugin_calls_due *d)
{
	struct plugin_call *c;
	size_t n = 0;

	TAILQ_FOREACH(c, &d->list, link)
		n++;
	for (; n > 0 && (c = TAILQ_FIRST(&d->list)); n--) {
		TAILQ_REMOVE(&d->list, c, link);
		c->state = CALL_SENT;
		answer_unsent(c, c->end);
		end_plugin_call(c);
	}
	if (!TAILQ_EMPTY(&d->list))
		d->wake(d->arg);
}

void
plugin_calls_end_all(struct plugin_call_list *list)
{
	struct plugin_call *c;

	while ((c = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, c, link);
		end_plugin_call(c);
	}
}

void
plugin_calls_due_release(struct plugin_calls_due *d)
{
	plugin_calls_end_all(&d->list);
}

/* The calls of a plugin */

struct plugin_calls *
plugin_calls_new(uv_loop_t *loop, const char *id, void (*on_idle)(void *arg), void *arg)
{
	struct plugin_calls *cs = malloc(sizeof(*cs));

	if (!cs)
		return NULL;
	*cs = (struct plugin_calls){ .id = id, .on_idle = on_idle, .arg = arg };
	TAILQ_INIT(&cs->held);
	uv_timer_init(loop, &cs->timer);
	cs->timer.data = cs;
	return cs;
}

size_t
plugin_calls_count(const struct plugin_calls *cs)
{
	return cs->count;
}

size_t
plugin_calls_slots(const struct plugin_calls *cs)
{
	return cs->slots;
}

bool
plugin_calls_slot_take(struct plugin_calls *cs, size_t max)
{
	if (cs->slots >= max) {
		cs->slot_refused = true;
		return false;
	}
	cs->slots++;
	return true;
}

bool
plugin_calls_slot_give(struct plugin_calls *cs, size_t max)
{
	bool missed;

	if (cs->slots > 0)
		cs->slots--;
	missed = cs->slot_refused && cs->slots < max;
	cs->slot_refused = cs->slot_refused && !missed;
	return missed;
}

static void
on_calls_closed(uv_handle_t *t)
{
	struct plugin_calls *cs = t->data;

	deadline_release(&cs->deadlines);
	free(cs);
}

void
plugin_calls_free(struct plugin_calls *cs)
{
	if (!cs)
		return;
	plugin_calls_end_all(&cs->held);
	uv_close((uv_handle_t *)&cs->timer, on_calls_closed);
}

/* One call */

static char *
put_string(char **at, struct span text)
{
	char *to = *at;

	if (text.len)
		memcpy(to, text.ptr, text.len);
	to[text.len] = '\0';
	*at += text.len + 1;
	return to;
}

struct plugin_call *
plugin_call_new(const struct plugin_request *r, const struct plugin_call_events *ev,
		struct plugin_calls_due *due)
{
	struct span company = rpc_trim(r->company_id), method = span_of(r->method);
	struct span plugin_id = span_of(r->plugin_id);
	struct span id = span_of(r->invocation_id ? r->invocation_id : "");
	struct worker_invocation *i;
	struct plugin_call *c;
	char *at;

	c = malloc(sizeof(*c) + company.len + method.len + id.len + r->command_id.len +
			      r->traceparent.len + plugin_id.len + 6);
	if (!c)
		return NULL;
	*c = (struct plugin_call){
		.due = due, .ev = *ev, .began_ms = clock_mono_ms(), .end = RPC_NOT_SENT,
		.params = BUF_WIPES,
	};
	at = c->strings;
	i = &c->invocation;
	i->rpc.method = put_string(&at, method);
	i->rpc.timeout_ms = r->timeout_ms;
	i->scope.company = (struct span){ put_string(&at, company), company.len };
	i->scope.command_id = (struct span){ put_string(&at, r->command_id), r->command_id.len };
	c->traceparent = (struct span){ put_string(&at, r->traceparent), r->traceparent.len };
	i->scope.traceparent = c->traceparent;
	c->plugin_id = put_string(&at, plugin_id);
	/* Without a company there is no envelope, so nothing to name. */
	if (company.len && id.len)
		i->scope.invocation_id = put_string(&at, id);
	i->scope.wants_log = r->wants_log;
	i->on_answer = on_plugin_answer;
	i->on_late = on_plugin_late;
	i->on_chunk = on_plugin_chunk;
	i->on_gone = on_plugin_gone;
	return c;
}

void
plugin_call_free(struct plugin_call *c)
{
	c->freed = true;
	switch (c->state) {
	case CALL_LOOKING:
		TAILQ_REMOVE(&c->looking->list, c, link);
		end_plugin_call(c);
		break;
	case CALL_HELD:
		take_held(c);
		count_out(c);
		end_plugin_call(c);
		break;
	case CALL_DUE:
		TAILQ_REMOVE(&c->due->list, c, link);
		end_plugin_call(c);
		break;
	case CALL_GONE:
		free_now(c);
		break;
	case CALL_NEW:
	case CALL_SENT:
		break;
	}
}
