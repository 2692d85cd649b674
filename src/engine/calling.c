/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/command/request.h"

/* --- trace --- */

void
calling_trace(const struct engine *f, const struct entry *e, struct trace *ret)
{
	static const char *const none[] = { NULL };
	static const char *const again[] = {
		"An earlier attempt was interrupted; the call was repeated with the same "
		"invocation id.",
		NULL,
	};
	bool called = e->attempt > 0;
	/* Of an AcquireLease, result says more. */
	bool lease = e->cmd && e->cmd->op->id == OPERATION_ACQUIRE_LEASE;

	(void)f;
	*ret = (struct trace){
		.topic = e->source.topic,
		.partition = e->partition,
		.offset = e->offset,
		.attempt = e->attempt,
		.invocation_id = called ? e->invocation_id : NULL,
		.call_token = called ? e->token : NULL,
		.received_at = e->received_at,
		.started_at = e->started_at,
		.finished_at = clock_wall_ms(),
		.warnings = e->attempt < 2 || lease ? none : again,
	};
}

struct chosen
calling_chosen(const struct entry *e)
{
	struct chosen c = { SPAN_NULL, SPAN_NULL, SPAN_NULL };

	if (e->plugin_id[0])
		c.plugin_id = span_of(e->plugin_id);
	if (e->plugin_key[0])
		c.plugin_key = span_of(e->plugin_key);
	if (e->params.len)
		c.sent_config = request_config(buf_span(&e->params));
	return c;
}

int
calling_fail(struct engine *f, struct entry *e, const struct outcome *o)
{
	struct chosen chosen = calling_chosen(e);
	struct trace t;

	calling_trace(f, e, &t);
	if (e->no_call) {
		t.attempt = 0;
		t.invocation_id = NULL;
		t.call_token = NULL;
	}
	events_reset(&e->events);
	if (result_failed(f->results, e->cmd, &chosen, &t, o, &e->events) < 0) {
		engine_nomem(f);
		return -1;
	}
	engine_count_bytes(f, e);
	return 0;
}

/* The claim says INTERRUPTED, or we have just made it say so. */
void
calling_interrupted(struct engine *f, struct entry *e)
{
	struct outcome o = OUTCOME_INIT;

	dispatch_give_slot(f, e);
	metrics_add(METRIC_INTERRUPTED, 1);
	e->own = false;
	e->no_call = false;	/* ours asked for none; an earlier one was */
	e->attempt = e->seen_attempt;
	snprintf(e->token, sizeof(e->token), "%s", e->seen_token ? e->seen_token : "");
	command_invocation_id(e->cmd, e->invocation_id);
	outcome_fail(&o, CODE_INTERRUPTED,
		     "Execution was interrupted; it is not known whether the command ran.");
	if (calling_fail(f, e, &o) == 0)
		committing_publish(f, e);
	outcome_release(&o);
}

/* --- leases that nobody may get --- */

static void
add_member(struct buf *out, const char *name, struct span text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text.ptr)
		jtext_add_string(out, text);
	else
		buf_adds(out, "null");
}

/* What destroying the lease needs. Secrets stay references: the config is the
 * command's own. */
void
calling_json(const struct entry *e, struct buf *out)
{
	buf_adds(out, "{\"topic\":");
	jtext_add_string(out, span_of(e->source.topic));
	buf_addf(out, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld", (int)e->partition,
		 (long long)e->offset, (long long)e->timestamp);
	add_member(out, "pluginId", span_of(e->plugin_id));
	add_member(out, "pluginKey", span_of(e->plugin_key));
	add_member(out, "driverKey", e->cmd->driver_key);
	buf_addf(out, ",\"provider\":%s",
		 e->cmd->target == COMMAND_TARGET_PROVIDER ? "true" : "false");
	add_member(out, "companyId", e->cmd->company_id);
	add_member(out, "environmentId", e->cmd->environment_id);
	add_member(out, "issueId", e->cmd->issue_id);
	buf_adds(out, ",\"config\":");
	jtext_add_flat(out, e->cmd->config);
	buf_addch(out, '}');
}

