/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/redis/redis_watch.h"
#include "envdriver/base/buf.h"

/* What is seen, at what time, and what /readyz says then. */
static const struct watch_row {
	int64_t at;
	bool up;
	const char *why;	/* as the connection gives it */
	const char *says;	/* "": ready */
} watch_rows[] = {
	{ 1000, false, "a: refused", "Redis is away: a: refused\n" },
	{ 2000, false, "a: LOADING", "Redis is away: a: LOADING\n" },
	{ 3000, true, "", "" },
	{ 60000, true, "", "" },
	/* A long life: the next connection counts at once. */
	{ 61000, false, "a: Redis closed the connection",
	  "Redis is away: a: Redis closed the connection\n" },
	{ 62000, false, "a: WRONGPASS", "Redis is away: a: WRONGPASS\n" },
	{ 63000, true, "", "" },
	/* Short lives, one after another. */
	{ 63500, false, "a: NOPERM", "Redis is away: a: NOPERM\n" },
	{ 64000, true, "", "" },
	{ 64100, false, "a: NOPERM", "Redis is away: a: NOPERM\n" },
	{ 64500, true, "", "Redis is lost again and again: a: NOPERM\n" },
	{ 74000, true, "", "Redis is lost again and again: a: NOPERM\n" },
	{ 74500, true, "", "" },
	{ 75000, false, "a: NOAUTH", "Redis is away: a: NOAUTH\n" },
	{ 76000, true, "", "" },
};

static void
test_reasons(void **state)
{
	struct redis_watch w = { .up = false };
	struct buf out = BUF_INIT;

	(void)state;
	redis_watch_why(&w, 0, &out);
	assert_string_equal(out.data, "Redis was not reached yet\n");
	for (size_t i = 0; i < sizeof(watch_rows) / sizeof(*watch_rows); i++) {
		const struct watch_row *r = &watch_rows[i];

		buf_reset(&out);
		redis_watch_see(&w, r->up, r->why, r->at);
		redis_watch_why(&w, r->at, &out);
		if (out.len != strlen(r->says) || memcmp(out.data, r->says, out.len) != 0)
			fail_msg("%lld: %.*s", (long long)r->at, (int)out.len, out.data);
	}
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reasons) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
