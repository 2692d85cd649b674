/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/buf.h"
#include "envdriver/base/nearest.h"

static const char *const vocabulary[] = { "publish", "probe", "watch", "replay", "topics", NULL };

static const char *
word_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

static const struct word_row {
	const char *word, *nearest;
} word_rows[] = {
	{ "publish", "publish" }, { "pulbish", "publish" }, { "wathc", "watch" },
	{ "wtch", "watch" },	  { "replays", "replay" },  { "topic", "topics" },
	{ "x", NULL },		  { "", NULL },		    { "encyclopaedia", NULL },
	{ "0123456789012345678901234567890123456789012345678901234567890123456789", NULL },
};

static void
test_nearest(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(word_rows) / sizeof(*word_rows); i++) {
		const char *got = nearest_word(word_rows[i].word, word_at, vocabulary);

		CHECK_TEXT(word_rows[i].word, got ? got : "-",
		     word_rows[i].nearest ? word_rows[i].nearest : "-");
	}
	assert_int_equal(nearest_distance("abcd", "acbd"), 1);
	assert_int_equal(nearest_distance("", "abc"), 3);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
}

/* Names as people remember them. */
static void
test_begun(void **state)
{
	static const char *const names[] = { "Execute", "AcquireLease", "FAILED", "Probe", NULL };
	static const struct {
		const char *word, *nearest;
	} rows[] = {
		{ "failed", "FAILED" },	     { "faild", "FAILED" },   { "execute", "Execute" },
		{ "Execut", "Execute" },     { "exec", "Execute" },   { "acquire", "AcquireLease" },
		{ "acquirelase", "AcquireLease" }, { "ex", "-" },     { "lease", "-" },
		{ "", "-" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *got = nearest_begun(rows[i].word, word_at, names);

		CHECK_TEXT(rows[i].word, got ? got : "-", rows[i].nearest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