static void
write_orphan(struct engine *f, struct span command_id, const struct chosen *by, const char *token,
	     const struct buf *call, struct span lease_id)
{
	const struct plugin_event n = {
		.type = "LEASE_ORPHANED",
		.plugin_id = by->plugin_id,
		.plugin_key = by->plugin_key,
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = -1,
		.total_crashes = -1,
		.message = SPAN_LIT("The lease has no owner, it is to be destroyed."),
		.command_id = command_id,
		.name = lease_id,
	};

	log_warn("lease '%.*s' of command '%.*s' has no owner, it is to be destroyed",
		 SPAN_FMT(lease_id), SPAN_FMT(command_id));
	metrics_add(METRIC_ORPHANS, 1);
	engine_plugin_event(f, &n);
	if (call->failed ||
	    !claims_orphan(f->claims, command_id, span_of(token), lease_id, buf_span(call)))
		engine_nomem(f);
}

void
calling_orphan(struct engine *f, struct entry *e)
{
	struct chosen by = { span_of(e->plugin_id), span_of(e->plugin_key), SPAN_NULL };
	struct buf call = BUF_INIT;

	if (!e->lease_id.len)
		return;
	calling_json(e, &call);
	write_orphan(f, e->cmd->id, &by, e->token, &call, buf_span(&e->lease_id));
	buf_release(&call);
	buf_reset(&e->lease_id);
}

/* --- the call --- */

void
calling_free(struct engine_call *c)
{
	if (c->call)
		plugin_call_free(c->call);
	buf_release(&c->late_command_id);
	buf_release(&c->orphan);
	free(c);
}

/* An AcquireLease that timed out may still bring a lease (P4). */
static bool
keep_for_late(struct engine *f, struct engine_call *c, const struct entry *e)
{
	if (f->n_late >= ENGINE_LATE_MAX)
		return false;
	buf_addspan(&c->late_command_id, e->cmd->id);
	calling_json(e, &c->orphan);
	snprintf(c->token, sizeof(c->token), "%s", e->token);
	snprintf(c->plugin_id, sizeof(c->plugin_id), "%s", e->plugin_id);
	snprintf(c->plugin_key, sizeof(c->plugin_key), "%s", e->plugin_key);
	if (c->late_command_id.failed || c->orphan.failed)
		return false;
	c->next_late = f->late;
	f->late = c;
	f->n_late++;
	return true;
}

static void
drop_late(struct engine *f, struct engine_call *c)
{
	for (struct engine_call **at = &f->late; *at; at = &(*at)->next_late) {
		if (*at == c) {
			*at = c->next_late;
			f->n_late--;
			break;
		}
	}
	calling_free(c);
}

void
calling_forget_late(struct engine *f)
{
	while (f->late)
		drop_late(f, f->late);
}

static void
on_late(void *arg, const struct rpc_answer *answer)
{
	struct engine_call *c = arg;
	struct engine *f = c->flow;
	struct jtext id = jtext_get(answer->result, "providerLeaseId");
	struct chosen by = { span_of(c->plugin_id), span_of(c->plugin_key), SPAN_NULL };
	struct buf lease = BUF_INIT;

	if (answer->end == RPC_RESULT && id.kind == JTEXT_STRING) {
		jtext_decode(id, &lease, NULL);
		if (!lease.failed && lease.len)
			write_orphan(f, buf_span(&c->late_command_id), &by, c->token, &c->orphan,
				     buf_span(&lease));
	}
	buf_release(&lease);
	drop_late(f, c);
}

/* A lease that the published event does not name (its result was too large)
 * belongs to nobody. */
static void
orphan_unpublished(struct engine *f, struct entry *e)
{
	if (e->lease_id.len && !events_succeeded(&e->events))
		calling_orphan(f, e);
}

void
calling_ended(struct engine *f, struct engine_call *c, enum rpc_end end)
{
	struct entry *e = c->entry;

	f->calling--;
	e->call = NULL;
	c->entry = NULL;
	orphan_unpublished(f, e);
	e->own = true;
	engine_count_bytes(f, e);
	if (e->cmd->op->id != OPERATION_ACQUIRE_LEASE || end != RPC_TIMED_OUT ||
	    !keep_for_late(f, c, e))
		calling_free(c);
	engine_step(f, e, e->lease_id.len ? ON_ENDED_RECORD : ON_ENDED);
}

