/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/result/result.h"

#include <stdlib.h>

#include "answer_mask.h"
#include "answer_read.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/event.h"
#include "envdriver/rpc/rpc.h"
#include "result_job.h"

struct result_ctx *
result_ctx_new(const struct schemas *schemas, const char *instance_id, struct result_limits limits,
	       struct err *reterr)
{
	struct result_ctx *ctx = malloc(sizeof(*ctx));
	struct buf id = BUF_INIT;

	buf_adds(&id, instance_id);
	if (!ctx || id.failed)
		goto out;
	*ctx = (struct result_ctx){ .schemas = schemas, .limits = limits };
	ctx->instance_id = buf_take(&id, NULL);
	answer_init(&ctx->answer);
	return ctx;
out:
	buf_release(&id);
	free(ctx);
	err_nomem(reterr);
	return NULL;
}

void
result_ctx_free(struct result_ctx *ctx)
{
	int i;

	if (!ctx)
		return;
	for (i = 0; i < TOPIC_COUNT; i++)
		if (ctx->records[i].schema)
			avro_value_decref(&ctx->records[i].value);
	buf_release(&ctx->encoded);
	buf_release(&ctx->text);
	buf_release(&ctx->credential_key);
	answer_release(&ctx->answer);
	free(ctx->instance_id);
	free(ctx);
}

/* The result record. Its own fields are written when the plugin answered, or
 * rejected a config. */
static int
publish_result(struct result_job *job, size_t limit, struct events *ret)
{
	enum topic topic = job->command->op->result;
	bool own = job->own && (job->outcome->status == OUTCOME_SUCCEEDED ||
				job->outcome->code == CODE_CONFIG_REJECTED);
	avro_value_t *record = result_record_get(job->ctx, topic);

	if (!record || !result_record_command(job, record) ||
	    !result_record_outcome(job, record) || !result_record_trace(job, record) ||
	    (own && !job->own(job, record)))
		return ERR_NOMEM;
	return result_record_emit(job, topic, limit, ret);
}

/* RESULT_TOO_LARGE in place of a result that no record can hold. */
static int
publish_too_large(struct result_job *job, struct events *ret)
{
	static const struct answer nothing = { .has_lease = false };
	struct outcome o = OUTCOME_INIT;
	struct chosen chosen = *job->chosen;
	int r;

	outcome_fail(&o, CODE_RESULT_TOO_LARGE, "Result of %zu bytes exceeds the limit of %zu.",
		     job->too_large, job->limit);
	o.may_have_run = job->trace->attempt > 0;
	job->outcome = &o;
	job->answer = &nothing;
	job->own = NULL;
	/* The ids of a command are bounded; those of a plugin or of Redis are not. */
	if (job->lease_id.len > OPERATION_ID_MAX)
		job->lease_id = SPAN_NULL;
	if (chosen.plugin_key.len > OPERATION_ID_MAX)
		chosen.plugin_key = SPAN_NULL;
	if (chosen.plugin_id.len > OPERATION_ID_MAX)
		chosen.plugin_id = SPAN_NULL;
	job->chosen = &chosen;
	r = o.message.failed ? ERR_NOMEM : publish_result(job, 0, ret);
	outcome_release(&o);
	return r;
}

int
result_publish(struct result_job *job, struct events *ret)
{
	bool runs = job->command->op->id == OPERATION_EXECUTE &&
		    job->outcome->status == OUTCOME_SUCCEEDED;
	int r = 0;

	events_reset(ret);
	if (answer_failed(job->answer) || job->outcome->message.failed ||
	    job->outcome->details.failed)
		return ERR_NOMEM;
	if (runs)
		r = result_log_final(job, ret);
	if (r == 0)
		r = publish_result(job, job->ctx->limits.record_bytes, ret);
	if (r == ERR_LIMIT) {
		events_reset(ret);
		r = publish_too_large(job, ret);
	}
	return r;
}

static struct span
or_empty(struct span s)
{
	return s.ptr ? s : SPAN_LIT("");
}

void
result_brought_release(struct result_brought *b)
{
	buf_release(&b->lease_id);
	buf_release(&b->stray);
	buf_release(&b->credential);
	b->credential_until = 0;
}

static int
keep_span(struct span text, struct buf *ret)
{
	buf_reset(ret);
	buf_addspan(ret, or_empty(text));
	return ret->failed ? ERR_NOMEM : 0;
}

/* The credential goes where the event says, and stays there no longer than it is
 * of use. */
static int
keep_credential(struct result_job *job, struct result_brought *ret)
{
	struct result_ctx *ctx = job->ctx;
	struct answer *a = &ctx->answer;
	struct span secret = answer_text(a, ANSWER_CREDENTIAL);
	int64_t now = job->trace->finished_at, until = now + ctx->limits.credential_ms;

	if (!secret.ptr || a->credential_unasked || a->outcome.status != OUTCOME_SUCCEEDED ||
	    !ctx->limits.credential_prefix)
		return 0;
	if (a->credential_until && a->credential_until <= now) {
		answer_warn(a, "the credential has expired already: it is not handed over");
		return 0;
	}
	ret->credential_until = a->credential_until && a->credential_until < until ?
					a->credential_until : until;
	buf_reset(&ctx->credential_key);
	buf_adds(&ctx->credential_key, ctx->limits.credential_prefix);
	buf_addspan(&ctx->credential_key, job->command->id);
	job->credential_key = buf_span(&ctx->credential_key);
	buf_addspan(&ret->credential, secret);
	return ctx->credential_key.failed || ret->credential.failed ? ERR_NOMEM : 0;
}

