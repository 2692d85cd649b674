/* SPDX-License-Identifier: Apache-2.0 */
#include "startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answering.h"
#include "calling.h"
#include "claiming.h"
#include "committing.h"
#include "core.h"
#include "decoding.h"
#include "dispatch.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/claim/claims.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/kafka/cluster.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/publisher.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/plugin/supervisor_view.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "envdriver/registry/registry.h"
#include "held.h"
#include "intake.h"
#include "orphans.h"
#include "rebalance.h"
#include "shutdown.h"
#include "stall.h"
#include "unread.h"
#include "watching.h"

enum {
	LOOK_TIMEOUT_MS = 10000,
	LOOK_AGAIN_MS = 2000,
	START_SLACK_MS = 500,		/* a start that has had its time has ended by then */
	RECORD_BYTES = (1 << 20) - 4096,	/* max.message.bytes less head room */
};

struct startup {
	struct cluster_facts facts;
	struct cluster_job *look;	/* under way; else NULL */
	int64_t next_look;		/* mono ms */
	struct buf channel;		/* of hand-overs; Redis borrows it */
	int64_t plugins_until;		/* mono ms: they are waited for; 0: not known yet */
};

static const int64_t DAY_MS = 24LL * 3600 * 1000;
/* When the command topic's retention cannot be read. */
enum { BACKSTOP_DAYS = 9, BACKSTOP_DAYS_MAX = 3650 };

/* docs/engine.md section 4: retention plus one day. */
static int64_t
backstop_ms(int64_t retention_ms)
{
	if (retention_ms >= 0 && retention_ms < BACKSTOP_DAYS_MAX * DAY_MS)
		return retention_ms + DAY_MS;
	return retention_ms == -2 ? BACKSTOP_DAYS * DAY_MS : BACKSTOP_DAYS_MAX * DAY_MS;
}

/* Once for each cause: a look comes every few seconds. */
static void
log_facts(const struct cluster_facts *before, const struct cluster_facts *now)
{
	if (!now->exit_code && !now->reached && strcmp(now->err.text, before->err.text) != 0)
		log_warn("%s; waiting for it", now->err.text);
	if (now->missing[0] && strcmp(now->missing, before->missing) != 0)
		log_warn("missing topics: %s; waiting for them (`envdriver topics create` makes "
			 "them)",
			 now->missing);
}

/* --- the wiring: what happens below is reported here --- */

static void
on_cluster_facts(void *arg, const struct cluster_facts *facts)
{
	struct engine *eng = arg;
	struct startup *st = eng->startup;

	st->look = NULL;
	log_facts(&st->facts, facts);
	st->facts = *facts;
	st->next_look = clock_mono_ms() + LOOK_AGAIN_MS;
	if (facts->exit_code)
		core_exit(eng, facts->exit_code, "%s", facts->err.text);
	core_again(eng);
}

static void
on_publisher_ready(void *arg, bool ready, const char *why)
{
	struct engine *eng = arg;

	eng->committing->publisher_ready = ready;
	snprintf(eng->why.publisher, sizeof(eng->why.publisher), "%s", ready ? "" : why);
	core_again(eng);
}

static void
on_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item, enum topic topic)
{
	struct engine *eng = arg;

	if (trouble == PUBLISH_INSTANCE_FENCED)
		shutdown_leave(eng, EXIT_UNAVAILABLE,
			       "another worker runs with our kafka.group.instance.id; each "
			       "worker needs one of its own");
	committing_verdict(eng, b, trouble, item, topic);
}

/* Of the producer or the consumer. */
static void
on_kafka_fatal(void *arg, int exit_code, const char *text)
{
	struct engine *eng = arg;

	eng->committing->publisher_ready = false;
	if (exit_code == EXIT_BUG)	/* a bug: nothing of ours is to be trusted */
		core_exit(eng, exit_code, "%s", text);
	else
		shutdown_leave(eng, exit_code, text);
}

static void
on_consumer_state(void *arg, const char *why)
{
	struct engine *eng = arg;

	snprintf(eng->why.consumer, sizeof(eng->why.consumer), "%s", why ? why : "");
}

