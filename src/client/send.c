/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/send.h"

#include <avro.h>
#include <stdio.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/client/cli_schemas.h"
#include "envdriver/client/kafka.h"
#include "envdriver/command/command.h"

enum { LOOK_MS = 10000, WAIT_MS = 100, FLUSH_MS = 60000 };

struct send {
	const struct config *config;
	const struct schemas *schemas;
	struct kafka *kafka;	/* NULL of a checker */
	bool use_id;		/* of the schema registry */
	uint32_t id;
	struct command_decoder *decoder;
	char topic[KAFKA_TOPIC_MAX];
	send_placed_fn *placed;
	void *arg;
	const volatile sig_atomic_t *stop;	/* NULL: nothing does */
};

void
send_command_release(struct send_command *c)
{
	buf_release(&c->key);
	buf_release(&c->value);
}

/* The message's opaque is a copy of the command's id. */
static void
on_command_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	struct send *s = arg;
	struct err err = { 0 };
	char what[KAFKA_TOPIC_MAX + 32];

	(void)rk;
	if (m->err) {
		snprintf(what, sizeof(what), "write to topic '%s'", s->topic);
		kafka_error(s->kafka, m->err, what, &err);
		if (rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED)
			err_prefix(&err,
				   "no acknowledgement, so the command may have been written");
	}
	s->placed(s->arg, m->_private, m->partition, m->offset, m->err ? &err : NULL);
	free(m->_private);
}

struct send *
send_new_checker(const struct config *config, const struct schemas *schemas, struct err *reterr)
{
	struct send *s = calloc(1, sizeof(*s));

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	s->config = config;
	s->schemas = schemas;
	kafka_topic(config, TOPIC_COMMANDS, s->topic);
	s->decoder = command_decoder_new(schemas, (size_t)config_int(config, "command.max.bytes"),
					 reterr);
	if (!s->decoder) {
		send_free(s);
		return NULL;
	}
	return s;
}

struct send *
send_new(const struct config *config, const struct schemas *schemas, send_placed_fn *placed,
	 void *arg, struct err *reterr)
{
	const struct rd_kafka_metadata *md = NULL;
	const struct rd_kafka_metadata_topic *found;
	struct send *s = send_new_checker(config, schemas, reterr);
	bool ok = false;

	if (!s)
		return NULL;
	s->placed = placed;
	s->arg = arg;
	s->kafka = kafka_new(config, KAFKA_WRITER, on_command_delivered, s, reterr);
	if (!s->kafka || kafka_metadata(s->kafka, LOOK_MS, &md, reterr) < 0 ||
	    kafka_find_topic(s->kafka, md, s->topic, &found, reterr) < 0)
		goto out;
	ok = cli_schemas_register(config, TOPIC_COMMANDS, &s->use_id, &s->id, reterr) == 0;
out:
	if (md)
		rd_kafka_metadata_destroy(md);
	if (ok)
		return s;
	send_free(s);
	return NULL;
}

void
send_free(struct send *s)
{
	if (!s)
		return;
	kafka_free(s->kafka);
	command_decoder_free(s->decoder);
	free(s);
}

/* Adds a commandId and issuedAt: before what is there, or with `new_id` behind
 * it, because of a repeated member the last one counts. */
static int
complete_command(struct span json, bool new_id, struct buf *out, struct err *reterr)
{
	char id[UUID_STR_LEN];
	struct buf made = BUF_INIT;
	struct jtext object;
	struct span inner;
	bool empty;
	uuid_t uuid;

	if (jtext_check(json, JTEXT_DEPTH_MAX * 2, &object, reterr) < 0)
		return ERR_INVALID;
	if (object.kind != JTEXT_OBJECT)
		return err_set(reterr, ERR_INVALID, "expected object, got %s",
			       jtext_kind_name(object.kind));
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, id);
	buf_addf(&made, "\"commandId\":\"%s\",\"issuedAt\":%lld", id, (long long)clock_wall_ms());
	inner = (struct span){ object.raw.ptr + 1, object.raw.len - 2 };
	empty = strspn(inner.ptr, " \t\r\n") >= inner.len;
	buf_addch(out, '{');
	if (!new_id)
		buf_addspan(out, buf_span(&made));
	if (!new_id && !empty)
		buf_addch(out, ',');
	buf_addspan(out, inner);
	if (new_id && !empty)
		buf_addch(out, ',');
	if (new_id)
		buf_addspan(out, buf_span(&made));
	buf_addch(out, '}');
	out->failed |= made.failed;
	buf_release(&made);
	return out->failed ? err_nomem(reterr) : 0;
}

static int
encode_command(struct send *s, struct span json, struct buf *out, struct err *reterr)
{
	const struct schema *schema = schemas_find(s->schemas, "EnvironmentCommand");
	avro_value_t value;
	int ret = schema_value_new(schema, &value, reterr);

	if (ret < 0)
		return ret;
	ret = avro_json_read(schema, json, &value, reterr);
	if (ret == 0)
		ret = schema_write(schema, &value, out, reterr);
	avro_value_decref(&value);
	return ret;
}

