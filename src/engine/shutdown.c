/* SPDX-License-Identifier: Apache-2.0 */
#include "shutdown.h"

#include <stdio.h>
#include <stdlib.h>

#include "calling.h"
#include "committing.h"
#include "core.h"
#include "dispatch.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/log.h"
#include "envdriver/claim/claims.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/publisher.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "leaving.h"

enum { OWN_MS = 1000 };	/* for the last take-overs of our own claims */

struct shutdown {
	int64_t deadline;		/* of DRAINING and LEAVING, mono ms */
	int64_t handover_deadline;	/* of LEFT, mono ms */
	bool closing_consumer;
	char exit_text[600];		/* of shutdown_leave */
};

bool
shutdown_new(struct engine *eng)
{
	eng->shutdown = calloc(1, sizeof(*eng->shutdown));
	return eng->shutdown;
}

void
shutdown_free(struct engine *eng)
{
	free(eng->shutdown);
}

/* --- the last stage: workers, the instance record, Redis --- */

static void
on_redis_closed(void *arg)
{
	struct engine *eng = arg;

	if (eng->exit_code)
		core_exit(eng, eng->exit_code, "%s", eng->shutdown->exit_text);
	else
		eng->ev.on_stopped(eng->ev.arg);
}

static void
on_instance_ended(void *arg)
{
	struct engine *eng = arg;

	redis_close(eng->redis, on_redis_closed, eng);
}

static void
on_workers_stopped(void *arg)
{
	struct engine *eng = arg;

	/* Not before: in the time it is given to end a plugin may still bring
	 * the lease of a call that timed out (P4). */
	calling_free_late(eng);
	instance_end(eng->instance, on_instance_ended, eng);
}

static void
stop_workers(struct engine *eng)
{
	eng->stage = STAGE_STOPPED;
	supervisor_stop(eng->supervisor, true, on_workers_stopped, eng);
}

static void
on_publisher_closed(void *arg)
{
	stop_workers(arg);
}

static void
on_consumer_closed(void *arg)
{
	struct engine *eng = arg;

	eng->stage = STAGE_LEFT;
	eng->shutdown->handover_deadline = clock_mono_ms() + eng->limits.handover;
	if (eng->lists.left.n)
		log_info("%zu calls run on, their answers will be handed over", eng->lists.left.n);
	supervisor_stop(eng->supervisor, false, NULL, NULL);
	core_again(eng);
}

/* --- the stages before it --- */

static bool
still_drains(const struct engine *eng, int64_t now)
{
	return (calling_running(eng) || eng->recording || eng->lists.ready.n ||
		eng->lists.large.n || eng->committing->batch) &&
	       now < eng->shutdown->deadline;
}

/* The last revoke event is not answered yet: the group may count us as owner.
 * With the brokers away the event may never come. */
static bool
still_leaves(const struct engine *eng, int64_t now)
{
	return eng->shutdown->closing_consumer || eng->revoking ||
	       (consumer_group_meta(eng->consumer) && now < eng->shutdown->deadline);
}

static bool
still_hands_over(const struct engine *eng, int64_t now)
{
	return (eng->lists.left.n || eng->lists.handing.n || eng->owning ||
		claims_finishing(eng->claims)) &&
	       now < eng->shutdown->handover_deadline && !leaving_redis_gone(eng);
}

static void
close_publisher(struct engine *eng)
{
	eng->stage = STAGE_STOPPING;
	publisher_close(eng->publisher, ENGINE_CLOSE_MS, on_publisher_closed, eng);
}

static void
end_left(struct engine *eng, int64_t now)
{
	struct shutdown *s = eng->shutdown;

	/* Before their workers end, or that would be their answer. */
	if (eng->lists.left.n && now >= s->handover_deadline && !leaving_redis_gone(eng)) {
		leaving_give_up_left(eng);
		s->handover_deadline = now + OWN_MS;
		core_soon(eng, OWN_MS);
	}
	if (still_hands_over(eng, now))
		return;
	if (eng->lists.handing.n || claims_finishing(eng->claims))
		log_warn("Redis or Kafka is away: %zu answers and %zu finished claims could not "
			 "be written",
			 eng->lists.handing.n, claims_finishing(eng->claims));
	close_publisher(eng);
}

void
shutdown_turn(struct engine *eng)
{
	struct shutdown *s = eng->shutdown;
	int64_t now = clock_mono_ms();

	switch (eng->stage) {
	case STAGE_DRAINING:
		if (still_drains(eng, now))
			break;
		eng->stage = STAGE_LEAVING;
		s->deadline = now + eng->limits.revoke_drain + ENGINE_CLOSE_MS;
		core_soon(eng, s->deadline - now);
		consumer_leave(eng->consumer);
		break;
	case STAGE_LEAVING:
		if (still_leaves(eng, now))
			break;
		leaving_close_all(eng);
		s->closing_consumer = true;
		consumer_close(eng->consumer, ENGINE_CLOSE_MS, on_consumer_closed, eng);
		break;
	case STAGE_LEFT:
		end_left(eng, now);
		break;
	default:
		break;
	}
}

/* --- it begins --- */

static void
start_draining(struct engine *eng, int64_t drain_ms)
{
	log_info("stopping: %zu commands in flight, %zu calls running", eng->entries,
		 calling_running(eng));
	eng->stage = STAGE_DRAINING;
	eng->shutdown->deadline = clock_mono_ms() + drain_ms;
	consumer_pause_all(eng->consumer, true);
	dispatch_release_read(eng);
	core_again(eng);
}

void
shutdown_leave(struct engine *eng, int exit_code, const char *text)
{
	struct shutdown *s = eng->shutdown;

	if (eng->stage < STAGE_RUNNING) {
		core_exit(eng, exit_code, "%s", text);
		return;
	}
	if (eng->exit_code || eng->exiting)
		return;
	log_warn("%s; ending, running calls are handed over first", text);
	eng->exit_code = exit_code;
	snprintf(s->exit_text, sizeof(s->exit_text), "%s", text);
	if (eng->stage == STAGE_RUNNING)
		start_draining(eng, 0);
	else if (eng->stage == STAGE_DRAINING)
		s->deadline = clock_mono_ms();	/* nothing is published any more */
}

void
shutdown_start(struct engine *eng)
{
	if (eng->stage > STAGE_RUNNING)
		return;
	if (eng->stage == STAGE_RUNNING)
		start_draining(eng, config_int(eng->config, "drain.timeout"));
	else if (eng->publisher)
		close_publisher(eng);
	else
		stop_workers(eng);
}
