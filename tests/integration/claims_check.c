/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation on a claim, on a real Redis: docs/engine.md section 4, twice each. */
#include "unit.h"

#include "claims_rig.h"

#define ID "c1"
#define RECORD "t|0|17|1000"

static struct rig rig;
static struct instance *instance;
static struct claims *claims;

static const struct claim_record record = { SPAN_LIT("t"), 0, 17, 1000 };

/* --- what is found --- */

enum found {
	ABSENT,
	CLAIMED,	/* by them, attempt 2 */
	CLAIMED_NEW,	/* by us: what our own take-over left */
	CALLING,	/* our token */
	CALLING_THEIRS,
	ANSWERED,	/* our token, lease L0, answer A0 */
	ANSWERED_THEIRS,
	INTERRUPTED,	/* our token */
	DONE,		/* lease L0 */
	ELSEWHERE,	/* another record, calling, our token */
	UNREADABLE,
	NO_STRING,
};

static const char *const found_texts[] = {
	[CLAIMED] = "v1|claimed|" RECORD "|them|n2|T2|2|then|",
	[CLAIMED_NEW] = "v1|claimed|" RECORD "|us|n1|NEW|3|then|",
	[CALLING] = "v1|calling|" RECORD "|us|n1|T|2|then|",
	[CALLING_THEIRS] = "v1|calling|" RECORD "|them|n2|T2|2|then|",
	[ANSWERED] = "v1|answered|" RECORD "|us|n1|T|2|then|L0%25",
	[ANSWERED_THEIRS] = "v1|answered|" RECORD "|them|n2|T2|2|then|L0%25",
	[INTERRUPTED] = "v1|interrupted|" RECORD "|us|n1|T|2|then|",
	[DONE] = "v1|done|" RECORD "||||||L0%25",
	[ELSEWHERE] = "v1|calling|t|0|18|1000|us|n1|T|2|then|",
	[UNREADABLE] = "v1|calling|" RECORD "|us|n1|T|2|then",
};

static void
put_found(enum found f)
{
	rig_ask(&rig, "FLUSHALL");
	if (f == NO_STRING)
		rig_ask(&rig, "HSET envdriver:claim:%s a b", ID);
	else if (f != ABSENT)
		rig_ask(&rig, "SET envdriver:claim:%s %s", ID, found_texts[f]);
	if (f == ANSWERED || f == ANSWERED_THEIRS)
		rig_ask(&rig, "SET envdriver:answer:%s A0 PX %d", ID, BACKSTOP_MS);
}

/* --- what is done --- */

static char said[200];	/* what the callback said; "" before it came */
static int calls;

static void
say(const char *text, int attempt)
{
	snprintf(said, sizeof(said), "%s %d", text, attempt);
	calls++;
}

static void
on_claim(void *arg, const struct claims_reply *r)
{
	static const char *const names[] = {
		[CLAIM_NEW] = "NEW", [CLAIM_NEED_SCRIPT] = "?",
		[CLAIM_IS_DUPLICATE] = "DUPLICATE", [CLAIM_IS_CALLING] = "CALLING",
		[CLAIM_IS_ANSWERED] = "ANSWERED", [CLAIM_IS_INTERRUPTED] = "INTERRUPTED",
		[CLAIM_IS_DONE] = "DONE",
	};
	char text[100] = "-";

	(void)arg;
	if (r->found)
		snprintf(text, sizeof(text), "%.*s", SPAN_FMT(r->found->token));
	say(names[r->met], r->attempt);
	strcat(strcat(said, " "), text);
}

static void
on_answer(void *arg, enum claims_recorded how)
{
	const char *const names[] = { "accepted", "published", "refused" };

	(void)arg;
	say(names[how], 0);
}

static void
on_takeover(void *arg, bool taken, int attempt)
{
	(void)arg;
	say(taken ? "taken" : "refused", attempt);
}

static void
on_fetch(void *arg, struct span packed)
{
	(void)arg;
	snprintf(said, sizeof(said), "%.*s", packed.ptr ? (int)packed.len : 1,
		 packed.ptr ? packed.ptr : "-");
	calls++;
}

