/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"

static void
test_set(void **state)
{
	struct err err = { .retriable = true };

	(void)state;
	assert_int_equal(err_set(&err, ERR_LIMIT, "%s of %d", "more", 3), ERR_LIMIT);
	assert_int_equal(err.code, ERR_LIMIT);
	assert_false(err.retriable);
	assert_string_equal(err.text, "more of 3");
	/* Nobody wants the text: the code still comes back. */
	assert_int_equal(err_set(NULL, ERR_IO, "%d", 1), ERR_IO);
	assert_int_equal(err_nomem(NULL), ERR_NOMEM);
	assert_int_equal(err_nomem(&err), ERR_NOMEM);
	assert_string_equal(err.text, "out of memory");
}

static void
test_one_line(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_INVALID, "a\nb\r\nc");
	assert_string_equal(err.text, "a b  c");
	err_prefix(&err, "x\ny");
	assert_string_equal(err.text, "x y: a b  c");
}

static void
test_prefix(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_INVALID, "expected a value");
	err.retriable = true;
	err_prefix(&err, "plugin '%s'", "k");
	err_prefix(NULL, "nothing");
	assert_string_equal(err.text, "plugin 'k': expected a value");
	assert_int_equal(err.code, ERR_INVALID);
	assert_true(err.retriable);
}

/* A text that does not fit is cut, and never without its end. */
static void
test_cut(void **state)
{
	char longer[2 * sizeof(((struct err *)0)->text)];
	struct err err;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&err, ERR_INVALID, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "what");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "what: xxx", 9);
	err_prefix(&err, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "xxx", 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),    cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
