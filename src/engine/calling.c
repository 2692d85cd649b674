/* SPDX-License-Identifier: Apache-2.0 */
#include "calling.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "answering.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/metrics.h"
#include "envdriver/claim/claims.h"
#include "envdriver/command/command.h"
#include "envdriver/command/request.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/secret/secret_refs.h"
#include "orphan_record.h"
#include "orphans.h"

/* At the worst the line, the texts decoded from it, and their pieces. */
enum { LINE_COPIES = 3, LATE_MAX = 1024 };

/* One call and the entry it is for; lives until its answer, or, for a lease
 * that may still come after a time-out, until that. */
struct pending_call {
	struct engine *engine;
	struct entry *entry;		/* NULL once the answer is not waited for */
	struct plugin_call *call;
	/* While a thread makes events of the answer: */
	struct entry *shaping;		/* the entry, which may be GONE */
	enum rpc_end end;
	bool secret_id;			/* the lease that came has an id that nobody may see */
	/* What the orphan list needs of a late lease: */
	struct buf command_id, json;
	char token[CLAIM_TOKEN_MAX];
	char plugin_id[128], plugin_key[256];
	LIST_ENTRY(pending_call) next_late;
};

struct calling {
	size_t running;			/* without an answer */
	LIST_HEAD(, pending_call) late;
	size_t n_late;
};

bool
calling_new(struct engine *eng)
{
	eng->calling = calloc(1, sizeof(*eng->calling));
	return eng->calling;
}

size_t
calling_running(const struct engine *eng)
{
	return eng->calling->running;
}

/* --- the final event --- */

void
calling_trace(const struct entry *e, struct trace *ret)
{
	static const char *const none[] = { NULL };
	static const char *const again[] = {
		"An earlier attempt was interrupted; the call was repeated with the same "
		"invocation id.",
		NULL,
	};
	bool called = e->claim.attempt > 0;
	/* Of a call that makes a lease, result says more. */
	bool lease = e->cmd && e->cmd->op->end_rpc;

	*ret = (struct trace){
		.topic = e->source.topic,
		.partition = e->source.partition,
		.offset = e->source.offset,
		.attempt = e->claim.attempt,
		.invocation_id = called ? e->call.invocation_id : NULL,
		.call_token = called ? e->claim.token : NULL,
		.received_at = e->received_at,
		.started_at = e->call.started_at,
		.finished_at = clock_wall_ms(),
		.warnings = e->claim.attempt < 2 || lease ? none : again,
	};
}

static struct chosen
calling_chosen(const struct entry *e)
{
	struct chosen c = { SPAN_NULL, SPAN_NULL, SPAN_NULL, &e->call.limit };

	if (e->call.plugin_id[0])
		c.plugin_id = span_of(e->call.plugin_id);
	if (e->call.plugin_key[0])
		c.plugin_key = span_of(e->call.plugin_key);
	if (e->call.params.len)
		c.sent_config = request_config(buf_span(&e->call.params));
	return c;
}

int
calling_fail(struct engine *eng, struct entry *e, const struct outcome *o)
{
	struct chosen chosen = calling_chosen(e);
	struct trace t;

	calling_trace(e, &t);
	if (e->claim.no_call) {
		t.attempt = 0;
		t.invocation_id = NULL;
		t.call_token = NULL;
	}
	events_reset(&e->events);
	if (result_failed(eng->results, e->cmd, &chosen, &t, o, &e->events) < 0) {
		core_nomem(eng);
		return -1;
	}
	core_count_bytes(eng, e);
	return 0;
}

void
calling_interrupted(struct engine *eng, struct entry *e)
{
	struct outcome o = OUTCOME_INIT;

	core_release_slot(eng, e);
	metrics_add(METRIC_INTERRUPTED, 1);
	e->own = false;
	e->claim.no_call = false;	/* ours asked for none; an earlier one was */
	e->claim.attempt = e->holder.attempt;
	snprintf(e->claim.token, sizeof(e->claim.token), "%s",
		 e->holder.token ? e->holder.token : "");
	command_invocation_id(e->cmd, e->call.invocation_id);
	if (e->cmd->op->id == OPERATION_EXECUTE)
		outcome_fail(&o, CODE_INTERRUPTED,
			     "Execution was interrupted; it is not known whether the command ran.");
	else
		outcome_fail(&o, CODE_INTERRUPTED,
			     "%s was interrupted; it is not known whether it took effect.",
			     e->cmd->op->name);
	if (calling_fail(eng, e, &o) == 0)
		core_publish(eng, e);
	outcome_release(&o);
}

/* --- a late lease --- */

