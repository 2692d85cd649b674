/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "claims_impl.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"

/* --- sending --- */

static struct span
key(struct buf *b, size_t prefix, struct span id)
{
	b->len = prefix;
	buf_addspan(b, id);
	return buf_span(b);
}

static struct span
claim_key(struct claims *c, struct span id)
{
	return key(&c->claim_key, c->claim_prefix, id);
}

static struct span
answer_key(struct claims *c, struct span id)
{
	return key(&c->answer_key, c->answer_prefix, id);
}

static struct span
flag(bool on)
{
	return on ? SPAN_LIT("1") : SPAN_LIT("0");
}

static struct span
holder_instance(const struct claims *c)
{
	return (struct span){ c->holder.data, c->instance_len };
}

static struct span
holder_incarnation(const struct claims *c)
{
	return (struct span){ c->holder.data + c->instance_len, c->holder.len - c->instance_len };
}

/* Out of memory while a key or a value was written: nothing may be sent. */
static bool
failed(struct claims *c)
{
	bool bad = c->claim_key.failed || c->answer_key.failed || c->value.failed;

	c->claim_key.failed = c->answer_key.failed = c->value.failed = false;
	if (bad)
		redis_fail(c->redis, "out of memory");
	return bad;
}

static int
flew(struct claims_request *r, int code)
{
	if (code == 0)
		r->flying++;
	return code;
}

static int
command(struct claims_request *r, size_t argc, const struct span *argv)
{
	if (failed(r->claims))
		return ERR_NOMEM;
	return flew(r, redis_send(r->claims->redis, claim_on_reply, r, argc, argv));
}

static int
script(struct claims_request *r, enum claims_script s, size_t n_keys, size_t argc,
       const struct span *argv)
{
	struct claims *c = r->claims;

	if (failed(c))
		return ERR_NOMEM;
	return flew(r, redis_eval(c->redis, c->scripts[s], claim_on_reply, r, n_keys, argc, argv));
}

/* Puts v1|state|record|instance|incarnation|token|attempt|startedAt| together
 * from packed parts. */
static struct span
calling_value(struct claims *c, struct span record, struct span token, int attempt,
	      struct span started_at)
{
	struct buf *b = &c->value;

	buf_reset(b);
	buf_adds(b, "v1|calling|");
	buf_addspan(b, record);
	buf_addch(b, '|');
	buf_addspan(b, holder_instance(c));
	buf_addch(b, '|');
	buf_addspan(b, holder_incarnation(c));
	buf_addch(b, '|');
	buf_addspan(b, token);
	if (attempt == 1)
		buf_adds(b, "|1|");
	else
		buf_addf(b, "|%d|", attempt);
	buf_addspan(b, started_at);
	buf_addch(b, '|');
	return buf_span(b);
}

static struct span
done_value(struct claims *c, struct span record, struct span lease)
{
	struct buf *b = &c->value;

	buf_reset(b);
	buf_adds(b, "v1|done|");
	buf_addspan(b, record);
	buf_adds(b, "||||||");
	buf_addspan(b, lease);
	return buf_span(b);
}

static int
send_claim(struct claims_request *r)
{
	struct claims *c = r->claims;
	const struct span *p = r->part;

	if (!r->scripted) {
		struct span argv[] = {
			SPAN_LIT("SET"), claim_key(c, p[PART_ID]),
			calling_value(c, p[PART_RECORD], p[PART_TOKEN], 1, p[PART_STARTED_AT]),
			SPAN_LIT("NX"), SPAN_LIT("GET"), SPAN_LIT("PX"), span_of(c->backstop),
		};

		return command(r, 7, argv);
	}
	struct span argv[] = {
		claim_key(c, p[PART_ID]), answer_key(c, p[PART_ID]),
		p[PART_RECORD], p[PART_TOKEN], span_of(c->backstop), holder_instance(c),
		holder_incarnation(c), p[PART_STARTED_AT], flag(r->call), p[PART_BYTES],
	};

	return script(r, CLAIM_SCRIPT_CLAIM, 2, 10, argv);
}

static int
send_release(struct claims_request *r)
{
	struct claims *c = r->claims;
	struct span argv[] = {
		claim_key(c, r->part[PART_ID]),
		r->part[PART_RECORD], r->part[PART_TOKEN], span_of(c->backstop),
	};

	return script(r, CLAIM_SCRIPT_RELEASE, 1, 4, argv);
}

static int
send_answer(struct claims_request *r)
{
	struct claims *c = r->claims;
	const struct span *p = r->part;
	char attempt[16];
	struct span argv[] = {
		claim_key(c, p[PART_ID]), answer_key(c, p[PART_ID]),
		p[PART_RECORD], p[PART_TOKEN], span_of(c->backstop), holder_instance(c),
		holder_incarnation(c), p[PART_STARTED_AT], { attempt, 0 }, p[PART_LEASE],
		p[PART_BYTES], buf_span(&c->channel), p[PART_ID],
	};

	argv[8].len = (size_t)snprintf(attempt, sizeof(attempt), "%d", r->attempt);
	return script(r, CLAIM_SCRIPT_ANSWER, 2, 13, argv);
}

