/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/base64.h"
#include "envdriver/base/digest.h"
#include "fixture_plugins.h"
#include "fixture_result.h"
#include "alloc_rig.h"

/* `n` bytes of output: a 3-byte character now and then, so that cuts matter. */
static void
add_output(struct buf *out, size_t n)
{
	size_t from = out->len;

	while (out->len - from + 4 <= n)
		buf_adds(out, "a\xe2\x98\x83");
	while (out->len - from < n)
		buf_addch(out, 'x');
}

static void
result_of(struct buf *json, struct span out, struct span err)
{
	buf_reset(json);
	buf_adds(json, "{\"exitCode\":0,\"timedOut\":false,\"stdout\":");
	jtext_add_string(json, out);
	buf_adds(json, ",\"stderr\":");
	jtext_add_string(json, err);
	buf_addch(json, '}');
}

/* One stream, put together again from its FINAL pieces. */
struct joined {
	const char *stream;
	struct buf out;
	int count;
	bool last;
};

static void
join_piece(struct joined *j, struct jtext record)
{
	int64_t n;

	if (!jtext_is(jtext_get(record, "stream"), j->stream))
		return;
	assert_false(j->last);
	assert_true(jtext_is(jtext_get(record, "origin"), "FINAL"));
	assert_true(jtext_is(jtext_get(record, "callToken"), "inc.1"));
	assert_true(jtext_int(jtext_get(record, "sequence"), &n) && n == j->count++);
	assert_true(jtext_int(jtext_get(record, "byteOffset"), &n) && n == (int64_t)j->out.len);
	j->last = jtext_get(record, "last").kind == JTEXT_TRUE;
	n = (int64_t)j->out.len;
	jtext_decode(jtext_get(record, "text"), &j->out, NULL);
	assert_true(j->out.len - (size_t)n <= 512 * 1024);
}

/* Every set in the order in which they are committed. Returns how many. */
static int
join(const struct events *e, struct joined *j)
{
	int sets = e->before ? join(e->before, j) : 0;
	struct buf text = BUF_INIT;
	struct event ev;
	size_t cursor = 0;

	while (events_next(e, &cursor, &ev)) {
		if (ev.topic != TOPIC_EXECUTION_LOGS)
			continue;
		buf_reset(&text);
		fixture_print_event(&ev, &text);
		join_piece(j, fixture_json(text.data));
	}
	/* The result's own record comes on top of the last one. */
	assert_true(e->packed.len <= 8 * 1024 * 1024 + 1000000);
	buf_release(&text);
	return sets + 1;
}

static size_t
count_events(const struct events *e)
{
	return e ? e->count + count_events(e->before) : 0;
}

static const struct output_row {
	const char *name;
	size_t out, err;
	int pieces_out, pieces_err;
	int sets;
} output_rows[] = {
	{ "both inside", 256 * 1024, 256 * 1024, 0, 0, 1 },
	{ "one byte too many", 256 * 1024 + 1, 0, 1, 0, 1 },
	{ "stderr alone", 5, 256 * 1024 + 2, 0, 1, 1 },
	{ "one piece", 512 * 1024, 0, 1, 0, 1 },
	{ "a byte more", 512 * 1024 + 1, 0, 2, 0, 1 },
	{ "both", 3000000, 2000000, 6, 4, 1 },
	{ "nearly all of one set", 15 * 512 * 1024, 0, 15, 0, 1 },
	{ "8 MiB", 16 * 512 * 1024, 0, 16, 0, 2 },
	{ "9 MB", 9000000, 9, 18, 0, 2 },
	{ "both streams over 8 MiB", 9000000, 9000000, 18, 18, 3 },
	{ "20 MB", 20000000, 300000, 39, 1, 3 },
};

static void
check_output(const struct output_row *row, const struct events *e, struct span out,
	     struct span err)
{
	const struct span whole[] = { out, err };
	const char *const names[][4] = {
		{ "STDOUT", "stdout", "stdoutBytes", "stdoutSha256" },
		{ "STDERR", "stderr", "stderrBytes", "stderrSha256" },
	};
	struct event ev = fixture_event_at(e, e->count - 1);
	struct buf text = BUF_INIT, shown = BUF_INIT;
	struct jtext record, digest;
	char hex[DIGEST_HEX_SIZE];
	int total = 0, sets;
	int64_t n;

