/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/base64.h"
#include "envdriver/base/jtext.h"

static struct mask *
mask_of(const char *const *values)
{
	struct mask *m = mask_new();

	for (; *values; values++)
		assert_int_equal(mask_add(m, span_of(*values), NULL), 0);
	assert_int_equal(mask_compile(m, NULL), 0);
	return m;
}

static const char *const sesame[] = { "open Sesame/\"1\"", NULL };

static void
each_form_of_a_value_is_masked(void **state)
{
	static const struct {
		const char *text, *masked;
	} rows[] = {
		{ "nothing", "nothing" },
		{ "", "" },
		{ "open Sesame/\"1\"", "***" },
		{ "<open Sesame/\"1\">", "<***>" },
		{ "open Sesame/\"1\"open Sesame/\"1\"", "***" },
		{ "open Sesame/\"1\" open Sesame/\"1\"", "*** ***" },
		{ "open open Sesame/\"1\" Sesame", "open *** Sesame" },
		{ "open Sesame/\"1", "open Sesame/\"1" },
		{ "Open Sesame/\"1\"", "Open Sesame/\"1\"" },
		/* JSON */
		{ "{\"a\":\"open Sesame/\\\"1\\\"\"}", "{\"a\":\"***\"}" },
		{ "open Sesame\\/\\\"1\\\"", "***" },
		{ "open\\u0020Sesame\\u002F\\u00221\\u0022", "***" },
		{ "open\\u0020Sesame\\u002f\\u00221\\u0022 \\n", "*** \\n" },
		{ "\\\"open Sesame/\\\\\\\"1\\\\\\\"\\\"", "\\\"***\\\"" },
		{ "open\\\\u0020Sesame/\\\\\\\"1\\\\u0022", "***" },
		{ "open Sesame/\\x221\\x22", "***" },
		{ "open Sesame/\\\"1\\", "open Sesame/\\\"1\\" },
		{ "open Sesame/\\\"1\\u002", "open Sesame/\\\"1\\u002" },
		/* percent */
		{ "?q=open%20Sesame%2F%221%22&x", "?q=***&x" },
		{ "?q=open+Sesame%2f%221%22", "?q=***" },
		{ "?q=open%20Sesame/%221%22", "?q=***" },
		{ "%6fpen%20Sesame/%221%22 100%", "*** 100%" },
		/* base64, alone and behind one and two bytes */
		{ "b3BlbiBTZXNhbWUvIjEi", "***" },
		{ "OiB4b3BlbiBTZXNhbWUvIjEiPg==", "OiB4***Pg==" },
		{ "eG9wZW4gU2VzYW1lLyIxIg==", "eG***g==" },
		{ "eHhvcGVuIFNlc2FtZS8iMSI=", "eHh***I=" },
		{ "b3BlbiBT\nZXNhbWUv\r\nIjEi\n", "***\n" },
		{ "b3BlbiBT\\nZXNhbWUv\\nIjEi\\n", "***\\n" },
		/* of it as a JSON string */
		{ "eyJhIjoib3BlbiBTZXNhbWUvXCIxXCIifQ==", "eyJhIjoi***IifQ==" },
		/* hexadecimal */
		{ "0x6f70656e20536573616d652f223122", "0x***" },
		{ "6F70656E20536573616D652F223122", "***" },
	};
	struct mask *m = mask_of(sesame);
	struct buf out = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct span got = mask_text(mask_forms(m), span_of(rows[i].text), &out);

		if (!span_is(got, rows[i].masked))
			fail_msg("row %zu: %s: %.*s", i, rows[i].text, SPAN_FMT(got));
	}
	buf_release(&out);
	mask_free(m);
}

static void
lines_and_parts_of_a_long_value_are_masked(void **state)
{
	static const char key[] = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\nab=\n"
				  "-----END KEY-----";
	static const char *const rows[][2] = {
		{ key, "***" },
		{ "x MIIEvQIBADANBg\r\nkqhkiG9w0BAQEF\r\nab=", "x ***\r\n***\r\nab=" },
		{ "MIIEvQIBADANBg\\nkqhkiG9w0BAQEF\\nab=\\n", "***\\n***\\nab=\\n" },
		{ "| MIIEvQIBADANBg |", "| *** |" },
	};
	char longest[1001] = "", part[700];
	const char *const values[] = { key, longest, NULL };
	struct buf out = BUF_INIT;
	struct mask *m;
	struct span got;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(longest); i++)
		longest[i] = (char)('!' + i * i % 89);
	m = mask_of(values);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		got = mask_text(mask_forms(m), span_of(rows[i][0]), &out);
		if (!span_is(got, rows[i][1]))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(got));
	}
	got = mask_text(mask_forms(m), span_of(longest), &out);
	assert_true(span_is(got, "***"));
	/* The first 600 bytes of it: four pieces are whole in there. */
	snprintf(part, sizeof(part), "%.600s", longest);
	got = mask_text(mask_forms(m), span_of(part), &out);
	assert_true(got.len < 100);
	assert_memory_equal(got.ptr, "***", 3);
	buf_release(&out);
	mask_free(m);
}

