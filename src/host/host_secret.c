/* SPDX-License-Identifier: Apache-2.0 */
#include "host_secret.h"

#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/host/host.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/secret/mask.h"
#include "envdriver/secret/secret_lookup.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/secret/secret_spots.h"
#include "host_params.h"
#include "host_reply.h"
#include "host_scope.h"

enum { SHOWN_MAX = 200 };	/* bytes of a reference in an error */

struct host_secret_request {
	LIST_ENTRY(host_secret_request) link;
	struct host_secret *secret;
	struct secret_lookup *lookup;
	struct buf name;	/* of the secret */
	size_t id_len;
	char id[];
};

/* --- how often --- */

/* Whether the company may ask once more. One that is new takes the place of the
 * company that asked longest ago. */
static bool
may_ask(struct host_secret *s, struct span company)
{
	struct host_secret_count *c = s->counts, *found = NULL;
	uint64_t hash = span_hash(company);
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < HOST_SECRET_COMPANIES && !found; i++) {
		if (s->counts[i].n && s->counts[i].company == hash)
			found = &s->counts[i];
		else if (s->counts[i].since_ms < c->since_ms)
			c = &s->counts[i];
	}
	if (!found) {
		found = c;
		*found = (struct host_secret_count){ hash, now, 0 };
	} else if (now - found->since_ms >= HOST_SECRET_MS) {
		*found = (struct host_secret_count){ hash, now, 0 };
	}
	if (found->n >= HOST_SECRET_MAX)
		return false;
	found->n++;
	return true;
}

/* --- which --- */

/* How often the stored config refers to the secret, at `path` when it is not
 * empty. Negative: out of memory. */
static int
count_bindings(const struct host_plugin *plugin, struct span company, struct span name,
	       struct span path)
{
	struct jtext config = host_scope_config(plugin, company);
	struct secret_spots_cache *cache = secret_spots_cache_new();
	struct secret_refs_options o = { .prefix = "" };
	struct secret_refs *refs = NULL;
	bool nomem = !cache;
	int n = 0, ret = 0;

	if (cache)
		o.spots = secret_spots_get(cache, jtext_get(plugin->manifest,
							    "instanceConfigSchema"), &nomem);
	if (config.kind && !nomem)
		ret = secret_refs_find(&refs, config.raw, 0, &o, /* reterr= */ NULL);
	for (size_t i = 0; ret == 0 && i < secret_refs_count(refs); i++) {
		struct secret_ref r = secret_refs_at(refs, i);

		n += span_eq(r.id, name) && (!path.len || span_eq(r.path, path));
	}
	secret_refs_free(refs);
	secret_spots_cache_free(cache);
	return nomem || ret == ERR_NOMEM ? ERR_NOMEM : n;
}

/* The name of the secret that a reference means; false: it is no reference. */
static bool
read_reference(struct jtext ref, struct buf *name)
{
	const struct secret_refs_options o = { .prefix = "" };
	struct secret_refs *refs = NULL;
	bool ok;

	ok = ref.kind == JTEXT_OBJECT &&
	     secret_refs_find(&refs, ref.raw, 0, &o, /* reterr= */ NULL) == 0 &&
	     secret_refs_count(refs) == 1 && secret_refs_at(refs, 0).from == 0;
	if (ok)
		buf_addspan(name, secret_refs_at(refs, 0).id);
	secret_refs_free(refs);
	return ok && !name->failed;
}

/* --- the answer --- */

static void
request_free(struct host_secret_request *r)
{
	LIST_REMOVE(r, link);
	if (r->lookup)
		secret_lookup_cancel(r->lookup);
	buf_release(&r->name);
	free(r);
}

static int
learn_value(struct host_secret *s, struct span value, struct err *reterr)
{
	struct mask *mask = mask_new();
	int ret = mask ? mask_add(mask, value, reterr) : err_nomem(reterr);

	if (ret == 0)
		ret = s->learn(s->arg, mask, reterr);
	mask_free(mask);
	return ret;
}

static void
on_secret_found(void *arg, const struct secret_found *found)
{
	struct host_secret_request *r = arg;
	struct host_secret *s = r->secret;
	struct jtext id = { JTEXT_NUMBER, { r->id, r->id_len } };
	struct buf json = BUF_WIPES;
	struct err err = { 0 };
	int ret = found->ret;

	r->lookup = NULL;
	if (ret < 0)
		err = *found->err;
	else
		ret = learn_value(s, found->values[0], &err);
	if (ret == 0) {
		jtext_add_string(&json, found->values[0]);
		ret = json.failed ? err_nomem(&err) : 0;
	}
	if (ret == 0)
		host_reply_result(s->reply, id, buf_span(&json));
	else
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL,
				 "Secret \"%.*s\" could not be resolved: %s",
				 SPAN_FMT(buf_span(&r->name)), err.text);
	buf_release(&json);
	request_free(r);
}

static void
start_request(struct host_secret *s, struct jtext id, struct span company, struct buf *name)
{
	struct host_secret_request *r = calloc(1, sizeof(*r) + id.raw.len);
	struct span wanted = buf_span(name);
	struct err err = { 0 };

	if (r) {
		memcpy(r->id, id.raw.ptr, id.raw.len);
		r->id_len = id.raw.len;
		r->secret = s;
		LIST_INSERT_HEAD(&s->requests, r, link);
		r->lookup = secret_lookup_start(s->lookups, company, &wanted, 1, SECRET_LOOKUP_MS,
						on_secret_found, r, &err);
	} else {
		err_nomem(&err);
	}
	if (r && r->lookup) {
		r->name = *name;
		*name = (struct buf)BUF_INIT;
		return;
	}
	host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "Secret \"%.*s\" could not be resolved: "
			 "%s", SPAN_FMT(wanted), err.text);
	if (r)
		request_free(r);
}

static struct span
shown(struct span text)
{
	return (struct span){ text.ptr, text.len < SHOWN_MAX ? text.len : SHOWN_MAX };
}

void
host_secret_answer(struct host_secret *s, struct jtext id, const struct host_params *params,
		   struct span company)
{
	struct jtext ref = params->at[HOST_SECRET_REF], at = params->at[HOST_CONFIG_PATH];
	struct buf name = BUF_INIT, path = BUF_INIT;
	int n = 0;

	if (at.kind == JTEXT_STRING)
		jtext_decode(at, &path, /* ret_replaced= */ NULL);
	if (!read_reference(ref, &name))
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "Invalid secret reference for "
				 "plugin: %.*s", SPAN_FMT(shown(ref.raw)));
	else if (!may_ask(s, company))
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "Rate limit exceeded: %d secrets "
				 "in %d s for each company", HOST_SECRET_MAX,
				 HOST_SECRET_MS / 1000);
	else if (!s->lookups || (n = count_bindings(s->plugin, company, buf_span(&name),
						    buf_span(&path))) < 0)
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "Secrets cannot be resolved now");
	else if (n != 1)
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "Secret \"%.*s\" is bound %s "
				 "this plugin's config for company \"%.*s\"",
				 SPAN_FMT(shown(buf_span(&name))),
				 n ? "more than once (name its configPath) in" : "nowhere in",
				 SPAN_FMT(shown(company)));
	else
		start_request(s, id, company, &name);
	buf_release(&name);
	buf_release(&path);
}

void
host_secret_release(struct host_secret *s)
{
	struct host_secret_request *r;

	while ((r = LIST_FIRST(&s->requests)))
		request_free(r);
}