	CHECK(row->name, ev.topic == TOPIC_EXECUTION_RESULTS);
	fixture_print_event(&ev, &text);
	record = fixture_json(text.data);
	for (int i = 0; i < 2; i++) {
		struct joined j = { .stream = names[i][0] };

		buf_reset(&shown);
		sets = join(e, &j);
		CHECK(row->name, sets == row->sets);
		CHECK(row->name, j.last || j.count == 0);
		CHECK(row->name, j.count == (i ? row->pieces_err : row->pieces_out));
		jtext_decode(jtext_get(record, names[i][1]), &shown, NULL);
		CHECK(row->name, jtext_int(jtext_get(record, names[i][2]), &n) &&
			       n == (int64_t)whole[i].len);
		digest = jtext_get(record, names[i][3]);
		if (j.count) {
			CHECK(row->name, span_eq(buf_span(&j.out), whole[i]));
			CHECK(row->name, digest_sha256_hex(whole[i], hex));
			CHECK(row->name, jtext_is(digest, hex));
			CHECK(row->name, shown.len <= 256 * 1024 && shown.len > 256 * 1024 - 3);
			CHECK(row->name, memcmp(shown.data, whole[i].ptr, shown.len) == 0);
		} else {
			CHECK(row->name, digest.kind == JTEXT_NULL);
			CHECK(row->name, span_eq(buf_span(&shown), whole[i]));
		}
		total += j.count;
		buf_release(&j.out);
	}
	CHECK(row->name, jtext_int(jtext_get(record, "finalLogRecords"), &n) && n == total);
	CHECK(row->name, count_events(e) == (size_t)total + 1);
	buf_release(&text);
	buf_release(&shown);
}

static void
test_large_output(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(EXECUTE);
	struct buf out = BUF_INIT, err = BUF_INIT, json = BUF_INIT;
	struct events e = EVENTS_INIT;
	const struct output_row *row;

	(void)state;
	EACH(row, output_rows) {
		struct rpc_answer a;

		buf_reset(&out);
		buf_reset(&err);
		add_output(&out, row->out);
		add_output(&err, row->err);
		result_of(&json, buf_span(&out), buf_span(&err));
		a = fixture_answer(c, fixture_json(json.data));
		CHECK(row->name, result_answered(ctx, c, &chosen, &called, &a, &e, NULL) == 0);
		check_output(row, &e, buf_span(&out), buf_span(&err));
	}
	events_release(&e);
	buf_release(&out);
	buf_release(&err);
	buf_release(&json);
	command_free(c);
	result_ctx_free(ctx);
}

/* One event, and it says so. */
static void
expect_too_large(const char *name, const struct events *e, const char *message, struct buf *text)
{
	buf_reset(text);
	CHECK(name, e->count == 1);
	fixture_print_events(e, text);
	CHECK_HAS(name, text->data, "error-code=RESULT_TOO_LARGE\n");
	CHECK_HAS(name, text->data, message);
	CHECK_HAS(name, text->data, "\"retryable\":false,\"mayHaveRun\":true");
	CHECK_HAS(name, text->data, "\"warnings\":[]");
}

/* Metadata and messages can each be too large; the lease is named all the
 * same. Its own id has a limit of its own. */
static void
test_record_too_large(void **state)
{
	struct result_ctx *ctx = fixture_ctx((struct result_limits){ 1 << 18, 20000, 1 << 23,
								  NULL, 0 });
	struct command *c = fixture_command(ACQUIRE);
	struct result_brought brought = RESULT_BROUGHT_INIT;
	struct buf json = BUF_INIT, text = BUF_INIT;
	struct events e = EVENTS_INIT;
	struct rpc_answer a;

	(void)state;
	buf_adds(&json, "{\"providerLeaseId\":\"new\",\"metadata\":{\"a\":\"");
	add_output(&json, 20000);
	buf_adds(&json, "\"}}");
	a = fixture_answer(c, fixture_json(json.data));
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	expect_too_large("metadata", &e, " bytes exceeds the limit of 20000.", &text);
	CHECK_HAS("metadata", text.data, "lease-results new\n");
	CHECK_HAS("metadata", text.data, "\"lease\":null");
	assert_string_equal(brought.lease_id.data, "new");
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, NULL), 0);
	expect_too_large("no buf", &e, " exceeds", &text);
	CHECK_HAS("no buf", text.data, "lease-results new\n");

	buf_reset(&json);
	buf_adds(&json, "{\"providerLeaseId\":\"");
	add_output(&json, 20000);
	buf_adds(&json, "\"}");
	a = fixture_answer(c, fixture_json(json.data));
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	buf_reset(&text);
	fixture_print_events(&e, &text);
	CHECK_HAS("id", text.data, "lease-results c1\n");
	CHECK_HAS("id", text.data, "error-code=BAD_RESPONSE\n");
	CHECK_HAS("id", text.data, "providerLeaseId: expected at most 1024 bytes, got 20000.");
	CHECK_HAS("id", text.data, "no command can name the lease that the plugin acquired");
	assert_int_equal(brought.lease_id.len, 0);
	assert_int_equal(brought.stray.len, 20002);

	buf_reset(&json);
	buf_addch(&json, '"');
	add_output(&json, 20000);
	buf_addch(&json, '"');
	a = (struct rpc_answer){ .end = RPC_ERROR, .method = c->op->rpc };
	a.message = fixture_json(json.data);
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, &brought), 0);
	expect_too_large("message", &e, " exceeds", &text);
	events_release(&e);
	buf_release(&json);
	buf_release(&text);
	result_brought_release(&brought);
	command_free(c);
	result_ctx_free(ctx);
}

