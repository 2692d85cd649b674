/* SPDX-License-Identifier: Apache-2.0 */
#include "id_store.h"

#include <stdlib.h>

#include "array.h"

enum { UUID_BYTES = 16, UUID_TEXT = 36, UUID_MARK = 0xffff, UNIT = 4, FIRST_SLOTS = 1024 };

/* How an id is stored: a length or UUID_MARK in two bytes, then its bytes. */
struct packed {
	size_t len;
	unsigned char bytes[2 + ID_STORE_TEXT_MAX];
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
stored(const struct id_store *s, uint32_t id)
{
	return (const unsigned char *)s->text + (size_t)id * UNIT;
}

static size_t
stored_len(const unsigned char *p)
{
	size_t len = (size_t)(p[0] | p[1] << 8);

	return 2 + (len == UUID_MARK ? UUID_BYTES : len);
}

bool
id_store_same(const struct id_store *s, size_t a, size_t b)
{
	return s->ids[a] == s->ids[b];
}

struct span
id_store_text(const struct id_store *s, size_t entry, char keep[ID_STORE_KEEP])
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p;
	size_t n = 0;

	if (!s->ids[entry])
		return SPAN_NULL;
	p = stored(s, s->ids[entry]);
	if (p[0] != 0xff || p[1] != 0xff)
		return (struct span){(const char *)p + 2, stored_len(p) - 2};
	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			keep[n++] = '-';
		keep[n++] = hex[p[2 + i] >> 4];
		keep[n++] = hex[p[2 + i] & 15];
	}
	keep[n] = '\0';
	return (struct span){keep, n};
}

size_t
id_store_bytes(const struct id_store *s)
{
	return s->len + s->n * sizeof(*s->ids) + s->n_slots * sizeof(*s->slots);
}

uint64_t
id_store_hash(uint64_t seed, struct span text)
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
slot_of(const struct id_store *s, const unsigned char *p, size_t len)
{
	return (size_t)id_store_hash(s->seed, (struct span){(const char *)p, len}) &
	       (s->n_slots - 1);
}

static bool
grow_slots(struct id_store *s)
{
	size_t n_old = s->n_slots, n = n_old ? 2 * n_old : FIRST_SLOTS;
	uint32_t *old = s->slots, *slots = malloc(n * sizeof(*slots));

	if (!slots)
		return false;
	memset(slots, 0, n * sizeof(*slots));
	s->slots = slots;
	s->n_slots = n;
	for (size_t i = 0; i < n_old; i++) {
		const unsigned char *p;
		size_t at;

		if (!old[i])
			continue;
		p = stored(s, s->ids[old[i] - 1]);
		at = slot_of(s, p, stored_len(p));
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = old[i];
	}
	free(old);
	return true;
}

static bool
store(struct id_store *s, const struct packed *id, uint32_t *ret)
{
	size_t at = s->len ? s->len : UNIT; /* 0 is no id */
	size_t end = (at + id->len + UNIT - 1) / UNIT * UNIT;

	if (at / UNIT > UINT32_MAX)
		return false;
	while (end > s->cap)
		if (!array_grow((void **)&s->text, &s->cap, s->cap, 1))
			return false;
	memset(s->text + at, 0, end - at);
	memcpy(s->text + at, id->bytes, id->len);
	s->len = end;
	*ret = (uint32_t)(at / UNIT);
	return true;
}

/* The unit of the id's text, which is stored when it is new. */
static bool
find_or_store(struct id_store *s, struct span id, uint32_t *ret, uint32_t *ret_first)
{
	struct packed packed;
	size_t at;

	pack(id, &packed);
	if (4 * s->count >= 3 * s->n_slots && !grow_slots(s))
		return false;
	at = slot_of(s, packed.bytes, packed.len);
	for (; s->slots[at]; at = (at + 1) & (s->n_slots - 1)) {
		uint32_t known = s->ids[s->slots[at] - 1];
		const unsigned char *p = stored(s, known);

		if (stored_len(p) == packed.len && memcmp(p, packed.bytes, packed.len) == 0) {
			*ret = known;
			*ret_first = s->slots[at];
			return true;
		}
	}
	if (!store(s, &packed, ret))
		return false;
	s->slots[at] = (uint32_t)s->n + 1;
	s->count++;
	return true;
}

bool
id_store_add(struct id_store *s, struct span id, uint32_t *ret_first)
{
	uint32_t unit = 0;

	*ret_first = 0;
	if (!array_grow((void **)&s->ids, &s->cap_ids, s->n, sizeof(*s->ids)) ||
	    (id.ptr && !find_or_store(s, id, &unit, ret_first)))
		return false;
	s->ids[s->n++] = unit;
	return true;
}

void
id_store_release(struct id_store *s)
{
	free(s->text);
	free(s->ids);
	free(s->slots);
	*s = (struct id_store){.seed = s->seed};
}
