/* SPDX-License-Identifier: Apache-2.0 */
#include "request_secret.h"

#include "envdriver/base/err.h"
#include "envdriver/command/outcome.h"
#include "envdriver/secret/secret_refs.h"

static int
fail_find(int ret, const struct err *err, struct outcome *ret_failure)
{
	if (ret == ERR_NOMEM)
		outcome_fail(ret_failure, CODE_INTERNAL, "out of memory");
	else if (ret < 0)
		outcome_fail(ret_failure, CODE_SECRET_UNRESOLVED,
			     "A reference to a secret cannot be used: %s.", err->text);
	return ret;
}

/* Of those that pin a version the first one of the schema is named. */
static int
refuse_pinned(const struct secret_refs *refs, size_t from, struct outcome *ret_failure)
{
	struct secret_ref pinned = { .spot = SIZE_MAX };
	struct buf *message = &ret_failure->message;

	for (size_t i = 0; i < secret_refs_count(refs); i++) {
		struct secret_ref r = secret_refs_at(refs, i);

		if (r.from >= from && r.version.ptr && r.spot < pinned.spot)
			pinned = r;
	}
	if (pinned.spot == SIZE_MAX)
		return 0;
	outcome_begin(ret_failure, CODE_CONFIG_REJECTED);
	ret_failure->may_have_run = false;	/* nothing is sent */
	buf_adds(message, "Secret binding at ");
	buf_addspan(message, pinned.path);
	buf_adds(message, " pins version ");
	buf_addspan(message, pinned.version);
	buf_adds(message, "; sandbox provider secret references always resolve the latest "
			  "version.");
	return ERR_INVALID;
}

static int
write_ids(const struct secret_refs *refs, struct jtext json, struct buf *out,
	  struct outcome *ret_failure)
{
	struct span ids[SECRET_REFS_MAX];
	size_t n = secret_refs_count(refs);

	for (size_t i = 0; i < n; i++)
		ids[i] = secret_refs_at(refs, i).id;
	if (n)
		secret_refs_fill(refs, json.raw, 0, ids, out);
	else
		jtext_add_flat(out, json.raw);
	return out->failed ? fail_find(ERR_NOMEM, NULL, ret_failure) : 0;
}

int
request_secret_collapse(struct jtext json, const struct secret_graph *spots, struct buf *out,
			struct outcome *ret_failure)
{
	const struct secret_refs_options o = { "", spots, .only_spots = true };
	struct secret_refs *refs = NULL;
	struct err err = { 0 };
	int ret = 0;

	if (spots)
		ret = secret_refs_find(&refs, json.raw, 0, &o, &err);
	if (ret < 0)
		fail_find(ret, &err, ret_failure);
	else if (refs)
		ret = refuse_pinned(refs, 0, ret_failure);
	if (ret == 0)
		ret = write_ids(refs, json, out, ret_failure);
	secret_refs_free(refs);
	return ret;
}

int
request_secret_find(const struct buf *out, size_t from, const char *prefix,
		    const struct secret_graph *spots, bool provider, struct secret_refs **refs,
		    struct outcome *ret_failure)
{
	const struct secret_refs_options o = { prefix, spots, .only_spots = false };
	struct err err = { 0 };
	int ret;

	if (out->failed)
		return fail_find(ERR_NOMEM, NULL, ret_failure);
	ret = secret_refs_find(refs, buf_span(out), from, &o, &err);
	if (ret < 0)
		return fail_find(ret, &err, ret_failure);
	return provider ? refuse_pinned(*refs, from, ret_failure) : 0;
}
