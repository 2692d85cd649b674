/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_report.h"

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/excerpt.h"
#include "envdriver/base/metric_series.h"
#include "envdriver/base/metrics.h"
#include "envdriver/base/utf8.h"
#include "envdriver/host/plugin_event.h"
#include "envdriver/host/host.h"
#include "envdriver/rpc/spawn.h"
#include "supervisor_table.h"
#include "worker.h"

enum {
	TEXT_MAX = 2048,		/* of a line of the log */
	EVENT_MAX = 512 << 10,
	/* Of one company; all of them have COMPANIES times that. */
	LINES_PER_SECOND = 100,
	LOG_BYTES_PER_SECOND = 64 << 10,
	EVENTS_PER_SECOND = 1000,
	EVENT_BYTES_PER_SECOND = 1 << 20,
	COMPANIES = 4,
	BURST_BYTES = 1 << 20,
	NOISE_EVERY_MS = 60000,
	NOISE_SHOWN_MAX = 120,		/* bytes of a line that is not JSON */
	ESCAPED_LEN = 6,		/* of a control character in the log */
};

void
worker_report_init(struct worker_report *r, const struct host_plugin *plugin,
		   const struct supervisor_row *row, const struct config *config,
		   void (*on_plugin_event)(void *arg, const struct plugin_event *e), void *arg)
{
	const struct limiter lines = { .per_second = LINES_PER_SECOND,
				       .bytes_per_second = LOG_BYTES_PER_SECOND,
				       .burst = BURST_BYTES };

	const struct limiter events = { .per_second = EVENTS_PER_SECOND,
					.bytes_per_second = EVENT_BYTES_PER_SECOND,
					.burst = BURST_BYTES };

	*r = (struct worker_report){
		.plugin = plugin, .row = row, .on_plugin_event = on_plugin_event, .arg = arg,
		.stderr_lines = lines, .ignored = lines,
		.series_max = (size_t)config_int(config, "plugin.metrics.max.series"),
		.messages = { .per_second = COMPANIES * LINES_PER_SECOND,
			      .bytes_per_second = COMPANIES * LOG_BYTES_PER_SECOND,
			      .burst = COMPANIES * BURST_BYTES },
		.events = { .per_second = COMPANIES * EVENTS_PER_SECOND,
			    .bytes_per_second = COMPANIES * EVENT_BYTES_PER_SECOND,
			    .burst = COMPANIES * BURST_BYTES },
	};
	for (size_t i = 0; i < WORKER_REPORT_COMPANIES; i++) {
		r->company_messages[i] = lines;
		r->company_events[i] = events;
	}
}

void
worker_report_release(struct worker_report *r)
{
	if (r->plugin->key)
		metric_series_free(r->plugin->key);
	buf_release(&r->failure);
}

/* printf would count all of it, however much there is. Between two characters. */
static struct span
clip(struct span text, size_t max)
{
	if (text.len <= max)
		return text;
	text.len = (size_t)(utf8_find_bad(text.ptr, text.ptr + max) - text.ptr);
	return text;
}

/* As many bytes as it takes in the log. */
static size_t
log_bytes(struct span text)
{
	size_t n = text.len;

	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ')
			n += ESCAPED_LEN - 1;
	return n;
}

/* What a second held back is told when the next one begins. */
static bool
pass(struct limiter *l, const struct worker_report *r, size_t bytes, const char *what)
{
	size_t held;
	bool passes = limiter_pass(l, clock_mono_ms(), bytes, &held);

	if (held)
		log_warn("plugin %s: %zu %s were left out", r->plugin->key, held, what);
	return passes;
}

/* The limit of a company. Two may share one: then they share its room, too. */
static struct limiter *
company_limit(struct limiter limits[WORKER_REPORT_COMPANIES], struct span company)
{
	return &limits[span_hash(company) % WORKER_REPORT_COMPANIES];
}

/* What the plugin writes */

void
worker_report_stderr(struct worker_report *r, struct span line)
{
	line = clip(line, TEXT_MAX);
	if (pass(&r->stderr_lines, r, log_bytes(line), "lines of stderr"))
		log_warn("plugin %s: [plugin stderr] %.*s", r->plugin->key, SPAN_FMT(line));
}

