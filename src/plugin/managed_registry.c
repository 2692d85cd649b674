/* SPDX-License-Identifier: Apache-2.0 */
/* handle: what the registry says of its plugin, and what follows from it. */
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "package.h"
#include "worker_env.h"
#include "envdriver/registry/registry.h"
#include "supervisor_impl.h"

enum { PACKAGE_AGAIN_MS = 1000 };

static bool
replace(struct buf *b, struct span text)
{
	if (span_eq(buf_span(b), (struct span){ text.ptr ? text.ptr : "", text.len }))
		return false;
	buf_reset(b);
	buf_addspan(b, text);
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
add_differing(const struct managed *h, struct jtext new, struct buf *out)
{
	struct jtext value;
	struct jtext_iter it;
	struct span key;
	struct buf company = BUF_INIT;

	jtext_iter_init(&it, new);
	while (jtext_iter_next(&it, &key, &value)) {
		buf_reset(&company);
		jtext_decode((struct jtext){ JTEXT_STRING, key }, &company, NULL);
		if (span_eq(host_config(&h->plugin, rpc_trim(buf_span(&company))).raw, value.raw))
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

/* A running worker is told what changed; one that is still being told gets
 * everything again. */
static void
update_config(struct managed *h, struct jtext new)
{
	struct buf differing = BUF_INIT;

	if (new.kind != JTEXT_OBJECT)
		new = (struct jtext){ JTEXT_MISSING, SPAN_NULL };
	if (new.kind)
		add_differing(h, new, &differing);
	if (replace(&h->config, new.raw)) {
		h->plugin.config = object_of(&h->config);
		if (h->row.status == WORKER_RUNNING && differing.len && !differing.failed)
			config_push_begin(&h->teller, h->worker,
				       h->teller.busy ? h->plugin.config : object_of(&differing));
	}
	buf_release(&differing);
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

/* Can it be run here? Says once why not. */
static void
check_package(struct managed *h)
{
	char **env = worker_env_new(h->s->config, h->id, h->key, environ, NULL);
	struct package package = { NULL, NULL };
	struct err err = { 0 };

	h->package_checked_ms = clock_mono_ms();
	h->package_ok = env && managed_open_package(h, env, &package, &err) == 0;
	if (!h->package_ok && strcmp(h->reason, err.text) != 0)
		managed_say_gone_wrong(h, err.text);
	memcpy(h->reason, err.text, sizeof(h->reason));
	package_release(&package);
	free(env);
}

static void
want(struct managed *h)
{
	bool wanted = h->listed && h->ready && h->package_ok && !h->s->stopping;

	if (wanted == h->row.wanted)
		return;
	if (wanted)
		handle_event(h, SUPERVISOR_CHANGED);
	handle_event(h, wanted ? SUPERVISOR_WANTED : SUPERVISOR_UNWANTED);
}

void
managed_update(struct managed *h, const struct registry_plugin *p)
{
	bool differs;

	h->listed = p;
	if (p && p->ready) {
		differs = replace(&h->manifest, p->manifest.raw);
		differs |= replace_text(&h->package, p->package);
		differs |= replace_text(&h->key, p->key);
		h->plugin.key = h->key ? h->key : "";
		h->plugin.manifest = object_of(&h->manifest);
		update_config(h, p->config);
		if (!h->ready || differs || !h->package_ok)
			check_package(h);
		h->ready = true;
		if (differs && h->row.wanted && h->package_ok)
			handle_event(h, SUPERVISOR_CHANGED);
		if (h->calls == 0)
			handle_event(h, SUPERVISOR_IDLE);
	} else {
		h->ready = false;
	}
	want(h);
}

void
managed_look_again(struct managed *h)
{
	if (!h->listed || !h->ready || h->package_ok ||
	    clock_mono_ms() - h->package_checked_ms < PACKAGE_AGAIN_MS)
		return;
	check_package(h);
	want(h);
}
