/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/claim/claim.h"

#include <inttypes.h>
#include <limits.h>

#include "envdriver/base/err.h"

/* A plugin chooses lease ids, and a claim of ours must be readable whatever they
 * are: as much as a result can carry, percent-encoded. */
enum { TEXT_MAX = 4 * 1024 * 1024 };

enum field {
	VERSION,
	STATE,
	TOPIC,
	PARTITION,
	OFFSET,
	TIMESTAMP,
	INSTANCE,
	INCARNATION,
	TOKEN,
	ATTEMPT,
	STARTED_AT,
	LEASE,
	FIELDS
};

static const char *const field_names[FIELDS] = {
	[VERSION] = "version",		[STATE] = "state",
	[TOPIC] = "topic",		[PARTITION] = "partition",
	[OFFSET] = "offset",		[TIMESTAMP] = "timestamp",
	[INSTANCE] = "instanceId",	[INCARNATION] = "incarnation",
	[TOKEN] = "token",		[ATTEMPT] = "attempt",
	[STARTED_AT] = "startedAt",	[LEASE] = "providerLeaseId",
};

static const char *const states[] = {
	[CLAIM_CLAIMED] = "claimed",
	[CLAIM_CALLING] = "calling",
	[CLAIM_ANSWERED] = "answered",
	[CLAIM_INTERRUPTED] = "interrupted",
	[CLAIM_DONE] = "done",
};

static bool
is_special(unsigned char c)
{
	return c < 0x20 || c == 0x7f || c == '|' || c == '%';
}

void
claim_encode(struct span value, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, from = 0;

	for (i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];
		char code[3] = { '%', hex[c >> 4], hex[c & 15] };

		if (!is_special(c))
			continue;
		buf_add(out, value.ptr + from, i - from);
		buf_add(out, code, sizeof(code));
		from = i + 1;
	}
	buf_add(out, value.ptr + from, value.len - from);
}

