/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

struct claim_record
claiming_key(const struct entry *e)
{
	return (struct claim_record){
		.topic = span_of(e->source.topic),
		.partition = e->partition,
		.offset = e->offset,
		.timestamp = e->timestamp,
	};
}

/* --- what a claim met --- */

static void
met_new(struct engine *f, struct entry *e, int attempt)
{
	/* Another process has our name: what we call nobody would wait for. */
	if (f->exiting)
		return;
	e->claimed = true;
	e->attempt = attempt;
	crash_at("claimed");
	/* Not ours for long any more: released with its partition, not called. */
	if (f->exit_code || (!e->no_call && (!e->part->open || f->stage > STAGE_RUNNING))) {
		entry_list_push(&f->verify, e);
		return;
	}
	if (e->no_call) {
		/* Its events went with the claim: the next owner finds them. */
		e->answered = true;
		e->own = false;
		engine_step(f, e, ON_NEW_NO_CALL);
	} else if (clock_boot_ms() - e->claim_sent_boot >= ENGINE_STOOD_STILL_MS) {
		engine_step(f, e, ON_STOOD_STILL);
	} else {
		engine_step(f, e, ON_NEW_CALL);
	}
}

static void
met_duplicate(struct engine *f, struct entry *e, const struct claim *found)
{
	free(e->first_topic);
	e->first_topic = strndup(found->record.topic.ptr, found->record.topic.len);
	if (!e->first_topic) {
		engine_nomem(f);
		return;
	}
	e->first.topic = e->first_topic;
	e->first.partition = found->record.partition;
	e->first.offset = found->record.offset;
	engine_step(f, e, ON_DUPLICATE);
}

static struct entry *
left_with(struct engine *f, const struct entry *e, struct span token)
{
	for (struct entry *l = f->left.head; l; l = l->queue.next)
		if (span_is(token, l->token) && span_eq(l->cmd->id, e->cmd->id))
			return l;
	return NULL;
}

static void
met_calling(struct engine *f, struct entry *e)
{
	if (left_with(f, e, span_of(e->seen_token)))
		engine_step(f, e, ON_CALLING_LEFT);
	else
		engine_step(f, e, ON_CALLING_ELSEWHERE);
}

static void
on_claim(void *arg, const struct claims_reply *reply)
{
	struct entry *e = arg;
	struct engine *f = e->flow;

	e->request = NULL;
	e->asking = false;
	if (reply->met == CLAIM_NEW) {
		met_new(f, e, reply->attempt);
		return;
	}
	if (reply->met == CLAIM_IS_DUPLICATE) {
		met_duplicate(f, e, reply->found);
		return;
	}
	e->claimed = reply->found != NULL;
	if (reply->found &&
	    !entry_set_seen(e, reply->found->token, reply->found->instance,
			    reply->found->incarnation, reply->found->attempt)) {
		engine_nomem(f);
		return;
	}
	switch (reply->met) {
	case CLAIM_IS_DONE:
		e->claimed = false;	/* nothing to finish */
		engine_step(f, e, ON_CLAIM_DONE);
		break;
	case CLAIM_IS_INTERRUPTED:
		engine_step(f, e, ON_CLAIM_INTERRUPTED);
		break;
	case CLAIM_IS_ANSWERED:
		/* Published with the answer: finish must name it, or it would
		 * be taken for an orphan (P4). */
		buf_reset(&e->lease_id);
		buf_addspan(&e->lease_id, reply->found->lease);
		engine_step(f, e, ON_CLAIM_ANSWERED);
		break;
	default:
		met_calling(f, e);
		break;
	}
}

struct claims_request *
claiming_ask(struct engine *f, struct entry *e, bool call)
{
	struct claim_record record = claiming_key(e);
	const struct claims_claim what = {
		.command_id = e->cmd->id, .record = &record, .token = e->token, .call = call,
		.answer = call ? SPAN_NULL : events_packed(&e->events),
	};

	return claims_claim(f->claims, &what, on_claim, e);
}

void
claiming_send(struct engine *f, struct entry *e)
{
	if (!e->token[0])
		instance_token(f->instance, e->token);
	e->claim_sent_boot = clock_boot_ms();
	e->asking = true;
	e->request = claiming_ask(f, e, !e->no_call);
	if (!e->request)
		engine_nomem(f);
}

/* --- an answer that is there already --- */

static void
on_fetched(void *arg, struct span packed)
{
	struct entry *e = arg;
	struct engine *f = e->flow;
	struct err err = { 0 };

	e->request = NULL;
	if (packed.ptr && events_unpack(&e->events, packed, &err) == 0) {
		e->answered = true;
		e->own = false;
		e->no_call = false;
		/* It may have come after the claim's reply, in place of another. */
		if (!events_succeeded(&e->events))
			buf_reset(&e->lease_id);
		engine_count_bytes(f, e);
		dispatch_give_slot(f, e);
		engine_step(f, e, ON_ANSWER_FETCHED);
		return;
	}
	if (packed.ptr)
		log_warn("stored answer of '%s' is damaged: %s", e->cmd->id.ptr, err.text);
	if (!e->asked_again) {
		e->asked_again = true;
		engine_step(f, e, ON_ANSWER_MISSING);
	} else {
		e->answer_lost = true;
		engine_step(f, e, ON_ANSWER_LOST);
	}
}

