/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <limits.h>

#include "envdriver/base/err.h"
#include "envdriver/claim/claim.h"

#define CALLING_TEXT \
	"v1|calling|environment.commands|0|17|1795409884120|host-a|5e9b|5e9b.12|1|" \
	"2026-11-23T05:18:04.120Z|"

static const struct claim calling = {
	.state = CLAIM_CALLING,
	.record = { SPAN_LIT("environment.commands"), 0, 17, INT64_C(1795409884120) },
	.instance = SPAN_LIT("host-a"),
	.incarnation = SPAN_LIT("5e9b"),
	.token = SPAN_LIT("5e9b.12"),
	.attempt = 1,
	.started_at = SPAN_LIT("2026-11-23T05:18:04.120Z"),
};

static const struct text_row {
	const char *name, *text;
	const char *error;	/* NULL: read, and written the same */
} text_rows[] = {
	{ "of docs/schemas.md", CALLING_TEXT, NULL },
	{ "claimed", "v1|claimed|t|0|0|0|i|n|k|2|s|", NULL },
	{ "answered with a lease", "v1|answered|t|0|0|0|i|n|k|1|s|lease-1", NULL },
	{ "interrupted", "v1|interrupted|t|0|0|0|i|n|k|1|s|", NULL },
	{ "done keeps record and lease", "v1|done|t|3|9|-1||||||l", NULL },
	{ "largest numbers",
	  "v1|calling|t|2147483647|9223372036854775807|9223372036854775807|i|n|k|2147483647|s|",
	  NULL },
	{ "every value percent-encoded", "v1|calling|%7C|0|0|0|%25|%0A|%00%7F|1|a%7Cb|%7C%25",
	  NULL },
	{ "UTF-8 stays", "v1|calling|\xc3\xa4|0|0|0|i|n|k|1|s|", NULL },
	{ "empty", "", "claim: 1 fields, expected 12" },
	{ "a hash of somebody", "hello", "claim: 1 fields, expected 12" },
	{ "eleven fields", "v1|calling|t|0|0|0|i|n|k|1|s", "claim: 11 fields, expected 12" },
	{ "thirteen fields", "v1|calling|t|0|0|0|i|n|k|1|s||", "claim: more than 12 fields" },
	{ "version", "v2|calling|t|0|0|0|i|n|k|1|s|", "claim: version is not v1" },
	{ "state", "v1|Calling|t|0|0|0|i|n|k|1|s|", "claim: state is unknown" },
	{ "state empty", "v1||t|0|0|0|i|n|k|1|s|", "claim: state is unknown" },
	{ "no topic", "v1|calling||0|0|0|i|n|k|1|s|", "claim: topic is empty" },
	{ "partition negative", "v1|calling|t|-1|0|0|i|n|k|1|s|",
	  "claim: partition is not a valid partition" },
	{ "partition too large", "v1|calling|t|2147483648|0|0|i|n|k|1|s|",
	  "claim: partition is not a valid partition" },
	{ "partition empty", "v1|calling|t||0|0|i|n|k|1|s|",
	  "claim: partition is not a valid partition" },
	{ "offset with a zero before", "v1|calling|t|0|01|0|i|n|k|1|s|",
	  "claim: offset is not a valid offset" },
	{ "offset with a sign", "v1|calling|t|0|+1|0|i|n|k|1|s|",
	  "claim: offset is not a valid offset" },
	{ "offset minus zero", "v1|calling|t|0|-0|0|i|n|k|1|s|",
	  "claim: offset is not a valid offset" },
	{ "offset too large", "v1|calling|t|0|9223372036854775808|0|i|n|k|1|s|",
	  "claim: offset is not a valid offset" },
	{ "offset of 30 digits", "v1|calling|t|0|100000000000000000000000000000|0|i|n|k|1|s|",
	  "claim: offset is not a valid offset" },
	{ "timestamp", "v1|calling|t|0|0|-2|i|n|k|1|s|", "claim: timestamp is not a valid time" },
	{ "no instance", "v1|calling|t|0|0|0||n|k|1|s|", "claim: instanceId is empty" },
	{ "no token", "v1|calling|t|0|0|0|i|n||1|s|", "claim: token is empty" },
	{ "attempt 0", "v1|calling|t|0|0|0|i|n|k|0|s|", "claim: attempt is not a valid attempt" },
	{ "done with a token", "v1|done|t|0|0|0|||k|||", "claim: token is not empty" },
	{ "percent code of a plain letter", "v1|calling|%41|0|0|0|i|n|k|1|s|",
	  "claim: topic has a wrong percent code" },
	{ "percent code in lower case", "v1|calling|%7c|0|0|0|i|n|k|1|s|",
	  "claim: topic has a wrong percent code" },
	{ "percent code cut off", "v1|calling|t%7|0|0|0|i|n|k|1|s|",
	  "claim: topic has a wrong percent code" },
	{ "percent at the end", "v1|calling|t|0|0|0|i|n|k|1|s|l%",
	  "claim: providerLeaseId has a wrong percent code" },
	{ "control character", "v1|calling|t|0|0|0|i|n|k\n|1|s|",
	  "claim: token has a control character" },
};

