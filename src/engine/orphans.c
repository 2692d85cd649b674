/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * One at a time: scan the list, lock a lease whose plugin runs here, look at
 * its command's claim, destroy the lease unless the claim says that this very
 * lease was published. The lock's expiry is the back-off: after a failure it
 * is left there.
 */
#include "orphans.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/claim/claims.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "envdriver/registry/registry.h"
#include "envdriver/secret/secret_refs.h"
#include "orphan_record.h"
#include "orphan_scan.h"

enum {
	SCAN_EVERY_TICKS = 5,
	LOCK_MS = 60000,
	SOON_MS = 1000,			/* the lock's, while the command is not over */
	CALL_MS = 60000,
	LISTED_MAX = 64 << 10,		/* a longer id is not put on the list */
	DIRECT_MAX = 16 << 20,		/* nor is one longer than this handed to the plugin */
	DIRECT_N_MAX = 16,
};

struct orphans {
	struct orphan *current;		/* the one of the list being looked after, or NULL */
	LIST_HEAD(, orphan) direct;	/* those that are on no list */
	size_t n_direct;
	struct orphan_scan scan;
	bool more;			/* another one may be there */
};

struct orphan {
	struct engine *engine;
	struct buf field;	/* <commandId>:<token>, as in Redis */
	struct buf value;	/* {"lease":…,"call":…} */
	struct buf command_id, plugin_id, plugin_key, company_id;
	struct buf lease;	/* for people, and to compare with a claim's */
	struct jtext id, call;	/* in value */
	bool session;		/* of a set-up: cancelled, where the plugin can */
	struct plugin_call *running;
	LIST_ENTRY(orphan) next;	/* among the direct ones, which have no field */
};

/* --- a lease becomes an orphan --- */

static void destroy_directly(struct engine *eng, const struct orphan_lease *l);

/* Whether it could be put on the list, or given to the plugin at once. */
static void
put_orphan(struct engine *eng, const struct orphan_lease *l)
{
	if (l->id_json.len > LISTED_MAX || l->is_secret)
		destroy_directly(eng, l);
	else if (l->call->failed || !claims_orphan(eng->claims, l->command_id, span_of(l->token),
						   l->id_json, buf_span(l->call)))
		core_nomem(eng);
	eng->orphans->more = true;
}

void
orphans_add(struct engine *eng, const struct orphan_lease *l)
{
	struct buf text = BUF_INIT;
	struct plugin_event n = {
		.type = "LEASE_ORPHANED",
		.plugin_id = l->plugin_id,
		.plugin_key = l->plugin_key,
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = -1,
		.total_crashes = -1,
		.message = SPAN_LIT("The lease has no owner, it is to be destroyed."),
		.command_id = l->command_id,
	};
	struct jtext id;

	if (l->is_secret)
		buf_adds(&text, "***");
	else if (jtext_check(l->id_json, RPC_DEPTH_MAX, &id, /* reterr= */ NULL) == 0)
		orphan_record_add_name(&text, id);
	n.name = buf_span(&text);
	log_warn("lease '%.*s' of command '%.*s' has no owner and will be destroyed",
		 SPAN_FMT(n.name), SPAN_FMT(l->command_id));
	metrics_add(METRIC_ORPHANS, 1);
	core_plugin_event(eng, &n);
	buf_release(&text);
	put_orphan(eng, l);
}

void
orphans_add_stray(struct engine *eng, struct entry *e, struct span id_json, bool is_secret)
{
	struct buf call = BUF_INIT;

	if (!id_json.len)
		return;
	orphan_record_add_call(&call, e);
	orphans_add(eng, &(struct orphan_lease){
				 .id_json = id_json,
				 .is_secret = is_secret,
				 .command_id = e->cmd->id,
				 .plugin_id = span_of(e->call.plugin_id),
				 .plugin_key = span_of(e->call.plugin_key),
				 .token = e->claim.token,
				 .call = &call,
			 });
	buf_release(&call);
}

