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

#include "core.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/claim/claims.h"
#include "envdriver/command/command.h"
#include "envdriver/plugin/rpc.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"

enum {
	SCAN_EVERY_TICKS = 5,
	SCAN_COUNT = 32,
	LOCK_MS = 60000,
	CALL_MS = 60000,
	FIELD_MAX = 512,
};

struct orphans {
	struct orphan *current;		/* the one being looked after, or NULL */
	bool scanning, more;		/* HSCAN is under way; another one may be there */
	size_t turn;
	uint64_t cursor;
};

struct orphan {
	struct engine *engine;
	struct buf field;	/* <commandId>:<token>, as in Redis */
	struct buf value;	/* {"lease":…,"call":…} */
	struct buf command_id, plugin_id, plugin_key, company_id, lease;
	struct jtext call;	/* in value */
	struct plugin_call *running;
};

/* --- a lease becomes an orphan --- */

static void
add_member(struct buf *out, const char *name, struct span text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text.ptr)
		jtext_add_string(out, text);
	else
		buf_adds(out, "null");
}

void
orphans_call_json(const struct entry *e, struct buf *out)
{
	buf_adds(out, "{\"topic\":");
	jtext_add_string(out, span_of(e->source.topic));
	buf_addf(out, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld",
		 (int)e->source.partition, (long long)e->source.offset,
		 (long long)e->source.timestamp);
	add_member(out, "pluginId", span_of(e->call.plugin_id));
	add_member(out, "pluginKey", span_of(e->call.plugin_key));
	add_member(out, "driverKey", e->cmd->driver_key);
	buf_addf(out, ",\"provider\":%s",
		 e->cmd->target == COMMAND_TARGET_PROVIDER ? "true" : "false");
	add_member(out, "companyId", e->cmd->company_id);
	add_member(out, "environmentId", e->cmd->environment_id);
	add_member(out, "issueId", e->cmd->issue_id);
	buf_adds(out, ",\"config\":");
	jtext_add_flat(out, e->cmd->config);
	buf_addch(out, '}');
}

void
orphans_add(struct engine *eng, const struct orphan_lease *l)
{
	const struct plugin_event n = {
		.type = "LEASE_ORPHANED",
		.plugin_id = l->plugin_id,
		.plugin_key = l->plugin_key,
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = -1,
		.total_crashes = -1,
		.message = SPAN_LIT("The lease has no owner, it is to be destroyed."),
		.command_id = l->command_id,
		.name = l->lease_id,
	};

	log_warn("lease '%.*s' of command '%.*s' has no owner and will be destroyed",
		 SPAN_FMT(l->lease_id), SPAN_FMT(l->command_id));
	metrics_add(METRIC_ORPHANS, 1);
	core_plugin_event(eng, &n);
	if (l->call->failed || !claims_orphan(eng->claims, l->command_id, span_of(l->token),
					      l->lease_id, buf_span(l->call)))
		core_nomem(eng);
}

void
orphans_add_of(struct engine *eng, struct entry *e)
{
	struct buf call = BUF_INIT;

	if (!e->lease_id.len)
		return;
	orphans_call_json(e, &call);
	orphans_add(eng, &(struct orphan_lease){
				 .lease_id = buf_span(&e->lease_id),
				 .command_id = e->cmd->id,
				 .plugin_id = span_of(e->call.plugin_id),
				 .plugin_key = span_of(e->call.plugin_key),
				 .token = e->claim.token,
				 .call = &call,
			 });
	buf_release(&call);
	buf_reset(&e->lease_id);
}

/* --- one that is being looked after --- */

static void
orphan_free(struct orphan *o)
{
	struct engine *eng = o->engine;

	if (o->running)
		plugin_call_free(o->running);
	buf_release(&o->field);
	buf_release(&o->value);
	buf_release(&o->command_id);
	buf_release(&o->plugin_id);
	buf_release(&o->plugin_key);
	buf_release(&o->company_id);
	buf_release(&o->lease);
	free(o);
	eng->orphans->current = NULL;
}

static void
add_orphan_text(struct jtext object, const char *name, struct buf *out)
{
	struct jtext v = jtext_get(object, name);

	if (v.kind == JTEXT_STRING)
		jtext_decode(v, out, /* ret_replaced= */ NULL);
}

/* Takes the record apart; false when it is none of ours. */
static bool
parse_orphan(struct orphan *o)
{
	struct span field = buf_span(&o->field);
	struct jtext value;
	/* A token has no ':'; a command id may. */
	const char *colon = memrchr(field.ptr, ':', field.len);

	if (!colon || jtext_check(buf_span(&o->value), JTEXT_DEPTH_MAX, &value, NULL) < 0 ||
	    value.kind != JTEXT_OBJECT || jtext_get(value, "reported").kind == JTEXT_TRUE)
		return false;
	o->call = jtext_get(value, "call");
	buf_add(&o->command_id, field.ptr, (size_t)(colon - field.ptr));
	add_orphan_text(value, "lease", &o->lease);
	add_orphan_text(o->call, "pluginId", &o->plugin_id);
	add_orphan_text(o->call, "pluginKey", &o->plugin_key);
	add_orphan_text(o->call, "companyId", &o->company_id);
	return o->call.kind == JTEXT_OBJECT && o->lease.len && o->plugin_id.len &&
	       !o->command_id.failed && !o->lease.failed && !o->plugin_id.failed &&
	       !o->plugin_key.failed && !o->company_id.failed;
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

	redis_sendf(eng->redis, NULL, NULL, "HDEL %sorphans %b", redis_prefix(eng->redis),
		    o->field.data, o->field.len);
	redis_sendf(eng->redis, NULL, NULL, "DEL %sorphan-lock:%b", redis_prefix(eng->redis),
		    o->field.data, o->field.len);
	eng->orphans->more = true;
}