static void
on_meta_checked(void *arg)
{
	struct engine *eng = arg;

	if (eng->stage == STAGE_META)
		eng->stage = STAGE_SCHEMAS;
	core_again(eng);
}

static void
on_instance_refused(void *arg, int exit_code, const char *text)
{
	shutdown_leave(arg, exit_code, text);
}

static void
on_engine_redis_up(void *arg)
{
	struct engine *eng = arg;

	redis_watch_see(&eng->redis_watch, true, "", clock_mono_ms());
	eng->redis_down_since = 0;
	claiming_reassert(eng);
	supervisor_republish(eng->supervisor);
	rebalance_retry_assign(eng);
	held_look(eng);
	core_again(eng);
}

static void
on_engine_redis_down(void *arg, const char *why)
{
	struct engine *eng = arg;

	if (!eng->redis_down_since)
		eng->redis_down_since = clock_mono_ms() - redis_silent_ms(eng->redis);
	redis_watch_see(&eng->redis_watch, false, why, clock_mono_ms());
	core_again(eng);
}

static void
on_plugin_changed(void *arg, const char *plugin_id)
{
	(void)plugin_id;	/* what waits for another one finds that out again */
	dispatch_plugin_changed(arg);
}

static void
on_plugin_event(void *arg, const struct plugin_event *event)
{
	core_plugin_event(arg, event);
}

/* Plugin workers start once what they do can be written down. */
static void
on_plugins_changed(void *arg)
{
	struct engine *eng = arg;

	if (unread_configured(eng) && eng->stage <= STAGE_SCHEMAS)
		return;
	supervisor_sync(eng->supervisor);
	if (!eng->startup->plugins_until && registry_fresh(eng->registry))
		eng->startup->plugins_until =
			clock_mono_ms() + eng->limits.start_timeout + START_SLACK_MS;
	dispatch_plugin_changed(eng);
}

/* --- the steps, docs/engine.md section 9 --- */

/* What the configuration is not to blame for may be there next time:
 * descriptors, threads, memory. */
static void
cannot_start(struct engine *eng, const struct err *err)
{
	core_exit(eng, err->code == ERR_CONFIG ? EXIT_CONFIG : EXIT_AGAIN, "%s", err->text);
}

static void
look_at_cluster(struct engine *eng)
{
	struct startup *st = eng->startup;
	struct err err = { 0 };

	if (st->look || clock_mono_ms() < st->next_look)
		return;
	st->look = cluster_look(eng->loop, eng->config, LOOK_TIMEOUT_MS, on_cluster_facts, eng,
				&err);
	if (!st->look)
		cannot_start(eng, &err);
}

static void
start_producer(struct engine *eng)
{
	const struct publisher_events ev = {
		.on_verdict = on_verdict,
		.on_ready = on_publisher_ready,
		.on_fatal = on_kafka_fatal,
		.arg = eng,
	};
	const struct cluster_facts *facts = &eng->startup->facts;
	struct err err = { 0 };
	char id[512];

	if (facts->compacted)
		log_warn("topic '%s' is compacted: commands that compaction removes get no result "
			 "(P1)",
			 eng->topics[TOPIC_COMMANDS]);
	claims_set_backstop(eng->claims, backstop_ms(facts->retention_ms));
	snprintf(id, sizeof(id), "%s.%s", config_str(eng->config, "kafka.group.id"),
		 instance_id(eng->instance));
	snprintf(eng->why.publisher, sizeof(eng->why.publisher),
		 "the producer is being initialised");
	eng->publisher = publisher_new(eng->loop, eng->config, id,
				       (const char *const *)eng->topics, &ev, &err);
	if (!eng->publisher)
		cannot_start(eng, &err);
	eng->stage = STAGE_PRODUCER;
	if (unread_configured(eng))
		on_plugins_changed(eng);
}

