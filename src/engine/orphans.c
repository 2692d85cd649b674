/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * Leases without an owner (docs/engine.md section 7, "Orphans"; P4). One at a time:
 * scan the list, lock one whose plugin runs here, look at its command's
 * claim, destroy the lease unless the claim says that this very lease was
 * published. The lock's expiry is the back-off: who fails leaves it there.
 */
#include "engine_impl.h"

#include <stdlib.h>

#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

enum {
	SCAN_EVERY_TICKS = 5,
	SCAN_COUNT = 32,
	LOCK_MS = 60000,
	CALL_MS = 60000,
	FIELD_MAX = 512,
};

struct orphan {
	struct engine *flow;
	struct buf field;	/* <commandId>:<token>, as in Redis */
	struct buf value;	/* {"lease":…,"call":…} */
	struct buf command_id, plugin_id, plugin_key, company_id, lease;
	struct jtext call;	/* in value */
	struct plugin_call *running;
};

static void
orphan_free(struct orphan *o)
{
	struct engine *f = o->flow;

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
	f->orphan = NULL;
}

static void
text(struct jtext object, const char *name, struct buf *out)
{
	struct jtext v = jtext_get(object, name);

	if (v.kind == JTEXT_STRING)
		jtext_decode(v, out, /* ret_replaced= */ NULL);
}

/* Takes the record apart; false when it is none of ours. */
static bool
parse(struct orphan *o)
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
	text(value, "lease", &o->lease);
	text(o->call, "pluginId", &o->plugin_id);
	text(o->call, "pluginKey", &o->plugin_key);
	text(o->call, "companyId", &o->company_id);
	return o->call.kind == JTEXT_OBJECT && o->lease.len && o->plugin_id.len &&
	       !o->command_id.failed && !o->lease.failed && !o->plugin_id.failed &&
	       !o->plugin_key.failed && !o->company_id.failed;
}

static void
notice(struct orphan *o, const char *type, const char *message)
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

	engine_plugin_event(o->flow, &n);
}

static void
forget_record(struct orphan *o)
{
	struct engine *f = o->flow;

	redis_sendf(f->redis, NULL, NULL, "HDEL %sorphans %b", redis_prefix(f->redis),
		    o->field.data, o->field.len);
	redis_sendf(f->redis, NULL, NULL, "DEL %sorphan-lock:%b", redis_prefix(f->redis),
		    o->field.data, o->field.len);
	f->orphan_more = true;
}

/* --- the call --- */

static void
on_destroyed(void *arg, const struct rpc_answer *answer)
{
	struct orphan *o = arg;

	if (answer->end == RPC_RESULT) {
		log_info("lease '%s' of command '%s' is destroyed", o->lease.data,
			 o->command_id.data);
		notice(o, "LEASE_DESTROYED", "A lease without an owner was destroyed.");
		forget_record(o);
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
destroy(struct orphan *o)
{
	const struct plugin_call_events ev = { .on_answer = on_destroyed, .arg = o };
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
	o->running = params.failed ? NULL : supervisor_call(o->flow->supervisor, &r, &ev);
	buf_release(&params);
	if (!o->running)
		orphan_free(o);
}

/* --- the claim decides --- */

static void
report_once(struct orphan *o)
{
	struct engine *f = o->flow;
	struct buf value = BUF_INIT;

	log_error("lease '%s' of command '%s' has no owner, and its claim is gone: it is not "
		  "known whether it was published, so it is left alone",
		  o->lease.data, o->command_id.data);
	notice(o, "LEASE_ORPHANED", "The claim is gone; the lease is left alone.");
	/* {"lease":…} becomes {"reported":true,"lease":…} */
	buf_adds(&value, "{\"reported\":true,");
	buf_add(&value, o->value.data + 1, o->value.len - 1);
	if (!value.failed)
		redis_sendf(f->redis, NULL, NULL, "HSET %sorphans %b %b", redis_prefix(f->redis),
			    o->field.data, o->field.len, value.data, value.len);
	buf_release(&value);
}

static void
on_claim(void *arg, const redisReply *reply)
{
	struct orphan *o = arg;
	struct buf scratch = BUF_INIT;
	struct claim c;

	if (!reply || redis_is_outage(o->flow->redis, reply) ||
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
		forget_record(o);
		orphan_free(o);
	} else {
		destroy(o);
	}
	buf_release(&scratch);
}

static void
on_locked(void *arg, const redisReply *reply)
{
	struct orphan *o = arg;
	struct engine *f = o->flow;

	if (!reply || reply->type != REDIS_REPLY_STATUS ||
	    redis_sendf(f->redis, on_claim, o, "GET %sclaim:%b", redis_prefix(f->redis),
			o->command_id.data, o->command_id.len) < 0)
		orphan_free(o);
}

static void
lock(struct orphan *o)
{
	struct engine *f = o->flow;

	if (redis_sendf(f->redis, on_locked, o, "SET %sorphan-lock:%b %s NX PX %d",
			redis_prefix(f->redis), o->field.data, o->field.len,
			instance_id(f->instance), LOCK_MS) < 0)
		orphan_free(o);
}

/* --- the list --- */

static bool
try_one(struct engine *f, const redisReply *field, const redisReply *value)
{
	struct orphan *o;

	if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING ||
	    (size_t)field->len > FIELD_MAX)
		return false;
	o = calloc(1, sizeof(*o));
	if (!o)
		return false;
	o->flow = f;
	f->orphan = o;
	buf_addspan(&o->field, redis_span(field));
	buf_addspan(&o->value, redis_span(value));
	if (o->field.failed || o->value.failed || !parse(o) ||
	    supervisor_status(f->supervisor, o->plugin_id.data) != WORKER_RUNNING) {
		orphan_free(o);
		return false;
	}
	lock(o);
	return true;
}

static void
on_scanned(void *arg, const redisReply *reply)
{
	struct engine *f = arg;
	const redisReply *rows;

	f->orphan_scanning = false;
	if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return;
	f->orphan_cursor = strtoull(reply->element[0]->str, NULL, 10);
	rows = reply->element[1];
	if (!rows->elements || f->stage != STAGE_RUNNING)
		return;
	/* Another one each time: the first may be locked for a minute. */
	for (size_t i = 0; i + 1 < rows->elements; i += 2) {
		size_t at = (i + f->orphan_turn * 2) % (rows->elements & ~(size_t)1);

		if (try_one(f, rows->element[at], rows->element[at + 1]))
			break;
	}
	f->orphan_turn++;
}

void
orphans_tick(struct engine *f)
{
	/* One was dealt with: another may be there. */
	if (f->stage != STAGE_RUNNING || f->orphan || f->orphan_scanning ||
	    !redis_up(f->redis) || (f->ticks % SCAN_EVERY_TICKS && !f->orphan_more))
		return;
	f->orphan_more = false;
	f->orphan_scanning =
		redis_sendf(f->redis, on_scanned, f, "HSCAN %sorphans %llu COUNT %d",
			    redis_prefix(f->redis), (unsigned long long)f->orphan_cursor,
			    SCAN_COUNT) == 0;
}

void
orphans_free(struct engine *f)
{
	if (f->orphan)
		orphan_free(f->orphan);
}
