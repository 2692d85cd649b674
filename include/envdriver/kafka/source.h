/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: a record of the command topic as it came, and the position of
 * another one. Values.
 *
 * Owns nothing: the spans are borrowed from whoever filled them in.
 */
#ifndef ENVDRIVER_KAFKA_SOURCE_H
#define ENVDRIVER_KAFKA_SOURCE_H

#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

/* A record as it came from Kafka: everything that a dead letter keeps. The
 * spans are the owner's. */
struct source {
	const char *topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp;	/* ms, -1: none */
	struct span key;	/* ptr NULL: null */
	struct span value;	/* ptr NULL: tombstone */
	const struct event_header *headers;
	size_t n_headers;
};

/* DUPLICATE_COMMAND: where the first one is. */
struct first_record {
	const char *topic;	/* NULL: no such */
	int32_t partition;
	int64_t offset;
};

#endif