void
claiming_fetch(struct engine *f, struct entry *e)
{
	events_reset(&e->events);
	e->request = claims_fetch(f->claims, e->cmd->id, on_fetched, e);
	if (!e->request)
		engine_nomem(f);
}

/* --- another holder --- */

static bool
may_rerun(const struct entry *e)
{
	return !e->cmd->op->once || e->cmd->rerun;
}

static void
on_taken(void *arg, bool taken, int attempt)
{
	struct entry *e = arg;
	struct engine *f = e->flow;

	e->request = NULL;
	(void)attempt;
	if (!taken) {
		engine_step(f, e, ON_TAKE_REFUSED);
		return;
	}
	metrics_add(METRIC_TAKEOVERS, 1);
	engine_step(f, e, may_rerun(e) ? ON_TAKEN_RERUN : ON_TAKEN_INTERRUPTED);
}

struct claims_request *
claiming_seize(struct engine *f, struct entry *e, struct span seen_token, claims_takeover_fn *fn,
	       void *arg)
{
	struct claim_record record = claiming_key(e);
	struct claims_request *r = NULL;
	struct buf call = BUF_INIT;
	char token[CLAIM_TOKEN_MAX];

	instance_token(f->instance, token);
	calling_json(e, &call);
	const struct claims_takeover what = {
		.command_id = e->cmd->id, .record = &record, .seen_token = seen_token,
		.new_token = token, .rerun = may_rerun(e), .answer_lost = e->answer_lost,
		.destroy = buf_span(&call),
	};
	if (!call.failed)
		r = claims_takeover(f->claims, &what, fn, arg);
	buf_release(&call);
	return r;
}

void
claiming_take_over(struct engine *f, struct entry *e)
{
	entry_list_remove(e);
	if (e->request)
		claims_cancel(e->request);
	log_info("taking command '%s' over from instance '%s'", e->cmd->id.ptr, e->seen_instance);
	crash_at("taking");
	e->request = claiming_seize(f, e, span_of(e->seen_token), on_taken, e);
	e->answer_lost = false;
	if (!e->request)
		engine_nomem(f);
}

/* The LEFT entry steps back into the window, with its call, for the new one. */
void
claiming_attach(struct engine *f, struct entry *e)
{
	struct entry *left = left_with(f, e, span_of(e->seen_token));
	struct partition *p = e->part;

	assert(left);
	entry_list_remove(left);
	left->part = p;
	left->state = ENTRY_CALLING;
	left->left_since = 0;
	rebalance_link(p, left);
	f->entries++;
	scheduler_replace(p->scheduler, e, left);
	log_info("command '%s' is ours again, its call still runs", left->cmd->id.ptr);
	engine_retire(f, e);
}

static void
holder_dead(struct engine *f, struct entry *e, const char *why)
{
	log_warn("command '%s': its holder '%s' %s", e->cmd->id.ptr, e->seen_instance, why);
	engine_step(f, e, ON_HOLDER_DEAD);
}

/* docs/engine.md section 7, WAITING. */
static void
judge(struct engine *f, struct entry *e)
{
	/* Longer than a reply that the holder has not heard yet can take. */
	int64_t bound = e->call_limit_ms + f->limits.handover + ENGINE_STOOD_STILL_MS;
	int64_t now = clock_mono_ms();
	bool self = strcmp(e->seen_incarnation, instance_incarnation(f->instance)) == 0;

	if (!self && instance_judge(f->instance, span_of(e->seen_instance),
				    span_of(e->seen_incarnation),
				    e->waiting_since) == INSTANCE_DEAD)
		holder_dead(f, e, "is dead");
	else if (now - e->waiting_since > bound && now - f->waited_at < ENGINE_STOOD_STILL_MS)
		holder_dead(f, e, "has not answered within its time");
}

static void
on_looked(void *arg, const struct claim *found)
{
	struct entry *e = arg;
	struct engine *f = e->flow;
	struct claim_record record = claiming_key(e);

	e->request = NULL;
	if (found && found->state == CLAIM_CALLING && span_is(found->token, e->seen_token) &&
	    claim_record_eq(&found->record, &record)) {
		judge(f, e);
		return;
	}
	entry_list_remove(e);
	engine_step(f, e, ON_CLAIM_CHANGED);
}

static void
look(struct engine *f, struct entry *e)
{
	if (e->request)
		return;
	e->request = claims_look(f->claims, e->cmd->id, on_looked, e);
	if (!e->request)
		engine_nomem(f);
}

void
claiming_watch(struct engine *f, struct entry *e)
{
	dispatch_give_slot(f, e);
	e->waiting_since = clock_mono_ms();
	e->call_limit_ms = command_timeout_ms(e->cmd, f->limits.call_timeout);
	entry_list_push(&f->waiting, e);
}

void
claiming_handover(void *arg, struct span message)
{
	struct engine *f = arg;

	for (struct entry *e = f->waiting.head; e; e = e->queue.next)
		if (span_eq(message, e->cmd->id))
			look(f, e);
}

