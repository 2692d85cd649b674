/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/claim/claims.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "claims_impl.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/registry/instance.h"

/*
 * DESIGN: a request is in the list of its kind from its making until it is
 * over. It is sent at once when Redis is up; when the connection is lost, all
 * its replies come as NULL, it stays in its list, and on_up sends it again.
 * One that is over (answered, or forgotten) while replies are still due is
 * out of its list and goes with the last of them.
 */

static void
list_add(struct claims_request *r)
{
	struct claims_list *l = &r->claims->lists[r->kind];

	r->prev = l->tail;
	r->next = NULL;
	if (l->tail)
		l->tail->next = r;
	else
		l->head = r;
	l->tail = r;
	l->n++;
}

static void
list_remove(struct claims_request *r)
{
	struct claims_list *l = &r->claims->lists[r->kind];

	if (r->prev)
		r->prev->next = r->next;
	else
		l->head = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		l->tail = r->prev;
	l->n--;
}

static void
launch(struct claims_request *r)
{
	r->again = false;
	/* Refused: Redis is down, on_up sends it. */
	if (!redis_up(r->claims->redis))
		return;
	r->again = claim_wire_send(r) < 0;
}

void
claim_over(struct claims_request *r)
{
	if (!r->over) {
		list_remove(r);
		r->over = true;
	}
	if (r->flying == 0)
		free(r);
}

void
claim_again(struct claims_request *r)
{
	r->again = true;
	if (r->flying == 0)
		launch(r);
}

void
claim_on_reply(void *arg, const redisReply *reply)
{
	struct claims_request *r = arg;
	struct claims *c = r->claims;

	assert(r->flying > 0);
	r->flying--;
	if (r->stale) {
		r->stale--;
	} else if (!r->over) {
		r->again |= redis_is_outage(c->redis, reply) ||
			    redis_is_noscript(c->redis, reply);
		/* `again` may also come from an earlier one of its replies. */
		if (!r->again) {
			claim_wire_reply(r, reply);
			return;
		}
	}
	if (r->over)
		claim_over(r);
	else if (r->again && r->flying == 0)
		launch(r);
}

static void
on_up(void *arg)
{
	struct claims *c = arg;
	struct claims_request *r;
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		for (r = c->lists[kind].head; r; r = r->next)
			launch(r);
}

/* --- making requests --- */

struct draft {
	struct claims *c;
	size_t at[PARTS], len[PARTS];
};

static struct draft
draft_begin(struct claims *c, struct span id)
{
	struct draft d = { .c = c };

	buf_reset(&c->draft);
	d.at[PART_ID] = 0;
	d.len[PART_ID] = id.len;
	buf_addspan(&c->draft, id);
	return d;
}

static void
draft_add(struct draft *d, enum claims_part part, struct span text)
{
	d->at[part] = d->c->draft.len;
	claim_encode(text, &d->c->draft);
	d->len[part] = d->c->draft.len - d->at[part];
}

static void
draft_record(struct draft *d, const struct claim_record *record)
{
	d->at[PART_RECORD] = d->c->draft.len;
	claim_format_record(record, &d->c->draft);
	d->len[PART_RECORD] = d->c->draft.len - d->at[PART_RECORD];
}

/* `record` may be NULL; `bytes` is copied last and only here: it may be
 * large. */
static struct claims_request *
request_new(const struct draft *d, enum claims_kind kind, const struct claim_record *record,
	    struct span bytes, void *arg)
{
	struct claims *c = d->c;
	size_t topic = record ? record->topic.len : 0, i;
	struct claims_request *r = NULL;

	if (!c->draft.failed)
		r = buf_realloc(NULL, sizeof(*r) + c->draft.len + topic + bytes.len);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->claims = c;
	r->kind = kind;
	r->arg = arg;
	memcpy(r->mem, c->draft.data, c->draft.len);
	for (i = 0; i < PARTS; i++)
		r->part[i] = (struct span){ r->mem + d->at[i], d->len[i] };
	if (record) {
		r->record = *record;
		r->record.topic.ptr = r->mem + c->draft.len;
		memcpy(r->mem + c->draft.len, record->topic.ptr, topic);
	}
	r->part[PART_BYTES] = (struct span){ r->mem + c->draft.len + topic, bytes.len };
	if (bytes.len)
		memcpy(r->mem + c->draft.len + topic, bytes.ptr, bytes.len);
	return r;
}

