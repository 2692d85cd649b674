/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/jtext.h"
#include "envdriver/rpc/handshake.h"
#include "envdriver/rpc/rpc.h"

/* --- supportedMethods --- */

#define NAME_58 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdef"

static const struct methods_row {
	const char *name, *answer;
	bool yes;
	const char *methods;
} methods_rows[] = {
	{ "none named", "{\"ok\":true}", true, "" },
	{ "no list", "{\"ok\":true,\"supportedMethods\":\"health\"}", true, "" },
	{ "an empty one", "{\"ok\":true,\"supportedMethods\":[]}", true, "[]" },
	{ "says no", "{\"ok\":false,\"supportedMethods\":[\"health\"]}", false, "" },
	{ "known ones, in their order", "{\"ok\":1,\"supportedMethods\":[\"shutdown\","
	  "\"environmentProbe\",\"loginPtyOpen\",\"duplexChannelOpen\",\"configChanged\"]}", true,
	  "[\"shutdown\",\"environmentProbe\",\"loginPtyOpen\",\"duplexChannelOpen\","
	  "\"configChanged\"]" },
	{ "others are left out", "{\"ok\":true,\"supportedMethods\":[\"x\",3,null,{\"a\":[]},"
	  "\"healthy\",\"environment\",\"Environment\",\"health\",\"myEnvironmentProbe\"]}", true,
	  "[\"health\"]" },
	{ "a long name", "{\"ok\":true,\"supportedMethods\":[\"environment" NAME_58 "\","
	  "\"loginPty" NAME_58 "\"]}", true, "[]" },
	{ "an empty name", "{\"ok\":true,\"supportedMethods\":[\"\",\"health\"]}", true,
	  "[\"health\"]" },
};

static struct rpc_answer
answer_of(const char *result)
{
	struct rpc_answer a = { .end = RPC_RESULT, .method = "initialize" };

	assert_int_equal(jtext_check(span_of(result), JTEXT_DEPTH_MAX, &a.result, NULL), 0);
	return a;
}

static void
methods_that_are_known_are_kept(void **state)
{
	const struct methods_row *row;

	(void)state;
	EACH (row, methods_rows) {
		struct rpc_answer a = answer_of(row->answer);
		struct buf got = BUF_INIT;

		CHECK(row->name, handshake_read(&a, &got) == row->yes);
		CHECK_TEXT(row->name, buf_span(&got).ptr, row->methods);
		buf_release(&got);
	}
}

/* What becomes part of a record that is written every few seconds is bounded:
 * 64 names of 62 bytes. */
static void
so_many_methods_and_no_more(void **state)
{
	static const size_t lengths[] = { 1, 51, 52 };	/* behind "environment" */
	struct buf text = BUF_INIT, got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct rpc_answer a;
		struct jtext list, one;
		struct jtext_iter it;
		size_t n = 0;

		buf_reset(&text);
		buf_reset(&got);
		buf_adds(&text, "{\"ok\":true,\"supportedMethods\":[\"unknown\"");
		for (int k = 0; k < 1000; k++)
			buf_addf(&text, ",\"environment%0*d\"", (int)lengths[i], k % 10);
		buf_adds(&text, "]}");
		a = answer_of(text.data);
		assert_true(handshake_read(&a, &got));
		assert_int_equal(jtext_check(buf_span(&got), JTEXT_DEPTH_MAX, &list, NULL), 0);
		jtext_iter_init(&it, list);
		while (jtext_iter_next(&it, NULL, &one))
			n++;
		assert_int_equal(n, i < 2 ? 64 : 0);
		assert_true(got.len < 64 * 65 + 2);
	}
	buf_release(&text);
	buf_release(&got);
}

/* --- why not --- */

static const struct failure_row {
	const char *name;
	enum rpc_end end;
	const char *message;	/* JSON of an error */
	size_t partial, ignored;
	const char *text;
} failure_rows[] = {
	{ "nothing came", RPC_TIMED_OUT, NULL, 0, 0, "its time is over" },
	{ "an answer without its line end", RPC_TIMED_OUT, NULL, 395, 0,
	  "its time is over; 395 bytes came without a line end: each message must end with '\\n', "
	  "and be flushed" },
	{ "a banner", RPC_TIMED_OUT, NULL, 0, 3,
	  "its time is over; 3 lines were ignored: standard output is for messages only" },
	{ "both", RPC_TIMED_OUT, NULL, 1, 2,
	  "its time is over; 1 bytes came without a line end: each message must end with '\\n', "
	  "and be flushed; 2 lines were ignored: standard output is for messages only" },
	{ "an error says it itself", RPC_ERROR, "\"no \\u006bey\"", 5, 5, "no key" },
	{ "an error with an object", RPC_ERROR, "{\"a\":1}", 0, 0, "{\"a\":1}" },
	{ "neither result nor error", RPC_BAD_RESPONSE, NULL, 0, 0,
	  "Unexpected response format for \"initialize\"" },
};

static void
a_failure_says_what_came(void **state)
{
	const struct failure_row *row;

	(void)state;
	EACH (row, failure_rows) {
		struct rpc_answer a = { .end = row->end, .text = "its time is over" };
		struct buf got = BUF_INIT;

		if (row->message)
			assert_int_equal(jtext_check(span_of(row->message), JTEXT_DEPTH_MAX,
						     &a.message, NULL), 0);
		handshake_add_failure(&got, &a, row->partial, row->ignored);
		CHECK_TEXT(row->name, buf_span(&got).ptr, row->text);
		buf_release(&got);
	}
}

static void
an_end_says_what_it_usually_is(void **state)
{
	struct buf got = BUF_INIT;

	(void)state;
	handshake_add_end(&got, 3, 0);
	assert_int_equal(got.len, 0);
	handshake_add_end(&got, 0, 2);
	assert_string_equal(got.data, "; it ended before it answered \"initialize\": is "
			    "runWorker() called, and standard input read?; 2 lines were ignored: "
			    "standard output is for messages only");
	buf_release(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods_that_are_known_are_kept),
		cmocka_unit_test(so_many_methods_and_no_more),
		cmocka_unit_test(a_failure_says_what_came),
		cmocka_unit_test(an_end_says_what_it_usually_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