static void
pending_call_free(struct pending_call *c)
{
	if (c->call)
		plugin_call_free(c->call);
	buf_release(&c->command_id);
	buf_release(&c->json);
	free(c);
}

/* An AcquireLease that timed out may still bring a lease (P4: no lease is forgotten). */
static bool
keep_for_late(struct engine *eng, struct pending_call *c, const struct entry *e)
{
	if (eng->calling->n_late >= LATE_MAX)
		return false;
	buf_addspan(&c->command_id, e->cmd->id);
	orphan_record_add_call(&c->json, e);
	snprintf(c->token, sizeof(c->token), "%s", e->claim.token);
	snprintf(c->plugin_id, sizeof(c->plugin_id), "%s", e->call.plugin_id);
	snprintf(c->plugin_key, sizeof(c->plugin_key), "%s", e->call.plugin_key);
	if (c->command_id.failed || c->json.failed)
		return false;
	LIST_INSERT_HEAD(&eng->calling->late, c, next_late);
	eng->calling->n_late++;
	return true;
}

static void
late_free(struct pending_call *c)
{
	LIST_REMOVE(c, next_late);
	c->engine->calling->n_late--;
	pending_call_free(c);
}

void
calling_free_late(struct engine *eng)
{
	while (eng->calling && !LIST_EMPTY(&eng->calling->late))
		late_free(LIST_FIRST(&eng->calling->late));
}

void
calling_free(struct engine *eng)
{
	calling_free_late(eng);
	free(eng->calling);
}

static void
on_late_lease(void *arg, const struct rpc_answer *answer)
{
	struct pending_call *c = arg;
	struct span made = result_lease_made(answer);

	if (made.ptr)
		orphans_add(c->engine, &(struct orphan_lease){
					       .id_json = made,
					       .is_secret = answer->secret_id.ptr,
					       .command_id = buf_span(&c->command_id),
					       .plugin_id = span_of(c->plugin_id),
					       .plugin_key = span_of(c->plugin_key),
					       .token = c->token,
					       .call = &c->json,
				       });
	late_free(c);
}

/* --- the answer --- */

/* Its events are in the entry. */
static void
end_call(struct engine *eng, struct pending_call *c, enum rpc_end end)
{
	struct entry *e = c->entry;

	eng->calling->running--;
	e->call.pending = NULL;
	c->entry = NULL;
	/* A lease that the published event does not name (its result was too
	 * large) has no owner. */
	if (e->lease_id.len && !events_succeeded(&e->events))
		orphans_add_of(eng, e);
	e->own = true;
	core_count_bytes(eng, e);
	if (!e->cmd->op->end_rpc || end != RPC_TIMED_OUT ||
	    !keep_for_late(eng, c, e))
		pending_call_free(c);
	core_step(eng, e, e->lease_id.len || e->call.credential.len ? ON_ENDED_RECORD : ON_ENDED);
}

/* What the answer brought is the entry's from here; what no command can name has
 * no owner. */
static void
take_brought(struct pending_call *c, struct entry *e, struct result_brought *brought)
{
	buf_release(&e->lease_id);
	e->lease_id = brought->lease_id;
	brought->lease_id = (struct buf)BUF_INIT;
	entry_wipe_credential(e);
	e->call.credential = brought->credential;
	e->call.credential_until = brought->credential_until;
	brought->credential = (struct buf)BUF_WIPES;
	orphans_add_stray(c->engine, e, buf_span(&brought->stray), c->secret_id);
	result_brought_release(brought);
}

static void
on_long_answer(void *arg, int ret, struct events *events, struct result_brought *brought)
{
	struct pending_call *c = arg;
	struct engine *eng = c->engine;
	struct entry *e = c->shaping;

	e->call.shaping = false;
	if (events && ret < 0) {
		e->call.line_bytes = 0;
		core_nomem(eng);
	} else if (e->state == ENTRY_GONE) {
		/* Given up meanwhile: a lease that it brought has no owner. */
		if (events) {
			take_brought(c, e, brought);
			orphans_add_of(eng, e);
		}
		pending_call_free(c);
		core_close_entry(eng, e);
	} else if (events) {
		e->call.line_bytes = 0;
		events_release(&e->events);
		e->events = *events;
		*events = (struct events)EVENTS_INIT;
		take_brought(c, e, brought);
		end_call(eng, c, c->end);
	}
}

