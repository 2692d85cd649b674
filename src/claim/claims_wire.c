/* SPDX-License-Identifier: Apache-2.0 */
#include "claims_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/registry/instance.h"

static bool
name_holder(struct claims_wire *w, const struct instance *instance)
{
	claim_encode(span_of(instance_id(instance)), &w->holder);
	w->instance_len = w->holder.len;
	claim_encode(span_of(instance_incarnation(instance)), &w->holder);
	return !w->holder.failed;
}

bool
claims_wire_init(struct claims_wire *w, struct redis *redis, const struct instance *instance,
		 redis_reply_fn *on_reply)
{
	int i;

	*w = (struct claims_wire){ .redis = redis, .on_reply = on_reply };
	if (!claims_keys_init(&w->keys, redis) || !name_holder(w, instance))
		return false;
	for (i = 0; i < CLAIMS_SCRIPTS; i++)
		w->scripts[i] = redis_script(redis, claims_scripts[i]);
	return true;
}

void
claims_wire_release(struct claims_wire *w)
{
	claims_keys_release(&w->keys);
	buf_release(&w->holder);
	buf_release(&w->value);
	buf_release(&w->scratch);
}

/* --- sending --- */

static struct span
claim_key(struct claims_wire *w, struct span id)
{
	return claims_keys_of(&w->keys.claim, id);
}

static struct span
answer_key(struct claims_wire *w, struct span id)
{
	return claims_keys_of(&w->keys.answer, id);
}

static struct span
flag(bool on)
{
	return on ? SPAN_LIT("1") : SPAN_LIT("0");
}

static struct span
holder_instance(const struct claims_wire *w)
{
	return (struct span){ w->holder.data, w->instance_len };
}

static struct span
holder_incarnation(const struct claims_wire *w)
{
	return (struct span){ w->holder.data + w->instance_len, w->holder.len - w->instance_len };
}

/* Out of memory while a key or a value was written: nothing may be sent. */
static bool
memory_failed(struct claims_wire *w)
{
	bool failed = claims_keys_failed(&w->keys) | w->value.failed;

	w->value.failed = false;
	if (failed)
		redis_fail(w->redis, "out of memory");
	return failed;
}

static int
send_command(struct claims_wire *w, struct claims_request *r, size_t argc, const struct span *argv)
{
	int code = ERR_NOMEM;

	if (!memory_failed(w))
		code = redis_send(w->redis, w->on_reply, r, argc, argv);
	if (code == 0)
		r->flying++;
	return code;
}

static int
send_script(struct claims_wire *w, struct claims_request *r, enum claims_script s, size_t n_keys,
	    size_t argc, const struct span *argv)
{
	int code = ERR_NOMEM;

	if (!memory_failed(w))
		code = redis_eval(w->redis, w->scripts[s], w->on_reply, r, n_keys, argc, argv);
	if (code == 0)
		r->flying++;
	return code;
}

/* Puts v1|state|record|instance|incarnation|token|attempt|startedAt| together
 * from packed parts. */
static struct span
calling_value(struct claims_wire *w, struct span record, struct span token, int attempt,
	      struct span started_at)
{
	struct buf *b = &w->value;

