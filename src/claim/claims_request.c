/* SPDX-License-Identifier: Apache-2.0 */
#include "claims_request.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"

void
claims_draft_begin(struct claims_draft *d, struct span command_id)
{
	memset(d->at, 0, sizeof(d->at));
	memset(d->len, 0, sizeof(d->len));
	buf_reset(&d->mem);
	buf_addspan(&d->mem, command_id);
	d->len[PART_ID] = command_id.len;
}

/* The part is what was added since `at`. */
static void
end_part(struct claims_draft *d, enum claims_part part, size_t at)
{
	d->at[part] = at;
	d->len[part] = d->mem.len - at;
}

void
claims_draft_record(struct claims_draft *d, const struct claim_record *record)
{
	size_t at = d->mem.len;

	claim_format_record(record, &d->mem);
	end_part(d, PART_RECORD, at);
}

void
claims_draft_text(struct claims_draft *d, enum claims_part part, struct span text)
{
	size_t at = d->mem.len;

	claim_encode(text, &d->mem);
	end_part(d, part, at);
}

void
claims_draft_credential(struct claims_draft *d, struct span text)
{
	size_t at = d->mem.len;

	d->mem.wipes = true;
	buf_addspan(&d->mem, text);
	end_part(d, PART_CREDENTIAL, at);
}

void
claims_draft_wipe(struct claims_draft *d)
{
	buf_release(&d->mem);
	d->mem.wipes = false;
}

void
claims_draft_started_at(struct claims_draft *d)
{
	char text[CLOCK_TEXT_MAX];

	claims_draft_text(d, PART_STARTED_AT, span_of(clock_text(clock_wall_ms(), text)));
}

void
claims_draft_field(struct claims_draft *d, struct span token)
{
	size_t at = d->mem.len, id_len = d->len[PART_ID];

	if (buf_reserve(&d->mem, id_len + 1 + token.len)) {
		buf_add(&d->mem, d->mem.data, id_len);
		buf_addch(&d->mem, ':');
		buf_addspan(&d->mem, token);
	}
	end_part(d, PART_FIELD, at);
}

struct claims_request *
claims_request_new(const struct claims_draft *d, enum claims_kind kind,
		   const struct claim_record *record, struct span bytes)
{
	size_t topic = record ? record->topic.len : 0, drafted = d->mem.len, i;
	struct claims_request *r = NULL;

	if (!d->mem.failed)
		r = malloc(sizeof(*r) + drafted + topic + bytes.len);
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	if (drafted)
		memcpy(r->mem, d->mem.data, drafted);
	for (i = 0; i < PARTS; i++)
		r->part[i] = (struct span){ r->mem + d->at[i], d->len[i] };
	if (record) {
		r->record = *record;
		r->record.topic.ptr = r->mem + drafted;
		memcpy(r->mem + drafted, record->topic.ptr, topic);
	}
	r->part[PART_BYTES] = (struct span){ r->mem + drafted + topic, bytes.len };
	if (bytes.len)
		memcpy(r->mem + drafted + topic, bytes.ptr, bytes.len);
	return r;
}

void
claims_request_free(struct claims_request *r)
{
	struct span secret = r->part[PART_CREDENTIAL];

	if (secret.len)
		explicit_bzero((char *)secret.ptr, secret.len);
	free(r);
}
