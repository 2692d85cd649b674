/* SPDX-License-Identifier: Apache-2.0 */
#include "place_offsets.h"

#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/client/kafka.h"
#include "envdriver/client/reader.h"

enum { OFFSETS_MS = 20000, AGAIN_US = 100000 };

static rd_kafka_resp_err_t
ask_offsets(struct kafka *kafka, const rd_kafka_topic_partition_list_t *parts, int64_t ask,
	    int timeout_ms, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(parts);
	rd_kafka_resp_err_t rc;

	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = ask;
	rc = rd_kafka_offsets_for_times(kafka_client(kafka), list, timeout_ms);
	for (int i = 0; i < list->cnt && !rc; i++) {
		rc = list->elems[i].err;
		ret[i] = list->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return rc;
}

/* Leaders are not known yet right after a topic was created or a broker came
 * back. */
static bool
may_come_right(rd_kafka_resp_err_t rc)
{
	return rc == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       rc == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
	       rc == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE ||
	       rc == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	       rc == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

int
place_offsets(struct kafka *kafka, const rd_kafka_topic_partition_list_t *parts,
	      const struct reader_place *place, const int64_t *ends, int64_t *ret,
	      struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + OFFSETS_MS, left;
	int64_t ask = place->at == READER_BEGINNING ? RD_KAFKA_OFFSET_BEGINNING
		      : place->at == READER_END	    ? RD_KAFKA_OFFSET_END
						    : place->value;
	rd_kafka_resp_err_t rc;

	for (int i = 0; i < parts->cnt && place->at == READER_OFFSET; i++)
		ret[i] = place->value;
	if (place->at == READER_OFFSET)
		return 0;
	for (;;) {
		left = deadline - clock_mono_ms();
		rc = ask_offsets(kafka, parts, ask, left > 0 ? (int)left : 1, ret);
		if (!may_come_right(rc) || left <= 0)
			break;
		usleep(AGAIN_US);
	}
	if (rc)
		return kafka_error(kafka, rc, "look up offsets", reterr);
	for (int i = 0; i < parts->cnt && place->at == READER_TIME; i++)
		if (ret[i] < 0)
			ret[i] = ends[i];
	return 0;
}
