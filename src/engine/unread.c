/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A command that is framed with a registry's id cannot be scheduled before
 * its schema is known: its ordering key is inside. So everything behind it in
 * its partition waits too, undecoded and in log order; other partitions go on
 * (docs/engine.md section 3, "Unread").
 */
#include "unread.h"

#include <stdlib.h>

#include "core.h"
#include "decoding.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/registry/schema_registry.h"

enum { UNREAD_MAX = 64 };		/* of a partition, then it is paused */

struct unread {
	struct schema_registry *registry;	/* NULL: none is configured */
	bool added;			/* our schemas, to be registered */
	bool changed;			/* it knows more: look at what is unread */
	bool warned;			/* commands wait for it: logged */
};

static void
on_schemas_changed(void *arg)
{
	struct engine *eng = arg;

	eng->unread->changed = true;
	core_again(eng);
}

int
unread_new(struct engine *eng, struct err *reterr)
{
	struct unread *u = eng->unread = calloc(1, sizeof(*u));

	if (!u)
		return err_nomem(reterr);
	if (!config_str(eng->config, "schema.registry.url"))
		return 0;
	u->registry = schema_registry_new(eng->loop, eng->config, eng->schemas, on_schemas_changed,
					  eng, reterr);
	if (!u->registry)
		return reterr->code;
	schemas_set_lookup(eng->schemas, schema_registry_find, u->registry);
	schemas_want_ids(eng->schemas);
	return 0;
}

void
unread_free(struct engine *eng)
{
	if (eng->unread)
		schema_registry_free(eng->unread->registry);
	free(eng->unread);
}

bool
unread_configured(const struct engine *eng)
{
	return eng->unread->registry;
}

/* --- our own schemas --- */

/* Of what a worker writes. The commands' subject is their publishers'. */
static int
register_schemas(struct engine *eng, struct err *reterr)
{
	struct unread *u = eng->unread;
	int ret = 0;

	for (int t = 0; t < TOPIC_COUNT && ret == 0; t++) {
		struct buf subject = BUF_INIT;

		if (t == TOPIC_COMMANDS)
			continue;
		buf_addf(&subject, "%s-value", eng->topics[t]);
		ret = subject.failed ? err_nomem(reterr)
				     : schema_registry_add(u->registry, subject.data,
							   topic_record((enum topic)t), reterr);
		buf_release(&subject);
	}
	return ret;
}

bool
unread_start(struct engine *eng)
{
	struct unread *u = eng->unread;
	struct err err = { 0 };
	int ret = 0;

	if (!u->registry)
		return true;
	if (!u->added)
		ret = register_schemas(eng, &err);
	u->added = true;
	if (ret == 0)
		ret = schema_registry_added(u->registry, &err);
	if (ret == 0) {
		log_info("the schema registry knows our schemas");
		return true;
	}
	if (ret != ERR_UNAVAILABLE)
		core_exit(eng, ret == ERR_DENIED ? EXIT_DENIED : EXIT_CONFIG, "%s", err.text);
	return false;
}

/* --- commands whose schema is not known yet --- */

size_t
unread_room(const struct engine *eng)
{
	size_t open = partitions_open(&eng->partitions), room;

	/* At most half of what may be in flight waits here. */
	room = eng->limits.in_flight / (2 * (open ? open : 1));
	if (room > UNREAD_MAX)
		return UNREAD_MAX;
	return room ? room : 1;
}

void
unread_wait(struct engine *eng, struct entry *e)
{
	const struct schema *writer;
	struct span body;

	/* Asked for now, so that those behind do not wait for one another. */
	(void)schemas_unframe(eng->schemas, e->source.value, &writer, &body, /* reterr= */ NULL);
	entry_list_push(&e->part->unread, e);
}

static void
read_on(struct engine *eng, struct partition *p)
{
	struct entry *e;

	while (p->open && !eng->exiting && (e = entry_list_first(&p->unread))) {
		entry_list_remove(e);
		if (!decoding_read(eng, e)) {
			entry_list_push_front(&p->unread, e);
			return;
		}
		core_count_bytes(eng, e);
	}
}

static void
log_trouble(struct unread *u)
{
	const char *why = schema_registry_why(u->registry);

	if (*why && !u->warned)
		log_warn("%s; asking again", why);
	else if (!*why && u->warned)
		log_info("the schema registry answers again");
	u->warned = *why;
}

void
unread_turn(struct engine *eng)
{
	struct partition *p = NULL;

	if (!eng->unread->changed)
		return;
	eng->unread->changed = false;
	log_trouble(eng->unread);
	while (eng->stage == STAGE_RUNNING && (p = partitions_next(&eng->partitions, p)))
		read_on(eng, p);
}

/* The look-up tells the registry's client that an id is still waited for. */
void
unread_tick(struct engine *eng)
{
	struct unread *u = eng->unread;

	if (!u->registry)
		return;
	u->changed = true;
	metrics_set(METRIC_SCHEMAS_ASKED, (int64_t)schema_registry_asking(u->registry));
}

void
unread_why(const struct engine *eng, struct buf *out)
{
	const struct unread *u = eng->unread;
	const char *why = u->registry ? schema_registry_why(u->registry) : "";
	struct partition *p = NULL;
	size_t waiting = 0;

	while ((p = partitions_next(&eng->partitions, p)))
		waiting += p->unread.n;
	if (*why && eng->stage > STAGE_SCHEMAS)
		buf_addf(out, "%s; %zu commands wait for a schema\n", why, waiting);
	else if (eng->stage == STAGE_SCHEMAS)
		buf_addf(out, "our schemas are not registered yet%s%s\n", *why ? ": " : "", why);
}