static void
on_look(void *arg, const struct claim *found)
{
	(void)arg;
	snprintf(said, sizeof(said), "%.*s", found ? (int)found->token.len : 1,
		 found ? found->token.ptr : "-");
	calls++;
}

static bool
was_said(void *arg)
{
	(void)arg;
	return calls > 0;
}

static bool
finished(void *arg)
{
	(void)arg;
	return claims_finishing(claims) == 0;
}

enum op {
	CLAIM_CALL,
	CLAIM_NO_CALL,
	RELEASE,	/* of a claim just sent */
	ANSWER,		/* lease L1 */
	ANSWER_SAME,	/* lease L0% */
	TAKE_RERUN,	/* seen token T */
	TAKE_RERUN_LOST,	/* its answer is missing or bad */
	TAKE_INTERRUPT,
	FINISH,
	FINISH_ANSWERED,
	FINISH_ACQUIRE,	/* lease L1 */
	FINISH_SAME,	/* an AcquireLease with lease L0% */
	SETTLE,		/* token T, lease L1 */
	REASSERT,	/* attempt 7 */
	FETCH,
	LOOK,
};

static void
take(enum op op)
{
	bool rerun = op != TAKE_INTERRUPT, lost = op == TAKE_RERUN_LOST;
	const struct claims_takeover what = { SPAN_LIT(ID), &record, SPAN_LIT("T"),
		rerun ? "NEW" : NULL, rerun, lost, SPAN_LIT("{\"p\":1}") };

	claims_takeover(claims, &what, on_takeover, NULL);
}

static void
finish(enum op op)
{
	struct span lease = op == FINISH_SAME ? SPAN_LIT("L0%")
			    : op >= FINISH_ACQUIRE ? SPAN_LIT("L1") : SPAN_NULL;
	const struct claims_finish what = {
		SPAN_LIT(ID), &record, "T", lease, .answered = op == FINISH_ANSWERED,
		.acquire = op >= FINISH_ACQUIRE, .destroy = SPAN_LIT("{\"p\":1}"),
	};

	assert_true((op == SETTLE ? claims_settle : claims_finish)(claims, &what));
	rig_until(&rig, finished, NULL, PATIENCE_MS);
}

static void
start(enum op op)
{
	const struct span id = SPAN_LIT(ID);
	const struct claims_claim asked = { id, &record, "T", op != CLAIM_NO_CALL, SPAN_LIT("EV") };
	const struct span lease = op == ANSWER ? SPAN_LIT("L1") : SPAN_LIT("L0%");
	const struct claims_answer answer = { id, &record, "T", 5, SPAN_LIT("A1"), lease, SPAN_NULL,
					      0 };

	if (op == CLAIM_CALL || op == CLAIM_NO_CALL) {
		claims_claim(claims, &asked, on_claim, NULL);
	} else if (op == RELEASE) {
		claims_release(claims, claims_claim(claims, &asked, on_claim, NULL));
		assert_int_equal(claims_finishing(claims), 1);
		rig_until(&rig, finished, NULL, PATIENCE_MS);
	} else if (op == ANSWER || op == ANSWER_SAME) {
		claims_answer(claims, &answer, on_answer, NULL);
	} else if (op >= TAKE_RERUN && op <= TAKE_INTERRUPT) {
		take(op);
	} else if (op >= FINISH && op <= SETTLE) {
		finish(op);
	} else if (op == FETCH) {
		claims_fetch(claims, id, on_fetch, NULL);
	} else {
		if (op == REASSERT)
			claims_reassert(claims, id, &record, "T", 7);
		claims_look(claims, id, on_look, NULL);
	}
}

/* What Redis holds: state, instance, token, attempt and lease of the claim;
 * the answer; the orphans. */