static void
on_answer(void *arg, const struct rpc_answer *answer)
{
	struct engine_call *c = arg;
	struct engine *f = c->flow;
	struct entry *e = c->entry;
	struct chosen chosen;
	struct trace t;

	crash_at("answered");
	if (!e) {
		/* Given up (calling_abandon); a time-out may still bring it. */
		if (answer->end != RPC_TIMED_OUT)
			on_late(c, answer);
		return;
	}
	dispatch_give_slot(f, e);
	calling_trace(f, e, &t);
	if (answering_start(f, c, &t, answer))
		return;
	chosen = calling_chosen(e);
	events_reset(&e->events);
	if (result_answered(f->results, e->cmd, &chosen, &t, answer, &e->events,
			    &e->lease_id) < 0)
		engine_nomem(f);
	else
		calling_ended(f, c, answer->end);
}

static void
on_chunk(void *arg, bool is_stderr, struct span text)
{
	struct engine_call *c = arg;
	struct engine *f = c->flow;
	struct entry *e = c->entry;
	struct chosen chosen;
	struct events events = EVENTS_INIT;
	struct trace t;

	if (!e || e->lost)
		return;		/* readers ignore it (docs/engine.md section 7) */
	chosen = calling_chosen(e);
	calling_trace(f, e, &t);
	const struct result_live piece = {
		.command = e->cmd,
		.chosen = &chosen,
		.trace = &t,
		.is_stderr = is_stderr,
		.text = text,
		.sequence = &e->live_sequence[is_stderr],
		.byte_offset = &e->live_bytes[is_stderr],
	};
	if (result_live(f->results, &piece, &events) == 0)
		best_effort_send(f->notices, &events);
	events_release(&events);
}

void
calling_start(struct engine *f, struct entry *e)
{
	const struct plugin_call_events ev = {
		.on_answer = on_answer,
		.on_chunk = on_chunk,
		.on_late = e->cmd->op->id == OPERATION_ACQUIRE_LEASE ? on_late : NULL,
		.arg = calloc(1, sizeof(struct engine_call)),
	};
	struct engine_call *c = ev.arg;
	struct plugin_request r;

	if (!c) {
		engine_nomem(f);
		return;
	}
	entry_forget_raw(e);
	command_invocation_id(e->cmd, e->invocation_id);
	e->call_limit_ms = command_timeout_ms(e->cmd, f->limits.call_timeout);
	e->started_at = clock_wall_ms();
	e->lost = false;
	r = (struct plugin_request){
		.plugin_id = e->plugin_id,
		.method = e->cmd->op->rpc,
		.params = buf_span(&e->params),
		/* ValidateConfig sends no company, so it has no envelope. */
		.company_id = e->cmd->op->id == OPERATION_VALIDATE_CONFIG ? SPAN_NULL :
									    e->cmd->company_id,
		.invocation_id = e->invocation_id,
		.traceparent = e->cmd->traceparent,
		.timeout_ms = e->call_limit_ms,
		.wants_log = e->cmd->op->id == OPERATION_EXECUTE,
		.command_id = e->cmd->id,
	};
	c->flow = f;
	c->entry = e;
	c->call = supervisor_call(f->supervisor, &r, &ev);
	if (!c->call) {
		free(c);
		engine_nomem(f);
		return;
	}
	e->call = c;
	f->calling++;
	if (e->cmd->op->id != OPERATION_VALIDATE_CONFIG)
		buf_release(&e->params);
	engine_count_bytes(f, e);
	crash_at("called");
}

/* Its answer will not be waited for, but a lease that it brings is an orphan. */
void
calling_abandon(struct engine *f, struct entry *e)
{
	struct engine_call *c = e->call;

	if (!c)
		return;
	f->calling--;
	e->call = NULL;
	c->entry = NULL;
	if (e->shaping)
		return;		/* engine_shape has both */
	if (e->cmd->op->id != OPERATION_ACQUIRE_LEASE || !keep_for_late(f, c, e))
		calling_free(c);
}
