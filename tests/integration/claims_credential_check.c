/* SPDX-License-Identifier: Apache-2.0 */
/* A credential goes to Redis with the answer that names it, in one step and once. */
#include "unit.h"

#include "envdriver/base/clock.h"
#include "claims_rig.h"

enum { LIFE_MS = 30000 };

#define KEY "envdriver:credential:c1"
#define CALLING "v1|calling|t|0|17|1000|us|n1|T|1|then|"
#define TAKEN "v1|claimed|t|0|17|1000|them|n2|T2|2|then|"
#define SECRET "{\"token\":\"t|%\n\"}"

static struct rig rig;
static struct instance *instance;
static struct claims *claims;
static const struct claim_record record = { SPAN_LIT("t"), 0, 17, 1000 };
static int recorded;	/* how the answer was taken, -1: not yet */

static void
on_recorded(void *arg, enum claims_recorded how)
{
	(void)arg;
	recorded = (int)how;
}

static bool
is_recorded(void *arg)
{
	(void)arg;
	return recorded >= 0;
}

/* Answers as token T; true when the claim took it. */
static bool
answer(const char *events, struct span secret, int64_t until)
{
	const struct claims_answer what = { SPAN_LIT("c1"), &record, "T", 1, span_of(events),
					    SPAN_LIT("L"), secret, until };

	recorded = -1;
	assert_non_null(claims_answer(claims, &what, on_recorded, NULL));
	rig_until(&rig, is_recorded, NULL, PATIENCE_MS);
	return recorded == CLAIMS_ACCEPTED;
}

static void
test_stored_once(void **state)
{
	int64_t until = clock_wall_ms() + LIFE_MS;
	long ms;

	(void)state;
	rig_ask(&rig, "FLUSHALL");
	rig_ask(&rig, "SET envdriver:claim:c1 %s", CALLING);
	assert_true(answer("A1", SPAN_LIT(SECRET), until));
	ms = atol(rig_ask(&rig, "PTTL " KEY));
	assert_true(ms > LIFE_MS / 2 && ms <= LIFE_MS);
	assert_string_equal(rig_ask(&rig, "GETDEL " KEY), SECRET);
	/* Our reply was lost, and it is sent again: somebody has read it. */
	assert_true(answer("A1", SPAN_LIT(SECRET), until));
	assert_string_equal(rig_ask(&rig, "EXISTS " KEY), "0");
	assert_string_equal(rig_ask(&rig, "GET envdriver:answer:c1"), "A1");
}

static void
test_absent_claim(void **state)
{
	(void)state;
	rig_ask(&rig, "FLUSHALL");
	assert_true(answer("A1", SPAN_LIT(SECRET), clock_wall_ms() + LIFE_MS));
	assert_string_equal(rig_ask(&rig, "GET " KEY), SECRET);
}

/* Whoever took the command over has another answer. */
static void
test_refused(void **state)
{
	(void)state;
	rig_ask(&rig, "FLUSHALL");
	rig_ask(&rig, "SET envdriver:claim:c1 %s", TAKEN);
	assert_false(answer("A1", SPAN_LIT(SECRET), clock_wall_ms() + LIFE_MS));
	assert_string_equal(rig_ask(&rig, "EXISTS " KEY), "0");
}

static void
test_expired_and_none(void **state)
{
	(void)state;
	rig_ask(&rig, "FLUSHALL");
	assert_true(answer("A1", SPAN_NULL, 0));
	assert_string_equal(rig_ask(&rig, "EXISTS " KEY), "0");
	rig_ask(&rig, "FLUSHALL");
	assert_true(answer("A1", SPAN_LIT(SECRET), clock_wall_ms() - 1));
	rig_run(&rig, 20);
	assert_string_equal(rig_ask(&rig, "EXISTS " KEY), "0");
}

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
		cmocka_unit_test(test_stored_once),
		cmocka_unit_test(test_absent_claim),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_expired_and_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
