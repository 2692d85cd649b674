/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/result/deadletter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/source.h"

enum {
	FIXED_BYTES = 4096,	/* names, numbers, framing: generously */
	OUR_HEADERS_MAX = 16,
	HEADERS_MAX = 100000 - OUR_HEADERS_MAX,	/* librdkafka reads no more of a record */
	NUMBER_MAX = 24,
};

static const char redrive_header[] = "envdriver.redrive-count";

/* One letter in the making, and how much of the record it can hold. */
struct letter {
	const struct source *src;
	const struct reject *why;
	const struct first_record *first;
	const char *instance_id;
	size_t n_headers;	/* of the original's */
	struct span key;
	struct span value;
	struct buf message;
	struct buf text;	/* scratch: a header name, repaired */
	char partition[NUMBER_MAX], offset[NUMBER_MAX];
};

/* Bytes of a length, as Avro and Kafka write it (a zigzag varint). */
static size_t
length_cost(size_t len)
{
	size_t n = 1;

	for (len >>= 6; len; len >>= 7)
		n++;
	return n;
}

/* A header stands in the record and once more as a header of its own. Exact,
 * so that many small ones are kept; only a name to be repaired is estimated. */
static size_t
header_cost(const struct event_header *h)
{
	size_t name = jtext_utf8_ok(h->name) ? h->name.len : 3 * h->name.len;

	return h->name.len + length_cost(h->name.len) + name + length_cost(name) +
	       2 * (h->value.len + length_cost(h->value.len)) + 1;
}

static size_t
fixed_cost(const struct letter *l)
{
	const struct reject *why = l->why;
	size_t ids = strlen(why->command_id) + strlen(why->company_id) +
		     strlen(why->environment_id) + strlen(why->operation);

	return FIXED_BYTES + 2 * (sizeof(why->message) + ids) + 2 * strlen(l->src->topic) +
	       (l->first && l->first->topic ? strlen(l->first->topic) : 0) +
	       strlen(l->instance_id);
}

/* Cuts the value first, then headers from the end, then the key: each only as
 * far as needed. The message says what was cut, but for the value. */
static void
fit(struct letter *l, size_t max_bytes)
{
	const struct source *src = l->src;
	size_t fixed = fixed_cost(l), left, used = 0, i;

	left = max_bytes > fixed ? max_bytes - fixed : 0;
	l->key = src->key;
	if (l->key.len > left / 2) {
		l->key.len = left / 2;
		buf_addf(&l->message, "; only %zu of %zu bytes of the key are kept", l->key.len,
			 src->key.len);
	}
	left -= 2 * l->key.len;
	for (i = 0; i < src->n_headers; i++) {
		size_t cost = header_cost(&src->headers[i]);

		if (cost > left - used || i == HEADERS_MAX)
			break;
		used += cost;
	}
	l->n_headers = i;
	if (i < src->n_headers)
		buf_addf(&l->message, "; only the first %zu of %zu headers are kept", i,
			 src->n_headers);
	l->value = src->value;
	if (l->value.len > left - used)
		l->value.len = left - used;
}

static int
redrive_count(const struct source *src)
{
	int64_t count = 0;
	size_t i, k;

	for (i = 0; i < src->n_headers; i++) {
		struct span v = src->headers[i].value;

		if (!span_is(src->headers[i].name, redrive_header))
			continue;
		for (count = 0, k = 0; k < v.len && v.ptr[k] >= '0' && v.ptr[k] <= '9'; k++)
			count = count < INT32_MAX / 10 ? 10 * count + (v.ptr[k] - '0') : INT32_MAX;
		if (k < v.len)
			count = 0;
	}
	return (int)count;
}

static struct span
or_null(const char *text)
{
	return *text ? span_of(text) : SPAN_NULL;
}

static bool
write_headers(struct letter *l, avro_value_t *record)
{
	avro_value_t headers, item;
	size_t i;

	if (!avro_field_enter(record, "headers", NULL, &headers))
		return false;
	for (i = 0; i < l->n_headers; i++) {
		const struct event_header *h = &l->src->headers[i];

		buf_reset(&l->text);
		jtext_add_repaired(&l->text, h->name);
		if (l->text.failed || !avro_field_append(&headers, &item) ||
		    !avro_field_set_span(&item, "name", buf_span(&l->text)) ||
		    !avro_field_set_span(&item, "value", h->value))
			return false;
	}
	return true;
}

static bool
write_first(const struct first_record *first, avro_value_t *record)
{
	if (!first || !first->topic)
		return true;
	return avro_field_set_text(record, "firstTopic", first->topic) &&
	       avro_field_set_int(record, "firstPartition", first->partition) &&
	       avro_field_set_int(record, "firstOffset", first->offset);
}

static bool
write_letter_value(const struct letter *l, avro_value_t *record)
{
	struct span whole = l->src->value;
	char digest[DIGEST_HEX_SIZE];

	if (!whole.ptr)
		return avro_field_set_int(record, "valueBytes", -1);
	return digest_sha256_hex(whole, digest) && avro_field_set_span(record, "value", l->value) &&
	       avro_field_set_int(record, "valueBytes", (int64_t)whole.len) &&
	       avro_field_set_text(record, "valueSha256", digest) &&
	       avro_field_set_bool(record, "valueTruncated", l->value.len < whole.len);
}

