/* SPDX-License-Identifier: Apache-2.0 */
#include "produce.h"

#include "envdriver/kafka/event.h"

static rd_kafka_headers_t *
headers_of(const struct event *ev)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(EVENT_HEADERS_MAX);
	struct event_header h;
	size_t at = 0;

	while (headers && event_header_next(ev, &at, &h)) {
		if (rd_kafka_header_add(headers, h.name.ptr, (ssize_t)h.name.len, h.value.ptr,
					(ssize_t)h.value.len) == RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		rd_kafka_headers_destroy(headers);
		headers = NULL;
	}
	return headers;
}

rd_kafka_resp_err_t
produce_record(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct event *ev, void *tag)
{
	rd_kafka_headers_t *headers = headers_of(ev);
	rd_kafka_resp_err_t code;

	if (!headers)
		return RD_KAFKA_RESP_ERR__QUEUE_FULL;
	code = rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic),
				 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				 RD_KAFKA_V_KEY(ev->key.ptr, ev->key.len),
				 RD_KAFKA_V_VALUE((void *)ev->value.ptr, ev->value.len),
				 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(tag),
				 RD_KAFKA_V_END);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);	/* ours again */
	return code;
}