static int
send_takeover(struct claims_request *r)
{
	struct claims *c = r->claims;
	const struct span *p = r->part;
	struct span argv[] = {
		claim_key(c, p[PART_ID]), answer_key(c, p[PART_ID]), buf_span(&c->orphans_key),
		p[PART_RECORD], p[PART_TOKEN], span_of(c->backstop), holder_instance(c),
		holder_incarnation(c), p[PART_STARTED_AT], p[PART_NEW_TOKEN], flag(r->rerun),
		flag(r->answer_lost), p[PART_ID], p[PART_BYTES],
	};

	return script(r, CLAIM_SCRIPT_TAKEOVER, 3, 14, argv);
}

static int
send_finish(struct claims_request *r)
{
	struct claims *c = r->claims;
	const struct span *p = r->part;
	struct span done = done_value(c, p[PART_RECORD], p[PART_LEASE]);
	struct span id_key = claim_key(c, p[PART_ID]), ms = span_of(c->retention);
	int code;

	if (r->acquire) {
		struct span argv[] = {
			id_key, answer_key(c, p[PART_ID]), buf_span(&c->orphans_key),
			p[PART_RECORD], done, ms, p[PART_LEASE], p[PART_ID], p[PART_BYTES],
		};

		return script(r, CLAIM_SCRIPT_FINISH, 3, 9, argv);
	}
	struct span set[] = { SPAN_LIT("SET"), id_key, done, SPAN_LIT("PX"), ms };
	struct span del[] = { SPAN_LIT("DEL"), answer_key(c, p[PART_ID]) };

	code = command(r, 5, set);
	if (code == 0 && r->answered)
		code = command(r, 2, del);
	return code;
}

static int
send_settle(struct claims_request *r)
{
	struct claims *c = r->claims;
	const struct span *p = r->part;
	struct span done = done_value(c, p[PART_RECORD], p[PART_LEASE]);
	struct span argv[] = {
		claim_key(c, p[PART_ID]), answer_key(c, p[PART_ID]), buf_span(&c->orphans_key),
		p[PART_RECORD], p[PART_TOKEN], span_of(c->retention), done, p[PART_LEASE],
		p[PART_ID], p[PART_BYTES],
	};

	return script(r, CLAIM_SCRIPT_SETTLE, 3, 10, argv);
}

static int
send_orphan(struct claims_request *r)
{
	struct span argv[] = {
		SPAN_LIT("HSET"), buf_span(&r->claims->orphans_key),
		r->part[PART_FIELD], r->part[PART_BYTES],
	};

	return command(r, 4, argv);
}

static int
send_fetch(struct claims_request *r)
{
	struct span argv[] = { SPAN_LIT("GET"), answer_key(r->claims, r->part[PART_ID]) };

	return command(r, 2, argv);
}

static int
send_look(struct claims_request *r)
{
	struct span argv[] = { SPAN_LIT("GET"), claim_key(r->claims, r->part[PART_ID]) };

	return command(r, 2, argv);
}

/* --- what came back --- */

/* An array {attempt}: a script did what was asked. */
static bool
did(const redisReply *reply, int *ret_attempt)
{
	struct span text;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1)
		return false;
	text = redis_span(reply->element[0]);
	*ret_attempt = text.ptr ? atoi(text.ptr) : 0;
	return true;
}

static const struct claim *
read_claim(struct claims_request *r, const redisReply *reply, struct claim *c)
{
	struct err err = { .text = "it is no string" };
	struct span text = redis_span(reply);

	if (text.ptr && claim_parse(text, &r->claims->scratch, c, &err) == 0)
		return c;
	if (reply->type != REDIS_REPLY_NIL && r->kind == KIND_CLAIM)
		log_warn("%.*s in Redis cannot be read (%s): nobody can say whether the "
			 "command was called",
			 SPAN_FMT(claim_key(r->claims, r->part[PART_ID])), err.text);
	return NULL;
}

static void
reply_claim(struct claims_request *r, const redisReply *reply)
{
	struct claim found;
	struct claims_reply out = { .met = CLAIM_IS_INTERRUPTED };
	claims_claim_fn *fn = r->fn.claim;
	void *arg = r->arg;

	if (did(reply, &out.attempt) || reply->type == REDIS_REPLY_NIL) {
		out.met = CLAIM_NEW;
		out.attempt = out.attempt ? out.attempt : 1;
	} else if ((out.found = read_claim(r, reply, &found))) {
		out.met = claim_decide(out.found, &r->record, r->token, r->call);
		out.attempt = out.found->attempt;
		/* The script answers so for nothing that we can read. */
		if (out.met == CLAIM_NEED_SCRIPT) {
			r->scripted = true;
			claim_again(r);
			return;
		}
		if (out.met == CLAIM_NEW)
			out.found = NULL;
	}
	claim_over(r);
	fn(arg, &out);
}

