/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

enum {
	LOOK_TIMEOUT_MS = 10000,
	LOOK_AGAIN_MS = 2000,
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

/* --- start-up, docs/engine.md section 9 --- */

static void
on_facts(void *arg, const struct cluster_facts *facts)
{
	struct engine *f = arg;

	f->look = NULL;
	status_facts(f, facts);
	f->facts = *facts;
	f->next_look = clock_mono_ms() + LOOK_AGAIN_MS;
	if (facts->exit_code)
		engine_exit(f, facts->exit_code, "%s", facts->err.text);
	engine_again(f);
}

static void
on_publisher_ready(void *arg, bool ready, const char *why)
{
	struct engine *f = arg;

	f->publisher_ready = ready;
	snprintf(f->why_publisher, sizeof(f->why_publisher), "%s", ready ? "" : why);
	engine_again(f);
}

static void
on_fatal(void *arg, int exit_code, const char *text)
{
	struct engine *f = arg;

	f->publisher_ready = false;
	if (exit_code == 70)	/* a bug: nothing of ours is to be trusted */
		engine_exit(f, exit_code, "%s", text);
	else
		engine_leave(f, exit_code, text);
}

/* What the configuration is not to blame for may be there next time:
 * descriptors, threads, memory. */
static void
cannot_start(struct engine *f, const struct err *err)
{
	engine_exit(f, err->code == ERR_CONFIG ? 78 : 75, "%s", err->text);
}

static void
start_producer(struct engine *f)
{
	const struct publisher_events ev = {
		.on_verdict = committing_verdict,
		.on_ready = on_publisher_ready,
		.on_fatal = on_fatal,
		.arg = f,
	};
	struct err err = { 0 };
	char id[512];

	if (f->facts.compacted)
		log_warn("topic '%s' is compacted: what compaction removes gets no result (P1)",
			 f->topics[TOPIC_COMMANDS]);
	claims_set_backstop(f->claims, backstop_ms(f->facts.retention_ms));
	snprintf(id, sizeof(id), "%s.%s", config_str(f->config, "kafka.group.id"),
		 instance_id(f->instance));
	snprintf(f->why_publisher, sizeof(f->why_publisher), "the producer is being initialised");
	f->publisher = publisher_new(f->loop, f->config, id,
				     (const char *const *)f->topics, &ev, &err);
	if (!f->publisher)
		cannot_start(f, &err);
	f->stage = STAGE_PRODUCER;
	if (f->schema_registry)
		unread_plugins(f);
}

static void
on_consumer_state(void *arg, const char *why)
{
	struct engine *f = arg;

	snprintf(f->why_consumer, sizeof(f->why_consumer), "%s", why ? why : "");
}

static void
start_consumer(struct engine *f)
{
	const struct consumer_events ev = {
		.on_message = intake_message,
		.on_assign = rebalance_assign,
		.on_revoke = rebalance_revoke,
		.on_gap = rebalance_gap,
		.on_state = on_consumer_state,
		.on_fatal = on_fatal,
		.arg = f,
	};
	struct err err = { 0 };

	f->consumer = consumer_new(f->loop, f->config, f->topics[TOPIC_COMMANDS], &ev, &err);
	if (!f->consumer || consumer_start(f->consumer, &err) < 0) {
		cannot_start(f, &err);
		return;
	}
	f->stage = STAGE_RUNNING;
	log_info("subscribed to '%s' as '%s' in group '%s'", f->topics[TOPIC_COMMANDS],
		 instance_id(f->instance), config_str(f->config, "kafka.group.id"));
}

static void
on_instance_ready(void *arg)
{
	struct engine *f = arg;

	if (f->stage == STAGE_INSTANCE)
		start_consumer(f);
}

static void
on_instance_checked(void *arg)
{
	struct engine *f = arg;

	if (f->stage == STAGE_META)
		f->stage = STAGE_SCHEMAS;
	engine_again(f);
}

static void
on_instance_refused(void *arg, int exit_code, const char *text)
{
	engine_leave(arg, exit_code, text);
}

static void
look(struct engine *f)
{
	struct err err = { 0 };

	if (f->look || clock_mono_ms() < f->next_look)
		return;
	f->look = cluster_look(f->loop, f->config, LOOK_TIMEOUT_MS, on_facts, f, &err);
	if (!f->look)
		cannot_start(f, &err);
}

static void
start_turn(struct engine *f)
{
	switch (f->stage) {
	case STAGE_REDIS:
		if (!redis_up(f->redis))
			break;
		if (!f->facts.reached || f->facts.missing[0]) {
			look(f);
			break;
		}
		f->stage = STAGE_META;
		instance_check(f->instance, f->facts.cluster_id);
		break;
	case STAGE_SCHEMAS:
		if (unread_start(f))
			start_producer(f);
		break;
	case STAGE_PRODUCER:
		if (!f->publisher_ready)
			break;
		f->stage = STAGE_INSTANCE;
		instance_begin(f->instance);
		break;
	default:
		break;
	}
}

/* --- Redis comes and goes --- */

static void
on_redis_up(void *arg)
{
	struct engine *f = arg;

	log_info("connected to Redis");
	f->redis_down_since = 0;
	f->why_redis[0] = '\0';
	claiming_reassert(f);
	supervisor_republish(f->supervisor);
	rebalance_retry_assign(f);
	held_look(f);
	engine_again(f);
}

static void
on_redis_down(void *arg, const char *why)
{
	struct engine *f = arg;

	if (!f->redis_down_since) {
		f->redis_down_since = clock_mono_ms() - redis_silent_ms(f->redis);
		log_warn("Redis is away (%s), commands wait", why);
	}
	snprintf(f->why_redis, sizeof(f->why_redis), "Redis is away: %s", why);
	engine_again(f);
}

static void
on_notice(void *arg, const struct plugin_event *n)
{
	struct engine *f = arg;

	engine_plugin_event(f, n);
}

static void
say_ready_once(struct engine *f)
{
	if (f->was_ready || f->stage != STAGE_RUNNING || !engine_ready(f, NULL))
		return;
	f->was_ready = true;
	log_info("ready");
	if (f->ev.on_ready)
		f->ev.on_ready(f->ev.arg);
}

static void
tick(uv_timer_t *timer)
{
	struct engine *f = timer->data;

	if (f->ticks++ > 1)
		status_no_redis(f);
	start_turn(f);
	dispatch_tick(f);
	claiming_tick(f);
	rebalance_tick(f);
	held_tick(f);
	orphans_tick(f);
	unread_tick(f);
	best_effort_poll(f->notices);
	status_tick(f);
	metrics_set(METRIC_READY, engine_ready(f, NULL));
}

/* --- made and unmade --- */

static bool
name_topics(struct engine *f)
{
	const char *prefix = config_str(f->config, "topic.prefix");

	for (int t = 0; t < TOPIC_COUNT; t++) {
		struct buf name = BUF_INIT;

		buf_adds(&name, prefix ? prefix : "");
		buf_adds(&name, topic_name(t));
		f->topics[t] = buf_take(&name, NULL);
		if (!f->topics[t])
			return false;
	}
	return true;
}

/* Waiting takes no CPU time: what lies between is one turn. */
static void
measure_turn(struct engine *f)
{
	int64_t now = clock_thread_ms(), turn = now - f->prepared_cpu;

	if (f->prepared_cpu && turn > f->turn_max) {
		f->turn_max = turn;
		metrics_set(METRIC_LOOP_TURN_MAX, turn);
	}
	f->prepared_cpu = now;
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct engine *f = prepare->data;

	uv_idle_stop(&f->again);
	start_turn(f);
	engine_turn(f);
	engine_stop_turn(f);
	say_ready_once(f);
	f->prepared_boot = clock_boot_ms();
	measure_turn(f);
}

static void
init_handles(struct engine *f)
{
	uv_prepare_init(f->loop, &f->prepare);
	uv_timer_init(f->loop, &f->tick);
	uv_timer_init(f->loop, &f->soon);
	uv_idle_init(f->loop, &f->again);
	f->prepare.data = f;
	f->tick.data = f;
	f->soon.data = f;
	f->again.data = f;
	f->prepared_boot = clock_boot_ms();
}

static void
read_limits(struct engine *f)
{
	const struct config *c = f->config;

	f->limits = (struct engine_limits){
		.in_flight = (size_t)config_int(c, "max.in.flight"),
		.bytes = (size_t)config_int(c, "in.flight.max.bytes"),
		.batch = (size_t)config_int(c, "transaction.max.records"),
		.call_timeout = config_int(c, "plugin.call.timeout"),
		.start_wait = config_int(c, "plugin.start.wait"),
		.commit_interval = config_int(c, "commit.interval"),
		.handover = config_int(c, "handover.timeout"),
		.revoke_drain = config_int(c, "revoke.drain"),
	};
}

static int
make_stages(struct engine *f, struct err *reterr)
{
	const struct redis_listener redis_ev = {
		.on_up = on_redis_up,
		.on_down = on_redis_down,
		.arg = f,
	};
	const struct instance_events instance_ev = { on_instance_checked, on_instance_ready,
						     on_instance_refused, f };
	const struct supervisor_events plugin_ev = { dispatch_plugin_changed, on_notice, f };

	f->result_limits = (struct result_limits){
		.inline_bytes = (size_t)config_int(f->config, "execution.inline.limit"),
		.record_bytes = ENGINE_RECORD_BYTES,
		.set_bytes = ENGINE_BATCH_BYTES,
	};
	if (!(f->schemas = schemas_new(reterr)) || unread_new(f, reterr) < 0 ||
	    !(f->decoder = command_decoder_new(f->schemas,
					       (size_t)config_int(f->config, "command.max.bytes"),
					       reterr)) ||
	    !(f->redis = redis_new(f->loop, f->config, reterr)))
		return -1;
	claims_channel(f->redis, &f->channel);
	if (f->channel.failed)
		return err_nomem(reterr);
	redis_subscribe(f->redis, f->channel.data, claiming_handover, f);
	/* Listeners come in the order of docs/engine.md section 4: the instance record,
	 * releases and claims, then what flow re-asserts. */
	if (!(f->instance = instance_new(f->loop, f->redis, f->config, &instance_ev, reterr)))
		return -1;
	f->claims = claims_new(f->redis, f->instance, config_int(f->config, "claim.retention"),
			       backstop_ms(-2), reterr);
	if (!f->claims || !(f->registry = registry_new(f->redis, unread_plugins, f, reterr)))
		return -1;
	redis_listen(f->redis, &redis_ev);
	f->supervisor = supervisor_new(f->loop, f->config, f->registry, f->redis,
				       instance_id(f->instance), instance_incarnation(f->instance),
				       &plugin_ev, reterr);
	f->results = result_ctx_new(f->schemas, instance_id(f->instance), f->result_limits,
				    reterr);
	if (!f->supervisor || !f->results)
		return -1;
	f->notices = best_effort_new(f->config, (const char *const *)f->topics, reterr);
	return f->notices ? 0 : -1;
}

struct engine *
engine_new(uv_loop_t *loop, const struct config *config, const struct engine_events *ev,
	 struct err *reterr)
{
	struct engine *f = calloc(1, sizeof(*f));

