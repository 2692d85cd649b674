/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"

enum { OWN_MS = 1000 };	/* for the last take-overs of our own claims */

static void
on_redis_closed(void *arg)
{
	struct engine *f = arg;

	if (f->exit_code)
		engine_exit(f, f->exit_code, "%s", f->exit_text);
	else
		f->ev.on_stopped(f->ev.arg);
}

static void
on_instance_ended(void *arg)
{
	struct engine *f = arg;

	redis_close(f->redis, on_redis_closed, f);
}

static void
on_workers_stopped(void *arg)
{
	struct engine *f = arg;

	/* Not before: in the time it is given to end a plugin may still bring
	 * the lease of a call that timed out (P4). */
	calling_forget_late(f);
	instance_end(f->instance, on_instance_ended, f);
}

static void
stop_workers(struct engine *f)
{
	f->stage = STAGE_STOPPED;
	supervisor_stop(f->supervisor, true, on_workers_stopped, f);
}

static void
on_publisher_closed(void *arg)
{
	stop_workers(arg);
}

static void
on_consumer_closed(void *arg)
{
	struct engine *f = arg;

	f->stage = STAGE_LEFT;
	f->handover_deadline = clock_mono_ms() + f->limits.handover;
	if (f->left.n)
		log_info("%zu calls run on, their answers will be handed over", f->left.n);
	supervisor_stop(f->supervisor, false, NULL, NULL);
	engine_again(f);
}

/* What is still owed in each stage of the shutdown; the next one begins
 * when nothing is, or its time is up. */
/* LEFT calls are given up then, too; what is to be written waits no longer. */
static bool
redis_long_gone(const struct engine *f)
{
	return !f->left.n && f->redis_down_since &&
	       clock_mono_ms() - f->redis_down_since >= ENGINE_REDIS_GONE_MS;
}

void
engine_stop_turn(struct engine *f)
{
	int64_t now = clock_mono_ms();

	switch (f->stage) {
	case STAGE_DRAINING:
		if ((f->calling || f->recording || f->ready.n || f->large.n || f->batch) &&
		    now < f->stop_deadline)
			break;
		f->stage = STAGE_LEAVING;
		f->stop_deadline = now + f->limits.revoke_drain + ENGINE_CLOSE_MS;
		engine_soon(f, f->stop_deadline - now);
		consumer_leave(f->consumer);
		break;
	case STAGE_LEAVING:
		/* The last revoke event is answered: nobody owns anything. With
		 * the brokers away it may never come. */
		if (f->closing_consumer || f->revoking ||
		    (consumer_group_meta(f->consumer) && now < f->stop_deadline))
			break;
		rebalance_give_all_up(f);
		f->closing_consumer = true;
		consumer_close(f->consumer, ENGINE_CLOSE_MS, on_consumer_closed, f);
		break;
	case STAGE_LEFT:
		/* Before their workers end, or that would be their answer. */
		if (f->left.n && now >= f->handover_deadline && !redis_long_gone(f)) {
			rebalance_give_up_left(f);
			f->handover_deadline = now + OWN_MS;
			engine_soon(f, OWN_MS);
		}
		if ((f->left.n || f->handing.n || f->owning || claims_finishing(f->claims)) &&
		    now < f->handover_deadline && !redis_long_gone(f))
			break;
		if (f->handing.n || claims_finishing(f->claims))
			log_warn("Redis or Kafka is away: %zu answers and %zu finished claims "
				 "could not be written",
				 f->handing.n, claims_finishing(f->claims));
		f->stage = STAGE_STOPPING;
		publisher_close(f->publisher, ENGINE_CLOSE_MS, on_publisher_closed, f);
		break;
	default:
		break;
	}
}

static void
begin(struct engine *f, int64_t drain_ms)
{
	log_info("stopping: %zu commands in flight, %zu calls running", f->entries, f->calling);
	f->stage = STAGE_DRAINING;
	f->stop_deadline = clock_mono_ms() + drain_ms;
	consumer_pause_all(f->consumer, true);
	dispatch_drop_read(f);
	engine_again(f);
}

void
engine_leave(struct engine *f, int exit_code, const char *text)
{
	if (f->stage < STAGE_RUNNING) {
		engine_exit(f, exit_code, "%s", text);
		return;
	}
	if (f->exit_code || f->exiting)
		return;
	log_warn("%s; ending, what runs is handed over first", text);
	f->exit_code = exit_code;
	snprintf(f->exit_text, sizeof(f->exit_text), "%s", text);
	if (f->stage == STAGE_RUNNING)
		begin(f, 0);
	else if (f->stage == STAGE_DRAINING)
		f->stop_deadline = clock_mono_ms();	/* nothing is published any more */
}

void
engine_stop(struct engine *f)
{
	if (f->stage > STAGE_RUNNING)
		return;
	if (f->stage < STAGE_RUNNING) {
		if (f->publisher) {
			f->stage = STAGE_STOPPING;
			publisher_close(f->publisher, ENGINE_CLOSE_MS, on_publisher_closed, f);
		} else {
			stop_workers(f);
		}
		return;
	}
	begin(f, config_int(f->config, "drain.timeout"));
}
