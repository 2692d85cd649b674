/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

static void
a_value_is_in_or_refused(void **state)
{
	static char longest[MASK_VALUE_MAX + 1];
	const struct span all = { longest, sizeof(longest) }, most = { longest, all.len - 1 };
	struct mask *m = mask_new();
	struct err err;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(mask_empty(NULL));
	assert_true(mask_empty(m));
	assert_int_equal(mask_add(m, SPAN_LIT("short"), &err), ERR_INVALID);
	assert_int_equal(mask_add(m, SPAN_LIT("latin \xe9 text"), &err), ERR_INVALID);
	assert_int_equal(mask_add(m, all, &err), ERR_LIMIT);
	assert_true(mask_empty(m));
	assert_int_equal(mask_add(m, most, &err), 0);
	assert_int_equal(mask_add(m, SPAN_LIT("sesame"), &err), 0);
	assert_int_equal(mask_add(m, SPAN_LIT("sesame"), &err), 0);
	longest[0] = 'y';
	assert_int_equal(mask_add(m, most, &err), ERR_LIMIT);
	assert_false(mask_empty(m));
	mask_free(m);
}

static void
all_of_a_mask_are_added_or_none(void **state)
{
	struct mask *call = mask_new(), *worker = mask_new();
	struct err err;
	char text[16];

	(void)state;
	for (int i = 0; i < MASK_VALUES_MAX - 1; i++) {
		snprintf(text, sizeof(text), "value %d", i);
		assert_int_equal(mask_add(worker, span_of(text), &err), 0);
	}
	assert_true(mask_filling(worker));
	assert_false(mask_filling(call));
	assert_int_equal(mask_add(call, SPAN_LIT("the first"), &err), 0);
	assert_int_equal(mask_add(call, SPAN_LIT("the second"), &err), 0);
	assert_int_equal(mask_add_all(worker, NULL, &err), 0);
	assert_int_equal(mask_add_all(worker, call, &err), ERR_LIMIT);
	assert_null(strstr(err.text, "second"));
	/* The first went out again. */
	assert_int_equal(mask_add(worker, SPAN_LIT("another"), &err), 0);
	assert_int_equal(mask_add(worker, SPAN_LIT("the first"), &err), ERR_LIMIT);
	mask_free(mask_share(call));
	assert_false(mask_empty(call));
	mask_free(call);
	mask_free(worker);
	mask_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_in_or_refused),
		cmocka_unit_test(all_of_a_mask_are_added_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