static void
test_live_pieces(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(EXECUTE);
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT, big = BUF_INIT;
	int64_t sequence = 4, offset = 10;
	struct result_live piece = {
		.command = c,
		.chosen = &chosen,
		.trace = &called,
		.is_stderr = true,
		.output = SPAN_LIT("h\xc3\xa9"),
		.sequence = &sequence,
		.byte_offset = &offset,
	};

	(void)state;
	assert_int_equal(result_live(ctx, &piece, &e), 0);
	fixture_print_events(&e, &text);
	assert_string_equal(text.data,
		"execution-logs c1\n"
		"command-id=c1\noperation=Execute\ncompany-id=co\nenvironment-id=env\n"
		"schema=ExecutionLog\n"
		"{\"command\":{\"commandId\":\"c1\",\"operation\":\"Execute\",\"companyId\":\"co\","
		"\"environmentId\":\"env\",\"issueId\":null,\"pluginId\":\"pid\","
		"\"pluginKey\":\"p\","
		"\"driverKey\":\"d\",\"providerLeaseId\":\"l1\"},\"origin\":\"LIVE\","
		"\"stream\":\"STDERR\",\"attempt\":1,\"callToken\":\"inc.1\",\"sequence\":4,"
		"\"byteOffset\":10,\"text\":\"h\xc3\xa9\",\"last\":false,\"instanceId\":\"host-a\","
		"\"recordedAt\":3000,\"raw\":null}\n");
	assert_int_equal(sequence, 5);
	assert_int_equal(offset, 13);
	events_reset(&e);
	add_output(&big, 1000000);
	piece.is_stderr = false;
	piece.output = buf_span(&big);
	assert_int_equal(result_live(ctx, &piece, &e), 0);
	assert_int_equal(sequence, 7);
	assert_int_equal(offset, 1000013);
	assert_int_equal(e.count, 2);
	events_reset(&e);
	buf_reset(&text);
	/* Bytes: the text says how many there are, the bytes which. */
	piece.output = SPAN_LIT("a\xff\xe2\x82");
	assert_int_equal(result_live(ctx, &piece, &e), 0);
	piece.output = SPAN_LIT("b");
	assert_int_equal(result_live(ctx, &piece, &e), 0);
	fixture_print_events(&e, &text);
	assert_non_null(strstr(text.data, "\"byteOffset\":1000013,\"text\":\"a\xef\xbf\xbd\xef\xbf"
					  "\xbd\""));
	assert_non_null(strstr(text.data, "\"raw\":\"Yf/igg==\"}"));
	assert_non_null(strstr(text.data, "\"byteOffset\":1000020,\"text\":\"b\""));
	events_release(&e);
	buf_release(&text);
	buf_release(&big);
	command_free(c);
	result_ctx_free(ctx);
}

/* The bytes of one stream, put together again from its FINAL pieces. */
static void
join_bytes(const struct events *e, struct buf *out)
{
	struct buf text = BUF_INIT, coded = BUF_INIT;
	struct event ev;
	size_t cursor = 0;

	if (e->before)
		join_bytes(e->before, out);
	while (events_next(e, &cursor, &ev)) {
		struct jtext record, raw;

		if (ev.topic != TOPIC_EXECUTION_LOGS)
			continue;
		buf_reset(&text);
		buf_reset(&coded);
		fixture_print_event(&ev, &text);
		record = fixture_json(text.data);
		raw = jtext_get(record, "raw");
		if (raw.kind == JTEXT_NULL) {
			jtext_decode(jtext_get(record, "text"), out, NULL);
			continue;
		}
		jtext_decode(raw, &coded, NULL);
		assert_true(base64_decode(out, buf_span(&coded)));
	}
	buf_release(&coded);
	buf_release(&text);
}

