/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/claim/claims.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "claims_wire.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

/*
 * DESIGN: a request is in the list of its kind from its making until it is
 * over. It is sent at once when Redis is up; when the connection is lost, all
 * its replies come as NULL, it stays in its list, and on_claims_up sends it
 * again. A request that is over (answered, or cancelled) while replies are
 * still due is out of its list and is freed with the last of them.
 */

TAILQ_HEAD(claims_list, claims_request);

struct claims {
	struct claims_wire wire;
	struct claims_list lists[KINDS];
	size_t counts[KINDS];
	struct claims_draft draft;
};

static void
list_request(struct claims_request *r)
{
	TAILQ_INSERT_TAIL(&r->claims->lists[r->kind], r, of_kind);
	r->claims->counts[r->kind]++;
}

static void
unlist_request(struct claims_request *r)
{
	TAILQ_REMOVE(&r->claims->lists[r->kind], r, of_kind);
	r->claims->counts[r->kind]--;
}

static void
send_request(struct claims_request *r)
{
	r->again = false;
	/* Refused: Redis is down, on_claims_up sends it. */
	if (!redis_up(r->claims->wire.redis))
		return;
	r->again = claims_wire_send(&r->claims->wire, r) < 0;
}

/* It is over: out of its list; freed when no reply is due any more. */
static void
end_request(struct claims_request *r)
{
	if (!r->over) {
		unlist_request(r);
		r->over = true;
	}
	if (r->flying == 0)
		claims_request_free(r);
}

/* Ends the request and calls back. */
static void
answer_request(struct claims_request *r, const struct claims_wire_reply *reply)
{
	const enum claims_kind kind = r->kind;
	const union claims_fn fn = r->fn;
	void *arg = r->arg;

	end_request(r);
	switch (kind) {
	case KIND_CLAIM:
		fn.claim(arg, &(struct claims_reply){ reply->met, reply->attempt, reply->found });
		break;
	case KIND_ANSWER:
		fn.answer(arg, reply->how);
		break;
	case KIND_TAKEOVER:
		fn.takeover(arg, reply->taken, reply->attempt);
		break;
	case KIND_FETCH:
		fn.fetch(arg, reply->packed);
		break;
	case KIND_LOOK:
		fn.look(arg, reply->found);
		break;
	default:
		break;		/* nobody waits for it */
	}
}

static void
on_claims_reply(void *arg, const redisReply *reply)
{
	struct claims_request *r = arg;
	struct claims_wire *w = &r->claims->wire;
	struct claims_wire_reply read;

	assert(r->flying > 0);
	r->flying--;
	if (r->stale) {
		r->stale--;
	} else if (!r->over) {
		r->again |= redis_is_outage(w->redis, reply) || redis_is_noscript(w->redis, reply);
		/* `again` may also come from an earlier one of its replies. */
		switch (r->again ? CLAIMS_READ_AGAIN : claims_wire_read(w, r, reply, &read)) {
		case CLAIMS_READ:
			answer_request(r, &read);
			return;
		case CLAIMS_READ_AGAIN:
			r->again = true;
			break;
		case CLAIMS_READ_MORE:
			break;
		}
	}
	if (r->over)
		end_request(r);
	else if (r->again && r->flying == 0)
		send_request(r);
}

static void
on_claims_up(void *arg)
{
	struct claims *c = arg;
	struct claims_request *r;
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		TAILQ_FOREACH(r, &c->lists[kind], of_kind)
			send_request(r);
}

/* --- the operations --- */

/* Puts the request in its list and sends it. */
static struct claims_request *
start_request(struct claims *c, struct claims_request *r, void *arg)
{
	r->claims = c;
	r->arg = arg;
	list_request(r);
	send_request(r);
	return r;
}

struct claims_request *
claims_claim(struct claims *c, const struct claims_claim *what, claims_claim_fn *fn, void *arg)
{
	struct claims_draft *d = &c->draft;
	struct claims_request *r;

	claims_draft_begin(d, what->command_id);
	claims_draft_record(d, what->record);
	claims_draft_text(d, PART_TOKEN, span_of(what->token));
	claims_draft_started_at(d);
	r = claims_request_new(d, KIND_CLAIM, what->record, what->call ? SPAN_NULL : what->answer);
	if (!r)
		return NULL;
	assert(strlen(what->token) < sizeof(r->token));
	memcpy(r->token, what->token, strlen(what->token));
	r->call = what->call;
	/* No call is answered at once, with its answer: two keys. */
	r->scripted = !what->call;
	r->fn.claim = fn;
	return start_request(c, r, arg);
}

void
claims_release(struct claims *c, struct claims_request *claiming)
{
	struct claims_request *r = claiming;

	assert(r->claims == c && r->kind == KIND_CLAIM && !r->over);
	/* Also when it was never sent: an earlier one with this token may have
	 * been, and a release of what is not ours does nothing. */
	unlist_request(r);
	r->kind = KIND_RELEASE;
	r->stale = r->flying;
	list_request(r);
	send_request(r);
}

struct claims_request *
claims_answer(struct claims *c, const struct claims_answer *what, claims_answer_fn *fn, void *arg)
{
	struct claims_draft *d = &c->draft;
	struct claims_request *r;

	claims_draft_begin(d, what->command_id);
	claims_draft_record(d, what->record);
	claims_draft_text(d, PART_TOKEN, span_of(what->token));
	claims_draft_text(d, PART_LEASE, what->lease);
	claims_draft_started_at(d);
	if (what->credential.len)
		claims_draft_credential(d, what->credential);
	r = claims_request_new(d, KIND_ANSWER, NULL, what->answer);
	if (what->credential.len)
		claims_draft_wipe(d);
	if (!r)
		return NULL;
	r->credential_until = what->credential_until;
	r->attempt = what->attempt;
	r->fn.answer = fn;
	return start_request(c, r, arg);
}