	buf_reset(b);
	buf_adds(b, "v1|calling|");
	buf_addspan(b, record);
	buf_addch(b, '|');
	buf_addspan(b, holder_instance(w));
	buf_addch(b, '|');
	buf_addspan(b, holder_incarnation(w));
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
done_value(struct claims_wire *w, struct span record, struct span lease)
{
	struct buf *b = &w->value;

	buf_reset(b);
	buf_adds(b, "v1|done|");
	buf_addspan(b, record);
	buf_adds(b, "||||||");
	buf_addspan(b, lease);
	return buf_span(b);
}

static int
send_claim(struct claims_wire *w, struct claims_request *r)
{
	const struct span *p = r->part;

	if (!r->scripted) {
		struct span argv[] = {
			SPAN_LIT("SET"), claim_key(w, p[PART_ID]),
			calling_value(w, p[PART_RECORD], p[PART_TOKEN], 1, p[PART_STARTED_AT]),
			SPAN_LIT("NX"), SPAN_LIT("GET"), SPAN_LIT("PX"), span_of(w->backstop),
		};

		return send_command(w, r, 7, argv);
	}
	struct span argv[] = {
		claim_key(w, p[PART_ID]), answer_key(w, p[PART_ID]),
		p[PART_RECORD], p[PART_TOKEN], span_of(w->backstop), holder_instance(w),
		holder_incarnation(w), p[PART_STARTED_AT], flag(r->call), p[PART_BYTES],
	};

	return send_script(w, r, CLAIMS_SCRIPT_CLAIM, 2, 10, argv);
}

static int
send_release(struct claims_wire *w, struct claims_request *r)
{
	struct span argv[] = {
		claim_key(w, r->part[PART_ID]),
		r->part[PART_RECORD], r->part[PART_TOKEN], span_of(w->backstop),
	};

	return send_script(w, r, CLAIMS_SCRIPT_RELEASE, 1, 4, argv);
}

static int
send_answer(struct claims_wire *w, struct claims_request *r)
{
	const struct span *p = r->part, secret = p[PART_CREDENTIAL];
	int64_t left = r->credential_until - clock_wall_ms();
	char attempt[16], ms[24];
	struct span argv[] = {
		claim_key(w, p[PART_ID]), answer_key(w, p[PART_ID]),
		claims_keys_of(&w->keys.credential, p[PART_ID]),
		p[PART_RECORD], p[PART_TOKEN], span_of(w->backstop), holder_instance(w),
		holder_incarnation(w), p[PART_STARTED_AT], { attempt, 0 }, p[PART_LEASE],
		p[PART_BYTES], buf_span(&w->keys.channel), p[PART_ID], secret, { ms, 0 },
	};
	const size_t n = sizeof(argv) / sizeof(argv[0]);

	argv[9].len = (size_t)snprintf(attempt, sizeof(attempt), "%d", r->attempt);
	argv[15].len = (size_t)snprintf(ms, sizeof(ms), "%" PRId64, left > 0 ? left : 1);
	if (secret.len)
		return send_script(w, r, CLAIMS_SCRIPT_ANSWER, 3, n, argv);
	argv[2] = argv[1];
	argv[1] = argv[0];
	return send_script(w, r, CLAIMS_SCRIPT_ANSWER, 2, n - 3, argv + 1);
}

static int
send_takeover(struct claims_wire *w, struct claims_request *r)
{
	const struct span *p = r->part;
	struct span argv[] = {
		claim_key(w, p[PART_ID]), answer_key(w, p[PART_ID]), buf_span(&w->keys.orphans),
		p[PART_RECORD], p[PART_TOKEN], span_of(w->backstop), holder_instance(w),
		holder_incarnation(w), p[PART_STARTED_AT], p[PART_NEW_TOKEN], flag(r->rerun),
		flag(r->answer_lost), p[PART_ID], p[PART_BYTES],
	};

	return send_script(w, r, CLAIMS_SCRIPT_TAKEOVER, 3, 14, argv);
}

static int
send_finish(struct claims_wire *w, struct claims_request *r)
{
	const struct span *p = r->part;
	struct span done = done_value(w, p[PART_RECORD], p[PART_LEASE]);
	struct span id_key = claim_key(w, p[PART_ID]), ms = span_of(w->retention);
	int code;

	if (r->acquire) {
		struct span argv[] = {
			id_key, answer_key(w, p[PART_ID]), buf_span(&w->keys.orphans),
			p[PART_RECORD], done, ms, p[PART_LEASE], p[PART_ID], p[PART_BYTES],
		};

		return send_script(w, r, CLAIMS_SCRIPT_FINISH, 3, 9, argv);
	}
	struct span set[] = { SPAN_LIT("SET"), id_key, done, SPAN_LIT("PX"), ms };
	struct span del[] = { SPAN_LIT("DEL"), answer_key(w, p[PART_ID]) };

	code = send_command(w, r, 5, set);
	if (code == 0 && r->answered)
		code = send_command(w, r, 2, del);
	return code;
}

static int
send_settle(struct claims_wire *w, struct claims_request *r)
{
	const struct span *p = r->part;
	struct span done = done_value(w, p[PART_RECORD], p[PART_LEASE]);
	struct span argv[] = {
		claim_key(w, p[PART_ID]), answer_key(w, p[PART_ID]), buf_span(&w->keys.orphans),
		p[PART_RECORD], p[PART_TOKEN], span_of(w->retention), done, p[PART_LEASE],
		p[PART_ID], p[PART_BYTES],
	};

	return send_script(w, r, CLAIMS_SCRIPT_SETTLE, 3, 10, argv);
}

static int
send_orphan(struct claims_wire *w, struct claims_request *r)
{
	struct span argv[] = {
		SPAN_LIT("HSET"), buf_span(&w->keys.orphans),
		r->part[PART_FIELD], r->part[PART_BYTES],
	};

	return send_command(w, r, 4, argv);
}

static int
send_fetch(struct claims_wire *w, struct claims_request *r)
{
	struct span argv[] = { SPAN_LIT("GET"), answer_key(w, r->part[PART_ID]) };

	return send_command(w, r, 2, argv);
}

static int
send_look(struct claims_wire *w, struct claims_request *r)
{
	struct span argv[] = { SPAN_LIT("GET"), claim_key(w, r->part[PART_ID]) };

	return send_command(w, r, 2, argv);
}

/* --- reading --- */

/* An array {attempt}: a script did what was asked. */
static bool
is_attempt(const redisReply *reply, int *ret_attempt)
{
	struct span text;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1)
		return false;
	text = redis_span(reply->element[0]);
	*ret_attempt = text.ptr ? atoi(text.ptr) : 0;
	return true;
}

