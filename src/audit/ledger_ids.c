/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids are kept whole: two that only share a hash must not be taken for one.
 * A UUID, which most are, is kept in 16 bytes.
 */
#include "ledger_impl.h"

#include <stdlib.h>

enum { UUID_BYTES = 16, UUID_TEXT = 36, UUID_MARK = 0xffff, UNIT = 4, FIRST_SLOTS = 1024 };

/* How an id is stored: a length or UUID_MARK in two bytes, then its bytes. */
struct packed {
	size_t len;
	unsigned char bytes[2 + LEDGER_ID_MAX];
};

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Lower case only: what is unpacked must be what was packed. */
static bool
pack_uuid(struct span id, unsigned char *to)
{
	size_t n = 0;

	if (id.len != UUID_TEXT)
		return false;
	for (size_t i = 0; i < UUID_TEXT; i++) {
		int digit = nibble(id.ptr[i]);

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (id.ptr[i] != '-')
				return false;
			continue;
		}
		if (digit < 0)
			return false;
		to[n / 2] = (unsigned char)(n % 2 ? to[n / 2] << 4 | digit : digit);
		n++;
	}
	return true;
}

static void
pack(struct span id, struct packed *ret)
{
	bool uuid = pack_uuid(id, ret->bytes + 2);
	size_t len = uuid ? UUID_MARK : id.len;

	if (!uuid && id.len)
		memcpy(ret->bytes + 2, id.ptr, id.len);
	ret->bytes[0] = (unsigned char)(len & 0xff);
	ret->bytes[1] = (unsigned char)(len >> 8);
	ret->len = 2 + (uuid ? UUID_BYTES : id.len);
}

static const unsigned char *
stored(const struct ledger_ids *ids, uint32_t id)
{
	return (const unsigned char *)ids->text + (size_t)id * UNIT;
}

static size_t
stored_len(const unsigned char *p)
{
	size_t len = (size_t)(p[0] | p[1] << 8);

	return 2 + (len == UUID_MARK ? UUID_BYTES : len);
}

struct span
ledger_ids_text(const struct ledger *l, uint32_t id, char keep[40])
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = stored(&l->ids, id);
	size_t n = 0;

	if (!id)
		return SPAN_NULL;
	if (p[0] != 0xff || p[1] != 0xff)
		return (struct span){ (const char *)p + 2, stored_len(p) - 2 };
	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			keep[n++] = '-';
		keep[n++] = hex[p[2 + i] >> 4];
		keep[n++] = hex[p[2 + i] & 15];
	}
	keep[n] = '\0';
	return (struct span){ keep, n };
}

uint64_t
ledger_ids_hash(uint64_t seed, struct span text)
{
	uint64_t h = seed ^ text.len, word;

	for (size_t n; text.len; text.ptr += n, text.len -= n) {
		word = 0;
		n = text.len < sizeof(word) ? text.len : sizeof(word);
		memcpy(&word, text.ptr, n);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
		h = (h + seed) * UINT64_C(0xbf58476d1ce4e5b9);
		h ^= h >> 32;
	}
	return h;
}

static size_t
hash(const struct ledger_ids *ids, const unsigned char *p, size_t len)
{
	return (size_t)ledger_ids_hash(ids->seed, (struct span){ (const char *)p, len });
}

static bool
grow(struct ledger *l)
{
	struct ledger_ids *ids = &l->ids;
	size_t n = ids->n_slots ? 2 * ids->n_slots : FIRST_SLOTS;
	uint32_t *slots = buf_realloc(NULL, n * sizeof(*slots));

	if (!slots)
		return false;
	memset(slots, 0, n * sizeof(*slots));
	for (size_t i = 0; i < ids->n_slots; i++) {
		const unsigned char *p;
		size_t at;

		if (!ids->slots[i])
			continue;
		p = stored(ids, l->entries[ids->slots[i] - 1].id);
		for (at = hash(ids, p, stored_len(p)) & (n - 1); slots[at];)
			at = (at + 1) & (n - 1);
		slots[at] = ids->slots[i];
	}
	free(ids->slots);
	ids->slots = slots;
	ids->n_slots = n;
	return true;
}

static bool
store(struct ledger_ids *ids, const struct packed *id, uint32_t *ret)
{
	size_t at = ids->len ? ids->len : UNIT;	/* 0 is no id */
	size_t end = (at + id->len + UNIT - 1) / UNIT * UNIT;

	if (at / UNIT > UINT32_MAX)
		return false;
	while (end > ids->cap)
		if (!ledger_grow((void **)&ids->text, &ids->cap, ids->cap, 1))
			return false;
	memset(ids->text + at, 0, end - at);
	memcpy(ids->text + at, id->bytes, id->len);
	ids->len = end;
	*ret = (uint32_t)(at / UNIT);
	return true;
}

bool
ledger_ids_add(struct ledger *l, struct span id, uint32_t entry, uint32_t *ret_id,
	       uint32_t *ret_first)
{
	struct ledger_ids *ids = &l->ids;
	struct packed packed;
	size_t at;

	pack(id, &packed);
	if (4 * ids->count >= 3 * ids->n_slots && !grow(l))
		return false;
	at = hash(ids, packed.bytes, packed.len) & (ids->n_slots - 1);
	for (; ids->slots[at]; at = (at + 1) & (ids->n_slots - 1)) {
		uint32_t known = l->entries[ids->slots[at] - 1].id;
		const unsigned char *p = stored(ids, known);

		if (stored_len(p) == packed.len && memcmp(p, packed.bytes, packed.len) == 0) {
			*ret_id = known;
			*ret_first = ids->slots[at];
			return true;
		}
	}
	if (!store(ids, &packed, ret_id))
		return false;
	ids->slots[at] = entry + 1;
	ids->count++;
	*ret_first = 0;
	return true;
}

void
ledger_ids_release(struct ledger_ids *ids)
{
	free(ids->text);
	free(ids->slots);
	*ids = (struct ledger_ids){ 0 };
}