static struct span
json_or_null(struct span json)
{
	return json.ptr ? json : SPAN_LIT("null");
}

struct claims_request *
claims_takeover(struct claims *c, const struct claims_takeover *what, claims_takeover_fn *fn,
		void *arg)
{
	struct claims_draft *d = &c->draft;
	struct claims_request *r;

	claims_draft_begin(d, what->command_id);
	claims_draft_record(d, what->record);
	claims_draft_text(d, PART_TOKEN, what->seen_token);
	claims_draft_text(d, PART_NEW_TOKEN, span_of(what->new_token));
	claims_draft_started_at(d);
	r = claims_request_new(d, KIND_TAKEOVER, NULL, json_or_null(what->destroy));
	if (!r)
		return NULL;
	r->rerun = what->rerun;
	r->answer_lost = what->answer_lost;
	r->fn.takeover = fn;
	return start_request(c, r, arg);
}

static bool
finish(struct claims *c, enum claims_kind kind, const struct claims_finish *what)
{
	struct claims_draft *d = &c->draft;
	struct claims_request *r;

	claims_draft_begin(d, what->command_id);
	claims_draft_record(d, what->record);
	claims_draft_text(d, PART_TOKEN, span_of(what->token));
	claims_draft_text(d, PART_LEASE, what->lease);
	r = claims_request_new(d, kind, NULL, json_or_null(what->destroy));
	if (!r)
		return false;
	r->acquire = what->acquire;
	r->answered = what->answered;
	start_request(c, r, /* arg= */ NULL);
	return true;
}

bool
claims_finish(struct claims *c, const struct claims_finish *what)
{
	return finish(c, KIND_FINISH, what);
}

bool
claims_settle(struct claims *c, const struct claims_finish *what)
{
	assert(what->token);
	return finish(c, KIND_SETTLE, what);
}

size_t
claims_finishing(const struct claims *c)
{
	return c->counts[KIND_FINISH] + c->counts[KIND_SETTLE] + c->counts[KIND_RELEASE] +
	       c->counts[KIND_ORPHAN];
}

struct claims_request *
claims_fetch(struct claims *c, struct span command_id, claims_fetch_fn *fn, void *arg)
{
	struct claims_request *r;

	claims_draft_begin(&c->draft, command_id);
	r = claims_request_new(&c->draft, KIND_FETCH, NULL, SPAN_NULL);
	if (!r)
		return NULL;
	r->fn.fetch = fn;
	return start_request(c, r, arg);
}

struct claims_request *
claims_look(struct claims *c, struct span command_id, claims_look_fn *fn, void *arg)
{
	struct claims_request *r;

	claims_draft_begin(&c->draft, command_id);
	r = claims_request_new(&c->draft, KIND_LOOK, NULL, SPAN_NULL);
	if (!r)
		return NULL;
	r->fn.look = fn;
	return start_request(c, r, arg);
}

void
claims_reassert(struct claims *c, struct span command_id, const struct claim_record *record,
		const char *token, int attempt)
{
	claims_wire_reassert(&c->wire, command_id, record, token, attempt);
}

bool
claims_orphan(struct claims *c, struct span command_id, struct span token, struct span lease_json,
	      struct span destroy)
{
	struct buf json = BUF_INIT;
	struct claims_request *r = NULL;

	claims_draft_begin(&c->draft, command_id);
	claims_draft_field(&c->draft, token);
	buf_adds(&json, "{\"lease\":");
	buf_addspan(&json, lease_json);
	buf_adds(&json, ",\"call\":");
	buf_addspan(&json, json_or_null(destroy));
	buf_addch(&json, '}');
	if (!json.failed)
		r = claims_request_new(&c->draft, KIND_ORPHAN, NULL, buf_span(&json));
	buf_release(&json);
	if (r)
		start_request(c, r, /* arg= */ NULL);
	return r != NULL;
}

void
claims_cancel(struct claims_request *r)
{
	if (r)
		end_request(r);
}

/* --- the whole --- */

void
claims_set_backstop(struct claims *c, int64_t backstop_ms)
{
	snprintf(c->wire.backstop, sizeof(c->wire.backstop), "%" PRId64, backstop_ms);
}

struct claims *
claims_new(struct redis *redis, struct instance *instance, int64_t retention_ms,
	   int64_t backstop_ms, struct err *reterr)
{
	struct claims *c = calloc(1, sizeof(*c));
	struct redis_listener l = { .on_up = on_claims_up, .rank = REDIS_RANK_CLAIMS };
	int kind;

	if (!c) {
		err_nomem(reterr);
		return NULL;
	}
	for (kind = 0; kind < KINDS; kind++)
		TAILQ_INIT(&c->lists[kind]);
	if (!claims_wire_init(&c->wire, redis, instance, on_claims_reply)) {
		claims_free(c);
		err_nomem(reterr);
		return NULL;
	}
	snprintf(c->wire.retention, sizeof(c->wire.retention), "%" PRId64, retention_ms);
	claims_set_backstop(c, backstop_ms);
	l.arg = c;
	redis_listen(redis, &l);
	return c;
}

void
claims_free(struct claims *c)
{
	struct claims_request *r;
	int kind;

	if (!c)
		return;
	for (kind = 0; kind < KINDS; kind++) {
		while ((r = TAILQ_FIRST(&c->lists[kind]))) {
			r->flying = 0;
			end_request(r);
		}
	}
	claims_wire_release(&c->wire);
	buf_release(&c->draft.mem);
	free(c);
}
