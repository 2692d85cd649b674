/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on claims: any bytes pass, a cancelled request calls nobody, and when
 * Redis goes away each is answered once, releases first. */
#include "unit.h"

#include <signal.h>

#include "claims_rig.h"
#include "../unit/alloc_rig.h"

#define ID "c1"
#define CALLING "v1|calling|t|0|17|1000|us|n1|T|2|then|"
#define ANSWERED "v1|answered|t|0|17|1000|us|n1|T|2|then|L0"

static struct rig rig;
static struct instance *instance;
static struct claims *claims;
static const struct claim_record record = { SPAN_LIT("t"), 0, 17, 1000 };

static void
put(const char *claim)
{
	rig_ask(&rig, "FLUSHALL");
	if (claim)
		rig_ask(&rig, "SET envdriver:claim:%s %s", ID, claim);
}

static const char *
held(void)
{
	return rig_ask(&rig, "GET envdriver:claim:%s", ID);
}

static bool
finished(void *arg)
{
	(void)arg;
	return claims_finishing(claims) == 0;
}

/* The attempt that a claim or a take-over said; 1: an answer was accepted. */
static int done;
static char heard[64];	/* the last message on `handover` */

static bool
is_done(void *arg)
{
	(void)arg;
	return done > 0;
}

static void
on_new(void *arg, const struct claims_reply *r)
{
	(void)arg;
	assert_int_equal(r->met, CLAIM_NEW);
	done = r->attempt;
}

static void
on_takeover(void *arg, bool ok, int attempt)
{
	(void)arg;
	assert_true(ok);
	done = attempt;
}

static void
on_answer(void *arg, enum claims_recorded how)
{
	(void)arg;
	assert_int_equal(how, CLAIMS_ACCEPTED);
	done = 1;
}

static void
on_never(void *arg, const struct claims_reply *r)
{
	(void)arg, (void)r;
	fail_msg("it was called back");
}

static struct claims_request *
claim(struct span id, const char *token, claims_claim_fn *fn, void *arg)
{
	const struct claims_claim what = { id, &record, token, /* call= */ true, SPAN_NULL };

	return claims_claim(claims, &what, fn, arg);
}

/* Attempt 1 by token T is answered with A1, without a lease. */
static void
answer(void)
{
	const struct claims_answer what = { SPAN_LIT(ID), &record, "T", 1, SPAN_LIT("A1"), { 0 },
					    { 0 }, 0 };

	claims_answer(claims, &what, on_answer, NULL);
}

static bool
finish(struct span id, struct span lease, bool answered, bool acquire)
{
	const struct claims_finish what = { id, &record, NULL, lease, answered, acquire, { 0 } };

	return claims_finish(claims, &what);
}

static bool
is_heard(void *arg)
{
	(void)arg;
	return heard[0] != '\0';
}

static void
test_handover_is_said(void **state)
{
	(void)state;
	put(CALLING);
	heard[0] = '\0';
	done = 0;
	answer();
	rig_until(&rig, is_heard, NULL, PATIENCE_MS);
	assert_string_equal(heard, ID);
	rig_until(&rig, is_done, NULL, PATIENCE_MS);
}

static void
test_orphan(void **state)
{
	(void)state;
	put(NULL);
	assert_true(claims_orphan(claims, SPAN_LIT(ID), SPAN_LIT("T"), SPAN_LIT("\"a\\\"b\\n\""),
				  SPAN_LIT("{\"p\":2}")));
	assert_true(claims_orphan(claims, SPAN_LIT(ID), SPAN_LIT("U"), SPAN_LIT("\"x\""),
				  SPAN_NULL));
	assert_int_equal(claims_finishing(claims), 2);
	rig_until(&rig, finished, NULL, PATIENCE_MS);
	assert_string_equal(rig_ask(&rig, "HGET envdriver:orphans c1:T"),
			    "{\"lease\":\"a\\\"b\\n\",\"call\":{\"p\":2}}");
	assert_string_equal(rig_ask(&rig, "HGET envdriver:orphans c1:U"),
			    "{\"lease\":\"x\",\"call\":null}");
}