void
worker_report_ignored(struct worker_report *r, const char *why, struct span line)
{
	int64_t now = clock_mono_ms();
	struct span shown = clip(line, NOISE_SHOWN_MAX);

	metrics_add(METRIC_PLUGIN_BAD_LINES, 1);
	r->n_noise += line.ptr != NULL;
	if (line.ptr && (!r->noise_at_ms || now - r->noise_at_ms >= NOISE_EVERY_MS)) {
		log_warn("plugin %s: standard output is the protocol; %s: %.*s%s (such lines so "
			 "far: %zu)", r->plugin->key, why, SPAN_FMT(shown),
			 shown.len < line.len ? "\xe2\x80\xa6" : "", r->n_noise);
		r->noise_at_ms = now;
	} else if (log_enabled(LOG_LEVEL_DEBUG) &&
		   pass(&r->ignored, r, log_bytes(shown), "ignored lines")) {
		log_debug("plugin %s: ignored a line: %s", r->plugin->key, why);
	}
}

void
worker_report_message(struct worker_report *r, enum log_level level, struct span company,
		      struct span message, struct jtext meta)
{
	struct span more;
	size_t bytes;

	if (!log_enabled(level))
		return;
	message = clip(message, TEXT_MAX);
	more = clip(meta.raw, TEXT_MAX);
	bytes = log_bytes(message) + log_bytes(more);
	if (pass(company_limit(r->company_messages, company), r, bytes, "of its messages") &&
	    pass(&r->messages, r, bytes, "of its messages"))
		log_write(level, "plugin %s: %.*s%s%.*s", r->plugin->key, SPAN_FMT(message),
			  meta.kind ? " " : "", SPAN_FMT(more));
}

static void
emit_event(const struct worker_report *r, const struct plugin_event *e)
{
	r->on_plugin_event(r->arg, e);
}

void
worker_report_event(struct worker_report *r, const struct plugin_event *e)
{
	size_t bytes = e->name.len + e->message.len + e->details.len;

	if (bytes > EVENT_MAX)
		log_warn("plugin %s: an event of more than %d bytes was left out", r->plugin->key,
			 EVENT_MAX);
	else if (pass(company_limit(r->company_events, e->company_id), r, bytes, "of its events") &&
		 pass(&r->events, r, bytes, "of its events"))
		emit_event(r, e);
}

void
worker_report_metric(struct worker_report *r, struct span labels, double value)
{
	int64_t now;

	if (metric_series_add(r->plugin->key, r->series_max, labels, value))
		return;
	now = clock_mono_ms();
	metrics_add(METRIC_PLUGIN_POINTS_DROPPED, 1);
	r->n_points_out++;
	if (r->series_max && (!r->points_at_ms || now - r->points_at_ms >= NOISE_EVERY_MS)) {
		log_warn("plugin %s: its metrics are more series than plugin.metrics.max.series "
			 "(%zu) allows; %zu points were left out so far", r->plugin->key,
			 r->series_max, r->n_points_out);
		r->points_at_ms = now;
	}
}

void
worker_report_config(struct worker_report *r, struct span company, const struct rpc_answer *answer)
{
	int64_t code;

	if (answer->end != RPC_ERROR || !jtext_int(answer->code, &code))
		return;
	if (code == RPC_CODE_CROSS_TENANT)
		log_warn("plugin %s serves a single company and refuses the config of '%.*s'",
			 r->plugin->key, SPAN_FMT(company));
	else
		log_debug("plugin %s: did not take the config of '%.*s': %.*s", r->plugin->key,
			  SPAN_FMT(company), SPAN_FMT(answer->message.raw));
}

/* Its life */

static struct plugin_event
life_event(const struct worker_report *r, const char *type, int pid)
{
	return (struct plugin_event){
		.type = type,
		.plugin_id = span_of(r->plugin->id),
		.plugin_key = span_of(r->plugin->key),
		.pid = pid,
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = supervisor_table_crashes(r->row, clock_mono_ms()),
		.total_crashes = r->row->total,
	};
}

void
worker_report_starting(struct worker_report *r, int pid)
{
	struct plugin_event e = life_event(r, "WORKER_STARTING", pid);

	log_debug("plugin %s: starting worker %d", r->plugin->key, pid);
	emit_event(r, &e);
}

void
worker_report_add_layers(const char *layers, struct buf *out)
{
	buf_addch(out, '[');
	while (*layers) {
		size_t len = strcspn(layers, ",");

		jtext_add_string(out, (struct span){ layers, len });
		layers += len + (layers[len] == ',');
		if (*layers)
			buf_addch(out, ',');
	}
	buf_addch(out, ']');
}

void
worker_report_up(struct worker_report *r, int pid, bool again, const char *layers)
{
	struct plugin_event e = life_event(r, again ? "WORKER_RESTARTED" : "WORKER_STARTED", pid);
	struct buf details = BUF_INIT;

	buf_reset(&r->failure);
	r->reason[0] = '\0';
	log_info("plugin %s: worker %d runs (%s)", r->plugin->key, pid, layers);
	buf_adds(&details, "{\"isolation\":");
	worker_report_add_layers(layers, &details);
	buf_addch(&details, '}');
	if (!details.failed)
		e.details = buf_span(&details);
	emit_event(r, &e);
	buf_release(&details);
}

