/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_record.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/excerpt.h"
#include "envdriver/registry/registry.h"
#include "envdriver/package/package.h"
#include "envdriver/package/socket.h"
#include "envdriver/registry/endpoints.h"
#include "envdriver/host/host.h"
#include "worker_env.h"

void
plugin_record_init(struct plugin_record *r, const char *id)
{
	*r = (struct plugin_record){ .plugin = { .id = id, .key = "" } };
}

/* True when it was another one. */
static bool
replace_span(struct buf *b, struct span text)
{
	if (span_eq(buf_span(b), (struct span){ text.ptr ? text.ptr : "", text.len }))
		return false;
	buf_reset(b);
	buf_addspan(b, text);
	return true;
}

static bool
replace_text(char **at, const char *text)
{
	if (!*at == !text && (!text || strcmp(*at, text) == 0))
		return false;
	free(*at);
	*at = text ? strdup(text) : NULL;
	return true;
}

static struct jtext
object_of(const struct buf *b)
{
	if (b->len == 0 || b->failed)
		return (struct jtext){ JTEXT_MISSING, SPAN_NULL };
	return (struct jtext){ JTEXT_OBJECT, buf_span(b) };
}

/* Those companies of `new` whose config differs from the one held. */
static void
add_differing(const struct plugin_record *r, struct jtext new, struct buf *out)
{
	struct jtext value;
	struct jtext_iter it;
	struct span key;
	struct buf company = BUF_INIT;

	jtext_iter_init(&it, new);
	while (jtext_iter_next(&it, &key, &value)) {
		buf_reset(&company);
		jtext_decode((struct jtext){ JTEXT_STRING, key }, &company, NULL);
		if (span_eq(host_scope_config(&r->plugin, rpc_trim(buf_span(&company))).raw,
			    value.raw))
			continue;
		buf_addch(out, out->len ? ',' : '{');
		buf_addspan(out, key);
		buf_addch(out, ':');
		buf_addspan(out, value.raw);
	}
	if (out->len)
		buf_addch(out, '}');
	buf_release(&company);
}

static bool
update_config(struct plugin_record *r, struct jtext new, struct buf *ret_configs)
{
	if (new.kind != JTEXT_OBJECT)
		new = (struct jtext){ JTEXT_MISSING, SPAN_NULL };
	if (new.kind)
		add_differing(r, new, ret_configs);
	if (!replace_span(&r->config, new.raw))
		return false;
	r->plugin.config = object_of(&r->config);
	return true;
}

unsigned
plugin_record_update(struct plugin_record *r, const struct registry_plugin *p,
		     const struct endpoint *external, struct buf *ret_configs)
{
	unsigned changes = 0;

	r->listed = p;
	if (p && p->ready)
		r->left_ms = 0;
	else if (r->ready)
		r->left_ms = clock_mono_ms();
	r->ready = p && p->ready;
	if (!r->ready)
		return 0;
	if (replace_span(&r->manifest, p->manifest.raw))
		changes = PLUGIN_RECORD_PROGRAM;
	if (replace_text(&r->package, p->package))
		changes = PLUGIN_RECORD_PROGRAM;
	if (replace_text(&r->key, p->key))
		changes = PLUGIN_RECORD_PROGRAM;
	if (replace_text(&r->digest, p->digest) | replace_text(&r->pin, p->pin) |
	    replace_text(&r->generation, p->generation))
		changes = PLUGIN_RECORD_PROGRAM;
	if (replace_text(&r->endpoint, external ? external->address : NULL) |
	    replace_text(&r->endpoint_run, external ? external->run : NULL))
		changes = PLUGIN_RECORD_PROGRAM;
	r->program += changes == PLUGIN_RECORD_PROGRAM;
	r->plugin.key = r->key ? r->key : "";
	r->plugin.manifest = object_of(&r->manifest);
	if (update_config(r, p->config, ret_configs))
		changes |= PLUGIN_RECORD_CONFIG;
	return changes;
}

int
plugin_record_open(const struct plugin_record *r, const struct config *config, char *const env[],
		   struct package *ret, struct err *reterr)
{
	struct package_rules rules = {
		.dirs = config_str(config, "plugin.dirs"),
		.wrapper = config_str(config, "plugin.wrapper"),
		.path = worker_env_get(env, "PATH"),
	};

	if (!r->package)
		return err_set(reterr, ERR_NOTFOUND, "its record names no package");
	return package_open(r->package, r->plugin.manifest, &rules, ret, reterr);
}

/* Of one that somebody else runs only the socket is here. */
static int
check_here(const struct plugin_record *r, const struct config *config, char *const env[],
	   struct err *reterr)
{
	struct package package = { NULL, NULL };
	int ret;

	if (r->endpoint) {
		ret = package_check_host(r->plugin.manifest, reterr);
		return ret < 0 ? ret : socket_check(r->endpoint, config_str(config, "plugin.dirs"),
						    reterr);
	}
	ret = plugin_record_open(r, config, env, &package, reterr);
	package_release(&package);
	return ret;
}

bool
plugin_record_check(struct plugin_record *r, const struct config *config)
{
	const struct worker_env_of of = { .plugin_id = r->plugin.id, .plugin_key = r->plugin.key };
	char **env = worker_env_new(config, &of, environ, NULL);
	struct err err = { 0 };
	char reason[sizeof(r->reason)];
	bool is_new;

	r->checked_ms = clock_mono_ms();
	r->runnable = env && check_here(r, config, env, &err) == 0;
	excerpt_line(reason, sizeof(reason), span_of(env ? err.text : "out of memory"));
	is_new = !r->runnable && strcmp(r->reason, reason) != 0;
	memcpy(r->reason, reason, sizeof(r->reason));
	free(env);
	return is_new;
}

void
plugin_record_release(struct plugin_record *r)
{
	buf_release(&r->manifest);
	buf_release(&r->config);
	free(r->package);
	free(r->key);
	free(r->digest);
	free(r->pin);
	free(r->generation);
	free(r->endpoint);
	free(r->endpoint_run);
}
