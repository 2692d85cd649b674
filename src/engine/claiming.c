/* SPDX-License-Identifier: Apache-2.0 */
#include "claiming.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/command/command.h"
#include "envdriver/registry/instance.h"
#include "envdriver/result/stored_answer.h"
#include "orphan_record.h"
#include "orphans.h"
#include "scheduler.h"

_Static_assert((int)ENTRY_TOKEN_MAX == (int)CLAIM_TOKEN_MAX, "an entry keeps a claim's token");

struct claim_record
claiming_key(const struct entry *e)
{
	return (struct claim_record){
		.topic = span_of(e->source.topic),
		.partition = e->source.partition,
		.offset = e->source.offset,
		.timestamp = e->source.timestamp,
	};
}

/* --- what a claim met --- */

static void
met_new(struct engine *eng, struct entry *e, int attempt)
{
	/* Another process has our name: no worker would wait for our call. */
	if (eng->exiting)
		return;
	e->claim.ours = true;
	e->claim.attempt = attempt;
	crash_at("claimed");
	/* Not ours for long any more: released with its partition, not called. */
	if (eng->exit_code ||
	    (!e->claim.no_call && (!e->part->open || eng->stage > STAGE_RUNNING))) {
		entry_list_push(&eng->lists.verify, e);
		return;
	}
	if (e->claim.no_call) {
		/* Its events went with the claim: the next owner finds them. */
		e->claim.answered = true;
		e->own = false;
		core_step(eng, e, ON_NEW_NO_CALL);
	} else if (clock_boot_ms() - e->claim.sent_boot >= ENGINE_STOOD_STILL_MS) {
		core_step(eng, e, ON_STOOD_STILL);
	} else {
		core_step(eng, e, ON_NEW_CALL);
	}
}

static void
met_duplicate(struct engine *eng, struct entry *e, const struct claim *found)
{
	const struct claim_record *first = &found->record;

	if (entry_set_first(e, first->topic, first->partition, first->offset))
		core_step(eng, e, ON_DUPLICATE);
	else
		core_nomem(eng);
}

static struct entry *
left_with(struct engine *eng, const struct entry *e, struct span token)
{
	for (struct entry *l = entry_list_first(&eng->lists.left); l; l = entry_list_next(l))
		if (span_is(token, l->claim.token) && span_eq(l->cmd->id, e->cmd->id))
			return l;
	return NULL;
}

static void
met_calling(struct engine *eng, struct entry *e)
{
	struct span token = span_of(e->holder.token);

	if (left_with(eng, e, token))
		core_step(eng, e, ON_CALLING_LEFT);
	else
		core_step(eng, e, ON_CALLING_ELSEWHERE);
}

static void
on_claim_reply(void *arg, const struct claims_reply *reply)
{
	struct entry *e = arg;
	struct engine *eng = e->engine;

	e->claim.request = NULL;
	e->claim.asking = false;
	if (reply->met == CLAIM_NEW) {
		met_new(eng, e, reply->attempt);
		return;
	}
	if (reply->met == CLAIM_IS_DUPLICATE) {
		met_duplicate(eng, e, reply->found);
		return;
	}
	e->claim.ours = reply->found != NULL;
	if (reply->found &&
	    !entry_set_holder(e, reply->found->token, reply->found->instance,
			    reply->found->incarnation, reply->found->attempt)) {
		core_nomem(eng);
		return;
	}
	switch (reply->met) {
	case CLAIM_IS_DONE:
		e->claim.ours = false;	/* nothing to finish */
		core_step(eng, e, ON_CLAIM_DONE);
		break;
	case CLAIM_IS_INTERRUPTED:
		core_step(eng, e, ON_CLAIM_INTERRUPTED);
		break;
	case CLAIM_IS_ANSWERED:
		/* The lease that is published with the answer: finish must
		 * name it, or it would be taken for an orphan (P4). */
		buf_reset(&e->lease_id);
		buf_addspan(&e->lease_id, reply->found->lease);
		core_step(eng, e, ON_CLAIM_ANSWERED);
		break;
	default:
		met_calling(eng, e);
		break;
	}
}

struct claims_request *
claiming_ask(struct engine *eng, struct entry *e, bool call)
{
	struct claim_record record = claiming_key(e);
	const struct claims_claim what = {
		.command_id = e->cmd->id,
		.record = &record,
		.token = e->claim.token,
		.call = call,
		.answer = call ? SPAN_NULL : events_packed(&e->events),
	};

	return claims_claim(eng->claims, &what, on_claim_reply, e);
}

