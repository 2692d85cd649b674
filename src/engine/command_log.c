/* SPDX-License-Identifier: Apache-2.0 */
#include "command_log.h"

#include "entry.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/log.h"
#include "envdriver/command/command.h"

enum { FIELDS_MAX = 10 };

struct line {
	struct log_field fields[FIELDS_MAX + 1];	/* ends with a NULL name */
	size_t n;
};

enum command_log_mode
command_log_mode(const struct config *config)
{
	const char *word = config_str(config, "log.commands");

	if (strcmp(word, "off") == 0)
		return COMMAND_LOG_OFF;
	return strcmp(word, "failed") == 0 ? COMMAND_LOG_FAILED : COMMAND_LOG_ALL;
}

static void
add_text(struct line *l, const char *name, struct span text)
{
	if (text.len)
		l->fields[l->n++] = (struct log_field){ .name = name, .text = text };
}

static void
add_number(struct line *l, const char *name, int64_t number)
{
	l->fields[l->n++] = (struct log_field){ .name = name, .number = number };
}

/* The headers of the last event, which is the final one. */
static void
add_outcome(struct line *l, const struct events *events, bool *ret_succeeded)
{
	struct event ev, last = { 0 };
	struct event_header h;
	size_t cursor = 0;

	*ret_succeeded = false;
	while (events_next(events, &cursor, &ev))
		last = ev;
	cursor = 0;
	while (last.value.ptr && event_header_next(&last, &cursor, &h)) {
		if (span_is(h.name, "status") || span_is(h.name, "envdriver.status")) {
			add_text(l, "status", h.value);
			*ret_succeeded = span_is(h.value, "SUCCEEDED");
		} else if (span_is(h.name, "error-code") ||
			   span_is(h.name, "envdriver.error-code")) {
			add_text(l, "errorCode", h.value);
		}
	}
}

static void
add_command(struct line *l, const struct entry *e)
{
	if (e->cmd) {
		add_text(l, "commandId", e->cmd->id);
		add_text(l, "operation", span_of(e->cmd->op->name));
	} else if (e->reject) {
		add_text(l, "commandId", span_of(e->reject->command_id));
		add_text(l, "operation", span_of(e->reject->operation));
	}
}

static void
add_place(struct line *l, const struct entry *e)
{
	add_text(l, "plugin", span_of(e->call.plugin_key));
	add_text(l, "topic", span_of(e->source.topic));
	add_number(l, "partition", e->source.partition);
	add_number(l, "offset", e->source.offset);
}

void
command_log_ended(enum command_log_mode mode, const struct entry *e)
{
	struct line l = { .n = 0 };
	bool succeeded;

	if (mode == COMMAND_LOG_OFF || !log_enabled(LOG_LEVEL_INFO))
		return;
	add_command(&l, e);
	add_outcome(&l, &e->events, &succeeded);
	if (succeeded && mode == COMMAND_LOG_FAILED)
		return;
	add_number(&l, "ms", clock_wall_ms() - e->received_at);
	add_place(&l, e);
	log_fields(LOG_LEVEL_INFO, "command ended", l.fields);
}

void
command_log_skipped(enum command_log_mode mode, const struct entry *e)
{
	struct line l = { .n = 0 };

	if (mode != COMMAND_LOG_ALL || !log_enabled(LOG_LEVEL_INFO))
		return;
	add_command(&l, e);
	add_place(&l, e);
	log_fields(LOG_LEVEL_INFO, "command skipped, it ended before", l.fields);
}
