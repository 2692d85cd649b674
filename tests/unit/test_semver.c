/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/semver.h"

static const struct ok_row {
	const char *text;
	bool ok;
} ok_rows[] = {
	{ "1.2.3", true },	{ "0.0.0", true },	{ "2026.916.1", true },
	{ "1.0.0-rc.1+b-2", true }, { "1.0.0+b", true }, { "1.0.0--", true },
	{ "", false },		{ "1", false },		{ "1.0", false },
	{ "1.0.", false },	{ "v1.0.0", false },	{ "1.0.0-", false },
	{ "1.0.0-a..b", false }, { "1.0.0+", false },	{ "1.0.0+a-b+c", false },
	{ "1.0.0 ", false },	{ " 1.0.0", false },	{ "1.0.0.0", false },
	{ ">=1.0.0", false },	{ "1.0.0-a.", false },
};

static const struct order_row {
	const char *less, *more;	/* or the same, when `same` */
	bool same;
} order_rows[] = {
	{ "1.0.0", "1.0.1", false },
	{ "1.9.0", "1.10.0", false },
	{ "9.0.0", "10.0.0", false },
	{ "2026.427.0", "2026.916.1", false },
	{ "2026.916.1", "2026.1001.0", false },
	{ "1.0.0-alpha", "1.0.0", false },
	{ "1.0.0-alpha", "1.0.0-alpha.1", false },
	{ "1.0.0-alpha.1", "1.0.0-alpha.beta", false },
	{ "1.0.0-beta.2", "1.0.0-beta.11", false },
	{ "1.0.0-beta.11", "1.0.0-rc.1", false },
	{ "1.0.0-1", "1.0.0-a", false },
	{ "99999999999999999999.0.0", "100000000000000000000.0.0", false },
	{ "1.0.0+a", "1.0.0+b", true },
	{ "1.0.0", "1.0.0+b", true },
	{ "1.0.0-a+x", "1.0.0-a", true },
	{ "01.0.0", "1.0.0", true },
};

static void
test_ok(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ok_rows); i++)
		if (semver_ok(span_of(ok_rows[i].text)) != ok_rows[i].ok)
			fail_msg("'%s'", ok_rows[i].text);
}

static void
test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(order_rows); i++) {
		const struct order_row *r = &order_rows[i];
		int one = semver_compare(span_of(r->less), span_of(r->more));
		int other = semver_compare(span_of(r->more), span_of(r->less));

		if (r->same ? one || other : one >= 0 || other <= 0)
			fail_msg("%s, %s: %d, %d", r->less, r->more, one, other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