void
orphans_add_of(struct engine *eng, struct entry *e)
{
	struct buf json = BUF_INIT;

	if (!e->lease_id.len)
		return;
	jtext_add_string(&json, buf_span(&e->lease_id));
	if (json.failed)
		core_nomem(eng);
	else
		orphans_add_stray(eng, e, buf_span(&json), /* is_secret= */ false);
	buf_release(&json);
	buf_reset(&e->lease_id);
}

/* --- one that is being looked after --- */

static void
orphan_free(struct orphan *o)
{
	struct orphans *all = o->engine->orphans;

	if (o->running)
		plugin_call_free(o->running);
	buf_release(&o->field);
	buf_release(&o->value);
	buf_release(&o->command_id);
	buf_release(&o->plugin_id);
	buf_release(&o->plugin_key);
	buf_release(&o->company_id);
	buf_release(&o->lease);
	if (all->current == o) {
		all->current = NULL;
	} else {
		LIST_REMOVE(o, next);
		all->n_direct--;
	}
	free(o);
}

static void
add_orphan_text(struct jtext object, const char *name, struct buf *out)
{
	struct jtext v = jtext_get(object, name);

	if (v.kind == JTEXT_STRING)
		jtext_decode(v, out, /* ret_replaced= */ NULL);
}

/* Takes the value apart; false when it is none of ours. */
static bool
parse_value(struct orphan *o)
{
	struct jtext value;

	if (jtext_check(buf_span(&o->value), RPC_DEPTH_MAX, &value, NULL) < 0 ||
	    value.kind != JTEXT_OBJECT || jtext_get(value, "reported").kind == JTEXT_TRUE)
		return false;
	o->call = jtext_get(value, "call");
	o->id = jtext_get(value, "lease");
	o->session = jtext_get(o->call, "session").kind == JTEXT_TRUE;
	orphan_record_add_name(&o->lease, o->id);
	add_orphan_text(o->call, "pluginId", &o->plugin_id);
	add_orphan_text(o->call, "pluginKey", &o->plugin_key);
	add_orphan_text(o->call, "companyId", &o->company_id);
	return o->call.kind == JTEXT_OBJECT && o->lease.len && o->plugin_id.len &&
	       !o->lease.failed && !o->plugin_id.failed &&
	       !o->plugin_key.failed && !o->company_id.failed;
}

/* The same for a record of the list. */
static bool
parse_orphan(struct orphan *o)
{
	struct span field = buf_span(&o->field);
	/* A token has no ':'; a command id may. */
	const char *colon = memrchr(field.ptr, ':', field.len);

	if (!colon)
		return false;
	buf_add(&o->command_id, field.ptr, (size_t)(colon - field.ptr));
	return !o->command_id.failed && parse_value(o);
}

static void
report(struct orphan *o, const char *type, const char *message)
{
	const struct plugin_event n = {
		.type = type,
		.plugin_id = buf_span(&o->plugin_id),
		.plugin_key = buf_span(&o->plugin_key),
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = -1,
		.total_crashes = -1,
		.message = span_of(message),
		.company_id = buf_span(&o->company_id),
		.command_id = buf_span(&o->command_id),
		.name = buf_span(&o->lease),
	};

	core_plugin_event(o->engine, &n);
}

static void
remove_record(struct orphan *o)
{
	struct engine *eng = o->engine;

	if (!o->field.len)
		return;
	redis_sendf(eng->redis, NULL, NULL, "HDEL %sorphans %b", redis_prefix(eng->redis),
		    o->field.data, o->field.len);
	redis_sendf(eng->redis, NULL, NULL, "DEL %sorphan-lock:%b", redis_prefix(eng->redis),
		    o->field.data, o->field.len);
	eng->orphans->more = true;
}

/* --- the call --- */

static void
lose_orphan(struct orphan *o)
{
	log_error("lease '%s' of command '%s' could not be destroyed; its id is longer than %d "
		  "bytes or shows a secret, so it is not tried again", o->lease.data,
		  o->command_id.data, LISTED_MAX);
	report(o, "LEASE_ORPHANED", "The plugin did not destroy the lease; it is left alone.");
}

static void destroy_lease(struct orphan *o);

