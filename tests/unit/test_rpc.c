/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/rpc/rpc.h"

#define V "\"jsonrpc\":\"2.0\""

static const struct parse_row {
	const char *name;
	const char *line;
	enum rpc_kind kind;
	const char *id, *method, *result, *error;	/* raw; NULL: missing */
} parse_rows[] = {
	{ "result",	"{" V ",\"id\":2,\"result\":{\"ok\":true}}", RPC_RESPONSE,
	  "2", NULL, "{\"ok\":true}", NULL },
	{ "null result", "{" V ",\"id\":2,\"result\":null}", RPC_RESPONSE, "2", NULL, "null",
	  NULL },
	{ "error",	"{" V ",\"id\":2,\"error\":{\"code\":1}}", RPC_RESPONSE,
	  "2", NULL, NULL, "{\"code\":1}" },
	{ "both",	"{" V ",\"id\":2,\"result\":1,\"error\":{}}", RPC_RESPONSE, "2", NULL,
	  "1", "{}" },
	{ "error null",	"{" V ",\"id\":2,\"result\":1,\"error\":null}", RPC_RESPONSE,
	  "2", NULL, "1", "null" },
	{ "method beside result", "{" V ",\"id\":2,\"method\":\"config.get\",\"result\":1}",
	  RPC_RESPONSE, "2", "\"config.get\"", "1", NULL },
	{ "null id, result", "{" V ",\"id\":null,\"result\":1}", RPC_RESPONSE, "null", NULL, "1",
	  NULL },
	{ "string id",	"{" V ",\"id\":\"2\",\"result\":1}", RPC_RESPONSE, "\"2\"", NULL, "1",
	  NULL },
	{ "request",	"{" V ",\"id\":1,\"method\":\"state.get\",\"params\":{}}", RPC_REQUEST,
	  "1", "\"state.get\"", NULL, NULL },
	{ "request, string id", "{" V ",\"id\":\"abc\",\"method\":\"x\"}", RPC_REQUEST,
	  "\"abc\"", "\"x\"", NULL, NULL },
	{ "request, id false", "{" V ",\"id\":false,\"method\":\"x\"}", RPC_REQUEST,
	  "false", "\"x\"", NULL, NULL },
	{ "notification", "{" V ",\"method\":\"log\"}", RPC_NOTIFICATION, NULL, "\"log\"", NULL,
	  NULL },
	{ "escaped keys", "{\"json\\u0072pc\":\"2\\u002e0\",\"\\u0069d\":7,\"result\":0}",
	  RPC_RESPONSE,
	  "7", NULL, "0", NULL },
	{ "last of repeated keys", "{" V ",\"id\":1,\"id\":2,\"result\":0}", RPC_RESPONSE,
	  "2", NULL, "0", NULL },
	{ "space around", " { " V " , \"id\" : 3 , \"result\" : [ ] } ", RPC_RESPONSE,
	  "3", NULL, "[ ]", NULL },
	{ "lone surrogate, NUL, 2^63",
	  "{" V ",\"id\":1,\"result\":[\"\\ud800\\u0000\",9223372036854775808]}", RPC_RESPONSE,
	  "1", NULL, "[\"\\ud800\\u0000\",9223372036854775808]", NULL },

	{ "null id request", "{" V ",\"id\":null,\"method\":\"x\"}", RPC_GARBAGE,
	  "null", "\"x\"", NULL, NULL },
	{ "neither",	"{" V ",\"id\":2}", RPC_GARBAGE, "2", NULL, NULL, NULL },
	{ "result without id", "{" V ",\"result\":2}", RPC_GARBAGE, NULL, NULL, "2", NULL },
	{ "method is no string", "{" V ",\"id\":2,\"method\":5}", RPC_GARBAGE, "2", "5", NULL,
	  NULL },
	{ "no version",	"{\"id\":2,\"result\":{}}", RPC_GARBAGE, "2", NULL, "{}", NULL },
	{ "version 1.0", "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", RPC_GARBAGE,
	  "1", NULL, "{}", NULL },
	{ "version as a number", "{\"jsonrpc\":2.0,\"id\":1,\"result\":{}}", RPC_GARBAGE,
	  "1", NULL, "{}", NULL },
	{ "only a version", "{" V "}", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "empty object", "{}", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "array",	"[]", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "string",	"\"str\"", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "number",	"42", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "null",	"null", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "text",	"not json at all", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "cut",	"{" V ",\"id\":2,\"result\":", RPC_GARBAGE, NULL, NULL, NULL, NULL },
	{ "two objects", "{" V ",\"id\":2,\"result\":1}{}", RPC_GARBAGE, NULL, NULL, NULL, NULL },
};

