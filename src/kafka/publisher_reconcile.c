/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher_reconcile.h"

#include <stdlib.h>

#include "envdriver/kafka/offset_metadata.h"
#include "envdriver/kafka/offsets.h"
#include "envdriver/kafka/publisher.h"

/* What is committed of one partition. */
struct committed {
	int64_t offset, end;
	int64_t listed[OFFSET_METADATA_BYTES];
	int n_listed;		/* negative: the metadata is not ours */
};

void
publisher_reconcile_release(struct publisher_reconcile *r)
{
	offsets_unref(r->offsets);
	r->offsets = NULL;
}

static bool
is_done(const struct committed *c, int64_t offset)
{
	if (offset < c->offset)
		return true;
	if (c->n_listed < 0 || offset >= c->end)
		return false;
	for (int i = 0; i < c->n_listed; i++)
		if (c->listed[i] == offset)
			return false;
	return true;
}

static void
mark_items(struct batch *b, const rd_kafka_topic_partition_t *at, struct committed *c)
{
	struct span metadata = { at->metadata_size ? at->metadata : NULL, at->metadata_size };

	c->offset = at->offset;
	c->n_listed = at->offset < 0 ? -1
				     : offset_metadata_read(metadata, at->offset, &c->end,
							    c->listed, OFFSET_METADATA_BYTES);
	for (size_t i = 0; i < b->n_items; i++)
		if (b->items[i].partition == at->partition)
			b->items[i].done = is_done(c, b->items[i].offset);
}

bool
publisher_reconcile_mark(struct publisher_reconcile *r, struct batch *b,
			 const struct offsets_watch *watch)
{
	const rd_kafka_topic_partition_list_t *sealed = b->offsets;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(sealed->cnt);
	struct committed *c = malloc(sizeof(*c));
	bool ok = false;

	for (int i = 0; i < sealed->cnt; i++)
		rd_kafka_topic_partition_list_add(list, sealed->elems[i].topic,
						  sealed->elems[i].partition);
	if (!r->offsets)
		r->offsets = offsets_new(r->config, /* reterr= */ NULL);
	if (c && r->offsets && offsets_read(r->offsets, list, watch, /* reterr= */ NULL) == 0) {
		for (int i = 0; i < list->cnt; i++)
			mark_items(b, &list->elems[i], c);
		ok = true;
	}
	free(c);
	rd_kafka_topic_partition_list_destroy(list);
	return ok;
}
