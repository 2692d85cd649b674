/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro_json_union: how many records a union may hold: with more than one, its
 * value must say which record it is.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_AVRO_AVRO_JSON_UNION_H
#define ENVDRIVER_AVRO_AVRO_JSON_UNION_H

#include <avro.h>

static inline avro_schema_t
avro_json_union_branch(avro_schema_t schema, size_t i)
{
	avro_schema_t kind = avro_schema_union_branch(schema, (int)i);

	return is_avro_link(kind) ? avro_schema_link_target(kind) : kind;
}

static inline size_t
avro_json_union_records(avro_schema_t schema)
{
	size_t records = 0;

	for (size_t i = 0; i < avro_schema_union_size(schema); i++)
		records += is_avro_record(avro_json_union_branch(schema, i));
	return records;
}

#endif