static void
test_text(void **state)
{
	struct buf scratch = BUF_INIT, again = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(text_rows) / sizeof(*text_rows); i++) {
		const struct text_row *r = &text_rows[i];
		struct err err = { 0 };
		struct claim c;
		int code = claim_parse(span_of(r->text), &scratch, &c, &err);

		if ((code < 0) != (r->error != NULL) || strcmp(err.text, r->error ? r->error : ""))
			fail_msg("%s: %d '%s'", r->name, code, err.text);
		if (code < 0)
			continue;
		buf_reset(&again);
		claim_format(&c, &again);
		if (!span_is(buf_span(&again), r->text))
			fail_msg("%s: written as '%s'", r->name, again.data);
	}
	buf_release(&again);
	buf_release(&scratch);
}

static void
test_values(void **state)
{
	struct buf scratch = BUF_INIT, text = BUF_INIT;
	struct claim in = calling, out;

	(void)state;
	claim_format(&in, &text);
	assert_string_equal(text.data, CALLING_TEXT);
	in.lease = (struct span){ "a|b%c\0d\n", 8 };
	in.record.topic = SPAN_LIT("%|");
	buf_reset(&text);
	claim_format(&in, &text);
	assert_int_equal(claim_parse(buf_span(&text), &scratch, &out, NULL), 0);
	assert_true(span_eq(out.lease, in.lease));
	assert_true(claim_record_eq(&out.record, &in.record));
	assert_true(span_eq(out.instance, in.instance));
	assert_true(span_eq(out.incarnation, in.incarnation));
	assert_true(span_eq(out.token, in.token));
	assert_true(span_eq(out.started_at, in.started_at));
	assert_int_equal(out.attempt, 1);
	buf_release(&text);
	buf_release(&scratch);
}

/* A plugin may give a lease any id: our own claim must still be readable. */
static void
test_longest(void **state)
{
	struct buf scratch = BUF_INIT, text = BUF_INIT;
	struct claim in = calling, out;
	size_t len = 1 << 20;
	char *lease = malloc(len);

	(void)state;
	assert_non_null(lease);
	memset(lease, '|', len);
	in.lease = (struct span){ lease, len };
	claim_format(&in, &text);
	assert_int_equal(claim_parse(buf_span(&text), &scratch, &out, NULL), 0);
	assert_true(span_eq(out.lease, in.lease));
	buf_addspan(&text, in.lease);
	buf_addspan(&text, in.lease);
	assert_int_equal(claim_parse(buf_span(&text), &scratch, &out, NULL), ERR_INVALID);
	free(lease);
	buf_release(&text);
	buf_release(&scratch);
}

enum { ABSENT = -1 };

/* docs/engine.md section 4, row "claim". The record asked for is that of `calling`,
 * the token "me". */