/* Takes a tenth of printf's time, and every claim writes three numbers. */
static void
add_number(struct buf *out, int64_t n)
{
	char text[24], *p = text + sizeof(text);
	uint64_t v = n < 0 ? -(uint64_t)n : (uint64_t)n;

	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	if (n < 0)
		*--p = '-';
	buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

void
claim_format_record(const struct claim_record *r, struct buf *out)
{
	claim_encode(r->topic, out);
	buf_addch(out, '|');
	add_number(out, r->partition);
	buf_addch(out, '|');
	add_number(out, r->offset);
	buf_addch(out, '|');
	add_number(out, r->timestamp);
}

void
claim_format(const struct claim *c, struct buf *out)
{
	buf_adds(out, "v1|");
	buf_adds(out, states[c->state]);
	buf_addch(out, '|');
	claim_format_record(&c->record, out);
	if (c->state == CLAIM_DONE) {
		buf_adds(out, "||||||");
	} else {
		buf_addch(out, '|');
		claim_encode(c->instance, out);
		buf_addch(out, '|');
		claim_encode(c->incarnation, out);
		buf_addch(out, '|');
		claim_encode(c->token, out);
		buf_addch(out, '|');
		add_number(out, c->attempt);
		buf_addch(out, '|');
		claim_encode(c->started_at, out);
		buf_addch(out, '|');
	}
	claim_encode(c->lease, out);
}

static int
wrong_field(struct err *reterr, enum field f, const char *how)
{
	return err_set(reterr, ERR_INVALID, "claim: %s %s", field_names[f], how);
}

static int
split_fields(struct span text, struct span fields[FIELDS], struct err *reterr)
{
	const char *p = text.ptr, *end = text.ptr + text.len;
	size_t n;

	for (n = 0; n < FIELDS; n++) {
		const char *bar = p <= end ? memchr(p, '|', (size_t)(end - p)) : NULL;

		if (p > end)
			return err_set(reterr, ERR_INVALID, "claim: %zu fields, expected %d", n,
				       FIELDS);
		if (!bar)
			bar = end;
		fields[n] = (struct span){ p, (size_t)(bar - p) };
		p = bar + 1;
	}
	return p == end + 1 ? 0
			    : err_set(reterr, ERR_INVALID, "claim: more than %d fields", FIELDS);
}

/* Upper case only: one text for one value. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
decode_text(struct span in, enum field f, struct buf *scratch, struct span *ret, struct err *reterr)
{
	size_t start = scratch->len, i;
	bool coded = memchr(in.ptr, '%', in.len) != NULL;

	for (i = 0; i < in.len; i++) {
		char c = in.ptr[i];

		if (c == '%') {
			int hi = i + 2 < in.len ? hex_value(in.ptr[i + 1]) : -1;
			int lo = i + 2 < in.len ? hex_value(in.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0 || !is_special((unsigned char)(hi * 16 + lo)))
				return wrong_field(reterr, f, "has a wrong percent code");
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (is_special((unsigned char)c)) {
			return wrong_field(reterr, f, "has a control character");
		}
		if (coded)
			buf_addch(scratch, c);
	}
	*ret = coded ? (struct span){ scratch->data + start, scratch->len - start } : in;
	return 0;
}

static bool
read_number(struct span in, int64_t min, int64_t max, int64_t *ret)
{
	bool minus = in.len && in.ptr[0] == '-';
	const char *p = in.ptr + minus, *end = in.ptr + in.len;
	int64_t v = 0;

	if (p == end || end - p > 19 || (*p == '0' && in.len > 1))
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9' || v > (INT64_MAX - (*p - '0')) / 10)
			return false;
		v = v * 10 + (*p - '0');
	}
	if (minus)
		v = -v;
	*ret = v;
	return v >= min && v <= max;
}

static int
parse_record(const struct span f[FIELDS], struct buf *scratch, struct claim_record *ret,
	     struct err *reterr)
{
	int64_t partition;

	if (f[TOPIC].len == 0)
		return wrong_field(reterr, TOPIC, "is empty");
	if (!read_number(f[PARTITION], 0, INT32_MAX, &partition))
		return wrong_field(reterr, PARTITION, "is not a valid partition");
	ret->partition = (int32_t)partition;
	if (!read_number(f[OFFSET], 0, INT64_MAX, &ret->offset))
		return wrong_field(reterr, OFFSET, "is not a valid offset");
	if (!read_number(f[TIMESTAMP], -1, INT64_MAX, &ret->timestamp))
		return wrong_field(reterr, TIMESTAMP, "is not a valid time");
	return decode_text(f[TOPIC], TOPIC, scratch, &ret->topic, reterr);
}

static int
parse_holder(const struct span f[FIELDS], struct buf *scratch, struct claim *ret,
	     struct err *reterr)
{
	struct span *const texts[FIELDS] = {
		[INSTANCE] = &ret->instance,
		[INCARNATION] = &ret->incarnation,
		[TOKEN] = &ret->token,
		[STARTED_AT] = &ret->started_at,
	};
	int64_t attempt = 0;
	int i, code;

	for (i = INSTANCE; i <= STARTED_AT; i++) {
		if (ret->state == CLAIM_DONE ? f[i].len != 0 : f[i].len == 0)
			return wrong_field(reterr, (enum field)i,
				     f[i].len ? "is not empty" : "is empty");
		if (!texts[i])
			continue;
		code = decode_text(f[i], (enum field)i, scratch, texts[i], reterr);
		if (code < 0)
			return code;
	}
	if (ret->state != CLAIM_DONE && !read_number(f[ATTEMPT], 1, INT_MAX, &attempt))
		return wrong_field(reterr, ATTEMPT, "is not a valid attempt");
	ret->attempt = (int)attempt;
	return decode_text(f[LEASE], LEASE, scratch, &ret->lease, reterr);
}

int
claim_parse(struct span text, struct buf *scratch, struct claim *ret, struct err *reterr)
{
	struct span f[FIELDS];
	struct claim c = { 0 };
	size_t state;
	int code;

	if (text.len > TEXT_MAX)
		return err_set(reterr, ERR_INVALID, "claim: %zu bytes", text.len);
	code = split_fields(text, f, reterr);
	if (code < 0)
		return code;
	if (!span_is(f[VERSION], "v1"))
		return wrong_field(reterr, VERSION, "is not v1");
	for (state = 0; state < sizeof(states) / sizeof(*states); state++)
		if (span_is(f[STATE], states[state]))
			break;
	if (state == sizeof(states) / sizeof(*states))
		return wrong_field(reterr, STATE, "is unknown");
	c.state = (enum claim_state)state;
	/* Room for all of it now: the spans must not move. */
	buf_reset(scratch);
	if (!buf_reserve(scratch, text.len))
		return err_nomem(reterr);
	code = parse_record(f, scratch, &c.record, reterr);
	if (code == 0)
		code = parse_holder(f, scratch, &c, reterr);
	if (code == 0)
		*ret = c;
	return code;
}

bool
claim_record_eq(const struct claim_record *a, const struct claim_record *b)
{
	return a->partition == b->partition && a->offset == b->offset &&
	       a->timestamp == b->timestamp && span_eq(a->topic, b->topic);
}

enum claim_met
claim_decide(const struct claim *found, const struct claim_record *record, const char *token,
	     bool call)
{
	static const enum claim_met others[] = {
		[CLAIM_CLAIMED] = CLAIM_NEED_SCRIPT,
		[CLAIM_CALLING] = CLAIM_IS_CALLING,
		[CLAIM_ANSWERED] = CLAIM_IS_ANSWERED,
		[CLAIM_INTERRUPTED] = CLAIM_IS_INTERRUPTED,
		[CLAIM_DONE] = CLAIM_IS_DONE,
	};

	if (!found)
		return CLAIM_NEW;
	if (!claim_record_eq(&found->record, record))
		return CLAIM_IS_DUPLICATE;
	/* Our own lost reply: the same token gets the same answer. A call's
	 * token is answered when the call is over, never by its claim. */
	if (span_is(found->token, token) &&
	    (found->state == CLAIM_CALLING || (found->state == CLAIM_ANSWERED && !call)))
		return CLAIM_NEW;
	return others[found->state];
}