void
claiming_send(struct engine *eng, struct entry *e)
{
	if (!e->claim.token[0])
		instance_token(eng->instance, e->claim.token);
	e->claim.sent_boot = clock_boot_ms();
	e->claim.asking = true;
	e->claim.request = claiming_ask(eng, e, !e->claim.no_call);
	if (!e->claim.request)
		core_nomem(eng);
}

/* --- an answer that is there already --- */

/* Redis may hold what nobody of us wrote: that is as good as nothing. */
static int
unpack_answer(struct engine *eng, struct entry *e, struct span packed, struct err *reterr)
{
	const struct stored_answer of = {
		.command = e->cmd,
		.topic = span_of(e->source.topic),
		.partition = e->source.partition,
		.offset = e->source.offset,
		.token = span_of(e->holder.token),
	};
	int ret = events_unpack(&e->events, packed, reterr);

	if (ret == 0)
		ret = stored_answer_check(&of, eng->schemas, &e->events, reterr);
	if (ret < 0)
		events_reset(&e->events);
	return ret;
}

static void
on_answer_fetched(void *arg, struct span packed)
{
	struct entry *e = arg;
	struct engine *eng = e->engine;
	struct err err = { 0 };

	e->claim.request = NULL;
	if (packed.ptr && unpack_answer(eng, e, packed, &err) == 0) {
		e->claim.answered = true;
		e->own = false;
		e->claim.no_call = false;
		/* It may have come after the claim's reply, in place of another. */
		if (!events_succeeded(&e->events))
			buf_reset(&e->lease_id);
		core_count_bytes(eng, e);
		core_release_slot(eng, e);
		core_step(eng, e, ON_ANSWER_FETCHED);
		return;
	}
	if (packed.ptr)
		log_warn("stored answer of command '%s' is not usable, ignoring it: %s",
			 e->cmd->id.ptr, err.text);
	if (!e->claim.asked_again) {
		e->claim.asked_again = true;
		core_step(eng, e, ON_ANSWER_MISSING);
	} else {
		e->claim.answer_lost = true;
		core_step(eng, e, ON_ANSWER_LOST);
	}
}

void
claiming_fetch(struct engine *eng, struct entry *e)
{
	events_reset(&e->events);
	e->claim.request = claims_fetch(eng->claims, e->cmd->id, on_answer_fetched, e);
	if (!e->claim.request)
		core_nomem(eng);
}

/* --- another holder --- */

static bool
may_rerun(const struct entry *e)
{
	return e->cmd->rerun || !command_runs_once(e->cmd);
}

static void
on_claim_taken(void *arg, bool taken, int attempt)
{
	struct entry *e = arg;
	struct engine *eng = e->engine;

	e->claim.request = NULL;
	(void)attempt;
	if (!taken) {
		core_step(eng, e, ON_TAKE_REFUSED);
		return;
	}
	metrics_add(METRIC_TAKEOVERS, 1);
	core_step(eng, e, may_rerun(e) ? ON_TAKEN_RERUN : ON_TAKEN_INTERRUPTED);
}

struct claims_request *
claiming_seize(struct engine *eng, struct entry *e, struct span seen_token, claims_takeover_fn *fn,
	       void *arg)
{
	struct claim_record record = claiming_key(e);
	struct claims_request *r = NULL;
	struct claims_takeover what = {
		.command_id = e->cmd->id,
		.record = &record,
		.seen_token = seen_token,
		.rerun = may_rerun(e),
		.answer_lost = e->claim.answer_lost,
	};
	struct buf call = BUF_INIT;
	char token[CLAIM_TOKEN_MAX];

	instance_token(eng->instance, token);
	orphan_record_add_call(&call, e);
	what.new_token = token;
	what.destroy = buf_span(&call);
	if (!call.failed)
		r = claims_takeover(eng->claims, &what, fn, arg);
	buf_release(&call);
	return r;
}

void
claiming_take_over(struct engine *eng, struct entry *e)
{
	entry_list_remove(e);
	if (e->claim.request)
		claims_cancel(e->claim.request);
	log_info("taking command '%s' over from instance '%s'", e->cmd->id.ptr, e->holder.instance);
	crash_at("taking");
	e->claim.request = claiming_seize(eng, e, span_of(e->holder.token), on_claim_taken, e);
	e->claim.answer_lost = false;
	if (!e->claim.request)
		core_nomem(eng);
}

void
claiming_attach(struct engine *eng, struct entry *e)
{
	struct entry *left = left_with(eng, e, span_of(e->holder.token));
	struct partition *p = e->part;

	assert(left);
	entry_list_remove(left);
	left->state = ENTRY_CALLING;
	left->left_since = 0;
	partition_add(p, left);
	eng->entries++;
	scheduler_replace(p->scheduler, e, left);
	log_info("command '%s' is ours again, its call still runs", left->cmd->id.ptr);
	core_close_entry(eng, e);
}