static const char *
held(void)
{
	static char text[500];
	struct buf scratch = BUF_INIT;
	const char *raw = rig_ask(&rig, "GET envdriver:claim:%s", ID);
	struct claim c;

	snprintf(text, sizeof(text), "%s", raw);
	if (claim_parse(span_of(raw), &scratch, &c, NULL) == 0)
		snprintf(text, sizeof(text), "%.*s %.*s %d %.*s", SPAN_FMT(c.instance),
			 SPAN_FMT(c.token), c.attempt, SPAN_FMT(c.lease));
	buf_release(&scratch);
	strcat(strcat(text, " / "), rig_ask(&rig, "GET envdriver:answer:%s", ID));
	strcat(strcat(text, " / "), rig_ask(&rig, "HGETALL envdriver:orphans"));
	return text;
}

static const char *
state_of(void)
{
	static char state[20];
	const char *raw = rig_ask(&rig, "GET envdriver:claim:%s", ID);

	state[0] = '\0';
	if (sscanf(raw, "v1|%15[a-z]|", state) != 1)
		snprintf(state, sizeof(state), "-");
	return state;
}

#define ORPHAN "c1:T {\"lease\":\"L0%\",\"call\":{\"p\":1}}"
#define UNTOUCHED NULL

static const struct row {
	const char *name;
	enum op op;
	enum found found;
	const char *says, *again;	/* `again`: the same once more; NULL: as `says` */
	const char *state, *holds;	/* after both; `holds` UNTOUCHED: as it was */
} rows[] = {
	{ "claim: absent", CLAIM_CALL, ABSENT, "NEW 1 -", NULL, "calling", "us T 1  / (nil) / " },
	{ "claim: claimed", CLAIM_CALL, CLAIMED, "NEW 2 -", NULL, "calling", "us T 2  / (nil) / " },
	{ "claim: calling, same token", CLAIM_CALL, CALLING, "NEW 2 -", NULL, "calling",
	  UNTOUCHED },
	{ "claim: calling", CLAIM_CALL, CALLING_THEIRS, "CALLING 2 T2", NULL, "calling",
	  UNTOUCHED },
	{ "claim: answered, same token", CLAIM_CALL, ANSWERED, "ANSWERED 2 T", NULL, "answered",
	  UNTOUCHED },
	{ "claim: answered", CLAIM_CALL, ANSWERED_THEIRS, "ANSWERED 2 T2", NULL, "answered",
	  UNTOUCHED },
	{ "claim: interrupted", CLAIM_CALL, INTERRUPTED, "INTERRUPTED 2 T", NULL, "interrupted",
	  UNTOUCHED },
	{ "claim: done", CLAIM_CALL, DONE, "DONE 0 ", NULL, "done", UNTOUCHED },
	{ "claim: another record", CLAIM_CALL, ELSEWHERE, "DUPLICATE 2 T", NULL, "calling",
	  UNTOUCHED },
	{ "claim: unreadable", CLAIM_CALL, UNREADABLE, "INTERRUPTED 0 -", NULL, "calling",
	  UNTOUCHED },
	{ "claim: no string", CLAIM_CALL, NO_STRING, "INTERRUPTED 0 -", NULL, "-", UNTOUCHED },

	{ "no call: absent", CLAIM_NO_CALL, ABSENT, "NEW 1 -", NULL, "answered",
	  "us T 1  / EV / " },
	{ "no call: called before", CLAIM_NO_CALL, CLAIMED, "INTERRUPTED 2 T2", NULL, "interrupted",
	  "them T2 2  / (nil) / " },
	{ "no call: calling, same token", CLAIM_NO_CALL, CALLING, "NEW 2 -", NULL, "calling",
	  UNTOUCHED },
	{ "no call: calling", CLAIM_NO_CALL, CALLING_THEIRS, "CALLING 2 T2", NULL, "calling",
	  UNTOUCHED },
	{ "no call: answered, same token", CLAIM_NO_CALL, ANSWERED, "NEW 2 -", NULL, "answered",
	  UNTOUCHED },
	{ "no call: answered", CLAIM_NO_CALL, ANSWERED_THEIRS, "ANSWERED 2 T2", NULL, "answered",
	  UNTOUCHED },
	{ "no call: interrupted", CLAIM_NO_CALL, INTERRUPTED, "INTERRUPTED 2 T", NULL,
	  "interrupted", UNTOUCHED },
	{ "no call: done", CLAIM_NO_CALL, DONE, "DONE 0 ", NULL, "done", UNTOUCHED },
	{ "no call: another record", CLAIM_NO_CALL, ELSEWHERE, "DUPLICATE 2 T", NULL, "calling",
	  UNTOUCHED },
	{ "no call: unreadable", CLAIM_NO_CALL, UNREADABLE, "INTERRUPTED 0 -", NULL, "calling",
	  UNTOUCHED },
	{ "no call: no string", CLAIM_NO_CALL, NO_STRING, "INTERRUPTED 0 -", NULL, "-", UNTOUCHED },

	{ "release: absent before the claim", RELEASE, ABSENT, "", NULL, "claimed",
	  "us T 1  / (nil) / " },
	{ "release: calling, same token", RELEASE, CALLING, "", NULL, "claimed",
	  "us T 2  / (nil) / " },
	{ "release: calling", RELEASE, CALLING_THEIRS, "", NULL, "calling", UNTOUCHED },
	{ "release: answered, same token", RELEASE, ANSWERED, "", NULL, "answered", UNTOUCHED },
	{ "release: interrupted", RELEASE, INTERRUPTED, "", NULL, "interrupted", UNTOUCHED },
	{ "release: done", RELEASE, DONE, "", NULL, "done", UNTOUCHED },
	{ "release: another record", RELEASE, ELSEWHERE, "", NULL, "calling", UNTOUCHED },
	{ "release: unreadable", RELEASE, UNREADABLE, "", NULL, "calling", UNTOUCHED },

	{ "answer: absent", ANSWER, ABSENT, "accepted 0", NULL, "answered",
	  "us T 5 L1 / A1 / " },
	{ "answer: calling, same token", ANSWER, CALLING, "accepted 0", NULL, "answered",
	  "us T 2 L1 / A1 / " },
	{ "answer: answered, same token", ANSWER, ANSWERED, "accepted 0", NULL, "answered",
	  "us T 2 L1 / A1 / " },
	{ "answer: claimed", ANSWER, CLAIMED, "refused 0", NULL, "claimed", UNTOUCHED },
	{ "answer: calling", ANSWER, CALLING_THEIRS, "refused 0", NULL, "calling", UNTOUCHED },
	{ "answer: answered", ANSWER, ANSWERED_THEIRS, "refused 0", NULL, "answered", UNTOUCHED },
	{ "answer: interrupted, same token", ANSWER, INTERRUPTED, "refused 0", NULL, "interrupted",
	  UNTOUCHED },
	{ "answer: done", ANSWER, DONE, "refused 0", NULL, "done", UNTOUCHED },
	{ "answer: done with it", ANSWER_SAME, DONE, "published 0", NULL, "done", UNTOUCHED },
	{ "answer: another record", ANSWER, ELSEWHERE, "refused 0", NULL, "calling", UNTOUCHED },
	{ "answer: unreadable", ANSWER, UNREADABLE, "refused 0", NULL, "calling", UNTOUCHED },
	{ "answer: no string", ANSWER, NO_STRING, "refused 0", NULL, "-", UNTOUCHED },

	{ "take over: absent", TAKE_RERUN, ABSENT, "refused 0", NULL, "-", UNTOUCHED },
	{ "take over: calling, token seen", TAKE_RERUN, CALLING, "taken 3", NULL, "claimed",
	  "us NEW 3  / (nil) / " },
	{ "take over: calling, another token", TAKE_RERUN, CALLING_THEIRS, "refused 0", NULL,
	  "calling", UNTOUCHED },
	{ "take over: claimed", TAKE_RERUN, CLAIMED, "refused 0", NULL, "claimed", UNTOUCHED },
	{ "take over: own lost reply", TAKE_RERUN, CLAIMED_NEW, "taken 3", NULL, "claimed",
	  UNTOUCHED },
	{ "take over: answered meanwhile", TAKE_RERUN, ANSWERED, "refused 0", NULL, "answered",
	  UNTOUCHED },
	{ "take over: interrupted", TAKE_RERUN, INTERRUPTED, "refused 0", NULL, "interrupted",
	  UNTOUCHED },
	{ "take over: done", TAKE_RERUN, DONE, "refused 0", NULL, "done", UNTOUCHED },
	{ "take over: another record", TAKE_RERUN, ELSEWHERE, "refused 0", NULL, "calling",
	  UNTOUCHED },
	{ "take over: unreadable", TAKE_RERUN, UNREADABLE, "refused 0", NULL, "calling",
	  UNTOUCHED },
	{ "take over, answer bad: its lease goes to orphans", TAKE_RERUN_LOST, ANSWERED, "taken 3",
	  NULL, "claimed", "us NEW 3  / (nil) / " ORPHAN },
	{ "take over, answer bad: another token", TAKE_RERUN_LOST, ANSWERED_THEIRS, "refused 0",
	  NULL, "answered", UNTOUCHED },
	{ "take over, answer bad: calling", TAKE_RERUN_LOST, CALLING, "taken 3", NULL, "claimed",
	  "us NEW 3  / (nil) / " },
	{ "interrupt: calling, token seen", TAKE_INTERRUPT, CALLING, "taken 2", NULL,
	  "interrupted", "us T 2  / (nil) / " },
	{ "interrupt: own lost reply", TAKE_INTERRUPT, INTERRUPTED, "taken 2", NULL, "interrupted",
	  UNTOUCHED },
	{ "interrupt: answered meanwhile", TAKE_INTERRUPT, ANSWERED, "refused 0", NULL, "answered",
	  UNTOUCHED },
	{ "interrupt: claimed", TAKE_INTERRUPT, CLAIMED, "refused 0", NULL, "claimed", UNTOUCHED },

	{ "finish: calling", FINISH, CALLING, "", NULL, "done", "  0  / (nil) / " },
	{ "finish: absent", FINISH, ABSENT, "", NULL, "done", "  0  / (nil) / " },
	{ "finish: leaves an answer that was not said", FINISH, ANSWERED, "", NULL, "done",
	  "  0  / A0 / " },
	{ "finish: removes the answer", FINISH_ANSWERED, ANSWERED, "", NULL, "done",
	  "  0  / (nil) / " },
	{ "finish: unreadable", FINISH, UNREADABLE, "", NULL, "done", "  0  / (nil) / " },
	{ "finish: no string", FINISH, NO_STRING, "", NULL, "done", "  0  / (nil) / " },
	{ "finish acquire: another lease is an orphan", FINISH_ACQUIRE, ANSWERED, "", NULL, "done",
	  "  0 L1 / (nil) / " ORPHAN },
	{ "finish acquire: the same lease is none", FINISH_SAME, ANSWERED, "", NULL, "done",
	  "  0 L0% / (nil) / " },
	{ "finish acquire: no lease there", FINISH_ACQUIRE, CALLING, "", NULL, "done",
	  "  0 L1 / (nil) / " },
	{ "finish acquire: done with it already", FINISH_SAME, DONE, "", NULL, "done",
	  "  0 L0% / (nil) / " },
	{ "finish acquire: another record's lease is not ours", FINISH_ACQUIRE, ELSEWHERE, "", NULL,
	  "done", "  0 L1 / (nil) / " },
	{ "finish acquire: no string", FINISH_ACQUIRE, NO_STRING, "", NULL, "done",
	  "  0 L1 / (nil) / " },

	{ "settle: calling, our token", SETTLE, CALLING, "", NULL, "done", "  0 L1 / (nil) / " },
	{ "settle: answered, our token, another lease", SETTLE, ANSWERED, "", NULL, "done",
	  "  0 L1 / (nil) / " ORPHAN },
	{ "settle: interrupted, our token", SETTLE, INTERRUPTED, "", NULL, "done",
	  "  0 L1 / (nil) / " },
	{ "settle: done by another, its lease stays", SETTLE, DONE, "", NULL, "done", UNTOUCHED },
	{ "settle: calling", SETTLE, CALLING_THEIRS, "", NULL, "calling", UNTOUCHED },
	{ "settle: answered", SETTLE, ANSWERED_THEIRS, "", NULL, "answered", UNTOUCHED },
	{ "settle: claimed", SETTLE, CLAIMED, "", NULL, "claimed", UNTOUCHED },
	{ "settle: absent", SETTLE, ABSENT, "", NULL, "-", UNTOUCHED },
	{ "settle: another record", SETTLE, ELSEWHERE, "", NULL, "calling", UNTOUCHED },
	{ "settle: unreadable", SETTLE, UNREADABLE, "", NULL, "calling", UNTOUCHED },

	{ "reassert: absent", REASSERT, ABSENT, "T", NULL, "calling", "us T 7  / (nil) / " },
	{ "reassert: calling", REASSERT, CALLING, "T", NULL, "calling", UNTOUCHED },
	{ "reassert: taken over", REASSERT, CLAIMED, "T2", NULL, "claimed", UNTOUCHED },
	{ "reassert: done", REASSERT, DONE, "", NULL, "done", UNTOUCHED },

	{ "fetch: there", FETCH, ANSWERED, "A0", NULL, "answered", UNTOUCHED },
	{ "fetch: missing", FETCH, CALLING, "-", NULL, "calling", UNTOUCHED },
	{ "look: there", LOOK, CALLING_THEIRS, "T2", NULL, "calling", UNTOUCHED },
	{ "look: absent", LOOK, ABSENT, "-", NULL, "-", UNTOUCHED },
	{ "look: unreadable", LOOK, UNREADABLE, "-", NULL, "calling", UNTOUCHED },
	{ "look: no string", LOOK, NO_STRING, "-", NULL, "-", UNTOUCHED },
};