static void
start_consumer(struct engine *eng)
{
	const struct consumer_events ev = {
		.on_message = intake_message,
		.on_assign = rebalance_assign,
		.on_revoke = rebalance_revoke,
		.on_gap = rebalance_gap,
		.on_state = on_consumer_state,
		.on_fatal = on_kafka_fatal,
		.arg = eng,
	};
	struct err err = { 0 };

	eng->consumer =
		consumer_new(eng->loop, eng->config, eng->topics[TOPIC_COMMANDS], &ev, &err);
	if (!eng->consumer || consumer_start(eng->consumer, &err) < 0) {
		cannot_start(eng, &err);
		return;
	}
	eng->stage = STAGE_RUNNING;
	log_info("subscribed to '%s' as '%s' in group '%s'", eng->topics[TOPIC_COMMANDS],
		 instance_id(eng->instance), config_str(eng->config, "kafka.group.id"));
}

static void
on_instance_ready(void *arg)
{
	struct engine *eng = arg;

	if (eng->stage == STAGE_INSTANCE)
		eng->stage = STAGE_PLUGINS;
	core_again(eng);
}

/* Who joins the group before its plugins run is given commands that it would
 * have to fail, and takes them from workers whose plugins do. */
static void
wait_for_plugins(struct engine *eng)
{
	int64_t left = eng->startup->plugins_until - clock_mono_ms();

	if (!registry_fresh(eng->registry) || !eng->startup->plugins_until)
		return;
	if (left > 0 && !supervisor_view_settled(eng->supervisor)) {
		core_soon(eng, left);
		return;
	}
	supervisor_view_warn_waiting(eng->supervisor);
	start_consumer(eng);
}

void
startup_turn(struct engine *eng)
{
	const struct cluster_facts *facts = &eng->startup->facts;

	switch (eng->stage) {
	case STAGE_REDIS:
		if (!redis_up(eng->redis))
			break;
		if (!facts->reached || facts->missing[0]) {
			look_at_cluster(eng);
			break;
		}
		eng->stage = STAGE_META;
		instance_check(eng->instance, facts->cluster_id);
		break;
	case STAGE_SCHEMAS:
		if (unread_start(eng))
			start_producer(eng);
		break;
	case STAGE_PRODUCER:
		if (!eng->committing->publisher_ready)
			break;
		eng->stage = STAGE_INSTANCE;
		instance_begin(eng->instance);
		break;
	case STAGE_PLUGINS:
		wait_for_plugins(eng);
		break;
	default:
		break;
	}
}

/* While Redis is not reached, on_engine_redis_down does not come, and the
 * reason can change. */
void
startup_tick(struct engine *eng)
{
	if ((eng->ticks > 2 || eng->stage > STAGE_REDIS) && eng->stage < STAGE_STOPPING)
		redis_watch_see(&eng->redis_watch, redis_up(eng->redis),
				redis_why_down(eng->redis), clock_mono_ms());
	startup_turn(eng);
}

static void
add_plugins_why(const struct engine *eng, struct buf *out)
{
	int64_t left = eng->startup->plugins_until - clock_mono_ms();

	if (eng->stage != STAGE_PLUGINS)
		return;
	if (!registry_fresh(eng->registry) || !eng->startup->plugins_until)
		buf_adds(out, "the registry of plugins is being read\n");
	else
		supervisor_view_add_waiting(eng->supervisor, left, out);
}

void
startup_why(const struct engine *eng, struct buf *out)
{
	const struct cluster_facts *facts = &eng->startup->facts;

	if (eng->stage == STAGE_REDIS && !facts->reached)
		buf_addf(out, "%s\n",
			 facts->err.text[0] ? facts->err.text :
					      "the Kafka cluster was not reached yet");
	if (eng->stage == STAGE_REDIS && facts->missing[0])
		buf_addf(out, "missing topics: %s (make them with `envdriver topics create`)\n",
			 facts->missing);
	if (eng->stage == STAGE_META)
		buf_adds(out, "checking that redis.prefix is this group's\n");
	unread_why(eng, out);
	if (eng->stage == STAGE_INSTANCE)
		buf_adds(out, "checking that no other worker runs under this instance.id\n");
	add_plugins_why(eng, out);
}

/* --- made and unmade --- */