/* --- the call --- */

static void
on_lease_destroyed(void *arg, const struct rpc_answer *answer)
{
	struct orphan *o = arg;

	if (answer->end == RPC_RESULT) {
		log_info("lease '%s' of command '%s' is destroyed", o->lease.data,
			 o->command_id.data);
		report(o, "LEASE_DESTROYED", "A lease without an owner was destroyed.");
		remove_record(o);
	} else {
		log_warn("lease '%s' of command '%s' could not be destroyed, trying again in %d s",
			 o->lease.data, o->command_id.data, LOCK_MS / 1000);
	}
	orphan_free(o);
}

static void
add_raw(struct buf *out, const char *name, struct jtext object)
{
	struct jtext v = jtext_get(object, name);

	buf_addf(out, ",\"%s\":", name);
	if (v.kind == JTEXT_MISSING)
		buf_adds(out, "null");
	else
		jtext_add_flat(out, v.raw);
}

static void
destroy_lease(struct orphan *o)
{
	const struct plugin_call_events ev = { .on_answer = on_lease_destroyed, .arg = o };
	struct buf params = BUF_INIT;
	struct plugin_request r;

	buf_adds(&params, "{\"driverKey\":");
	jtext_add_flat(&params, jtext_get(o->call, "driverKey").raw);
	add_raw(&params, "companyId", o->call);
	add_raw(&params, "environmentId", o->call);
	add_raw(&params, "issueId", o->call);
	add_raw(&params, "config", o->call);
	buf_adds(&params, ",\"providerLeaseId\":");
	jtext_add_string(&params, buf_span(&o->lease));
	buf_addch(&params, '}');
	r = (struct plugin_request){
		.plugin_id = o->plugin_id.data,
		.method = "environmentDestroyLease",
		.params = buf_span(&params),
		.company_id = buf_span(&o->company_id),
		.timeout_ms = CALL_MS,
		.command_id = buf_span(&o->command_id),
	};
	o->running = params.failed ? NULL : supervisor_call(o->engine->supervisor, &r, &ev);
	buf_release(&params);
	if (!o->running)
		orphan_free(o);
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
		orphan_free(o);	/* its command is not over: the lock's time, then again */
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
try_orphan(struct engine *eng, const redisReply *field, const redisReply *value)
{
	struct orphan *o;

	if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING ||
	    (size_t)field->len > FIELD_MAX)
		return false;
	o = calloc(1, sizeof(*o));
	if (!o)
		return false;
	o->engine = eng;
	eng->orphans->current = o;
	buf_addspan(&o->field, redis_span(field));
	buf_addspan(&o->value, redis_span(value));
	if (o->field.failed || o->value.failed || !parse_orphan(o) ||
	    supervisor_status(eng->supervisor, o->plugin_id.data) != WORKER_RUNNING) {
		orphan_free(o);
		return false;
	}
	lock_orphan(o);
	return true;
}

static void
on_orphans_scanned(void *arg, const redisReply *reply)
{
	struct engine *eng = arg;
	struct orphans *all = eng->orphans;
	const redisReply *rows;

	all->scanning = false;
	if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return;
	all->cursor = strtoull(reply->element[0]->str, NULL, 10);
	rows = reply->element[1];
	if (!rows->elements || eng->stage != STAGE_RUNNING)
		return;
	/* Another one each time: the first may be locked for a minute. */
	for (size_t i = 0; i + 1 < rows->elements; i += 2) {
		size_t at = (i + all->turn * 2) % (rows->elements & ~(size_t)1);

		if (try_orphan(eng, rows->element[at], rows->element[at + 1]))
			break;
	}
	all->turn++;
}

void
orphans_tick(struct engine *eng)
{
	struct orphans *all = eng->orphans;

	/* One was dealt with: another may be there. */
	if (eng->stage != STAGE_RUNNING || all->current || all->scanning ||
	    !redis_up(eng->redis) || (eng->ticks % SCAN_EVERY_TICKS && !all->more))
		return;
	all->more = false;
	all->scanning = redis_sendf(eng->redis, on_orphans_scanned, eng,
				    "HSCAN %sorphans %llu COUNT %d", redis_prefix(eng->redis),
				    (unsigned long long)all->cursor, SCAN_COUNT) == 0;
}

bool
orphans_new(struct engine *eng)
{
	eng->orphans = calloc(1, sizeof(*eng->orphans));
	return eng->orphans;
}

void
orphans_free(struct engine *eng)
{
	if (eng->orphans && eng->orphans->current)
		orphan_free(eng->orphans->current);
	free(eng->orphans);
}