static bool
write_letter(struct letter *l, avro_value_t *record)
{
	const struct source *src = l->src;
	const struct reject *why = l->why;

	return avro_field_clear(record) &&
	       avro_field_set_text(record, "reason", command_reject_name(why->reason)) &&
	       avro_field_set_span(record, "message", buf_span(&l->message)) &&
	       avro_field_set_span(record, "field", or_null(why->field)) &&
	       avro_field_set_span(record, "commandId", or_null(why->command_id)) &&
	       avro_field_set_span(record, "companyId", or_null(why->company_id)) &&
	       avro_field_set_span(record, "environmentId", or_null(why->environment_id)) &&
	       avro_field_set_span(record, "operation", or_null(why->operation)) &&
	       avro_field_set_text(record, "sourceTopic", src->topic) &&
	       avro_field_set_int(record, "sourcePartition", src->partition) &&
	       avro_field_set_int(record, "sourceOffset", src->offset) &&
	       (src->timestamp < 0 ||
		avro_field_set_int(record, "sourceTimestamp", src->timestamp)) &&
	       write_first(l->first, record) && avro_field_set_span(record, "key", l->key) &&
	       write_letter_value(l, record) && write_headers(l, record) &&
	       avro_field_set_int(record, "redriveCount", redrive_count(src)) &&
	       avro_field_set_text(record, "instanceId", l->instance_id) &&
	       avro_field_set_int(record, "deadLetteredAt", clock_wall_ms());
}

static void
put_header(struct event_header *headers, size_t *n, const char *name, struct span value)
{
	if (value.len)
		headers[(*n)++] = (struct event_header){ span_of(name), value };
}

/* The headers of the original, then ours, then those of Kafka Connect. */
static size_t
list_headers(struct letter *l, struct event_header *headers)
{
	const struct reject *why = l->why;
	bool unread = why->reason == REJECT_UNREADABLE || why->reason == REJECT_TOO_LARGE;
	struct span reason = span_of(command_reject_name(why->reason));
	size_t n = l->n_headers;

	if (n)
		memcpy(headers, l->src->headers, n * sizeof(*headers));
	snprintf(l->partition, sizeof(l->partition), "%" PRId32, l->src->partition);
	snprintf(l->offset, sizeof(l->offset), "%" PRId64, l->src->offset);
	put_header(headers, &n, "envdriver.command-id", span_of(why->command_id));
	put_header(headers, &n, "envdriver.operation", span_of(why->operation));
	put_header(headers, &n, "envdriver.company-id", span_of(why->company_id));
	put_header(headers, &n, "envdriver.environment-id", span_of(why->environment_id));
	put_header(headers, &n, "envdriver.status", SPAN_LIT("DEAD_LETTER"));
	put_header(headers, &n, "envdriver.error-code", reason);
	put_header(headers, &n, "envdriver.schema", span_of(topic_record(TOPIC_DEAD_LETTERS)));
	put_header(headers, &n, "__connect.errors.topic", span_of(l->src->topic));
	put_header(headers, &n, "__connect.errors.partition", span_of(l->partition));
	put_header(headers, &n, "__connect.errors.offset", span_of(l->offset));
	put_header(headers, &n, "__connect.errors.stage",
		   unread ? SPAN_LIT("VALUE_CONVERTER") : SPAN_LIT("TRANSFORMATION"));
	put_header(headers, &n, "__connect.errors.exception.class.name", reason);
	put_header(headers, &n, "__connect.errors.exception.message", buf_span(&l->message));
	return n;
}

int
deadletter_build(const struct schemas *schemas, const char *instance_id, size_t max_bytes,
		 const struct source *src, const struct reject *why,
		 const struct first_record *first, struct events *ret)
{
	const struct schema *schema = schemas_find(schemas, topic_record(TOPIC_DEAD_LETTERS));
	struct letter l = { .src = src, .why = why, .first = first, .instance_id = instance_id };
	struct event_header *headers = NULL;
	struct buf encoded = BUF_INIT;
	avro_value_t record = { 0 };
	int r = ERR_NOMEM;

	events_reset(ret);
	jtext_add_repaired(&l.message, span_of(why->message));
	fit(&l, max_bytes);
	if (l.message.failed || schema_value_new(schema, &record, /* reterr= */ NULL) < 0)
		goto out;
	headers = malloc((l.n_headers + OUR_HEADERS_MAX) * sizeof(*headers));
	if (!headers || !write_letter(&l, &record) ||
	    schema_write(schema, &record, &encoded, /* reterr= */ NULL) < 0)
		goto out;
	if (events_add(ret, TOPIC_DEAD_LETTERS, l.key, headers, list_headers(&l, headers),
		       buf_span(&encoded)))
		r = 0;
out:
	if (record.iface)
		avro_value_decref(&record);
	free(headers);
	buf_release(&encoded);
	buf_release(&l.message);
	buf_release(&l.text);
	return r;
}
