/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a claim of Redis: what can be read is written again to the
 * byte (scripts compare texts), and a claim made of any values can be read. */
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/claim/claim.h"
#include "fuzz.h"

static void
see_claim(const struct claim *c, struct span text)
{
	struct buf again = BUF_INIT;

	claim_format(c, &again);
	MUST(!again.failed && span_eq(buf_span(&again), text));
	MUST(c->record.topic.len && c->record.partition >= 0 && c->record.offset >= 0);
	MUST(c->record.timestamp >= -1 && c->attempt >= 0);
	MUST((c->state == CLAIM_DONE) == (c->token.len == 0));
	/* Of the same record it is never another one's. */
	MUST(claim_decide(c, &c->record, "no token of ours", true) != CLAIM_IS_DUPLICATE);
	buf_release(&again);
}

/* As a claim's value: the i-th of what the bytes hold, one at least. */
static struct span
part(struct span text, size_t i, size_t n)
{
	size_t len = text.len / n;

	return len ? (struct span){ text.ptr + i * len, len } : SPAN_LIT("x");
}

static void
see_values(struct span text)
{
	struct buf packed = BUF_INIT, scratch = BUF_INIT;
	struct err err = { .text = "" };
	struct claim back, c = {
		.state = (enum claim_state)(text.len % (CLAIM_DONE + 1)),
		.record = { part(text, 0, 6), 3, (int64_t)text.len, -1 },
		.lease = part(text, 1, 6),
	};

	if (c.state != CLAIM_DONE) {
		c.instance = part(text, 2, 6);
		c.incarnation = part(text, 3, 6);
		c.token = part(text, 4, 6);
		c.started_at = part(text, 5, 6);
		c.attempt = 1;
	}
	claim_format(&c, &packed);
	MUST(claim_parse(buf_span(&packed), &scratch, &back, &err) == 0);
	MUST(back.state == c.state && back.attempt == c.attempt);
	MUST(claim_record_eq(&back.record, &c.record) && span_eq(back.lease, c.lease));
	MUST(c.state == CLAIM_DONE ||
	     (span_eq(back.instance, c.instance) && span_eq(back.incarnation, c.incarnation) &&
	      span_eq(back.token, c.token) && span_eq(back.started_at, c.started_at)));
	buf_release(&packed);
	buf_release(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct buf scratch = BUF_INIT;
	struct err err = { .text = "" };
	struct claim c;
	int ret = claim_parse(text, &scratch, &c, &err);

	MUST(ret == 0 || (ret == ERR_INVALID && *err.text));
	if (ret == 0)
		see_claim(&c, text);
	see_values(text);
	buf_release(&scratch);
	return 0;
}