/* Reads it as the worker will. */
static int
check_command(struct send *s, struct send_command *ret, struct err *reterr)
{
	struct reject why = { 0 };
	struct command *c = command_decode(s->decoder, buf_span(&ret->value), SPAN_NULL, &why);

	if (!c && why.reason == REJECT_NOTHING)
		return err_nomem(reterr);
	if (!c)
		return err_set(reterr,
			       why.reason == REJECT_TOO_LARGE ? ERR_LIMIT : ERR_INVALID,
			       why.reason == REJECT_TOO_LARGE ? "%s (command.max.bytes)" : "%s",
			       why.message);
	snprintf(ret->id, sizeof(ret->id), "%.*s", SPAN_FMT(c->id));
	ret->result = c->op->result;
	buf_addspan(&ret->key, c->ordering_key.ptr ? c->ordering_key : c->id);
	command_free(c);
	return ret->key.failed ? err_nomem(reterr) : 0;
}

int
send_encode(struct send *s, struct span json, bool new_id, struct send_command *ret,
	    struct err *reterr)
{
	struct buf whole = BUF_INIT;
	int rc;

	buf_reset(&ret->key);
	buf_reset(&ret->value);
	rc = complete_command(json, new_id, &whole, reterr);
	if (rc < 0)
		goto out;
	rc = encode_command(s, buf_span(&whole), &ret->value, reterr);
	if (rc == 0)
		rc = check_command(s, ret, reterr);
out:
	buf_release(&whole);
	return rc;
}

/* The value with the frame that is used; `c` has the one without a registry. */
static struct span
framed(struct send *s, const struct send_command *c, struct buf *out)
{
	if (!s->use_id)
		return buf_span(&c->value);
	schema_add_id_frame(out, s->id);
	buf_add(out, c->value.data + SCHEMA_FRAME_LEN, c->value.len - SCHEMA_FRAME_LEN);
	return buf_span(out);
}

void
send_stop_on(struct send *s, const volatile sig_atomic_t *flag)
{
	s->stop = flag;
}

static bool
is_stopped(const struct send *s)
{
	return s->stop && *s->stop;
}

/* NULL without command.token, or when out of memory, which *ret_failed tells. */
static rd_kafka_headers_t *
signed_headers(const struct send *s, struct span value, bool *ret_failed)
{
	const char *token = config_str(s->config, "command.token");
	char signature[DIGEST_HEX_SIZE];
	rd_kafka_headers_t *headers = NULL;

	if (!token)
		return NULL;
	if (digest_hmac_hex(span_of(token), value, signature))
		headers = rd_kafka_headers_new(1);
	*ret_failed |= !headers || rd_kafka_header_add(headers, COMMAND_SIGNATURE, -1, signature,
						      -1) != RD_KAFKA_RESP_ERR_NO_ERROR;
	return headers;
}

/* Returns when it is queued; the client then owns the headers. */
static rd_kafka_resp_err_t
produce_command(struct send *s, const struct send_command *c, struct span value,
		rd_kafka_headers_t *headers, char *id)
{
	rd_kafka_t *rk = kafka_client(s->kafka);
	rd_kafka_resp_err_t rc;

	do {
		rc = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(s->topic),
				       RD_KAFKA_V_KEY(c->key.data, c->key.len),
				       RD_KAFKA_V_VALUE((void *)value.ptr, value.len),
				       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				       RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(id),
				       RD_KAFKA_V_END);
		rd_kafka_poll(rk, rc == RD_KAFKA_RESP_ERR__QUEUE_FULL ? WAIT_MS : 0);
	} while (rc == RD_KAFKA_RESP_ERR__QUEUE_FULL && !is_stopped(s));
	return rc;
}

int
send_put(struct send *s, const struct send_command *c, struct err *reterr)
{
	struct buf frame = BUF_INIT;
	struct span value = framed(s, c, &frame);
	char what[KAFKA_TOPIC_MAX + 32], *id = strdup(c->id);
	bool failed = !id || frame.failed;
	rd_kafka_headers_t *headers = signed_headers(s, value, &failed);
	rd_kafka_resp_err_t rc = RD_KAFKA_RESP_ERR__FAIL;

	if (!failed)
		rc = produce_command(s, c, value, headers, id);
	buf_release(&frame);
	if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	if (headers)
		rd_kafka_headers_destroy(headers);
	free(id);
	if (failed)
		return err_nomem(reterr);
	if (is_stopped(s))
		return err_set(reterr, ERR_CLOSED, "interrupted");
	snprintf(what, sizeof(what), "write to topic '%s'", s->topic);
	return kafka_error(s->kafka, rc, what, reterr);
}

/* Polls instead of rd_kafka_flush, which in librdkafka 2.0.2 sleeps between its
 * looks. Each message ends by message.timeout.ms at the latest. */
int
send_flush(struct send *s, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + FLUSH_MS;

	while (rd_kafka_outq_len(kafka_client(s->kafka)) > 0) {
		if (is_stopped(s))
			return err_set(reterr, ERR_CLOSED, "interrupted");
		if (clock_mono_ms() > deadline)
			return kafka_error(s->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "write", reterr);
		rd_kafka_poll(kafka_client(s->kafka), WAIT_MS);
	}
	return 0;
}