/* NULL, with the reason logged for a claim, when no claim can be read. */
static const struct claim *
found_claim(struct claims_wire *w, const struct claims_request *r, const redisReply *reply,
	    struct claim *claim)
{
	struct err err = { .text = "it is not a string" };
	struct span text = redis_span(reply);

	if (text.ptr && claim_parse(text, &w->scratch, claim, &err) == 0)
		return claim;
	if (reply->type != REDIS_REPLY_NIL && r->kind == KIND_CLAIM)
		log_warn("%.*s in Redis cannot be read (%s): nobody can say whether the "
			 "command was called",
			 SPAN_FMT(claim_key(w, r->part[PART_ID])), err.text);
	return NULL;
}

static enum claims_reading
read_claim(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	   struct claims_wire_reply *ret)
{
	ret->met = CLAIM_IS_INTERRUPTED;
	if (is_attempt(reply, &ret->attempt) || reply->type == REDIS_REPLY_NIL) {
		ret->met = CLAIM_NEW;
		ret->attempt = ret->attempt ? ret->attempt : 1;
		return CLAIMS_READ;
	}
	ret->found = found_claim(w, r, reply, &ret->claim);
	if (!ret->found)
		return CLAIMS_READ;
	ret->met = claim_decide(ret->found, &r->record, r->token, r->call);
	ret->attempt = ret->found->attempt;
	/* The script answers so for nothing that we can read. */
	if (ret->met == CLAIM_NEED_SCRIPT) {
		r->scripted = true;
		return CLAIMS_READ_AGAIN;
	}
	if (ret->met == CLAIM_NEW)
		ret->found = NULL;
	return CLAIMS_READ;
}

static enum claims_reading
read_answer(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	    struct claims_wire_reply *ret)
{
	/* Equal texts are equal claims. */
	struct span done = done_value(w, r->part[PART_RECORD], r->part[PART_LEASE]);

	if (is_attempt(reply, &ret->attempt))
		ret->how = CLAIMS_ACCEPTED;
	else
		ret->how = span_eq(redis_span(reply), done) ? CLAIMS_PUBLISHED : CLAIMS_REFUSED;
	return CLAIMS_READ;
}