static void
do_once(const struct row *r, const char *says)
{
	said[0] = '\0';
	calls = 0;
	start(r->op);
	if (says[0] || r->op == REASSERT)
		rig_until(&rig, was_said, NULL, PATIENCE_MS);
	if (strcmp(said, says) != 0)
		fail_msg("%s: said '%s', want '%s'", r->name, said, says);
}

static void
check_times(const struct row *r)
{
	long ms = atol(rig_ask(&rig, "PTTL envdriver:claim:%s", ID));
	bool done = strcmp(r->state, "done") == 0;

	if (r->holds == UNTOUCHED)
		return;
	if (ms > (done ? RETENTION_MS : BACKSTOP_MS) || ms < RETENTION_MS - 10000 ||
	    (!done && ms < BACKSTOP_MS - 10000))
		fail_msg("%s: the claim expires in %ld ms", r->name, ms);
	ms = atol(rig_ask(&rig, "PTTL envdriver:answer:%s", ID));
	/* -2: there is none. With the claim at the latest, never without end. */
	if (ms == -1 || ms > BACKSTOP_MS)
		fail_msg("%s: the answer expires in %ld ms", r->name, ms);
}

static void
test_rows(void **state)
{
	char before[500];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		const char *now;

		put_found(r->found);
		snprintf(before, sizeof(before), "%s", held());
		do_once(r, r->says);
		do_once(r, r->again ? r->again : r->says);
		now = held();
		if (strcmp(now, r->holds ? r->holds : before) != 0)
			fail_msg("%s: Redis holds '%s', want '%s'", r->name, now,
				 r->holds ? r->holds : before);
		if (strcmp(state_of(), r->state) != 0)
			fail_msg("%s: state %s", r->name, state_of());
		check_times(r);
	}
}

/* --- the rig --- */

static int
set_up(void **state)
{
	const struct instance_events none = { 0 };

	(void)state;
	claims_rig_open(&rig, &none, &instance, &claims);
	rig_start(&rig);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	claims_rig_close(&rig, instance, claims);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