static bool
start_long_answer(struct engine *eng, struct pending_call *c, const struct trace *t,
		  const struct rpc_answer *answer)
{
	struct entry *e = c->entry;
	const struct answering_job job = {
		.command = e->cmd,
		.chosen = calling_chosen(e),
		.trace = *t,
		.answer = answer,
		.fn = on_long_answer,
		.arg = c,
	};
	size_t len = answer->result.raw.len;

	if (!answering_start(eng, &job))
		return false;
	c->shaping = e;
	c->end = answer->end;
	e->call.shaping = true;
	e->call.line_bytes = LINE_COPIES * len;
	core_count_bytes(eng, e);
	return true;
}

static void
on_call_answer(void *arg, const struct rpc_answer *answer)
{
	struct pending_call *c = arg;
	struct engine *eng = c->engine;
	struct entry *e = c->entry;
	struct result_brought brought = RESULT_BROUGHT_INIT;
	struct chosen chosen;
	struct trace t;

	crash_at("answered");
	if (!e) {
		/* Given up (calling_close); a time-out may still bring it. */
		if (answer->end != RPC_TIMED_OUT)
			on_late_lease(c, answer);
		return;
	}
	core_release_slot(eng, e);
	c->secret_id = answer->secret_id.ptr;
	calling_trace(e, &t);
	if (start_long_answer(eng, c, &t, answer))
		return;
	chosen = calling_chosen(e);
	events_reset(&e->events);
	if (result_answered(eng->results, e->cmd, &chosen, &t, answer, &e->events, &brought) < 0) {
		result_brought_release(&brought);
		core_nomem(eng);
	} else {
		take_brought(c, e, &brought);
		end_call(eng, c, answer->end);
	}
}

static void
on_call_output(void *arg, bool is_stderr, struct span output)
{
	struct pending_call *c = arg;
	struct engine *eng = c->engine;
	struct entry *e = c->entry;
	struct events events = EVENTS_INIT;
	struct chosen chosen;
	struct trace t;
	struct result_live piece = {
		.chosen = &chosen,
		.trace = &t,
		.is_stderr = is_stderr,
		.output = output,
	};

	if (!e || e->claim.lost)
		return;		/* readers ignore it (docs/engine.md section 7) */
	chosen = calling_chosen(e);
	calling_trace(e, &t);
	piece.command = e->cmd;
	piece.sequence = &e->call.live_sequence[is_stderr];
	piece.byte_offset = &e->call.live_bytes[is_stderr];
	if (result_live(eng->results, &piece, &events) == 0)
		best_effort_send(eng->best_effort, &events);
	events_release(&events);
}

void
calling_start(struct engine *eng, struct entry *e)
{
	const struct plugin_call_events ev = {
		.on_answer = on_call_answer,
		.on_chunk = on_call_output,
		.on_late = e->cmd->op->end_rpc ? on_late_lease : NULL,
		.arg = calloc(1, sizeof(struct pending_call)),
	};
	struct pending_call *c = ev.arg;
	struct plugin_request r;

	if (!c) {
		core_nomem(eng);
		return;
	}
	entry_release_raw(e);
	command_invocation_id(e->cmd, e->call.invocation_id);
	e->call.started_at = clock_wall_ms();
	e->claim.lost = false;
	r = (struct plugin_request){
		.plugin_id = e->call.plugin_id,
		.method = e->cmd->op->rpc,
		.params = buf_span(&e->call.params),
		.secrets = e->call.secrets,
		/* ValidateConfig sends no company, so it has no envelope. */
		.company_id = e->cmd->op->id == OPERATION_VALIDATE_CONFIG ? SPAN_NULL :
									    e->cmd->company_id,
		.invocation_id = e->call.invocation_id,
		.traceparent = e->cmd->traceparent,
		.timeout_ms = e->call.limit.ms,
		.wants_log = e->cmd->op->id == OPERATION_EXECUTE,
		.command_id = e->cmd->id,
	};
	c->engine = eng;
	c->entry = e;
	c->call = supervisor_call(eng->supervisor, &r, &ev);
	if (!c->call) {
		free(c);
		core_nomem(eng);
		return;
	}
	e->call.pending = c;
	eng->calling->running++;
	secret_refs_free(e->call.secrets);
	e->call.secrets = NULL;
	if (e->cmd->op->id != OPERATION_VALIDATE_CONFIG)
		buf_release(&e->call.params);
	core_count_bytes(eng, e);
	crash_at("called");
}

void
calling_close(struct engine *eng, struct entry *e)
{
	struct pending_call *c = e->call.pending;

	if (!c)
		return;
	eng->calling->running--;
	e->call.pending = NULL;
	c->entry = NULL;
	if (e->call.shaping)
		return;		/* on_long_answer has both */
	if (!e->cmd->op->end_rpc || !keep_for_late(eng, c, e))
		pending_call_free(c);
}
