/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_record.h"

#include "kit.h"

enum { FRAME = 10 };

/* C3 01 and the CRC-64-AVRO that tests/fixtures/fingerprints has. */
static const struct text frame = { "\xc3\x01\x9a\x0c\x45\x09\xc5\x19\x05\x35", FRAME };

/* --- reading --- */

static int64_t
read_long(const char **p)
{
	uint64_t u = 0;
	int shift = 0;

	do {
		u |= (uint64_t)(**p & 0x7f) << shift;
		shift += 7;
	} while (*(*p)++ & 0x80);
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

static struct text
read_text(const char **p)
{
	size_t length = (size_t)read_long(p);
	struct text t = { *p, length };

	*p += length;
	return t;
}

static void
skip_maybe_text(const char **p)
{
	if (read_long(p) == 1)
		(void)read_text(p);
}

void
peer_record_read(const char *value, struct probe *ret)
{
	const char *p = value + FRAME;

	ret->id = read_text(&p);
	(void)read_long(&p);		/* issuedAt */
	skip_maybe_text(&p);		/* issuedBy */
	ret->company = read_text(&p);
	ret->environment = read_text(&p);
	skip_maybe_text(&p);		/* issueId */
	skip_maybe_text(&p);		/* orderingKey */
	if (read_long(&p) == 1)
		(void)read_long(&p);	/* expiresAt */
	p++;				/* rerunIfInterrupted */
	skip_maybe_text(&p);		/* traceparent */
	if (read_long(&p) != 1)
		kit_die("a target that is no PluginDriver");
	ret->plugin = read_text(&p);
	ret->driver = read_text(&p);
	skip_maybe_text(&p);		/* pluginId */
	ret->config = read_text(&p);
	if (read_long(&p) != 1)
		kit_die("an operation that is no Probe");
}

/* --- writing --- */

static void
put_long(struct bytes *b, int64_t v)
{
	uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);

	for (; u >= 0x80; u >>= 7)
		b->data[b->length++] = (char)(u | 0x80);
	b->data[b->length++] = (char)u;
}

static void
put_text(struct bytes *b, struct text t)
{
	put_long(b, (int64_t)t.length);
	put(b, t);
}

static void
put_some_text(struct bytes *b, struct text t)
{
	put_long(b, 1);
	put_text(b, t);
}

static void
put_null(struct bytes *b)
{
	put_long(b, 0);
}

static void
put_trace(struct bytes *b, const struct probe *probe, const struct probe_source *source)
{
	put_text(b, source->topic);
	put_long(b, source->partition);
	put_long(b, source->offset);
	put_long(b, 1);				/* attempt */
	put_some_text(b, probe->id);		/* invocationId */
	put_some_text(b, probe->id);		/* callToken */
	put_text(b, source->instance);
	put_long(b, source->received_ms);
	put_long(b, 1);
	put_long(b, source->received_ms);	/* startedAt */
	put_long(b, source->finished_ms);
	put_null(b);				/* traceparent */
	put_long(b, 0);				/* warnings */
}

void
peer_record_put(struct bytes *b, const struct probe *probe, const struct probe_source *source,
		struct text answer)
{
	put(b, frame);
	put_text(b, probe->id);
	put_text(b, TEXT("Probe"));
	put_text(b, probe->company);
	put_text(b, probe->environment);
	put_null(b);				/* issueId */
	put_some_text(b, probe->plugin);	/* pluginId */
	put_some_text(b, probe->plugin);
	put_some_text(b, probe->driver);
	put_null(b);				/* providerLeaseId */
	put_long(b, 0);				/* SUCCEEDED */
	put_null(b);				/* error */
	put_trace(b, probe, source);
	put_long(b, 1);
	b->data[b->length++] = 1;		/* ok */
	put_some_text(b, TEXT("plugin"));
	put_some_text(b, TEXT(""));		/* summary */
	put_some_text(b, answer);		/* details */
}