static struct claims_request *
started(struct claims_request *r)
{
	list_add(r);
	launch(r);
	return r;
}

static void
draft_started_at(struct draft *d)
{
	char text[CLOCK_TEXT_MAX];

	draft_add(d, PART_STARTED_AT, span_of(clock_text(clock_wall_ms(), text)));
}

struct claims_request *
claims_claim(struct claims *c, const struct claims_claim *what, claims_claim_fn *fn, void *arg)
{
	struct draft d = draft_begin(c, what->command_id);
	struct claims_request *r;

	draft_record(&d, what->record);
	draft_add(&d, PART_TOKEN, span_of(what->token));
	draft_started_at(&d);
	r = request_new(&d, KIND_CLAIM, what->record, what->call ? SPAN_NULL : what->answer, arg);
	if (!r)
		return NULL;
	assert(strlen(what->token) < sizeof(r->token));
	memcpy(r->token, what->token, strlen(what->token));
	r->call = what->call;
	/* No call is answered at once, with its answer: two keys. */
	r->scripted = !what->call;
	r->fn.claim = fn;
	return started(r);
}

void
claims_release(struct claims *c, struct claims_request *claiming)
{
	struct claims_request *r = claiming;

	assert(r->claims == c && r->kind == KIND_CLAIM && !r->over);
	/* Also when it was never sent: an earlier one with this token may have
	 * been, and a release of what is not ours does nothing. */
	list_remove(r);
	r->kind = KIND_RELEASE;
	r->stale = r->flying;
	list_add(r);
	launch(r);
}

struct claims_request *
claims_answer(struct claims *c, const struct claims_answer *what, claims_answer_fn *fn, void *arg)
{
	struct draft d = draft_begin(c, what->command_id);
	struct claims_request *r;

	draft_record(&d, what->record);
	draft_add(&d, PART_TOKEN, span_of(what->token));
	draft_add(&d, PART_LEASE, what->lease);
	draft_started_at(&d);
	r = request_new(&d, KIND_ANSWER, NULL, what->answer, arg);
	if (!r)
		return NULL;
	r->attempt = what->attempt;
	r->fn.answer = fn;
	return started(r);
}

static struct span
or_null(struct span json)
{
	return json.ptr ? json : SPAN_LIT("null");
}

struct claims_request *
claims_takeover(struct claims *c, const struct claims_takeover *what, claims_takeover_fn *fn,
		void *arg)
{
	struct draft d = draft_begin(c, what->command_id);
	struct claims_request *r;

	draft_record(&d, what->record);
	draft_add(&d, PART_TOKEN, what->seen_token);
	draft_add(&d, PART_NEW_TOKEN, span_of(what->new_token));
	draft_started_at(&d);
	r = request_new(&d, KIND_TAKEOVER, NULL, or_null(what->destroy), arg);
	if (!r)
		return NULL;
	r->rerun = what->rerun;
	r->answer_lost = what->answer_lost;
	r->fn.takeover = fn;
	return started(r);
}

static bool
end(struct claims *c, enum claims_kind kind, const struct claims_finish *what)
{
	struct draft d = draft_begin(c, what->command_id);
	struct claims_request *r;

	draft_record(&d, what->record);
	draft_add(&d, PART_TOKEN, span_of(what->token));
	draft_add(&d, PART_LEASE, what->lease);
	r = request_new(&d, kind, NULL, or_null(what->destroy), NULL);
	if (!r)
		return false;
	r->acquire = what->acquire;
	r->answered = what->answered;
	started(r);
	return true;
}

bool
claims_finish(struct claims *c, const struct claims_finish *what)
{
	return end(c, KIND_FINISH, what);
}

bool
claims_settle(struct claims *c, const struct claims_finish *what)
{
	assert(what->token);
	return end(c, KIND_SETTLE, what);
}

size_t
claims_finishing(const struct claims *c)
{
	return c->lists[KIND_FINISH].n + c->lists[KIND_SETTLE].n + c->lists[KIND_RELEASE].n +
	       c->lists[KIND_ORPHAN].n;
}

struct claims_request *
claims_fetch(struct claims *c, struct span command_id, claims_fetch_fn *fn, void *arg)
{
	struct draft d = draft_begin(c, command_id);
	struct claims_request *r = request_new(&d, KIND_FETCH, NULL, SPAN_NULL, arg);

	if (!r)
		return NULL;
	r->fn.fetch = fn;
	return started(r);
}