static void
json_stays_json(void **state)
{
	static const char *const values[] = {
		"sesame", "123456", "a\"b\\c\"d", "\xc3\xa9t\xc3\xa9-1", NULL,
	};
	static const char *const rows[][2] = {
		{ "{}", "{}" },
		{ "{\"a\":\"sesame\",\"sesame\":[1,true]}", "{\"a\":\"***\",\"***\":[1,true]}" },
		{ "[123456, 41234560.5e1, 12345, \"x123456\"]",
		  "[\"***\", \"***\", 12345, \"x***\"]" },
		{ "[\"a\\\"b\\\\c\\\"d\"]", "[\"***\"]" },
		/* Not across values. */
		{ "[\"ses\",\"ame\"]", "[\"ses\",\"ame\"]" },
		{ "[\"\\u0073\\u0065same\\n\\t\\u0041\"]", "[\"***\\n\\t\\u0041\"]" },
		{ "[\"{\\\"b\\\":\\\"a\\\\\\\"b\\\\\\\\c\\\\\\\"d\\\"}\"]",
		  "[\"{\\\"b\\\":\\\"***\\\"}\"]" },
		{ "[\"\\u00e9t\\u00E9-1\", \"\\\\u00e9t\\\\u00E9-1\"]", "[\"***\", \"***\"]" },
		{ "{\"keep\":\"sesame\"}", "{\"keep\":\"***\"}" },
	};
	struct mask *m = mask_of(values);
	struct buf out = BUF_INIT;
	struct span json, got;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		got = mask_json(mask_forms(m), span_of(rows[i][0]), NULL, 0, &out);
		if (!span_is(got, rows[i][1]))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(got));
		assert_int_equal(jtext_check(got, 64, NULL, NULL), 0);
	}
	json = span_of("{\"id\":\"sesame\",\"to\":\"sesame\"}");
	got = mask_json(mask_forms(m), json, &(struct span){ json.ptr + 6, 8 }, 1, &out);
	assert_true(span_is(got, "{\"id\":\"sesame\",\"to\":\"***\"}"));
	assert_ptr_equal(mask_json(NULL, json, NULL, 0, &out).ptr, json.ptr);
	/* So little of a value is in an identifier by chance. */
	assert_false(mask_shows(mask_forms(m), SPAN_LIT("\"sesame-1\"")));
	assert_true(mask_shows(mask_forms(m), SPAN_LIT("\"736573616d65\"")));
	buf_release(&out);
	mask_free(m);
}

static void
what_is_held_back_goes_out_or_is_masked_at_the_end(void **state)
{
	static const char *const values[] = { "sesame-sesame", NULL };
	struct mask *m = mask_of(values);
	struct mask_stream s = { .in_mask = false };
	struct buf out = BUF_INIT;
	struct span got;

	(void)state;
	got = mask_stream_add(&s, mask_forms(m), SPAN_LIT("say sesame-se"), &out);
	assert_true(span_is(got, "say "));
	assert_true(mask_stream_holds(&s));
	got = mask_stream_add(&s, mask_forms(m), SPAN_LIT("same. sesame"), &out);
	assert_true(span_is(got, "***. "));
	got = mask_stream_end(&s, mask_forms(m), /* cut= */ false, &out);
	assert_true(span_is(got, "sesame"));
	assert_false(mask_stream_holds(&s));
	(void)mask_stream_add(&s, mask_forms(m), SPAN_LIT("sesame"), &out);
	got = mask_stream_end(&s, mask_forms(m), /* cut= */ true, &out);
	assert_true(span_is(got, "***"));
	(void)mask_stream_add(&s, mask_forms(m), SPAN_LIT("sesa"), &out);
	got = mask_stream_end(&s, mask_forms(m), /* cut= */ true, &out);
	assert_true(span_is(got, "sesa"));
	buf_release(&out);
	mask_free(m);
}

/* Random texts of little but values and parts of them, in all forms */

static unsigned
dice(unsigned sides)
{
	return (unsigned)rand() % sides;
}

