/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/config.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/claim/claims.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/instance.h"
#include "envdriver/result/deadletter.h"
#include "envdriver/result/plugin_event_record.h"

/* What the back-pressure of one partition looks at (struct idle). */
static void
count_idle(struct engine *eng, struct entry *e)
{
	struct partition *p = e->part;
	bool idle = e->state == ENTRY_READ || e->state == ENTRY_WAITING;
	size_t bytes = idle ? e->bytes : 0;

	if (!p)
		return;
	p->idle.n += (size_t)idle - (size_t)e->idle;
	eng->idle.n += (size_t)idle - (size_t)e->idle;
	p->idle.bytes += bytes - e->idle_bytes;
	eng->idle.bytes += bytes - e->idle_bytes;
	e->idle = idle;
	e->idle_bytes = bytes;
}

void
core_step(struct engine *eng, struct entry *e, enum entry_event event)
{
	const struct entry_row *row = entry_row(e->state, event);

	if (!row) {
		log_error("bug: '%s' in state %s, partition %d offset %lld",
			  entry_event_name(event), entry_state_name(e->state),
			  (int)e->source.partition, (long long)e->source.offset);
		assert(row);
	}
	e->state = row->next;
	count_idle(eng, e);
	eng->actions[row->action](eng, e);
}

void
core_publish(struct engine *eng, struct entry *e)
{
	entry_list_push(e->events.before ? &eng->lists.large : &eng->lists.ready, e);
	core_again(eng);
}

void
core_release_slot(struct engine *eng, struct entry *e)
{
	if (!e->call.has_slot)
		return;
	e->call.has_slot = false;
	supervisor_slot_give(eng->supervisor, e->call.plugin_id);
}

void
core_count_bytes(struct engine *eng, struct entry *e)
{
	size_t now = sizeof(*e) + e->raw.cap + events_memory(&e->events) + e->call.params.cap +
		     e->call.line_bytes + (e->cmd ? e->cmd->bytes : 0) +
		     (e->reject ? sizeof(*e->reject) : 0);

	eng->bytes += now - e->bytes;
	e->bytes = now;
	count_idle(eng, e);
}

void
core_close_entry(struct engine *eng, struct entry *e)
{
	if (e->claim.request) {
		claims_cancel(e->claim.request);
		e->claim.request = NULL;
		eng->recording -= e->claim.recording;
		e->claim.recording = false;
	}
	entry_list_remove(e);
	e->state = ENTRY_GONE;
	count_idle(eng, e);
	if (e->part) {
		core_release_slot(eng, e);
		partition_remove(e);
		eng->entries--;
	}
	if (e->commit.in_batch || e->call.shaping)
		return;		/* the verdict, or the thread, comes back to it */
	eng->bytes -= e->bytes;
	entry_free(e);
}

void
core_plugin_event(struct engine *eng, const struct plugin_event *event)
{
	struct events events = EVENTS_INIT;

	if (plugin_event_record_build(eng->schemas, instance_id(eng->instance), event, &events) ==
	    0)
		best_effort_send(eng->best_effort, &events);
	else
		best_effort_dropped(eng->best_effort, TOPIC_PLUGIN_EVENTS);
	events_release(&events);
}

static void
no_work(uv_idle_t *idle)
{
	/* An active idle handle keeps the loop from waiting: that is all. */
	(void)idle;
}

void
core_again(struct engine *eng)
{
	uv_idle_start(&eng->handles.again, no_work);
}

static void
on_soon(uv_timer_t *timer)
{
	(void)timer;	/* the turn follows by itself */
}

void
core_soon(struct engine *eng, int64_t ms)
{
	uv_timer_t *soon = &eng->handles.soon;

	if (ms < 1)
		ms = 1;
	if (!uv_is_active((uv_handle_t *)soon) || uv_timer_get_due_in(soon) > (uint64_t)ms)
		uv_timer_start(soon, on_soon, (uint64_t)ms, 0);
}

void
core_exit(struct engine *eng, int exit_code, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (eng->exiting)
		return;
	eng->exiting = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	eng->ev.on_exit(eng->ev.arg, exit_code, text);
}

void
core_nomem(struct engine *eng)
{
	core_exit(eng, EXIT_AGAIN, "out of memory; nothing is lost, start again");
}

/* --- what it is told at the start --- */

bool
core_name_topics(struct engine *eng)
{
	const char *prefix = config_str(eng->config, "topic.prefix");

	for (int t = 0; t < TOPIC_COUNT; t++) {
		struct buf name = BUF_INIT;

		buf_adds(&name, prefix ? prefix : "");
		buf_adds(&name, topic_name(t));
		eng->topics[t] = buf_take(&name, NULL);
		if (!eng->topics[t])
			return false;
	}
	return true;
}

void
core_read_limits(struct engine *eng)
{
	const struct config *c = eng->config;

	eng->limits = (struct engine_limits){
		.in_flight = (size_t)config_int(c, "max.in.flight"),
		.bytes = (size_t)config_int(c, "in.flight.max.bytes"),
		.batch = (size_t)config_int(c, "transaction.max.records"),
		.start_wait = config_int(c, "plugin.start.wait"),
		.start_timeout = config_int(c, "plugin.start.timeout"),
		.commit_interval = config_int(c, "commit.interval"),
		.handover = config_int(c, "handover.timeout"),
		.log_commands = command_log_mode(c),
		.revoke_drain = config_int(c, "revoke.drain"),
	};
}