/* `end` NULL: there was no process. `name` must live as long as the event. */
static void
add_end_to(struct plugin_event *e, const struct worker_end *end, char name[16])
{
	if (!end)
		return;
	e->exit_code = end->code;
	e->signal = end->signal ? spawn_signal_name(end->signal, name) : NULL;
}

void
worker_report_stopped(struct worker_report *r, int pid, const struct worker_end *end)
{
	struct plugin_event e = life_event(r, "WORKER_STOPPED", pid);
	char name[16];

	add_end_to(&e, end, name);
	log_info("plugin %s: worker %d stopped", r->plugin->key, pid);
	emit_event(r, &e);
}

static void
report_crash(struct worker_report *r, struct plugin_event *e, const char *what,
	     int64_t next_restart_at)
{
	e->will_restart = r->row->status == WORKER_BACKOFF;
	e->next_restart_at = e->will_restart ? next_restart_at : 0;
	if (e->will_restart)
		log_error("plugin %s: %s; restart in %lld ms", r->plugin->key, what,
			  (long long)(next_restart_at - clock_wall_ms()));
	else if (r->row->status == WORKER_STARTING)
		log_error("plugin %s: %s; its successor is starting", r->plugin->key, what);
	else
		log_error("plugin %s: %s; not restarting it", r->plugin->key, what);
	emit_event(r, e);
	if (!r->row->gave_up)
		return;
	log_error("plugin %s crashed %d times in a row; it stays down until its registry record "
		  "changes", r->plugin->key, r->row->crashes);
	e->type = "WORKER_GAVE_UP";
	emit_event(r, e);
}

void
worker_report_failed(struct worker_report *r, const struct worker_end *end, const char *why)
{
	struct buf *text = &r->failure;

	buf_reset(text);
	if (!end)
		buf_addf(text, "Worker process failed to start: %s", why);
	else if (end->failure)
		buf_addf(text, "Worker initialize failed for \"%s\": %s", r->plugin->id,
			 end->failure);
	else
		buf_adds(text, end->text);
	if (text->failed)
		buf_reset(text);
	excerpt_line(r->reason, sizeof(r->reason), buf_span(text));
}

void
worker_report_crashed(struct worker_report *r, int pid, const struct worker_end *end,
		      int64_t next_restart_at)
{
	struct plugin_event e = life_event(r, "WORKER_CRASHED", pid);
	char name[16];

	add_end_to(&e, end, name);
	e.message = buf_span(&r->failure);
	report_crash(r, &e, e.message.ptr, next_restart_at);
}

void
worker_report_old_ended(struct worker_report *r, int pid, const struct worker_end *end)
{
	struct plugin_event e = life_event(r, "WORKER_CRASHED", pid);
	char name[16];

	if (end->asked) {
		worker_report_stopped(r, pid, end);
		return;
	}
	metrics_add(METRIC_PLUGIN_CRASHES, 1);
	add_end_to(&e, end, name);
	e.message = span_of(end->text);
	log_error("plugin %s: worker %d, which was being replaced: %s", r->plugin->key, pid,
		  end->text);
	emit_event(r, &e);
}

void
worker_report_renewed(struct worker_report *r, int pid, int old_pid)
{
	log_info("plugin %s: worker %d takes over from %d", r->plugin->key, pid, old_pid);
}

void
worker_report_not_renewed(struct worker_report *r, int pid, const struct worker_end *end,
			  const char *why, int64_t again_at)
{
	struct plugin_event e = life_event(r, "WORKER_CRASHED", pid);
	char name[16];

	worker_report_failed(r, end, why);
	add_end_to(&e, end, name);
	e.message = buf_span(&r->failure);
	e.will_restart = again_at;
	e.next_restart_at = again_at;
	log_error("plugin %s: the new worker did not start, and the old one goes on: %s",
		  r->plugin->key, e.message.ptr ? e.message.ptr : "");
	if (again_at)
		log_info("plugin %s: the next try is in %lld ms", r->plugin->key,
			 (long long)(again_at - clock_wall_ms()));
	emit_event(r, &e);
}

void
worker_report_not_runnable(struct worker_report *r, const char *why)
{
	log_warn("plugin %s (%s) is ready but cannot be run here: %s", r->plugin->key,
		 r->plugin->id, why);
}