static void
on_lease_destroyed(void *arg, const struct rpc_answer *answer)
{
	struct orphan *o = arg;

	if (o->session && rpc_is_not_implemented(answer)) {
		o->session = false;	/* destroyed, then */
		plugin_call_free(o->running);
		destroy_lease(o);
		return;
	}
	if (answer->end == RPC_RESULT) {
		log_info("lease '%s' of command '%s' is destroyed", o->lease.data,
			 o->command_id.data);
		report(o, "LEASE_DESTROYED", "A lease without an owner was destroyed.");
		remove_record(o);
	} else if (o->field.len) {
		log_warn("lease '%s' of command '%s' could not be destroyed, trying again in %d "
			 "s%s%s", o->lease.data, o->command_id.data, LOCK_MS / 1000,
			 answer->end == RPC_NO_SECRET ? ": " : "",
			 answer->end == RPC_NO_SECRET ? answer->text : "");
	} else {
		lose_orphan(o);
	}
	orphan_free(o);
}

static void
destroy_lease(struct orphan *o)
{
	const struct plugin_call_events ev = { .on_answer = on_lease_destroyed, .arg = o };
	struct secret_refs *refs = NULL;
	struct buf params = BUF_INIT;
	struct plugin_request r;
	const struct registry_plugin *p = registry_by_id(o->engine->registry,
							 buf_span(&o->plugin_id));
	bool built = orphan_record_add_params(&params, o->call, o->id, o->session,
					      o->engine->spots, p, &refs);

	r = (struct plugin_request){
		.plugin_id = o->plugin_id.data,
		.method = operation_by_id(o->session ? OPERATION_START_INTERACTIVE_SETUP
						     : OPERATION_ACQUIRE_LEASE)->end_rpc,
		.params = buf_span(&params),
		.secrets = refs,
		.company_id = buf_span(&o->company_id),
		.timeout_ms = CALL_MS,
		.command_id = buf_span(&o->command_id),
	};
	o->running = built ? supervisor_call(o->engine->supervisor, &r, &ev) : NULL;
	buf_release(&params);
	secret_refs_free(refs);
	if (o->running)
		return;
	if (!o->field.len)
		lose_orphan(o);
	orphan_free(o);
}

/* Its id is too long for the list, or secret. */
static void
destroy_directly(struct engine *eng, const struct orphan_lease *l)
{
	struct orphans *all = eng->orphans;
	struct orphan *o = calloc(1, sizeof(*o));
	bool fits = l->id_json.len <= DIRECT_MAX && all->n_direct < DIRECT_N_MAX;

	if (!o) {
		core_nomem(eng);
		return;
	}
	o->engine = eng;
	LIST_INSERT_HEAD(&all->direct, o, next);
	all->n_direct++;
	buf_addspan(&o->command_id, l->command_id);
	buf_adds(&o->value, "{\"lease\":");
	buf_addspan(&o->value, l->id_json);
	buf_adds(&o->value, ",\"call\":");
	buf_addspan(&o->value, buf_span(l->call));
	buf_addch(&o->value, '}');
	if (o->value.failed || o->command_id.failed || !parse_value(o)) {
		core_nomem(eng);
		orphan_free(o);
		return;
	}
	if (l->is_secret) {
		buf_reset(&o->lease);
		buf_adds(&o->lease, "***");
	}
	if (fits) {
		destroy_lease(o);
	} else {
		lose_orphan(o);
		orphan_free(o);
	}
}

/* --- the claim decides --- */

static void
report_once(struct orphan *o)
{
	struct engine *eng = o->engine;
	struct buf value = BUF_INIT;

	log_error("lease '%s' of command '%s' has no owner, and its claim is gone: it is not "
		  "known whether it was published, so it is left alone",
		  o->lease.data, o->command_id.data);
	report(o, "LEASE_ORPHANED", "The claim is gone; the lease is left alone.");
	/* {"lease":…} becomes {"reported":true,"lease":…} */
	buf_adds(&value, "{\"reported\":true,");
	buf_add(&value, o->value.data + 1, o->value.len - 1);
	if (!value.failed)
		redis_sendf(eng->redis, NULL, NULL, "HSET %sorphans %b %b",
			    redis_prefix(eng->redis), o->field.data, o->field.len, value.data,
			    value.len);
	buf_release(&value);
}

