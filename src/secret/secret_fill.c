/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/secret_fill.h"

#include <ctype.h>

#include "envdriver/base/err.h"
#include "envdriver/secret/mask.h"
#include "envdriver/secret/secret_lookup.h"
#include "envdriver/secret/secret_refs.h"

/* 8-4-4-4-12 hexadecimal digits. */
static bool
is_uuid(struct span id)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (id.len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (form[i] == '-' ? id.ptr[i] != '-' : !isxdigit((unsigned char)id.ptr[i]))
			return false;
	return true;
}

/* A bare string may be a key that was written there by mistake: only what is an
 * id for certain is shown. */
static void
say_failure(const struct secret_ref *r, const struct err *err, struct buf *out)
{
	struct span id = r->id;

	if (id.len > SECRET_NAME_MAX)
		id.len = SECRET_NAME_MAX;
	if (r->bare && !is_uuid(r->id)) {
		buf_adds(out, "The config's schema makes ");
		buf_addspan(out, r->path);
		buf_adds(out, " the id of a secret (the string is not shown: it may be a value), "
			      "and it could not be resolved: ");
	} else {
		buf_adds(out, "Secret \"");
		buf_addspan(out, id);
		buf_adds(out, "\" could not be resolved for ");
		buf_addspan(out, r->path);
		buf_adds(out, ": ");
	}
	buf_adds(out, err->text);
	buf_addch(out, '.');
}

static int
add_values(struct secret_fill *s, const struct secret_found *found, size_t *ret_failed,
	   struct err *reterr)
{
	size_t n = secret_refs_count(s->refs);
	int ret = 0;

	s->mask = mask_new();
	if (!s->mask)
		return err_nomem(reterr);
	for (size_t i = 0; i < n && ret == 0; i++) {
		*ret_failed = i;
		ret = mask_add(s->mask, found->values[i], reterr);
	}
	return ret;
}

static void
on_fill_values(void *arg, const struct secret_found *found)
{
	struct secret_fill *s = arg;
	struct buf params = BUF_WIPES, failure = BUF_INIT;
	struct secret_fill_end end = { .params = SPAN_NULL };
	struct err err = { 0 };
	size_t failed = found->failed;
	int ret = found->ret;

	s->lookup = NULL;
	if (ret < 0)
		err = *found->err;
	else
		ret = add_values(s, found, &failed, &err);
	if (ret == 0) {
		secret_refs_fill(s->refs, buf_span(&s->params), 0, found->values, &params);
		end.params = buf_span(&params);
		if (params.failed)
			ret = err_nomem(&err);
	}
	if (ret < 0) {
		struct secret_ref r = secret_refs_at(s->refs, failed);

		say_failure(&r, &err, &failure);
		end.failure = failure.failed ? "out of memory" : buf_span(&failure).ptr;
		end.retryable = err.retriable || ret == ERR_NOMEM;
	}
	buf_release(&s->params);
	secret_refs_free(s->refs);
	s->refs = NULL;
	s->fn(s->arg, &end);
	buf_release(&params);
	buf_release(&failure);
}

bool
secret_fill_start(struct secret_fill *s, struct secret_lookups *lookups, struct span company,
		   struct span params, struct secret_refs *refs, int64_t limit_ms,
		   void (*fn)(void *arg, const struct secret_fill_end *end), void *arg,
		   struct buf *ret_failure)
{
	struct span ids[SECRET_REFS_MAX];
	size_t n = secret_refs_count(refs);
	struct err err = { 0 };

	for (size_t i = 0; i < n; i++)
		ids[i] = secret_refs_at(refs, i).id;
	*s = (struct secret_fill){ .fn = fn, .arg = arg, .refs = secret_refs_share(refs) };
	buf_addspan(&s->params, params);
	if (s->params.failed)
		err_nomem(&err);
	else
		s->lookup = secret_lookup_start(lookups, company, ids, n, limit_ms,
						on_fill_values, s, &err);
	if (s->lookup)
		return true;
	buf_addf(ret_failure, "The secrets of the request could not be looked up: %s.", err.text);
	secret_fill_release(s);
	return false;
}

void
secret_fill_release(struct secret_fill *s)
{
	if (s->lookup)
		secret_lookup_cancel(s->lookup);
	s->lookup = NULL;
	secret_refs_free(s->refs);
	s->refs = NULL;
	buf_release(&s->params);
	mask_free(s->mask);
	s->mask = NULL;
}