static void
expect_raw(const char *name, const char *what, struct jtext value, const char *raw)
{
	if (raw ? !span_is(value.raw, raw) : value.kind != JTEXT_MISSING)
		fail_msg("%s: %s is %.*s", name, what, SPAN_FMT(value.raw));
}

static void
test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(parse_rows); i++) {
		const struct parse_row *row = &parse_rows[i];
		struct rpc_message m;

		rpc_parse(span_of(row->line), &m);
		if (m.kind != row->kind || (m.kind == RPC_GARBAGE) != (m.why != NULL))
			fail_msg("%s: kind %d (%s)", row->name, (int)m.kind, m.why);
		expect_raw(row->name, "id", m.id, row->id);
		expect_raw(row->name, "method", m.method, row->method);
		expect_raw(row->name, "result", m.result, row->result);
		expect_raw(row->name, "error", m.error, row->error);
	}
}

/* A finished execution's metadata may nest deeper than any config may. */
static void
test_deep(void **state)
{
	static const struct {
		size_t depth;
		enum rpc_kind kind;
	} deep[] = { { 64, RPC_RESPONSE }, { 5000, RPC_RESPONSE }, { 50000, RPC_GARBAGE } };

	(void)state;
	for (size_t i = 0; i < COUNT(deep); i++) {
		struct buf line = BUF_INIT;
		struct rpc_message m;

		buf_adds(&line, "{" V ",\"id\":1,\"result\":");
		for (size_t n = 0; n < deep[i].depth; n++)
			buf_adds(&line, n % 2 ? "[" : "{\"a\":");
		buf_adds(&line, "0");
		for (size_t n = deep[i].depth; n-- > 0;)
			buf_adds(&line, n % 2 ? "]" : "}");
		buf_adds(&line, "}");
		rpc_parse(buf_span(&line), &m);
		if (m.kind != deep[i].kind)
			fail_msg("depth %zu: kind %d", deep[i].depth, (int)m.kind);
		buf_release(&line);
	}
}

static const struct answer_row {
	const char *name;
	const char *rest;		/* of the response line */
	enum rpc_end end;
	const char *result, *code, *message, *data;
} answer_rows[] = {
	{ "result",	"\"result\":{\"a\":1}", RPC_RESULT, "{\"a\":1}", NULL, NULL, NULL },
	{ "null result", "\"result\":null", RPC_RESULT, "null", NULL, NULL, NULL },
	{ "error",	"\"error\":{\"code\":-32002,\"message\":\"m\"}", RPC_ERROR,
	  NULL, "-32002", "\"m\"", NULL },
	{ "both",	"\"result\":{},\"error\":{\"code\":1,\"message\":\"m\",\"data\":[]}",
	  RPC_ERROR,
	  NULL, "1", "\"m\"", "[]" },
	{ "types are handed on", "\"error\":{\"code\":\"E_TEXT\",\"message\":{\"a\":1},"
	  "\"data\":null}",
	  RPC_ERROR, NULL, "\"E_TEXT\"", "{\"a\":1}", "null" },
	{ "empty error", "\"error\":{}", RPC_ERROR, NULL, NULL, NULL, NULL },
	{ "error is a string", "\"error\":\"bad\"", RPC_ERROR, NULL, NULL, NULL, NULL },
	{ "error is a number", "\"error\":7", RPC_ERROR, NULL, NULL, NULL, NULL },
	{ "error is a huge number", "\"error\":1e999", RPC_ERROR, NULL, NULL, NULL, NULL },
	{ "error is an empty array", "\"error\":[]", RPC_ERROR, NULL, NULL, NULL, NULL },
	{ "error null beside result", "\"result\":{},\"error\":null", RPC_BAD_RESPONSE,
	  "{}", NULL, NULL, NULL },
	{ "error null alone", "\"error\":null", RPC_BAD_RESPONSE, NULL, NULL, NULL, NULL },
	{ "error false", "\"result\":1,\"error\":false", RPC_BAD_RESPONSE, "1", NULL, NULL, NULL },
	{ "error 0",	"\"error\":-0.0", RPC_BAD_RESPONSE, NULL, NULL, NULL, NULL },
	{ "error empty string", "\"error\":\"\"", RPC_BAD_RESPONSE, NULL, NULL, NULL, NULL },
};

