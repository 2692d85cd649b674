/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_mask: what an answer says beside its live credential shows nothing of it: a
 * plugin may repeat a token in its metadata.
 */
#include "answer_mask.h"

#include <string.h>

#include "answer.h"
#include "envdriver/base/err.h"
#include "envdriver/secret/mask.h"

/* Members of a payload that are no secrets, and are told elsewhere. */
static bool
is_told_openly(struct span key)
{
	static const char *const names[] = { "type", "expiresAt", "metadata", "name", NULL };
	size_t i;

	for (i = 0; names[i]; i++)
		if (jtext_is((struct jtext){ JTEXT_STRING, key }, names[i]))
			return true;
	return false;
}

static int
add_payload_secret(struct mask *m, struct jtext value)
{
	struct buf text = BUF_WIPES;
	int ret = 0;

	jtext_decode(value, &text, /* ret_replaced= */ NULL);
	if (text.failed)
		ret = ERR_NOMEM;
	else if (text.len >= MASK_VALUE_MIN)
		ret = mask_add(m, buf_span(&text), /* reterr= */ NULL);
	buf_release(&text);
	return ret == ERR_NOMEM ? ret : 0;
}

/* A payload, or an array of headers. */
static int
add_payload_secrets(struct mask *m, struct jtext object)
{
	struct jtext_iter it;
	struct jtext value;
	struct span key = SPAN_NULL;
	int ret = 0;

	jtext_iter_init(&it, object);
	while (ret == 0 && jtext_iter_next(&it, &key, &value)) {
		if (object.kind == JTEXT_ARRAY)
			ret = add_payload_secrets(m, value);
		else if (value.kind == JTEXT_STRING && !is_told_openly(key))
			ret = add_payload_secret(m, value);
	}
	return ret;
}

static void
mask_slot(const struct mask_forms *f, struct answer *a, enum answer_slot slot, bool json)
{
	struct buf out = BUF_INIT;
	struct span text = answer_text(a, slot), masked;

	if (!text.ptr)
		return;
	masked = json ? mask_json(f, text, NULL, 0, &out) : mask_text(f, text, &out);
	if (masked.ptr == text.ptr) {
		buf_release(&out);
		return;
	}
	buf_reset(&a->texts[slot]);
	buf_addspan(&a->texts[slot], masked);
	buf_release(&out);
}

int
answer_mask_credential(struct answer *a)
{
	static const struct {
		enum answer_slot slot;
		bool json;
	} slots[] = {
		{ ANSWER_CONNECTION, true }, { ANSWER_STATUS, false }, { ANSWER_EXPIRES_AT, false },
		{ ANSWER_URL, false }, { ANSWER_GENERATION, false },
	};
	struct span text = answer_text(a, ANSWER_CREDENTIAL);
	bool headers = text.ptr && *text.ptr == '[';
	struct jtext credential = { headers ? JTEXT_ARRAY : JTEXT_OBJECT, text };
	struct mask *m;
	size_t i;
	int ret = ERR_NOMEM;

	if (!text.ptr)
		return 0;
	m = mask_new();
	if (!m || add_payload_secrets(m, credential) < 0 || mask_compile(m, /* reterr= */ NULL) < 0)
		goto out;
	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		mask_slot(mask_forms(m), a, slots[i].slot, slots[i].json);
	if (a->metadata.ptr && !mask_empty(m))
		a->metadata = mask_json(mask_forms(m), a->metadata, NULL, 0,
					 &a->masked_metadata);
	ret = a->masked_metadata.failed ? ERR_NOMEM : 0;
out:
	mask_free(m);
	return ret;
}