struct span
result_lease_made(const struct rpc_answer *reply)
{
	struct jtext id = jtext_get(reply->result, "providerLeaseId");

	if (reply->end != RPC_RESULT && reply->end != RPC_BAD_RESPONSE)
		return SPAN_NULL;
	if (reply->secret_id.ptr)
		return reply->secret_id;
	return answer_given(id) && !jtext_is(id, "") ? id.raw : SPAN_NULL;
}

/* A lease that the call made is somebody's to end; that of another one is only
 * named. */
static int
keep_lease(struct result_job *job, const struct rpc_answer *reply, struct result_brought *ret)
{
	struct answer *a = &job->ctx->answer;
	const struct operation *op = job->command->op;
	const struct trace *t = job->trace;
	struct span id = answer_text(a, ANSWER_LEASE_ID), stray;

	if (!op->end_rpc) {
		if (!job->lease_id.ptr)
			job->lease_id = id;
		return 0;
	}
	stray = id.ptr ? SPAN_NULL : result_lease_made(reply);
	if (stray.ptr)
		answer_warn(a, "no command can name the lease that the plugin acquired: "
			       "it is destroyed");
	/* docs/engine.md section 1, P4 (no lease is forgotten). */
	if (t->attempt > 1 && t->invocation_id)
		answer_warn(a, "attempt %d of this %s: an earlier one, with the same invocation "
			       "id %s, may have left a lease behind", t->attempt, op->name,
			    t->invocation_id);
	if (keep_span(id, &ret->lease_id) < 0 || keep_span(stray, &ret->stray) < 0)
		return ERR_NOMEM;
	job->lease_id = id.ptr ? buf_span(&ret->lease_id) : SPAN_NULL;
	return 0;
}

int
result_answered(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
		const struct trace *t, const struct rpc_answer *reply, struct events *ret,
		struct result_brought *ret_brought)
{
	struct answer *a = &ctx->answer;
	struct trace trace = *t;
	struct result_brought unwanted = RESULT_BROUGHT_INIT;
	struct result_brought *brought = ret_brought ? ret_brought : &unwanted;
	int ret_code = ERR_NOMEM;
	struct result_job job = {
		.ctx = ctx,
		.command = c,
		.chosen = chosen,
		.trace = &trace,
		.outcome = &a->outcome,
		.answer = a,
		.lease_id = c->lease_id,
		.own = result_record_own(c->op->result),
	};

	if (reply->end >= RPC_NOT_SENT) {
		trace.attempt = 0;
		trace.invocation_id = trace.call_token = NULL;
		trace.started_at = 0;
	}
	answer_reset(a);
	answer_read(a, c, chosen, reply);
	result_brought_release(brought);
	/* Kept first: RESULT_TOO_LARGE empties the answer. */
	if (answer_mask_credential(a) == 0 && keep_lease(&job, reply, brought) == 0 &&
	    keep_credential(&job, brought) == 0) {
		job.streams[RESULT_STDOUT].text = or_empty(answer_text(a, ANSWER_STDOUT));
		job.streams[RESULT_STDERR].text = or_empty(answer_text(a, ANSWER_STDERR));
		job.streams[RESULT_STDOUT].raw = answer_text(a, ANSWER_STDOUT_RAW);
		job.streams[RESULT_STDERR].raw = answer_text(a, ANSWER_STDERR_RAW);
		ret_code = result_publish(&job, ret);
	}
	if (ret_code == 0 && !events_succeeded(ret))
		buf_release(&brought->credential);	/* RESULT_TOO_LARGE names no key */
	buf_reset(&a->texts[ANSWER_CREDENTIAL]);
	a->has[ANSWER_CREDENTIAL] = false;
	result_brought_release(&unwanted);
	return ret_code;
}

/* docs/operations.md, "Resolution": there is no such provider. */
static void
no_provider(struct answer *a, const struct command *c, const struct outcome *o)
{
	struct buf *details = &a->texts[ANSWER_DETAILS];

	a->ok = false;
	a->has[ANSWER_SUMMARY] = a->has[ANSWER_DETAILS] = true;
	buf_addspan(&a->texts[ANSWER_SUMMARY], buf_span(&o->message));
	buf_adds(details, "{\"provider\":");
	jtext_add_string(details, c->driver_key);
	buf_addch(details, '}');
}

int
result_failed(struct result_ctx *ctx, const struct command *c, const struct chosen *chosen,
	      const struct trace *t, const struct outcome *o, struct events *ret)
{
	struct outcome changed = *o;
	struct result_job job = {
		.ctx = ctx,
		.command = c,
		.chosen = chosen,
		.trace = t,
		.outcome = &changed,
		.answer = &ctx->answer,
		.lease_id = c->lease_id,
		.own = result_record_own(c->op->result),
	};

	answer_reset(&ctx->answer);
	if (o->why.len && !o->why.failed)
		answer_warn(&ctx->answer, "%s", o->why.data);
	if (c->target == COMMAND_TARGET_PROVIDER && o->code == CODE_PROVIDER_NOT_AVAILABLE) {
		if (c->op->id == OPERATION_PROBE) {
			no_provider(&ctx->answer, c, o);
			job.outcome = &ctx->answer.outcome;
		} else if (c->op->id == OPERATION_VALIDATE_CONFIG) {
			changed.http_status = 422;
		}
	}
	return result_publish(&job, ret);
}
