/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/excerpt.h"
#include "envdriver/base/utf8.h"

static const struct {
	const char *name, *text, *want;
} rows[] = {
	{ "nothing", "", "" },
	{ "one line", "a b", "a b" },
	{ "only blanks", " \n\t ", "" },
	{ "lines and blanks become one blank each", "  a\n\n\tb \r\n c\n", "a b c" },
	{ "control characters and colours", "a\x1b[31mb\x07" "c\x7f" "d", "a [31mb c d" },
	{ "other ends of lines, directions", "a\xe2\x80\xa8" "b\xe2\x80\xae" "c", "a b c" },
	{ "ill-formed bytes", "a\xff\xc3z", "a\xef\xbf\xbd\xef\xbf\xbdz" },
	{ "characters of several bytes", "\xc3\xa9\xe2\x98\x83\xf0\x9f\x98\x80",
	  "\xc3\xa9\xe2\x98\x83\xf0\x9f\x98\x80" },
	{ "31 bytes fit", "0123456789012345678901234567890", "0123456789012345678901234567890" },
	{ "32 do not: the middle goes", "01234567890123456789012345678901",
	  "01234567890123\xe2\x80\xa6" "89012345678901" },
	{ "cut between characters", "\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83"
	  "\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83",
	  "\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x80\xa6"
	  "\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83\xe2\x98\x83" },
};

static void
a_text_becomes_one_line_of_that_size(void **state)
{
	char out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		excerpt_line(out, sizeof(out), span_of(rows[i].text));
		CHECK_TEXT(rows[i].name, out, rows[i].want);
		CHECK(rows[i].name, utf8_find_bad(out, out + strlen(out)) == out + strlen(out));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_becomes_one_line_of_that_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
