/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/lease_facts.h"

#include "envdriver/avro/avro_field.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/client/reader.h"
#include "envdriver/client/record.h"

void
lease_facts_release(struct lease_facts *l)
{
	buf_release(&l->lease);
	buf_release(&l->target);
	buf_release(&l->company);
	buf_release(&l->environment);
}

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
learn_lease(const struct record *r, const avro_value_t *lease, struct lease_facts *ret)
{
	avro_value_t ref;
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
}

static void
look_at_event(const struct record *r, const char *id, struct lease_facts *ret)
{
	avro_value_t lease;
	bool lost = false;

	if (!r->schema || !span_is(r->status, "SUCCEEDED"))
		return;
	if (avro_field_open(&r->value, "lease", NULL, &lease) &&
	    span_is(avro_field_get_span(&lease, "providerLeaseId"), id))
		learn_lease(r, &lease, ret);
	else if (span_is(r->lease_id, id))
		ret->gone |= span_is(r->operation, "DestroyLease") ||
			     (avro_field_get_bool(&r->value, "leaseLost", &lost) && lost);
}

int
lease_facts_find(const struct config *config, const struct schemas *schemas, const char *id,
		 struct lease_facts *ret, struct err *reterr)
{
	const struct reader_place from = {READER_BEGINNING, 0}, to = {READER_END, 0};
	struct reader *reader = reader_new(config, reterr);
	struct reader_record raw;
	struct record r;
	int rc;

	if (!reader)
		return ERR_CONFIG;
	rc = reader_add(reader, TOPIC_LEASE_RESULTS, -1, reterr);
	if (rc == 0)
		rc = reader_open(reader, &from, &to, reterr);
	while (rc >= 0 && (rc = reader_next(reader, 0, &raw, reterr)) == 1) {
		/* The key is the lease's id: others need not be decoded. */
		if (!span_is(raw.key, id))
			continue;
		rc = record_open(schemas, &raw, &r, reterr);
		if (rc == 0) {
			look_at_event(&r, id, ret);
			record_release(&r);
		}
	}
	reader_free(reader);
	if (ret->lease.failed || ret->target.failed || ret->company.failed)
		return err_nomem(reterr);
	return rc < 0 ? rc : 0;
}
