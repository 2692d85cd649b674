/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/group_meta.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct group_meta {
	rd_kafka_consumer_group_metadata_t *cgmd;
	atomic_int refs;
};

bool
group_meta_usable(const void *serialised, size_t len)
{
	static const char magic[] = { 'C', 'G', 'M', 'D', 'v', '2', ':' };
	const char *p = serialised, *end = p + len, *group_end;
	int32_t generation;

	if (len < sizeof(magic) + sizeof(generation) || memcmp(p, magic, sizeof(magic)) != 0)
		return false;
	memcpy(&generation, p + sizeof(magic), sizeof(generation));
	p += sizeof(magic) + sizeof(generation);
	group_end = memchr(p, '\0', (size_t)(end - p));
	if (!group_end || generation < 0)
		return false;
	p = group_end + 1;
	return p < end && *p != '\0' && memchr(p, '\0', (size_t)(end - p)) != NULL;
}

/* Before 2.8 librdkafka has no other way to ask for the generation and the
 * member id; then rd_kafka_consumer_group_metadata_generation_id. */
static bool
is_usable(const rd_kafka_consumer_group_metadata_t *cgmd)
{
	void *bytes = NULL;
	size_t len = 0;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(cgmd, &bytes, &len);
	bool yes = !error && group_meta_usable(bytes, len);

	rd_kafka_error_destroy(error);
	rd_kafka_mem_free(NULL, bytes);
	return yes;
}

struct group_meta *
group_meta_new(rd_kafka_consumer_group_metadata_t *take_cgmd)
{
	struct group_meta *g = NULL;

	if (take_cgmd && is_usable(take_cgmd))
		g = calloc(1, sizeof(*g));
	if (g) {
		g->cgmd = take_cgmd;
		atomic_init(&g->refs, 1);
	} else if (take_cgmd) {
		rd_kafka_consumer_group_metadata_destroy(take_cgmd);
	}
	return g;
}

struct group_meta *
group_meta_ref(struct group_meta *g)
{
	if (g)
		atomic_fetch_add(&g->refs, 1);
	return g;
}

void
group_meta_unref(struct group_meta *g)
{
	if (!g || atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	rd_kafka_consumer_group_metadata_destroy(g->cgmd);
	free(g);
}

const rd_kafka_consumer_group_metadata_t *
group_meta_get(const struct group_meta *g)
{
	return g->cgmd;
}