	if (!f) {
		err_nomem(reterr);
		return NULL;
	}
	f->loop = loop;
	f->config = config;
	f->ev = *ev;
	read_limits(f);
	init_handles(f);
	if (!name_topics(f)) {
		err_nomem(reterr);
		engine_free(f);
		return NULL;
	}
	if (make_stages(f, reterr) < 0) {
		engine_free(f);
		return NULL;
	}
	return f;
}

void
engine_start(struct engine *f)
{
	uv_prepare_start(&f->prepare, on_prepare);
	uv_timer_start(&f->tick, tick, 0, ENGINE_TICK_MS);
	redis_start(f->redis);
}

static void
free_list(struct engine *f, struct entry_list *l)
{
	while (l->head) {
		calling_abandon(f, l->head);
		engine_retire(f, l->head);
	}
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct engine *f = handle->data;

	if (--f->closing == 0)
		free(f);
}

static void
close_handles(struct engine *f)
{
	uv_handle_t *const handles[] = {
		(uv_handle_t *)&f->prepare,
		(uv_handle_t *)&f->tick,
		(uv_handle_t *)&f->soon,
		(uv_handle_t *)&f->again,
	};

	f->closing = sizeof(handles) / sizeof(handles[0]);
	for (int i = f->closing - 1; i >= 0; i--)
		uv_close(handles[i], on_handle_closed);
}

void
engine_free(struct engine *f)
{
	if (!f)
		return;
	cluster_forget(f->look);
	free_list(f, &f->left);
	free_list(f, &f->handing);
	answering_free(f);
	calling_forget_late(f);
	orphans_free(f);
	rebalance_free(f);
	dispatch_free(f);
	best_effort_free(f->notices, ENGINE_CLOSE_MS);
	result_ctx_free(f->results);
	consumer_free(f->consumer);
	publisher_free(f->publisher);
	supervisor_free(f->supervisor);
	registry_free(f->registry);
	claims_free(f->claims);
	instance_free(f->instance);
	redis_free(f->redis);
	command_decoder_free(f->decoder);
	schema_registry_free(f->schema_registry);
	schemas_free(f->schemas);
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(f->topics[t]);
	buf_release(&f->channel);
	close_handles(f);
}