/* --- our own claims --- */

static void
on_answer_recorded(void *arg, enum claims_recorded how)
{
	struct entry *e = arg;
	struct engine *eng = e->engine;

	e->claim.request = NULL;
	e->claim.recording = false;
	eng->recording--;
	entry_wipe_credential(e);	/* Redis has it, or nobody is to have it */
	crash_at(e->state == ENTRY_HANDING ? "handed" : "recorded");
	if (how == CLAIMS_PUBLISHED)
		buf_reset(&e->lease_id);	/* its reader's, no orphan */
	if (e->state == ENTRY_HANDING)
		core_step(eng, e, how == CLAIMS_REFUSED ? ON_HAND_REFUSED : ON_HANDED);
	else
		core_step(eng, e, how == CLAIMS_ACCEPTED ? ON_RECORDED : ON_RECORD_REFUSED);
}

void
claiming_record(struct engine *eng, struct entry *e)
{
	struct claim_record record = claiming_key(e);
	const struct claims_answer what = {
		.command_id = e->cmd->id,
		.record = &record,
		.token = e->claim.token,
		.attempt = e->claim.attempt,
		.answer = events_packed(&e->events),
		.lease = buf_span(&e->lease_id),
		.credential = buf_span(&e->call.credential),
		.credential_until = e->call.credential_until,
	};

	crash_at(e->state == ENTRY_HANDING ? "handing" : "recording");
	if (e->claim.request)
		claims_cancel(e->claim.request);	/* check_own's */
	e->claim.recording = true;
	eng->recording++;
	e->claim.answered = true;
	e->claim.request = claims_answer(eng->claims, &what, on_answer_recorded, e);
	if (!e->claim.request)
		core_nomem(eng);
}

void
claiming_release(struct engine *eng, struct entry *e)
{
	if (e->in == &eng->lists.verify) {
		/* NEW was answered and not acted on. */
		e->claim.request = claiming_ask(eng, e, /* call= */ true);
		e->claim.asking = true;
	}
	if (e->claim.request && e->claim.asking) {
		claims_release(eng->claims, e->claim.request);
		e->claim.request = NULL;
	}
	core_close_entry(eng, e);
}

/* Whose answer the entry published: its own, or one that was there already. */
static const char *
answer_token(const struct entry *e)
{
	return e->own || e->claim.no_call || !e->holder.token ? e->claim.token : e->holder.token;
}

void
claiming_finish(struct engine *eng, struct entry *e)
{
	struct claim_record record = claiming_key(e);
	struct claims_finish finish = {
		.record = &record,
		.token = answer_token(e),
		.lease = buf_span(&e->lease_id),
		.answered = e->claim.answered,
		.acquire = e->cmd && e->cmd->op->end_rpc,
	};
	struct buf call = BUF_INIT;

	if (!e->claim.ours)
		return;
	if (finish.acquire)
		orphan_record_add_call(&call, e);
	finish.command_id = e->cmd->id;
	finish.destroy = buf_span(&call);
	if (e->claim.in_doubt)
		claims_settle(eng->claims, &finish);
	else
		claims_finish(eng->claims, &finish);
	buf_release(&call);
}

static void
on_own_claim(void *arg, const struct claim *found)
{
	struct entry *e = arg;
	struct claim_record record = claiming_key(e);

	e->claim.request = NULL;
	if (!found || (found->state == CLAIM_CALLING && span_is(found->token, e->claim.token) &&
		       claim_record_eq(&found->record, &record)))
		return;
	e->claim.lost = true;
	log_warn("command '%s' was taken over while its call runs here: its live output is no "
		 "longer published",
		 e->cmd->id.ptr);
}

/* A call that runs here is claimed, unless another worker took it over. */
static void
check_own(struct engine *eng, struct entry *e)
{
	struct claim_record record = claiming_key(e);

	claims_reassert(eng->claims, e->cmd->id, &record, e->claim.token, e->claim.attempt);
	if (e->claim.request)
		return;
	e->claim.request = claims_look(eng->claims, e->cmd->id, on_own_claim, e);
	if (!e->claim.request)
		core_nomem(eng);
}

void
claiming_reassert(struct engine *eng)
{
	struct partition *p = NULL;
	struct entry *e;

	while ((p = partitions_next(&eng->partitions, p)))
		TAILQ_FOREACH (e, &p->entries, in_partition)
			if (e->state == ENTRY_CALLING && !e->claim.recording)
				check_own(eng, e);
	for (e = entry_list_first(&eng->lists.left); e; e = entry_list_next(e))
		check_own(eng, e);
}
