/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_rig.h"

#include "envdriver/secret/mask.h"
#include "rpc/message_mask.h"

#define SECRET "correct horse"
#define SHORT "sandbox"
#define WORD "message"

static struct mask *
three_secrets(void)
{
	struct mask *m = mask_new();

	assert_int_equal(mask_add(m, SPAN_LIT(SECRET), NULL), 0);
	assert_int_equal(mask_add(m, SPAN_LIT(SHORT), NULL), 0);
	assert_int_equal(mask_add(m, SPAN_LIT(WORD), NULL), 0);
	assert_int_equal(mask_compile(m, NULL), 0);
	return m;
}

/* What is left of a line: result, error, params, or all of it when it is no
 * message; and the id of a lease that nobody may see. */
static const char *const rows[][3] = {
	{ V ",\"id\":1,\"result\":{\"a\":[\"" SECRET "\"]}}", "{\"a\":[\"***\"]}", "" },
	{ V ",\"id\":1,\"result\":\"" SECRET "\"}", "\"***\"", "" },
	{ V ",\"id\":1,\"error\":{\"message\":\"no " SECRET "\",\"data\":{\"" SECRET
	  "\":1}}}", "{\"message\":\"no ***\",\"data\":{\"***\":1}}", "" },
	{ V ",\"id\":1,\"result\":{\"providerLeaseId\":\"" SHORT "-1\",\"n\":\"" SHORT
	  "-1\"}}", "{\"providerLeaseId\":\"" SHORT "-1\",\"n\":\"***-1\"}", "" },
	{ V ",\"id\":1,\"result\":{\"providerLeaseId\":\"x:" SECRET "\"}}",
	  "{\"providerLeaseId\":\"x:***\"}", "\"x:" SECRET "\"" },
	/* Without a result: the lease of the message before is not its own. */
	{ V ",\"id\":1,\"error\":null}", "null", "" },
	{ V ",\"id\":1,\"result\":{\"n\":{\"providerLeaseId\":\"" SHORT "\"}}}",
	  "{\"n\":{\"providerLeaseId\":\"***\"}}", "" },
	{ V ",\"id\":1,\"result\":{\"secretHeaders\":[{\"name\":\"x-" SHORT
	  "\",\"value\":\"" SECRET "\"}],\"connectionPayload\":{\"" SECRET
	  "\":1},\"m\":\"" SECRET "\"}}",
	  "{\"secretHeaders\":[{\"name\":\"x-***\",\"value\":\"" SECRET
	  "\"}],\"connectionPayload\":{\"" SECRET "\":1},\"m\":\"***\"}", "" },
	/* "-correct%20horse\xff" and "-correct horse\xff", then "fine\xff" */
	{ V ",\"id\":1,\"result\":{\"stdoutBase64\":\"LWNvcnJlY3QlMjBob3JzZf8=\",\"a\":1,"
	  "\"stderrBase64\":\"LWNvcnJlY3QgaG9yc2X/\"}}",
	  "{\"stdoutBase64\":\"LSoqKv8=\",\"a\":1,\"stderrBase64\":\"LSoqKv8=\"}", "" },
	{ V ",\"id\":1,\"result\":{\"stdoutBase64\":\"ZmluZf8=\",\"a\":\"" SECRET "\"}}",
	  "{\"stdoutBase64\":\"ZmluZf8=\",\"a\":\"***\"}", "" },
	{ V ",\"id\":\"" SECRET "\",\"method\":\"log\",\"params\":{\"message\":\"" SECRET
	  "\"}}", "{\"message\":\"***\"}", "" },
	{ V ",\"method\":\"streams.emit\",\"params\":{\"event\":\"" SECRET "\"}}",
	  "{\"event\":\"***\"}", "" },
	{ V ",\"id\":2,\"method\":\"state.set\",\"params\":{\"value\":\"" SECRET "\"}}",
	  "{\"value\":\"" SECRET "\"}", "" },
	{ V ",\"method\":\"execute.log\",\"params\":{\"chunk\":\"" SECRET "\"}}",
	  "{\"chunk\":\"" SECRET "\"}", "" },
	/* A secret that is the name of a member. */
	{ V ",\"id\":1,\"error\":{\"code\":1,\"message\":\"a " WORD "\",\"data\":{\"" WORD
	  "\":1}}}", "{\"code\":1,\"message\":\"a ***\",\"data\":{\"***\":1}}", "" },
	{ V ",\"id\":1,\"result\":{\"message\":\"" WORD "\",\"a\":{\"" WORD "\":1}}}",
	  "{\"message\":\"***\",\"a\":{\"***\":1}}", "" },
	{ V ",\"id\":2,\"method\":\"log\",\"params\":{\"companyId\":\"" WORD
	  "\",\"level\":\"" WORD "\"}}", "{\"companyId\":\"" WORD "\",\"level\":\"***\"}", "" },
	{ "debug: " SECRET, "debug: ***", "" },
	{ V ",\"id\":1,\"result\":{\"a\":\"" SECRET "\"}", V ",\"id\":1,\"result\":{\"a\":"
	  "\"***\"}", "" },
};

static void
what_a_plugin_says_is_masked(void **state)
{
	struct mask *mask = three_secrets();
	struct message_mask k = { .lease_id = SPAN_NULL };
	struct rpc_message m;
	struct span got;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		rpc_parse(span_of(rows[i][0]), &m);
		message_mask_apply(&k, mask_forms(mask), &m);
		got = m.kind == RPC_GARBAGE ? m.line : m.kind != RPC_RESPONSE ? m.params.raw :
		      m.error.kind ? m.error.raw : m.result.raw;
		if (!span_is(got, rows[i][1]))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(got));
		if (rows[i][2][0] ? !span_is(k.lease_id, rows[i][2]) : !!k.lease_id.ptr)
			fail_msg("row %zu: id %.*s", i, SPAN_FMT(k.lease_id));
	}
	message_mask_release(&k);
	mask_free(mask);
}

/* Also those that a thread reads, whose memory is handed on. */
static void
answers_of_any_length_are_masked(void **state)
{
	static const int lengths[] = { 640, 1900000 };
	struct test_call c = { 0 };
	struct buf line = BUF_INIT;
	struct channel_rig b;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		channel_rig_begin(&b, 1 << 20);
		assert_int_equal(mask_add(b.mask, SPAN_LIT(SECRET), NULL), 0);
		assert_int_equal(mask_compile(b.mask, NULL), 0);
		assert_int_equal(channel_rig_call(&b, &c, "m", 10000, NULL), 0);
		buf_reset(&line);
		buf_addf(&line, V ",\"id\":1,\"result\":\"%0*d" SECRET "%0*d\"}\n", lengths[i], 7,
			 lengths[i] / 64, 9);
		for (size_t at = 0; at < line.len;) {
			size_t n = line.len - at < 4096 ? line.len - at : 4096;

			assert_int_equal(write(b.to, line.data + at, n), n);
			uv_run(&b.loop, UV_RUN_NOWAIT);
			at += n;
		}
		for (int j = 0; j < 5000 && c.rpc.pending; j++) {
			uv_run(&b.loop, UV_RUN_NOWAIT);
			usleep(1000);
		}
		assert_false(c.rpc.pending);
		assert_non_null(strstr(b.out.data, "7***0"));
		assert_null(strstr(b.out.data, "horse"));
		channel_rig_end(&b);
	}
	buf_release(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_plugin_says_is_masked),
		cmocka_unit_test(answers_of_any_length_are_masked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