static void
reply_answer(struct claims_request *r, const redisReply *reply)
{
	claims_answer_fn *fn = r->fn.answer;
	void *arg = r->arg;
	/* Equal texts are equal claims. */
	struct span done = done_value(r->claims, r->part[PART_RECORD], r->part[PART_LEASE]);
	bool published = span_eq(redis_span(reply), done);
	int attempt;

	claim_over(r);
	if (did(reply, &attempt))
		fn(arg, CLAIMS_ACCEPTED);
	else
		fn(arg, published ? CLAIMS_PUBLISHED : CLAIMS_REFUSED);
}

static void
reply_takeover(struct claims_request *r, const redisReply *reply)
{
	claims_takeover_fn *fn = r->fn.takeover;
	void *arg = r->arg;
	int attempt = 0;
	bool taken = did(reply, &attempt);

	claim_over(r);
	fn(arg, taken, attempt);
}

static void
reply_finish(struct claims_request *r, const redisReply *reply)
{
	(void)reply;
	/* SET, and DEL behind it: an outage of the former repeats both. */
	if (r->flying == 0)
		claim_over(r);
}

static void
reply_nothing(struct claims_request *r, const redisReply *reply)
{
	(void)reply;
	claim_over(r);
}

static void
reply_fetch(struct claims_request *r, const redisReply *reply)
{
	claims_fetch_fn *fn = r->fn.fetch;
	void *arg = r->arg;

	claim_over(r);
	fn(arg, redis_span(reply));
}

static void
reply_look(struct claims_request *r, const redisReply *reply)
{
	claims_look_fn *fn = r->fn.look;
	void *arg = r->arg;
	struct claim found;
	const struct claim *c = read_claim(r, reply, &found);

	claim_over(r);
	fn(arg, c);
}

static const struct kind {
	int (*send)(struct claims_request *r);
	void (*reply)(struct claims_request *r, const redisReply *reply);
	bool any_type;	/* a key of a wrong type is an answer, "there is none to read" */
} kinds[KINDS] = {
	[KIND_RELEASE] = { send_release, reply_nothing, false },
	[KIND_CLAIM] = { send_claim, reply_claim, true },
	[KIND_ANSWER] = { send_answer, reply_answer, false },
	[KIND_TAKEOVER] = { send_takeover, reply_takeover, false },
	[KIND_FINISH] = { send_finish, reply_finish, false },
	[KIND_SETTLE] = { send_settle, reply_nothing, false },
	[KIND_ORPHAN] = { send_orphan, reply_nothing, false },
	[KIND_FETCH] = { send_fetch, reply_fetch, true },
	[KIND_LOOK] = { send_look, reply_look, true },
};

int
claim_wire_send(struct claims_request *r)
{
	return kinds[r->kind].send(r);
}

void
claim_wire_reply(struct claims_request *r, const redisReply *reply)
{
	bool fine = kinds[r->kind].any_type && redis_is_error(reply, "WRONGTYPE");

	if (reply->type != REDIS_REPLY_ERROR || fine) {
		kinds[r->kind].reply(r, reply);
		return;
	}
	/* Not expected: it waits as for an outage, and /readyz says why. */
	redis_fail(r->claims->redis, reply->str);
	claim_again(r);
}

static void
on_reasserted(void *arg, const redisReply *reply)
{
	struct claims *c = arg;

	(void)redis_is_outage(c->redis, reply);
}

void
claims_reassert(struct claims *c, struct span command_id, const struct claim_record *record,
		const char *token, int attempt)
{
	struct buf packed = BUF_INIT;
	char at[CLOCK_TEXT_MAX];
	size_t cut;

	claim_format_record(record, &packed);
	cut = packed.len;
	claim_encode(span_of(token), &packed);
	if (packed.failed)
		redis_fail(c->redis, "out of memory");
	else {
		struct span argv[] = {
			SPAN_LIT("SET"), claim_key(c, command_id),
			calling_value(c, (struct span){ packed.data, cut },
				      (struct span){ packed.data + cut, packed.len - cut },
				      attempt, span_of(clock_text(clock_wall_ms(), at))),
			SPAN_LIT("NX"), SPAN_LIT("PX"), span_of(c->backstop),
		};

		if (!failed(c))
			(void)redis_send(c->redis, on_reasserted, c, 6, argv);
	}
	buf_release(&packed);
}