static void
add_form(struct buf *text, struct span value, unsigned form)
{
	struct buf made = BUF_INIT, more = BUF_INIT;

	buf_add(&more, "<<", dice(3));
	buf_addspan(&more, value);
	switch (form) {
	case 0:
		buf_addspan(&made, value);
		break;
	case 1:
		base64_encode(&made, buf_span(&more));
		break;
	case 2:
		for (size_t i = 0; i < value.len; i++)
			buf_addf(&made, dice(2) ? "%%%02x" : "%%%02X", (unsigned char)value.ptr[i]);
		break;
	case 3:
		jtext_add_string(&made, value);
		break;
	case 4:
		jtext_add_string(&more, value);
		jtext_add_string(&made, buf_span(&more));
		break;
	case 5:
		base64_encode(&made, buf_span(&more));
		for (size_t i = 0; i < made.len; i++) {
			buf_addch(text, made.data[i]);
			if (i % 8 == 7)
				buf_adds(text, dice(2) ? "\n" : "\r\n");
		}
		buf_reset(&made);
		break;
	default:
		buf_add(&made, value.ptr, dice((unsigned)value.len));
	}
	buf_addspan(text, buf_span(&made));
	buf_release(&made);
	buf_release(&more);
}

static void
make_text(struct buf *text, const char *const *values, unsigned n_values)
{
	static const char *const fillers[] = { "", " ", "a", "ab", "\\", "%", "\n", "\\u00", "\"",
					       "\xc3\xa9", "aba", "%4", "Zm9v" };

	buf_reset(text);
	for (unsigned n = dice(12); n > 0; n--) {
		add_form(text, span_of(values[dice(n_values)]), dice(8));
		buf_adds(text, fillers[dice(sizeof(fillers) / sizeof(*fillers))]);
	}
}

static void
a_stream_is_masked_as_the_whole_text(void **state)
{
	static const char *const values[] = {
		"ababab", "abababababc", "x\\y\"z%25\n\xc3\xa9nd", "two\nlines of it\r\nand ab",
		"Zm9vYmFy", "0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789", NULL,
	};
	enum { VALUES = sizeof(values) / sizeof(*values) - 1, ROUNDS = 4000 };
	struct mask *m = mask_of(values);
	struct buf text = BUF_INIT, whole = BUF_INIT, pieces = BUF_INIT, out = BUF_INIT;
	size_t n_masked = 0;

	(void)state;
	srand(20261201);
	for (int round = 0; round < ROUNDS; round++) {
		struct mask_stream s = { .in_mask = false };
		struct span expected;
		size_t at = 0, n;

		make_text(&text, values, VALUES);
		expected = mask_text(mask_forms(m), buf_span(&text), &whole);
		n_masked += !span_eq(expected, buf_span(&text));
		buf_reset(&pieces);
		for (; at < text.len; at += n) {
			n = 1 + dice(dice(4) ? 5 : 200);
			n = n > text.len - at ? text.len - at : n;
			buf_addspan(&pieces, mask_stream_add(&s, mask_forms(m),
							     (struct span){ text.data + at, n },
							     &out));
			assert_true(s.held.len < 4096);
		}
		buf_addspan(&pieces, mask_stream_end(&s, mask_forms(m), /* cut= */ false, &out));
		if (!span_eq(expected, buf_span(&pieces)))
			fail_msg("round %d: %s\nwhole:  %.*s\npieces: %s", round, text.data,
				 SPAN_FMT(expected), pieces.data);
		for (size_t i = 0; i < VALUES; i++)
			assert_null(memmem(expected.ptr, expected.len, values[i],
					   strlen(values[i])));
	}
	assert_true(n_masked > ROUNDS / 2);
	buf_release(&text);
	buf_release(&whole);
	buf_release(&pieces);
	buf_release(&out);
	mask_free(m);
}

/* Windows of the search are 1 MiB. */
static void
a_long_text_is_masked_to_its_end(void **state)
{
	enum { LEN = 5 << 20 };
	struct mask *m = mask_of(sesame);
	struct buf text = BUF_INIT, out = BUF_INIT;
	size_t stars = 0;
	struct span got;

	(void)state;
	while (text.len < LEN)
		buf_addf(&text, "%zu: open Sesame/\"1\" ", text.len);
	got = mask_text(mask_forms(m), buf_span(&text), &out);
	assert_null(memmem(got.ptr, got.len, "Sesame", 6));
	for (size_t i = 0; i + 2 < got.len; i++)
		stars += memcmp(got.ptr + i, "***", 3) == 0;
	assert_int_equal((text.len - got.len) / (strlen(sesame[0]) - 3), stars);
	buf_release(&text);
	buf_release(&out);
	mask_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_of_a_value_is_masked),
		cmocka_unit_test(lines_and_parts_of_a_long_value_are_masked),
		cmocka_unit_test(json_stays_json),
		cmocka_unit_test(what_is_held_back_goes_out_or_is_masked_at_the_end),
		cmocka_unit_test(a_stream_is_masked_as_the_whole_text),
		cmocka_unit_test(a_long_text_is_masked_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