struct claims_request *
claims_look(struct claims *c, struct span command_id, claims_look_fn *fn, void *arg)
{
	struct draft d = draft_begin(c, command_id);
	struct claims_request *r = request_new(&d, KIND_LOOK, NULL, SPAN_NULL, arg);

	if (!r)
		return NULL;
	r->fn.look = fn;
	return started(r);
}

bool
claims_orphan(struct claims *c, struct span command_id, struct span token, struct span lease,
	      struct span destroy)
{
	struct draft d = draft_begin(c, command_id);
	struct buf json = BUF_INIT;
	struct claims_request *r = NULL;

	d.at[PART_FIELD] = c->draft.len;
	buf_addspan(&c->draft, command_id);
	buf_addch(&c->draft, ':');
	buf_addspan(&c->draft, token);
	d.len[PART_FIELD] = c->draft.len - d.at[PART_FIELD];
	buf_adds(&json, "{\"lease\":");
	jtext_add_string(&json, lease);
	buf_adds(&json, ",\"call\":");
	buf_addspan(&json, or_null(destroy));
	buf_addch(&json, '}');
	if (!json.failed)
		r = request_new(&d, KIND_ORPHAN, NULL, buf_span(&json), NULL);
	buf_release(&json);
	if (r)
		started(r);
	return r != NULL;
}

void
claims_cancel(struct claims_request *r)
{
	if (r)
		claim_over(r);
}

/* --- the whole --- */

void
claims_channel(const struct redis *redis, struct buf *out)
{
	buf_adds(out, redis_prefix(redis));
	buf_adds(out, "handover");
}

static bool
name_keys(struct claims *c, const struct instance *instance)
{
	const char *prefix = redis_prefix(c->redis);

	buf_adds(&c->claim_key, prefix);
	buf_adds(&c->claim_key, "claim:");
	c->claim_prefix = c->claim_key.len;
	buf_adds(&c->answer_key, prefix);
	buf_adds(&c->answer_key, "answer:");
	c->answer_prefix = c->answer_key.len;
	buf_adds(&c->orphans_key, prefix);
	buf_adds(&c->orphans_key, "orphans");
	claims_channel(c->redis, &c->channel);
	claim_encode(span_of(instance_id(instance)), &c->holder);
	c->instance_len = c->holder.len;
	claim_encode(span_of(instance_incarnation(instance)), &c->holder);
	return !c->claim_key.failed && !c->answer_key.failed && !c->orphans_key.failed &&
	       !c->channel.failed && !c->holder.failed;
}

void
claims_set_backstop(struct claims *c, int64_t backstop_ms)
{
	snprintf(c->backstop, sizeof(c->backstop), "%" PRId64, backstop_ms);
}

struct claims *
claims_new(struct redis *redis, struct instance *instance, int64_t retention_ms,
	   int64_t backstop_ms, struct err *reterr)
{
	struct claims *c = buf_realloc(NULL, sizeof(*c));
	struct redis_listener l = { .on_up = on_up, .rank = REDIS_RANK_CLAIMS };
	int i;

	if (!c) {
		err_nomem(reterr);
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->redis = redis;
	c->instance = instance;
	if (!name_keys(c, instance)) {
		claims_free(c);
		err_nomem(reterr);
		return NULL;
	}
	snprintf(c->retention, sizeof(c->retention), "%" PRId64, retention_ms);
	claims_set_backstop(c, backstop_ms);
	for (i = 0; i < CLAIM_SCRIPTS; i++)
		c->scripts[i] = redis_script(redis, claim_scripts[i]);
	l.arg = c;
	redis_listen(redis, &l);
	return c;
}

void
claims_free(struct claims *c)
{
	int kind;

	if (!c)
		return;
	for (kind = 0; kind < KINDS; kind++) {
		while (c->lists[kind].head) {
			struct claims_request *r = c->lists[kind].head;

			r->flying = 0;
			claim_over(r);
		}
	}
	buf_release(&c->claim_key);
	buf_release(&c->answer_key);
	buf_release(&c->orphans_key);
	buf_release(&c->channel);
	buf_release(&c->holder);
	buf_release(&c->value);
	buf_release(&c->scratch);
	buf_release(&c->draft);
	free(c);
}