static void
test_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(answer_rows); i++) {
		const struct answer_row *row = &answer_rows[i];
		struct buf line = BUF_INIT;
		struct rpc_message m;
		struct rpc_answer a;

		buf_addf(&line, "{" V ",\"id\":1,%s}", row->rest);
		rpc_parse(buf_span(&line), &m);
		assert_int_equal(m.kind, RPC_RESPONSE);
		rpc_read_answer(&m, "environmentProbe", &a);
		if (a.end != row->end)
			fail_msg("%s: end %d", row->name, (int)a.end);
		assert_string_equal(a.method, "environmentProbe");
		expect_raw(row->name, "result", a.result, row->result);
		expect_raw(row->name, "code", a.code, row->code);
		expect_raw(row->name, "message", a.message, row->message);
		expect_raw(row->name, "data", a.data, row->data);
		buf_release(&line);
	}
}

static const struct trim_row {
	const char *text, *trimmed;
} trim_rows[] = {
	{ "", "" }, { " ", "" }, { "a", "a" }, { " a b\t\r\n", "a b" }, { "\v\f a", "a" },
	{ "\xc2\xa0" "a\xef\xbb\xbf", "a" }, { "\xe3\x80\x80\xe2\x80\xa8", "" },
	{ "\xe2\x80\x8b" "a", "\xe2\x80\x8b" "a" },	/* zero width space is none */
	{ "\xa0", "\xa0" },
};

static void
test_trim(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(trim_rows); i++)
		if (!span_is(rpc_trim(span_of(trim_rows[i].text)), trim_rows[i].trimmed))
			fail_msg("row %zu: %.*s", i,
				SPAN_FMT(rpc_trim(span_of(trim_rows[i].text))));
	assert_null(rpc_trim(SPAN_NULL).ptr);
}

static const struct request_row {
	const char *name;
	const char *params, *invocation, *company, *traceparent;
	const char *line;
} request_rows[] = {
	{ "no envelope", "{}", NULL, "co", NULL,
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{}}\n" },
	{ "envelope", "{\"a\":1}", "u-1", "company-1", NULL,
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{\"a\":1},\"paperclipInvocation\":"
	  "{\"id\":\"u-1\",\"scope\":{\"companyId\":\"company-1\"}}}\n" },
	{ "company trimmed and escaped", "{}", "u-1", " a\"b ", NULL,
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{},\"paperclipInvocation\":"
	  "{\"id\":\"u-1\",\"scope\":{\"companyId\":\"a\\\"b\"}}}\n" },
	{ "blank company", "{}", "u-1", " \t", "00-1-2-01",
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{}}\n" },
	{ "traceparent", "{}", "u-1", "co", "00-1-2-01",
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{},\"paperclipInvocation\":"
	  "{\"id\":\"u-1\",\"scope\":{\"companyId\":\"co\"},\"traceparent\":\"00-1-2-01\"}}\n" },
	{ "no line break inside", "{\n\"a\":\r\n1}", NULL, NULL, NULL,
	  "{" V ",\"id\":7,\"method\":\"m\",\"params\":{ \"a\":  1}}\n" },
};

static void
test_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(request_rows); i++) {
		const struct request_row *row = &request_rows[i];
		struct buf line = BUF_INIT;

		rpc_add_request(&line, 7, "m", span_of(row->params), row->invocation,
				span_of(row->company), span_of(row->traceparent));
		if (!span_is(buf_span(&line), row->line))
			fail_msg("%s: %s", row->name, line.data);
		buf_release(&line);
	}
}

static void
test_reply(void **state)
{
	struct jtext id = { JTEXT_STRING, SPAN_LIT("\"abc\"") }, none = { JTEXT_MISSING,
		SPAN_NULL };
	struct buf out = BUF_INIT;

	(void)state;
	rpc_add_result(&out, id, SPAN_LIT("{\"a\":\n1}"));
	rpc_add_error(&out, id, RPC_CODE_METHOD_NOT_FOUND, "Host does not handle method \"x\"");
	rpc_add_result(&out, none, SPAN_LIT("null"));
	assert_string_equal(out.data,
			    "{" V ",\"id\":\"abc\",\"result\":{\"a\": 1}}\n"
			    "{" V ",\"id\":\"abc\",\"error\":{\"code\":-32601,\"message\":"
			    "\"Host does not handle method \\\"x\\\"\"}}\n"
			    "{" V ",\"id\":null,\"result\":null}\n");
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
