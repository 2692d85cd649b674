/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/host/scope.h"

#include <stdlib.h>

static bool
is_mark(const struct scope_mark *m, struct span company)
{
	return m->company && span_eq((struct span){ m->company, m->len }, company);
}

static void
set_mark(struct scope *s, struct scope_mark *m, struct span company)
{
	free(m->company);
	m->company = malloc(company.len);
	if (!m->company) {
		s->blind = true;
		return;
	}
	memcpy(m->company, company.ptr, company.len);
	m->len = company.len;
}

static void
note_company(struct scope *s, struct span company)
{
	if (s->shared || is_mark(&s->first, company))
		return;
	if (company.len && !s->first.company)
		set_mark(s, &s->first, company);
	else
		s->shared = true;
}

bool
scope_begin(struct scope *s, struct scope_entry *c)
{
	c->settled = c->latched = false;
	c->log_bytes = 0;
	if (c->invocation_id) {
		HASH_ADD_KEYPTR(hh, s->live, c->invocation_id, strlen(c->invocation_id), c);
		if (!c->hh.tbl)
			return false;
	}
	note_company(s, c->company);
	LIST_INSERT_HEAD(&s->calls, c, link);
	return true;
}

void
scope_settle(struct scope *s, struct scope_entry *c)
{
	if (c->invocation_id && !c->settled)
		HASH_DEL(s->live, c);
	c->settled = true;
}

/* Puts `company` first among the marks. */
static void
mark_company(struct scope *s, struct span company, uint64_t at)
{
	struct scope_mark *m = s->marks, old;

	if (!is_mark(&m[0], company)) {
		old = m[1];
		m[1] = m[0];
		m[0] = old;
	}
	if (!is_mark(&m[0], company))
		set_mark(s, &m[0], company);
	m[0].at = at;
}

void
scope_end(struct scope *s, struct scope_entry *c, uint64_t at)
{
	scope_settle(s, c);
	LIST_REMOVE(c, link);
	if (c->company.len)
		mark_company(s, c->company, at);
	else
		s->nameless_at = at;
}

struct scope_entry *
scope_find(const struct scope *s, struct span invocation_id)
{
	struct scope_entry *c = NULL;

	HASH_FIND(hh, s->live, invocation_id.ptr, invocation_id.len, c);
	return c;
}

bool
scope_any(const struct scope *s)
{
	return s->live;
}

uint64_t
scope_from(const struct scope *s, const struct scope_entry *c)
{
	const struct scope_entry *o;
	uint64_t from = s->nameless_at;

	if (s->blind)
		return UINT64_MAX;
	if (!s->shared)
		return 0;
	LIST_FOREACH(o, &s->calls, link)
		if (o != c && (!c->company.len || !span_eq(o->company, c->company)))
			return UINT64_MAX;
	for (size_t i = 0; i < 2; i++) {
		const struct scope_mark *m = &s->marks[i];

		if (m->company && m->at > from && !(c->company.len && is_mark(m, c->company)))
			from = m->at;
	}
	return from;
}

void
scope_touch(struct scope *s, uint64_t at)
{
	s->marks[0].at = at;
	if (s->nameless_at)
		s->nameless_at = at;
}

void
scope_release(struct scope *s)
{
	free(s->first.company);
	free(s->marks[0].company);
	free(s->marks[1].company);
	HASH_CLEAR(hh, s->live);
	*s = (struct scope){ 0 };
}