/* After a stand-still (judge sees it, too, when a reply is read before this)
 * the wait for a holder begins anew: the partition may be another's by now,
 * and its call one that nobody should take over. */
static void
wait_anew(struct engine *f)
{
	int64_t now = clock_mono_ms(), before = f->waited_at;

	f->waited_at = now;
	if (now - before < ENGINE_STOOD_STILL_MS)
		return;
	for (struct entry *e = f->waiting.head; e; e = e->queue.next)
		e->waiting_since = now;
}

void
claiming_tick(struct engine *f)
{
	wait_anew(f);
	if (!redis_up(f->redis))
		return;
	if (f->verify_failed)
		stall_check(f);
	for (struct entry *e = f->waiting.head; e; e = e->queue.next)
		look(f, e);
}

/* --- our own claims --- */

static void
on_recorded(void *arg, enum claims_recorded how)
{
	struct entry *e = arg;
	struct engine *f = e->flow;

	e->request = NULL;
	e->recording = false;
	f->recording--;
	crash_at(e->state == ENTRY_HANDING ? "handed" : "recorded");
	if (how == CLAIMS_PUBLISHED)
		buf_reset(&e->lease_id);	/* its reader's, no orphan */
	if (e->state == ENTRY_HANDING)
		engine_step(f, e, how == CLAIMS_REFUSED ? ON_HAND_REFUSED : ON_HANDED);
	else
		engine_step(f, e, how == CLAIMS_ACCEPTED ? ON_RECORDED : ON_RECORD_REFUSED);
}

/* Also the hand-over: the answer, and the lease it brought. */
void
claiming_record(struct engine *f, struct entry *e)
{
	struct claim_record record = claiming_key(e);

	crash_at(e->state == ENTRY_HANDING ? "handing" : "recording");
	if (e->request)
		claims_cancel(e->request);	/* check_own's */
	e->recording = true;
	f->recording++;
	e->answered = true;
	const struct claims_answer what = {
		.command_id = e->cmd->id, .record = &record, .token = e->token,
		.attempt = e->attempt, .answer = events_packed(&e->events),
		.lease = buf_span(&e->lease_id),
	};
	e->request = claims_answer(f->claims, &what, on_recorded, e);
	if (!e->request)
		engine_nomem(f);
}

/* CLAIMING, partition revoked. A fetch, a look or a take-over just ends; a
 * claim may have made us the caller and is released. */
void
claiming_release(struct engine *f, struct entry *e)
{
	if (e->in == &f->verify) {
		/* NEW was answered and not acted on. */
		e->request = claiming_ask(f, e, /* call= */ true);
		e->asking = true;
	}
	if (e->request && e->asking) {
		claims_release(f->claims, e->request);
		e->request = NULL;
	}
	engine_retire(f, e);
}

/* Whose answer the entry published: its own, or one that was there already. */
static const char *
answer_token(const struct entry *e)
{
	return e->own || e->no_call || !e->seen_token ? e->token : e->seen_token;
}

void
claiming_finish(struct engine *f, struct entry *e)
{
	struct claim_record record = claiming_key(e);
	bool acquire = e->cmd && e->cmd->op->id == OPERATION_ACQUIRE_LEASE;
	struct buf call = BUF_INIT;

	if (!e->claimed)
		return;
	if (acquire)
		calling_json(e, &call);
	const struct claims_finish finish = {
		.command_id = e->cmd->id, .record = &record, .token = answer_token(e),
		.lease = buf_span(&e->lease_id), .answered = e->answered, .acquire = acquire,
		.destroy = buf_span(&call),
	};
	if (e->in_doubt)
		claims_settle(f->claims, &finish);
	else
		claims_finish(f->claims, &finish);
	buf_release(&call);
}

static void
on_checked(void *arg, const struct claim *found)
{
	struct entry *e = arg;
	struct claim_record record = claiming_key(e);

	e->request = NULL;
	if (!found || (found->state == CLAIM_CALLING && span_is(found->token, e->token) &&
		       claim_record_eq(&found->record, &record)))
		return;
	e->lost = true;
	log_warn("command '%s' was taken over while its call runs here: its live output is no "
		 "longer published", e->cmd->id.ptr);
}

/* A call that runs here is claimed, unless somebody took it over meanwhile. */
static void
check_own(struct engine *f, struct entry *e)
{
	struct claim_record record = claiming_key(e);

	claims_reassert(f->claims, e->cmd->id, &record, e->token, e->attempt);
	if (e->request)
		return;
	e->request = claims_look(f->claims, e->cmd->id, on_checked, e);
	if (!e->request)
		engine_nomem(f);
}

void
claiming_reassert(struct engine *f)
{
	for (size_t i = 0; i < f->n_parts; i++) {
		for (struct entry *e = f->parts[i] ? f->parts[i]->first : NULL; e;
		     e = e->all.next)
			if (e->state == ENTRY_CALLING && !e->recording)
				check_own(f, e);
	}
	for (struct entry *e = f->left.head; e; e = e->queue.next)
		check_own(f, e);
}
