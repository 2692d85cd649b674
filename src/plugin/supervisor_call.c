/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor: the calls it makes for others: sent at once, held for a
 * hand-shake, or answered by us. */
#include <inttypes.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "supervisor_impl.h"

static void
list_add(struct supervisor_call_list *l, struct plugin_call *c)
{
	c->next = NULL;
	c->prev = l->tail;
	if (l->tail)
		l->tail->next = c;
	else
		l->head = c;
	l->tail = c;
}

static void
list_remove(struct supervisor_call_list *l, struct plugin_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		l->head = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		l->tail = c->prev;
	c->prev = c->next = NULL;
}

static void
free_call(struct plugin_call *c)
{
	buf_release(&c->params);
	buf_release(&c->text);
	free(c);
}

/* Nothing will come to it any more. */
static void
over(struct plugin_call *c)
{
	c->state = SUPERVISOR_CALL_GONE;
	c->h = NULL;
	if (c->forgotten)
		free_call(c);
}

static void
discount(struct plugin_call *c)
{
	if (!c->counted)
		return;
	c->counted = false;
	managed_call_done(c->h);
}

/* Tells the caller how it ended. The call itself may be freed meanwhile only
 * when it is over, which none is while this runs. */
static void
answer(struct plugin_call *c, const struct rpc_answer *a)
{
	if (!c->forgotten)
		c->ev.on_answer(c->ev.arg, a);
}

static void
answer_by_us(struct plugin_call *c, enum rpc_end end)
{
	struct rpc_answer a = {
		.end = end,
		.method = c->call.rpc.method,
		.text = c->text.failed || !c->text.data ? "out of memory" : c->text.data,
	};

	answer(c, &a);
	/* Nothing was sent, so nothing will come late. */
	a.end = RPC_NOT_SENT;
	if (end == RPC_TIMED_OUT && !c->forgotten && c->ev.on_late)
		c->ev.on_late(c->ev.arg, &a);
}

/* From the worker */

static struct plugin_call *
of(struct worker_invocation *call)
{
	return CONTAINER_OF(call, struct plugin_call, call);
}

static void
on_answer(struct worker_invocation *call, const struct rpc_answer *a)
{
	struct plugin_call *c = of(call);

	answer(c, a);
	discount(c);
}

static void
on_late(struct worker_invocation *call, const struct rpc_answer *a)
{
	struct plugin_call *c = of(call);

	if (!c->forgotten && c->ev.on_late)
		c->ev.on_late(c->ev.arg, a);
}

static void
on_chunk(struct worker_invocation *call, bool is_stderr, struct span text)
{
	struct plugin_call *c = of(call);

	if (!c->forgotten && c->ev.on_chunk)
		c->ev.on_chunk(c->ev.arg, is_stderr, text);
}

static void
on_gone(struct worker_invocation *call)
{
	struct plugin_call *c = of(call);

	/* Not answered: the whole supervisor ends. */
	c->counted = false;
	over(c);
}

/* Sending, holding, refusing */

static void
refuse(struct plugin_call *c)
{
	c->state = SUPERVISOR_CALL_DUE;
	list_add(&c->s->due, c);
	supervisor_wake(c->s);
}

static void
count(struct plugin_call *c)
{
	if (c->counted)
		return;
	c->counted = true;
	c->h->calls++;
}

static void
send_now(struct plugin_call *c, struct span params)
{
	struct err err = { 0 };

	c->state = SUPERVISOR_CALL_SENT;
	c->call.rpc.spent_ms = clock_mono_ms() - c->began_ms;
	if (worker_invoke(c->h->worker, &c->call, params, c->traceparent, &err) == 0) {
		count(c);
		return;
	}
	buf_addf(&c->text, "Failed to send \"%s\" to worker: %s", c->call.rpc.method, err.text);
	discount(c);
	refuse(c);
}

static void
arm_held(struct managed *h)
{
	struct deadline *first = deadline_first(&h->held_deadlines);
	int64_t wait;

	if (!first)
		return;
	wait = first->at_ms - clock_mono_ms();
	uv_timer_start(&h->held_timer, supervisor_call_on_held_timer,
		       wait > 0 ? (uint64_t)wait : 0, 0);
}

static void
hold(struct plugin_call *c, struct span params)
{
	struct managed *h = c->h;

	buf_addspan(&c->params, params);
	if (c->params.failed ||
	    !deadline_add(&h->held_deadlines, &c->deadline, c->began_ms + c->call.rpc.timeout_ms)) {
		buf_addf(&c->text, "Failed to send \"%s\" to worker: out of memory",
			 c->call.rpc.method);
		refuse(c);
		return;
	}
	c->state = SUPERVISOR_CALL_HELD;
	count(c);
	list_add(&h->held, c);
	arm_held(h);
}

static void
take_held(struct managed *h, struct plugin_call *c)
{
	deadline_remove(&h->held_deadlines, &c->deadline);
	list_remove(&h->held, c);
}