static const struct decide_row {
	const char *name;
	int state;
	const char *topic;	/* NULL: the same record */
	int64_t d_partition, d_offset, d_timestamp;
	const char *token;
	enum claim_met for_call, for_no_call;
} decide_rows[] = {
	{ "absent", ABSENT, NULL, 0, 0, 0, "", CLAIM_NEW, CLAIM_NEW },
	{ "claimed by another", CLAIM_CLAIMED, NULL, 0, 0, 0, "other", CLAIM_NEED_SCRIPT,
	  CLAIM_NEED_SCRIPT },
	{ "claimed by us", CLAIM_CLAIMED, NULL, 0, 0, 0, "me", CLAIM_NEED_SCRIPT,
	  CLAIM_NEED_SCRIPT },
	{ "calling, same token", CLAIM_CALLING, NULL, 0, 0, 0, "me", CLAIM_NEW, CLAIM_NEW },
	{ "answered, same token", CLAIM_ANSWERED, NULL, 0, 0, 0, "me", CLAIM_IS_ANSWERED,
	  CLAIM_NEW },
	{ "calling", CLAIM_CALLING, NULL, 0, 0, 0, "other", CLAIM_IS_CALLING, CLAIM_IS_CALLING },
	{ "calling, a token that starts like ours", CLAIM_CALLING, NULL, 0, 0, 0, "me.",
	  CLAIM_IS_CALLING, CLAIM_IS_CALLING },
	{ "answered", CLAIM_ANSWERED, NULL, 0, 0, 0, "other", CLAIM_IS_ANSWERED,
	  CLAIM_IS_ANSWERED },
	{ "interrupted", CLAIM_INTERRUPTED, NULL, 0, 0, 0, "other", CLAIM_IS_INTERRUPTED,
	  CLAIM_IS_INTERRUPTED },
	{ "interrupted, same token", CLAIM_INTERRUPTED, NULL, 0, 0, 0, "me", CLAIM_IS_INTERRUPTED,
	  CLAIM_IS_INTERRUPTED },
	{ "done", CLAIM_DONE, NULL, 0, 0, 0, "", CLAIM_IS_DONE, CLAIM_IS_DONE },
	{ "another topic", CLAIM_CALLING, "x", 0, 0, 0, "other", CLAIM_IS_DUPLICATE,
	  CLAIM_IS_DUPLICATE },
	{ "another partition", CLAIM_CLAIMED, NULL, 1, 0, 0, "other", CLAIM_IS_DUPLICATE,
	  CLAIM_IS_DUPLICATE },
	{ "another offset", CLAIM_DONE, NULL, 0, 1, 0, "", CLAIM_IS_DUPLICATE, CLAIM_IS_DUPLICATE },
	{ "another timestamp", CLAIM_ANSWERED, NULL, 0, 0, 1, "me", CLAIM_IS_DUPLICATE,
	  CLAIM_IS_DUPLICATE },
	{ "another record with our token", CLAIM_CALLING, NULL, 0, 1, 0, "me", CLAIM_IS_DUPLICATE,
	  CLAIM_IS_DUPLICATE },
};

static void
test_decide(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decide_rows) / sizeof(*decide_rows); i++) {
		const struct decide_row *r = &decide_rows[i];
		struct claim found = calling;

		found.state = r->state == ABSENT ? CLAIM_DONE : (enum claim_state)r->state;
		found.token = span_of(r->token);
		if (r->topic)
			found.record.topic = span_of(r->topic);
		found.record.partition += (int32_t)r->d_partition;
		found.record.offset += r->d_offset;
		found.record.timestamp += r->d_timestamp;
		for (int call = 0; call <= 1; call++) {
			enum claim_met got = claim_decide(r->state == ABSENT ? NULL : &found,
							     &calling.record, "me", call);

			if (got != (call ? r->for_call : r->for_no_call))
				fail_msg("%s, call %d: got %d", r->name, call, got);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