static bool
make_stages(struct engine *eng)
{
	return answering_new(eng) && calling_new(eng) && stall_new(eng) && dispatch_new(eng) &&
	       committing_new(eng) && orphans_new(eng) && rebalance_new(eng) && shutdown_new(eng);
}

/* Listeners of Redis come in the order of docs/engine.md section 4: the
 * instance record, releases and claims, then what the engine re-asserts. */
static int
make_redis(struct engine *eng, struct err *reterr)
{
	const struct redis_listener redis_ev = {
		.on_up = on_engine_redis_up,
		.on_down = on_engine_redis_down,
		.arg = eng,
	};
	const struct instance_events instance_ev = { on_meta_checked, on_instance_ready,
						     on_instance_refused, eng };

	if (!(eng->redis = redis_new(eng->loop, eng->config, reterr)))
		return -1;
	orphans_connect(eng);
	claims_channel(eng->redis, &eng->startup->channel);
	if (eng->startup->channel.failed)
		return err_nomem(reterr);
	redis_subscribe(eng->redis, eng->startup->channel.data, watching_handover, eng);
	eng->instance = instance_new(eng->redis, eng->config, &instance_ev, reterr);
	if (!eng->instance)
		return -1;
	eng->claims = claims_new(eng->redis, eng->instance,
				 config_int(eng->config, "claim.retention"), backstop_ms(-2),
				 reterr);
	if (!eng->claims ||
	    !(eng->registry = registry_new(eng->redis, on_plugins_changed, eng, reterr)))
		return -1;
	redis_listen(eng->redis, &redis_ev);
	return 0;
}

static int
make_modules(struct engine *eng, struct err *reterr)
{
	const struct supervisor_events plugin_ev = { on_plugin_changed, on_plugin_event, eng };

	eng->result_limits = (struct result_limits){
		.inline_bytes = (size_t)config_int(eng->config, "execution.inline.limit"),
		.record_bytes = RECORD_BYTES,
		.set_bytes = ENGINE_BATCH_BYTES,
		.credential_ms = config_int(eng->config, "credential.max.age"),
	};
	if (!(eng->schemas = schemas_new(reterr)) || unread_new(eng, reterr) < 0 ||
	    decoding_new(eng, reterr) < 0 || make_redis(eng, reterr) < 0)
		return -1;
	eng->supervisor = supervisor_new(eng->loop, eng->config, eng->registry, eng->redis,
					 instance_id(eng->instance),
					 instance_incarnation(eng->instance), &plugin_ev, reterr);
	claims_credential_prefix(eng->redis, &eng->credential_prefix);
	if (eng->credential_prefix.failed)
		return err_nomem(reterr);
	eng->result_limits.credential_prefix = eng->credential_prefix.data;
	eng->results = result_ctx_new(eng->schemas, instance_id(eng->instance),
				      eng->result_limits, reterr);
	if (!eng->supervisor || !eng->results)
		return -1;
	eng->best_effort = best_effort_new(eng->config, (const char *const *)eng->topics, reterr);
	return eng->best_effort ? 0 : -1;
}

int
startup_new(struct engine *eng, struct err *reterr)
{
	core_read_limits(eng);
	eng->startup = calloc(1, sizeof(*eng->startup));
	if (!eng->startup || !core_name_topics(eng) || !make_stages(eng))
		return err_nomem(reterr);
	eng->time_limits = time_limit_keys_new(eng->config, reterr);
	return eng->time_limits ? make_modules(eng, reterr) : -1;
}

void
startup_free(struct engine *eng)
{
	best_effort_free(eng->best_effort, ENGINE_CLOSE_MS);
	result_ctx_free(eng->results);
	consumer_free(eng->consumer);
	publisher_free(eng->publisher);
	supervisor_free(eng->supervisor);
	registry_free(eng->registry);
	claims_free(eng->claims);
	instance_free(eng->instance);
	redis_free(eng->redis);
	decoding_free(eng);
	unread_free(eng);
	schemas_free(eng->schemas);
	time_limit_keys_free(eng->time_limits);
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(eng->topics[t]);
	if (eng->startup) {
		cluster_free(eng->startup->look);
		buf_release(&eng->startup->channel);
	}
	free(eng->startup);
}