static enum claims_reading
read_takeover(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	      struct claims_wire_reply *ret)
{
	(void)w, (void)r;
	ret->taken = is_attempt(reply, &ret->attempt);
	return CLAIMS_READ;
}

static enum claims_reading
read_finish(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	    struct claims_wire_reply *ret)
{
	(void)w, (void)reply, (void)ret;
	/* SET, and DEL behind it: an outage of the former repeats both. */
	return r->flying ? CLAIMS_READ_MORE : CLAIMS_READ;
}

static enum claims_reading
read_nothing(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	     struct claims_wire_reply *ret)
{
	(void)w, (void)r, (void)reply, (void)ret;
	return CLAIMS_READ;
}

static enum claims_reading
read_fetch(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	   struct claims_wire_reply *ret)
{
	(void)w, (void)r;
	ret->packed = redis_span(reply);
	return CLAIMS_READ;
}

static enum claims_reading
read_look(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
	  struct claims_wire_reply *ret)
{
	ret->found = found_claim(w, r, reply, &ret->claim);
	return CLAIMS_READ;
}

/* --- the table of both --- */

static const struct kind {
	int (*send)(struct claims_wire *w, struct claims_request *r);
	enum claims_reading (*read)(struct claims_wire *w, struct claims_request *r,
				    const redisReply *reply, struct claims_wire_reply *ret);
	bool any_type;	/* a key of a wrong type is an answer, "there is none to read" */
} kinds[KINDS] = {
	[KIND_RELEASE] = { send_release, read_nothing, false },
	[KIND_CLAIM] = { send_claim, read_claim, true },
	[KIND_ANSWER] = { send_answer, read_answer, false },
	[KIND_TAKEOVER] = { send_takeover, read_takeover, false },
	[KIND_FINISH] = { send_finish, read_finish, false },
	[KIND_SETTLE] = { send_settle, read_nothing, false },
	[KIND_ORPHAN] = { send_orphan, read_nothing, false },
	[KIND_FETCH] = { send_fetch, read_fetch, true },
	[KIND_LOOK] = { send_look, read_look, true },
};

int
claims_wire_send(struct claims_wire *w, struct claims_request *r)
{
	return kinds[r->kind].send(w, r);
}

enum claims_reading
claims_wire_read(struct claims_wire *w, struct claims_request *r, const redisReply *reply,
		 struct claims_wire_reply *ret)
{
	bool fine = kinds[r->kind].any_type && redis_is_error(reply, "WRONGTYPE");

	*ret = (struct claims_wire_reply){ 0 };
	if (reply->type != REDIS_REPLY_ERROR || fine)
		return kinds[r->kind].read(w, r, reply, ret);
	redis_fail(w->redis, reply->str);
	return CLAIMS_READ_AGAIN;
}

/* --- claims of running calls --- */

static void
on_reasserted(void *arg, const redisReply *reply)
{
	(void)redis_is_outage(arg, reply);
}

void
claims_wire_reassert(struct claims_wire *w, struct span command_id,
		     const struct claim_record *record, const char *token, int attempt)
{
	struct buf packed = BUF_INIT;
	char at[CLOCK_TEXT_MAX];
	size_t cut;

	claim_format_record(record, &packed);
	cut = packed.len;
	claim_encode(span_of(token), &packed);
	if (packed.failed) {
		redis_fail(w->redis, "out of memory");
		goto out;
	}
	struct span argv[] = {
		SPAN_LIT("SET"), claim_key(w, command_id),
		calling_value(w, (struct span){ packed.data, cut },
			      (struct span){ packed.data + cut, packed.len - cut },
			      attempt, span_of(clock_text(clock_wall_ms(), at))),
		SPAN_LIT("NX"), SPAN_LIT("PX"), span_of(w->backstop),
	};

	if (!memory_failed(w))
		(void)redis_send(w->redis, on_reasserted, w->redis, 6, argv);
out:
	buf_release(&packed);
}
