/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/lease_facts.h"

#include <stdio.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/client/kafka.h"
#include "envdriver/client/reader.h"
#include "envdriver/client/record.h"

void
lease_facts_release(struct lease_facts *l)
{
	buf_release(&l->lease);
	buf_release(&l->target);
	buf_release(&l->company);
	buf_release(&l->environment);
	buf_release(&l->config);
	buf_release(&l->place);
}

/* Where the command of the newest lease is. */
struct maker {
	char id[201];
	int64_t partition, offset;
};

static void
add_lease_member(struct buf *out, const char *name, struct span text)
{
	if (!text.ptr)
		return;
	buf_addf(out, ",\"%s\":", name);
	jtext_add_string(out, text);
}

static void
set_text(struct buf *to, struct span text)
{
	buf_reset(to);
	buf_addspan(to, text.ptr ? text : SPAN_LIT(""));
}

/* The plugin is pinned: the one that made the lease must serve it. */
static void
learn_lease(const struct record *r, const avro_value_t *lease, struct lease_facts *ret,
	    struct maker *maker)
{
	avro_value_t ref, trace;
	struct span metadata = avro_field_get_span(lease, "metadata");

	if (!avro_field_open(&r->value, "command", NULL, &ref))
		return;
	set_text(&ret->company, r->company_id);
	set_text(&ret->environment, r->environment_id);
	buf_reset(&ret->lease);
	buf_adds(&ret->lease, "{\"providerLeaseId\":");
	jtext_add_string(&ret->lease, avro_field_get_span(lease, "providerLeaseId"));
	if (metadata.ptr) {
		buf_adds(&ret->lease, ",\"metadata\":");
		buf_addspan(&ret->lease, metadata);
	}
	add_lease_member(&ret->lease, "expiresAt", avro_field_get_span(lease, "expiresAt"));
	buf_addch(&ret->lease, '}');
	buf_reset(&ret->target);
	buf_adds(&ret->target, "{\"type\":\"PluginDriver\"");
	add_lease_member(&ret->target, "pluginKey", avro_field_get_span(&ref, "pluginKey"));
	add_lease_member(&ret->target, "driverKey", avro_field_get_span(&ref, "driverKey"));
	add_lease_member(&ret->target, "pluginId", avro_field_get_span(&ref, "pluginId"));
	buf_addch(&ret->target, '}');
	ret->gone = false;
	snprintf(maker->id, sizeof(maker->id), "%.*s", SPAN_FMT(r->command_id));
	maker->partition = maker->offset = -1;
	if (avro_field_open(&r->value, "trace", NULL, &trace)) {
		(void)avro_field_get_int(&trace, "sourcePartition", &maker->partition);
		(void)avro_field_get_int(&trace, "sourceOffset", &maker->offset);
	}
}

static void
look_at_event(const struct record *r, const char *id, struct lease_facts *ret, struct maker *maker)
{
	avro_value_t lease;
	bool lost = false;

	if (!r->schema || !span_is(r->status, "SUCCEEDED"))
		return;
	if (avro_field_open(&r->value, "lease", NULL, &lease) &&
	    span_is(avro_field_get_span(&lease, "providerLeaseId"), id))
		learn_lease(r, &lease, ret, maker);
	else if (span_is(r->lease_id, id))
		ret->gone |= span_is(r->operation, "DestroyLease") ||
			     (avro_field_get_bool(&r->value, "leaseLost", &lost) && lost);
}

/* A reader of that range, which the caller frees, also after an error. */
static int
open_range(const struct config *config, enum topic topic, int32_t partition,
	   const struct reader_place *from, const struct reader_place *to,
	   struct reader **ret, struct err *reterr)
{
	int rc;

	*ret = reader_new(config, reterr);
	if (!*ret)
		return ERR_CONFIG;
	rc = reader_add(*ret, topic, partition, reterr);
	return rc < 0 ? rc : reader_open(*ret, from, to, reterr);
}

/* That topic may have lost the record, or be closed to us: no error, then. */
static void
learn_config(const struct config *config, const struct schemas *schemas,
	     const struct maker *maker, struct lease_facts *ret)
{
	const struct reader_place from = { READER_OFFSET, maker->offset };
	const struct reader_place to = { READER_OFFSET, maker->offset + 1 };
	struct reader *reader = NULL;
	struct reader_record raw;
	struct record r;
	struct err ignored;
	char topic[KAFKA_TOPIC_MAX];

	ret->no_config = true;
	buf_addf(&ret->place, "%s[%lld]@%lld", kafka_topic(config, TOPIC_COMMANDS, topic),
		 (long long)maker->partition, (long long)maker->offset);
	if (maker->offset >= 0 &&
	    open_range(config, TOPIC_COMMANDS, (int32_t)maker->partition, &from, &to, &reader,
		       &ignored) == 0 &&
	    reader_next(reader, 0, &raw, &ignored) == 1 &&
	    record_open(schemas, &raw, &r, &ignored) == 0) {
		if (r.schema && span_is(r.command_id, maker->id)) {
			set_text(&ret->config, avro_field_get_span(&r.value, "config"));
			ret->no_config = false;
		}
		record_release(&r);
	}
	reader_free(reader);
}

int
lease_facts_find(const struct config *config, const struct schemas *schemas, const char *id,
		 bool with_config, struct lease_facts *ret, struct err *reterr)
{
	const struct reader_place from = {READER_BEGINNING, 0}, to = {READER_END, 0};
	struct maker maker = { .id = "" };
	struct reader *reader;
	struct reader_record raw;
	struct record r;
	int rc = open_range(config, TOPIC_LEASE_RESULTS, -1, &from, &to, &reader, reterr);

	while (rc >= 0 && (rc = reader_next(reader, 0, &raw, reterr)) == 1) {
		/* The key is the lease's id: others need not be decoded. */
		if (!span_is(raw.key, id))
			continue;
		rc = record_open(schemas, &raw, &r, reterr);
		if (rc == 0) {
			look_at_event(&r, id, ret, &maker);
			record_release(&r);
		}
	}
	reader_free(reader);
	if (rc >= 0 && with_config && ret->target.len)
		learn_config(config, schemas, &maker, ret);
	if (ret->lease.failed || ret->target.failed || ret->company.failed || ret->config.failed)
		return err_nomem(reterr);
	return rc < 0 ? rc : 0;
}