static struct jtext
result_record(const struct events *e, struct buf *text)
{
	struct event ev = fixture_event_at(e, e->count - 1);

	buf_reset(text);
	fixture_print_event(&ev, text);
	return fixture_json(text->data);
}

static void
test_raw_bytes(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(EXECUTE);
	struct buf raw = BUF_INIT, json = BUF_INIT, text = BUF_INIT, got = BUF_INIT;
	struct events e = EVENTS_INIT;
	struct rpc_answer a;
	struct jtext record;
	uint32_t random = 1;
	int64_t n;

	(void)state;
	a = fixture_answer(c, fixture_json("{\"exitCode\":0,\"timedOut\":false,\"stdout\":\"?\","
					   "\"stderr\":\"e\",\"stdoutBase64\":\"YP/igg==\","
					   "\"stderrBase64\":\"ZQ==\"}"));
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, NULL), 0);
	record = result_record(&e, &text);
	assert_true(jtext_is(jtext_get(record, "stdout"), "`\xef\xbf\xbd\xef\xbf\xbd"));
	assert_true(jtext_is(jtext_get(record, "stdoutRaw"), "YP/igg=="));
	assert_true(jtext_int(jtext_get(record, "stdoutBytes"), &n) && n == 7);
	/* It is UTF-8, so there is nothing to add. */
	assert_int_equal(jtext_get(record, "stderrRaw").kind, JTEXT_NULL);

	for (int i = 0; i < 3000000; i++) {
		random = random * 1103515245 + 12345;
		buf_addch(&raw, i / 300000 % 2 ? 'a' : (char)(random >> 16));
	}
	buf_adds(&json, "{\"exitCode\":0,\"timedOut\":false,\"stdout\":\"\",\"stderr\":\"\","
			"\"stdoutBase64\":\"");
	base64_encode(&json, buf_span(&raw));
	buf_adds(&json, "\"}");
	a = fixture_answer(c, fixture_json(json.data));
	events_reset(&e);
	assert_int_equal(result_answered(ctx, c, &chosen, &called, &a, &e, NULL), 0);
	join_bytes(&e, &got);
	assert_int_equal(got.len, raw.len);
	assert_memory_equal(got.data, raw.data, raw.len);
	/* Its first part, too. */
	buf_reset(&got);
	buf_reset(&json);
	jtext_decode(jtext_get(result_record(&e, &text), "stdoutRaw"), &json, NULL);
	assert_true(base64_decode(&got, buf_span(&json)));
	assert_true(got.len > 50000 && got.len < 256 * 1024);
	assert_memory_equal(got.data, raw.data, got.len);
	events_release(&e);
	buf_release(&raw);
	buf_release(&json);
	buf_release(&text);
	buf_release(&got);
	command_free(c);
	result_ctx_free(ctx);
}

static int fail_at;

static void *
failing_realloc(void *ptr, size_t size)
{
	return fail_at-- == 0 ? NULL : realloc(ptr, size);
}

static void
test_out_of_memory(void **state)
{
	struct command *c = fixture_command(EXECUTE);
	struct rpc_answer a;
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT, json = BUF_INIT;
	int n, ret = -1;

	(void)state;
	add_output(&text, 3000);
	result_of(&json, buf_span(&text), SPAN_LIT("e"));
	a = fixture_answer(c, fixture_json(json.data));
	for (n = 0; ret < 0 && n < 500; n++) {
		struct result_limits small = { 100, 10000, 1000000, NULL, 0 };
		struct result_ctx *ctx;

		fail_at = n;
		alloc_replace(failing_realloc);
		ctx = result_ctx_new(fixture_schemas(), "host-a", small, NULL);
		if (ctx)
			ret = result_answered(ctx, c, &chosen, &called, &a, &e, NULL);
		alloc_replace(NULL);
		result_ctx_free(ctx);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(e.count, 2);
	assert_true(n > 20);
	events_release(&e);
	buf_release(&text);
	buf_release(&json);
	command_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_output),
		cmocka_unit_test(test_record_too_large),
		cmocka_unit_test(test_live_pieces),
		cmocka_unit_test(test_raw_bytes),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
