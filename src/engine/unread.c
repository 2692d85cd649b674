/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A command that is framed with a registry's id cannot be scheduled before
 * its schema is known: its ordering key is inside. So everything behind it in
 * its partition waits too, undecoded and in log order; other partitions go on
 * (docs/engine.md section 3, "Unread").
 */
#include "engine_impl.h"

#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

static void
on_change(void *arg)
{
	struct engine *f = arg;

	f->schemas_changed = true;
	engine_again(f);
}

int
unread_new(struct engine *f, struct err *reterr)
{
	if (!config_str(f->config, "schema.registry.url"))
		return 0;
	f->schema_registry =
		schema_registry_new(f->loop, f->config, f->schemas, on_change, f, reterr);
	if (!f->schema_registry)
		return reterr->code;
	schemas_set_lookup(f->schemas, schema_registry_find, f->schema_registry);
	schemas_want_ids(f->schemas);
	return 0;
}

/* --- our own schemas --- */

/* Of what a worker writes. The commands' subject is their publishers'. */
static int
register_all(struct engine *f, struct err *reterr)
{
	int ret = 0;

	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++) {
		struct buf subject = BUF_INIT;

		if (t == TOPIC_COMMANDS)
			continue;
		buf_addf(&subject, "%s-value", f->topics[t]);
		ret = subject.failed ? err_nomem(reterr)
				     : schema_registry_add(f->schema_registry, subject.data,
							   topic_record((enum topic)t), reterr);
		buf_release(&subject);
	}
	return ret;
}

bool
unread_start(struct engine *f)
{
	struct err err = { 0 };
	int ret = 0;

	if (!f->schema_registry)
		return true;
	if (!f->schemas_added)
		ret = register_all(f, &err);
	f->schemas_added = true;
	if (ret == 0)
		ret = schema_registry_added(f->schema_registry, &err);
	if (ret == 0) {
		log_info("the schema registry knows our schemas");
		return true;
	}
	if (ret != ERR_UNAVAILABLE)
		engine_exit(f, ret == ERR_DENIED ? 77 : 78, "%s", err.text);
	return false;
}

void
unread_plugins(void *arg)
{
	struct engine *f = arg;

	if (f->schema_registry && f->stage <= STAGE_SCHEMAS)
		return;
	supervisor_sync(f->supervisor);
	dispatch_plugin_changed(f, NULL);
}

/* --- commands whose schema is not known yet --- */

size_t
unread_room(const struct engine *f)
{
	size_t open = 0, room;

	for (size_t i = 0; i < f->n_parts; i++)
		open += f->parts[i] && f->parts[i]->open;
	/* At most half of what may be in flight waits here. */
	room = f->limits.in_flight / (2 * (open ? open : 1));
	if (room > ENGINE_UNREAD_MAX)
		return ENGINE_UNREAD_MAX;
	return room ? room : 1;
}

void
unread_wait(struct engine *f, struct entry *e)
{
	const struct schema *writer;
	struct span datum;

	/* Asked for now, so that those behind do not wait for one another. */
	(void)schemas_unframe(f->schemas, e->source.value, &writer, &datum, /* reterr= */ NULL);
	entry_list_push(&e->part->unread, e);
}

static void
read_on(struct engine *f, struct partition *p)
{
	struct entry *e;

	while (p->open && !f->exiting && (e = p->unread.head)) {
		entry_list_remove(e);
		if (!intake_read(f, e)) {
			entry_list_push_front(&p->unread, e);
			return;
		}
		engine_count_bytes(f, e);
	}
}

static void
say(struct engine *f)
{
	const char *why = schema_registry_why(f->schema_registry);

	if (*why && !f->warned_schemas)
		log_warn("%s; asking again", why);
	else if (!*why && f->warned_schemas)
		log_info("the schema registry answers again");
	f->warned_schemas = *why;
}

void
unread_turn(struct engine *f)
{
	if (!f->schemas_changed)
		return;
	f->schemas_changed = false;
	say(f);
	for (size_t i = 0; i < f->n_parts && f->stage == STAGE_RUNNING; i++)
		if (f->parts[i])
			read_on(f, f->parts[i]);
}

/* The look-up says that somebody still waits for an id. */
void
unread_tick(struct engine *f)
{
	if (!f->schema_registry)
		return;
	f->schemas_changed = true;
	metrics_set(METRIC_SCHEMAS_ASKED, (int64_t)schema_registry_asking(f->schema_registry));
}

void
unread_why(const struct engine *f, struct buf *out)
{
	const char *why = f->schema_registry ? schema_registry_why(f->schema_registry) : "";
	size_t waiting = 0;

	for (size_t i = 0; i < f->n_parts; i++)
		waiting += f->parts[i] ? f->parts[i]->unread.n : 0;
	if (*why && f->stage > STAGE_SCHEMAS)
		buf_addf(out, "%s; %zu commands wait for a schema\n", why, waiting);
	else if (f->stage == STAGE_SCHEMAS)
		buf_addf(out, "our schemas are not registered yet%s%s\n", *why ? ": " : "", why);
}
