/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/buf.h"
#include "envdriver/base/units.h"

static const struct unit_row {
	bool size;
	const char *text;
	int64_t value;		/* -1: refused */
	const char *again;
} unit_rows[] = {
	{ false, "0", 0, "0" },
	{ false, "500ms", 500, "500ms" },
	{ false, "1000ms", 1000, "1s" },
	{ false, "90 s", 90000, "90s" },
	{ false, "5min", 300000, "5min" },
	{ false, "24h", 86400000, "1d" },
	{ false, "9d", 777600000, "9d" },
	{ false, "5", -1, NULL },
	{ false, "5m", 300000, "5min" },
	{ false, "1m", 60000, "1min" },
	{ false, "30 sec", 30000, "30s" },
	{ false, "30seconds", 30000, "30s" },
	{ false, "2 hours", 7200000, "2h" },
	{ false, "1 day", 86400000, "1d" },
	{ false, "2w", 1209600000, "14d" },
	/* It could be a month. */
	{ false, "5M", -1, NULL },
	{ false, "5 mon", -1, NULL },
	{ false, "s", -1, NULL },
	{ false, "1.5s", -1, NULL },
	{ false, "-1s", -1, NULL },
	{ false, "1s ", -1, NULL },
	{ false, "9223372036854775807d", -1, NULL },
	{ true, "0", 0, "0" },
	{ true, "1023", 1023, "1023B" },
	{ true, "64KiB", 65536, "64KiB" },
	{ true, "2GiB", INT64_C(2) << 30, "2GiB" },
	{ true, "1MB", 1000000, "1000000B" },
	{ true, "64kB", 64000, "64000B" },
	{ true, "1 GB", 1000000000, "1000000000B" },
	{ true, "1M", 1048576, "1MiB" },
	{ true, "64K", 65536, "64KiB" },
	{ true, "10 bytes", 10, "10B" },
	/* It could be a bit. */
	{ true, "2gb", -1, NULL },
	{ true, "1m", -1, NULL },
	{ true, "", -1, NULL },
	{ true, "9999999999TiB", -1, NULL },
};

static void
test_units(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(unit_rows) / sizeof(*unit_rows); i++) {
		const struct unit_row *r = &unit_rows[i];
		struct buf out = BUF_INIT;
		int64_t got = -1;

		(r->size ? units_size : units_duration)(r->text, &got, NULL);
		if (got != r->value)
			fail_msg("'%s': %lld", r->text, (long long)got);
		if (r->again) {
			(r->size ? units_add_size : units_add_duration)(&out, got);
			CHECK_TEXT(r->text, out.data, r->again);
		}
		buf_release(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