static void
on_orphan_claim(void *arg, const redisReply *reply)
{
	struct orphan *o = arg;
	struct buf scratch = BUF_INIT;
	struct claim c;

	if (!reply || redis_is_outage(o->engine->redis, reply) ||
	    (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL)) {
		orphan_free(o);
	} else if (reply->type == REDIS_REPLY_NIL) {
		report_once(o);
		orphan_free(o);
	} else if (claim_parse(redis_span(reply), &scratch, &c, NULL) < 0 ||
		   c.state != CLAIM_DONE) {
		/* Its command is not over. */
		redis_sendf(o->engine->redis, NULL, NULL, "PEXPIRE %sorphan-lock:%b %d",
			    redis_prefix(o->engine->redis), o->field.data, o->field.len, SOON_MS);
		orphan_free(o);
	} else if (span_eq(c.lease, buf_span(&o->lease))) {
		/* The plugin recognised the invocation: it was published. */
		remove_record(o);
		orphan_free(o);
	} else {
		destroy_lease(o);
	}
	buf_release(&scratch);
}

static void
on_orphan_locked(void *arg, const redisReply *reply)
{
	struct orphan *o = arg;
	struct engine *eng = o->engine;

	if (!reply || reply->type != REDIS_REPLY_STATUS ||
	    redis_sendf(eng->redis, on_orphan_claim, o, "GET %sclaim:%b", redis_prefix(eng->redis),
			o->command_id.data, o->command_id.len) < 0)
		orphan_free(o);
}

static void
lock_orphan(struct orphan *o)
{
	struct engine *eng = o->engine;

	if (redis_sendf(eng->redis, on_orphan_locked, o, "SET %sorphan-lock:%b %s NX PX %d",
			redis_prefix(eng->redis), o->field.data, o->field.len,
			instance_id(eng->instance), LOCK_MS) < 0)
		orphan_free(o);
}

/* --- the list --- */

static bool
try_orphan(void *arg, const redisReply *field, const redisReply *value)
{
	struct engine *eng = arg;
	struct orphan *o;

	if (eng->stage != STAGE_RUNNING || eng->orphans->current ||
	    field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
		return false;
	o = calloc(1, sizeof(*o));
	if (!o)
		return false;
	o->engine = eng;
	eng->orphans->current = o;
	buf_addspan(&o->field, redis_span(field));
	buf_addspan(&o->value, redis_span(value));
	if (o->field.failed || o->value.failed || !parse_orphan(o) ||
	    !registry_fresh(eng->registry) ||
	    supervisor_status(eng->supervisor, o->plugin_id.data) != WORKER_RUNNING) {
		orphan_free(o);
		return false;
	}
	lock_orphan(o);
	return true;
}

void
orphans_tick(struct engine *eng)
{
	struct orphans *all = eng->orphans;

	/* One was dealt with: another may be there. */
	if (eng->stage != STAGE_RUNNING || all->current || all->scan.busy ||
	    !redis_up(eng->redis) || (eng->ticks % SCAN_EVERY_TICKS && !all->more))
		return;
	all->more = false;
	(void)orphan_scan_start(&all->scan);
}

bool
orphans_new(struct engine *eng)
{
	eng->orphans = calloc(1, sizeof(*eng->orphans));
	if (!eng->orphans)
		return false;
	LIST_INIT(&eng->orphans->direct);
	return true;
}

void
orphans_connect(struct engine *eng)
{
	orphan_scan_init(&eng->orphans->scan, eng->redis);
	eng->orphans->scan.on_record = try_orphan;
	eng->orphans->scan.arg = eng;
}

void
orphans_free(struct engine *eng)
{
	if (!eng->orphans)
		return;
	if (eng->orphans->current)
		orphan_free(eng->orphans->current);
	while (!LIST_EMPTY(&eng->orphans->direct))
		orphan_free(LIST_FIRST(&eng->orphans->direct));
	free(eng->orphans);
}