/* Any bytes that an id or a lease may have come back as they went. */
static void
test_bytes(void **state)
{
	const struct claim_record odd = { SPAN_LIT("a|b"), 3, 4, -1 };
	const struct span id = { "x\0|%\r\n", 6 };
	const struct claims_claim asked = { id, &odd, "T", true, SPAN_NULL };
	const struct claims_answer told = { id, &odd, "T", 1, { "\0\xff", 2 },
					    SPAN_LIT("l|%\xc3\xa4"), SPAN_NULL, 0 };
	const struct claims_finish ended = { id, &odd, NULL, SPAN_LIT("m"), true, true, SPAN_NULL };

	(void)state;
	put(NULL);
	done = 0;
	claims_claim(claims, &asked, on_new, NULL);
	rig_until(&rig, is_done, NULL, PATIENCE_MS);
	done = 0;
	claims_answer(claims, &told, on_answer, NULL);
	rig_until(&rig, is_done, NULL, PATIENCE_MS);
	assert_true(claims_finish(claims, &ended));
	rig_until(&rig, finished, NULL, PATIENCE_MS);
	assert_string_equal(rig_ask(&rig, "HVALS envdriver:orphans"),
			    "{\"lease\":\"l|%\xc3\xa4\",\"call\":null}");
	assert_string_equal(rig_ask(&rig, "GET envdriver:claim:%b", id.ptr, id.len),
			    "v1|done|a%7Cb|3|4|-1||||||m");
}

static void
test_cancelled(void **state)
{
	(void)state;
	put(NULL);
	claims_cancel(claim(SPAN_LIT(ID), "T", on_never, NULL));
	claims_cancel(NULL);
	rig_run(&rig, 100);
}

static int calls_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return calls_left-- > 0 ? realloc(ptr, size) : NULL;
}

static bool
is_fine(void *arg)
{
	(void)arg;
	return done > 0 && redis_up(rig.redis) && claims_finishing(claims) == 0;
}

/* Refused, or done all the same once there is memory again. */
static void
test_no_memory(void **state)
{
	int refused = 0;

	(void)state;
	for (int n = 0; n < 12; n++) {
		put(NULL);
		done = 0;
		calls_left = n;
		alloc_replace(failing_realloc);
		struct claims_request *r = claim(SPAN_LIT(ID), "T", on_new, NULL);
		bool finishing = finish(SPAN_LIT("f"), SPAN_NULL, true, false);
		alloc_replace(NULL);
		refused += !r + !finishing;
		done = !r;
		rig_until(&rig, is_fine, NULL, PATIENCE_MS);
		assert_int_equal(strncmp(held(), "v1|calling|", 11) == 0, r != NULL);
	}
	assert_in_range(refused, 2, 12);
}

/* --- Redis goes away --- */

enum { MANY = 500 };

static int answered[MANY];
static int n_answered;
static const char *odd_answer;

static void
on_many(void *arg, const struct claims_reply *r)
{
	int *mine = arg;

	(*mine)++;
	n_answered++;
	if (r->met != CLAIM_NEW || r->attempt != 1)
		odd_answer = "a claim was not NEW";
}

static bool
all_answered(void *arg)
{
	(void)arg;
	return n_answered >= MANY;
}

static void
claim_many(const char *token)
{
	char id[16];

	memset(answered, 0, sizeof(answered));
	n_answered = 0;
	odd_answer = NULL;
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		assert_non_null(claim(span_of(id), token, on_many, &answered[i]));
	}
}

static void
check_many(void)
{
	rig_until(&rig, all_answered, NULL, PATIENCE_MS);
	rig_run(&rig, 100);
	assert_null(odd_answer);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(answered[i], 1);
}

static void
test_connection_lost(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		put(NULL);
		claim_many("T");
		/* Once before anything is written, then ever later. */
		for (int i = 0; i < round; i++)
			uv_run(&rig.loop, UV_RUN_NOWAIT);
		rig_ask(&rig, "CLIENT KILL TYPE normal SKIPME yes");
		check_many();
	}
}

/* The server sleeps with claims unread, and is killed or goes on. */
static void
test_server_hangs(void **state)
{
	(void)state;
	put(NULL);
	kill(rig.server, SIGSTOP);
	claim_many("T");
	rig_run(&rig, 7500);
	assert_false(redis_up(rig.redis));
	assert_int_equal(n_answered, 0);
	kill(rig.server, SIGCONT);
	check_many();
}

static void
test_server_restarts(void **state)
{
	(void)state;
	put(CALLING);
	rig_server_kill(&rig);
	claim_many("T");
	assert_true(finish(SPAN_LIT(ID), SPAN_NULL, false, false));
	rig_run(&rig, 500);
	assert_int_equal(n_answered, 0);
	assert_int_equal(claims_finishing(claims), 1);
	rig_server_start(&rig);
	check_many();
	rig_until(&rig, finished, NULL, PATIENCE_MS);
	assert_memory_equal(held(), "v1|done|", 8);
}