void
supervisor_call_on_held_timer(uv_timer_t *timer)
{
	struct managed *h = timer->data;
	struct deadline *first;
	int64_t now = clock_mono_ms();

	while ((first = deadline_first(&h->held_deadlines)) && first->at_ms <= now) {
		struct plugin_call *c = CONTAINER_OF(first, struct plugin_call, deadline);

		take_held(h, c);
		c->state = SUPERVISOR_CALL_SENT;
		buf_addf(&c->text, "RPC call \"%s\" timed out after %" PRId64 "ms",
			 c->call.rpc.method, c->call.rpc.timeout_ms);
		answer_by_us(c, RPC_TIMED_OUT);
		discount(c);
		over(c);
	}
	arm_held(h);
}

void
supervisor_call_release(struct managed *h)
{
	struct plugin_call *c;

	while ((c = h->held.head)) {
		take_held(h, c);
		send_now(c, buf_span(&c->params));
		buf_release(&c->params);
	}
}

static void
say_cannot(struct plugin_call *c)
{
	buf_addf(&c->text, "Cannot call \"%s\" \xe2\x80\x94 worker for \"%s\" is %s",
		 c->call.rpc.method, c->h->id, worker_status_name(c->h->row.status));
}

void
supervisor_call_refuse(struct managed *h)
{
	struct plugin_call *c;

	if (h->row.status == WORKER_RUNNING)
		return;
	while ((c = h->held.head)) {
		take_held(h, c);
		say_cannot(c);
		discount(c);
		refuse(c);
	}
}

void
supervisor_call_deliver_due(struct supervisor *s)
{
	struct plugin_call *c;
	size_t n = 0;

	/* Not those that are added meanwhile. */
	for (c = s->due.head; c; c = c->next)
		n++;
	for (; n > 0 && (c = s->due.head); n--) {
		list_remove(&s->due, c);
		c->state = SUPERVISOR_CALL_SENT;
		answer_by_us(c, RPC_NOT_SENT);
		over(c);
	}
	if (s->due.head)
		supervisor_wake(s);
}

void
supervisor_call_drop(struct supervisor_call_list *list)
{
	struct plugin_call *c;

	while ((c = list->head)) {
		list_remove(list, c);
		c->counted = false;
		over(c);
	}
}

/* What callers see */

static char *
put(char **at, struct span text)
{
	char *to = *at;

	memcpy(to, text.len ? text.ptr : "", text.len);
	to[text.len] = '\0';
	*at = to + text.len + 1;
	return to;
}

static struct plugin_call *
new_call(struct supervisor *s, const struct plugin_request *r,
	 const struct plugin_call_events *ev)
{
	struct span company = rpc_trim(r->company_id), method = span_of(r->method);
	struct span invocation = span_of(r->invocation_id ? r->invocation_id : "");
	struct plugin_call *c;
	char *at;

	c = malloc(sizeof(*c) + company.len + method.len + invocation.len + r->command_id.len +
		   r->traceparent.len + 5);
	if (!c)
		return NULL;
	*c = (struct plugin_call){ .s = s, .ev = *ev, .began_ms = clock_mono_ms() };
	at = c->strings;
	c->call.rpc.method = put(&at, method);
	c->call.rpc.timeout_ms = r->timeout_ms;
	c->call.scope.company = (struct span){ put(&at, company), company.len };
	c->call.scope.command_id = (struct span){ put(&at, r->command_id), r->command_id.len };
	c->traceparent = (struct span){ put(&at, r->traceparent), r->traceparent.len };
	/* Without a company there is no envelope, so nothing to name. */
	if (company.len && invocation.len)
		c->call.scope.invocation_id = put(&at, invocation);
	c->call.scope.wants_log = r->wants_log;
	c->call.on_answer = on_answer;
	c->call.on_late = on_late;
	c->call.on_chunk = on_chunk;
	c->call.on_gone = on_gone;
	return c;
}

static struct managed *
find(const struct supervisor *s, const char *plugin_id)
{
	struct managed *h = s->handles;

	while (h && strcmp(h->id, plugin_id) != 0)
		h = h->next;
	return h && h->row.status != WORKER_NONE ? h : NULL;
}

struct plugin_call *
supervisor_call(struct supervisor *s, const struct plugin_request *r,
		const struct plugin_call_events *ev)
{
	struct plugin_call *c = new_call(s, r, ev);

	if (!c)
		return NULL;
	c->h = find(s, r->plugin_id);
	if (!c->h) {
		buf_addf(&c->text, "No worker registered for plugin \"%s\"", r->plugin_id);
		refuse(c);
		return c;
	}
	if (c->h->row.status != WORKER_RUNNING && !managed_holds(c->h)) {
		say_cannot(c);
		refuse(c);
		return c;
	}
	if (c->h->row.status == WORKER_RUNNING)
		send_now(c, r->params);
	else
		hold(c, r->params);
	return c;
}

void
plugin_call_free(struct plugin_call *c)
{
	c->forgotten = true;
	switch (c->state) {
	case SUPERVISOR_CALL_HELD:
		take_held(c->h, c);
		discount(c);
		over(c);
		break;
	case SUPERVISOR_CALL_DUE:
		list_remove(&c->s->due, c);
		over(c);
		break;
	case SUPERVISOR_CALL_SENT:
		break;
	case SUPERVISOR_CALL_GONE:
		free_call(c);
		break;
	}
}
