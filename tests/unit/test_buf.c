/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/buf.h"
#include "alloc_rig.h"

static void
test_add(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_true(span_is(buf_span(&b), ""));
	buf_adds(&b, "ab");
	buf_addch(&b, 'c');
	buf_add(&b, "\0d", 2);
	buf_addspan(&b, SPAN_NULL);
	buf_addspan(&b, SPAN_LIT("e"));
	buf_addf(&b, "%d-%s", 7, "x");
	assert_true(span_eq(buf_span(&b), SPAN_LIT("abc\0de7-x")));
	assert_int_equal(b.data[b.len], '\0');
	buf_release(&b);
	assert_null(b.data);
	buf_release(&b);
}

/* Every size around the steps in which it grows. */
static void
test_grow(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		struct buf once = BUF_INIT, bits = BUF_INIT, printed = BUF_INIT;
		char text[300];

		memset(text, 'a' + (int)(n % 26), n);
		text[n] = '\0';
		buf_add(&once, text, n);
		buf_addf(&printed, "%s", text);
		for (size_t i = 0; i < n; i++)
			buf_addch(&bits, text[i]);
		assert_true(span_is(buf_span(&once), text));
		assert_true(span_is(buf_span(&bits), text));
		assert_true(span_is(buf_span(&printed), text));
		assert_int_equal(once.data[n], '\0');
		buf_release(&once);
		buf_release(&bits);
		buf_release(&printed);
	}
}

static const struct consume_row {
	const char *name;
	size_t n;
	const char *left;
} consume_rows[] = {
	{ "nothing",	0,	"abcdef" },
	{ "some",	2,	"cdef" },
	{ "all but one", 5,	"f" },
	{ "all",	6,	"" },
	{ "too much",	7,	"" },
};

static void
test_consume(void **state)
{
	const struct consume_row *row;

	(void)state;
	EACH(row, consume_rows) {
		struct buf b = BUF_INIT;

		buf_adds(&b, "abcdef");
		buf_consume(&b, row->n);
		if (!span_is(buf_span(&b), row->left) || b.data[b.len] != '\0')
			fail_msg("%s: '%s'", row->name, b.data);
		buf_release(&b);
	}
}

static void
test_take(void **state)
{
	struct buf b = BUF_INIT;
	size_t len = 9;
	char *text;

	(void)state;
	/* An empty one gives a text too. */
	text = buf_take(&b, &len);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
	buf_adds(&b, "abc");
	text = buf_take(&b, &len);
	assert_string_equal(text, "abc");
	assert_int_equal(len, 3);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(text);
}

static void
test_reset(void **state)
{
	struct buf b = BUF_INIT;
	const char *before;

	(void)state;
	buf_reset(&b);
	buf_adds(&b, "abc");
	before = b.data;
	buf_reset(&b);
	assert_ptr_equal(b.data, before);
	assert_string_equal(b.data, "");
	buf_release(&b);
}

static void *
no_realloc(void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return NULL;
}

/* The first failure sticks: what follows adds nothing, a take gives nothing. */
static void
test_failed(void **state)
{
	struct buf b = BUF_INIT;
	char text[200] = "";

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	buf_adds(&b, "abc");
	alloc_replace(no_realloc);
	buf_adds(&b, text);
	alloc_replace(NULL);
	assert_true(b.failed);
	buf_adds(&b, "d");
	buf_addf(&b, "%d", 1);
	assert_string_equal(b.data, "abc");
	assert_null(buf_take(&b, NULL));
	assert_false(b.failed);

	/* A size that no allocator has. */
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_reserve(&b, SIZE_MAX / 2));
	assert_true(b.failed);
	buf_reset(&b);
	assert_true(buf_reserve(&b, 10));
	buf_release(&b);
}

static void
test_wipes(void **state)
{
	struct buf b = BUF_WIPES;
	char *before;

	(void)state;
	buf_adds(&b, "a secret");
	before = b.data;
	buf_reset(&b);
	assert_ptr_equal(b.data, before);
	for (size_t i = 0; i < b.cap; i++)
		assert_int_equal(b.data[i], 0);
	buf_adds(&b, "another");
	assert_true(buf_reserve(&b, 1000));
	assert_string_equal(b.data, "another");
	buf_adds(&b, " one");
	assert_string_equal(b.data, "another one");
	buf_release(&b);
	assert_true(b.wipes);
}

static const struct span_row {
	const char *name;
	struct span a, b;
	bool eq;
} span_rows[] = {
	{ "same",		S("ab"),	S("ab"),	true },
	{ "other",		S("ab"),	S("ac"),	false },
	{ "shorter",		S("ab"),	S("a"),		false },
	{ "with NUL",		S("a\0b"),	S("a\0c"),	false },
	{ "both empty",		S(""),		S(""),		true },
	{ "both null",		{ NULL, 0 },	{ NULL, 0 },	true },
	{ "null is not empty",	{ NULL, 0 },	S(""),		false },
};

static void
test_spans(void **state)
{
	const struct span_row *row;

	(void)state;
	EACH(row, span_rows)
		if (span_eq(row->a, row->b) != row->eq || span_eq(row->b, row->a) != row->eq)
			fail_msg("%s", row->name);
	assert_true(span_is(span_of("ab"), "ab"));
	assert_false(span_is(span_of("ab"), "abc"));
	assert_false(span_is(SPAN_LIT("a\0b"), "a"));
	assert_false(span_is(SPAN_NULL, ""));
	assert_null(span_of(NULL).ptr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),	cmocka_unit_test(test_grow),
		cmocka_unit_test(test_consume), cmocka_unit_test(test_take),
		cmocka_unit_test(test_reset),	cmocka_unit_test(test_failed),
		cmocka_unit_test(test_spans),	cmocka_unit_test(test_wipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