/* Releases go before claims, whatever their order was. */
static void
test_release_first(void **state)
{
	(void)state;
	put(CALLING);
	rig_server_kill(&rig);
	rig_run(&rig, 200);
	done = 0;
	claim(SPAN_LIT(ID), "LATER", on_new, NULL);
	claims_release(claims, claim(SPAN_LIT(ID), "T", on_never, NULL));
	assert_int_equal(claims_finishing(claims), 1);
	rig_server_start(&rig);
	rig_until(&rig, is_done, NULL, PATIENCE_MS);
	assert_int_equal(done, 2);
	assert_non_null(strstr(held(), "|LATER|2|"));
	rig_until(&rig, finished, NULL, PATIENCE_MS);
}

static void
test_out_of_memory(void **state)
{
	const struct claims_takeover taken = { SPAN_LIT(ID), &record, SPAN_LIT("T"), "NEW",
					       .rerun = true, .answer_lost = true };

	(void)state;
	put(ANSWERED);
	rig_ask(&rig, "CONFIG SET maxmemory 1");
	claim_many("T");
	done = 0;
	claims_takeover(claims, &taken, on_takeover, NULL);
	assert_true(finish(SPAN_LIT("f"), SPAN_NULL, true, false));
	rig_run(&rig, 1000);
	assert_int_equal(n_answered, 0);
	assert_int_equal(done, 0);
	assert_int_equal(claims_finishing(claims), 1);
	assert_false(redis_up(rig.redis));
	assert_non_null(strstr(redis_why_down(rig.redis), "OOM"));
	rig_ask(&rig, "CONFIG SET maxmemory 0");
	check_many();
	rig_until(&rig, finished, NULL, PATIENCE_MS);
	assert_int_equal(done, 3);
	assert_non_null(strstr(held(), "|NEW|3|"));
	assert_string_equal(rig_ask(&rig, "HVALS envdriver:orphans"),
			    "{\"lease\":\"L0\",\"call\":null}");
}

static void
test_scripts_flushed(void **state)
{
	(void)state;
	put(CALLING);
	rig_ask(&rig, "SCRIPT FLUSH");
	done = 0;
	answer();
	assert_true(finish(SPAN_LIT("f"), SPAN_LIT("l"), true, true));
	rig_until(&rig, finished, NULL, PATIENCE_MS);
	assert_int_equal(done, 1);
	assert_true(redis_up(rig.redis));
}

/* --- the own record, which another process may have taken meanwhile --- */

static char order[64];	/* who was called, in this order */

static void
on_refused(void *arg, int exit_code, const char *text)
{
	(void)arg, (void)text;
	assert_int_equal(exit_code, 69);
	strcat(order, "refused ");
}

static void
on_ready(void *arg)
{
	(void)arg;
	strcat(order, "ready ");
}

static void
on_claimed(void *arg, const struct claims_reply *r)
{
	(void)arg;
	assert_int_equal(r->met, CLAIM_NEW);
	strcat(order, "claimed ");
}

static bool
in_order(void *arg)
{
	return strstr(order, arg) != NULL;
}

/* Rule "recheck": it is known before a claim is. */
static void
test_record_before_claims(void **state)
{
	char ready[] = "ready", claimed[] = "claimed";

	(void)state;
	put(NULL);
	instance_check(instance, NULL);
	instance_begin(instance);
	rig_until(&rig, in_order, ready, PATIENCE_MS);
	rig_ask(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	rig_ask(&rig, "HSET envdriver:instance:%s incarnation other", instance_id(instance));
	claim(SPAN_LIT(ID), "T", on_claimed, NULL);
	rig_until(&rig, in_order, claimed, PATIENCE_MS);
	assert_string_equal(order, "ready refused claimed ");
}

static void
on_handover(void *arg, struct span message)
{
	(void)arg;
	snprintf(heard, sizeof(heard), "%.*s", SPAN_FMT(message));
}

static int
set_up(void **state)
{
	const struct instance_events ev = { NULL, on_ready, on_refused, NULL };
	struct buf channel = BUF_INIT;

	(void)state;
	claims_rig_open(&rig, &ev, &instance, &claims);
	claims_channel(rig.redis, &channel);
	redis_subscribe(rig.redis, channel.data, on_handover, NULL);
	buf_release(&channel);
	rig_start(&rig);
	return 0;
}

/* With requests under way: they go without a callback. */
static int
tear_down(void **state)
{
	(void)state;
	claim(SPAN_LIT("x"), "T", on_never, NULL);
	claims_rig_close(&rig, instance, claims);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handover_is_said),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_server_hangs),
		cmocka_unit_test(test_server_restarts),
		cmocka_unit_test(test_release_first),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_scripts_flushed),
		/* The last: there is no way back from a name that was taken. */
		cmocka_unit_test(test_record_before_claims),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
