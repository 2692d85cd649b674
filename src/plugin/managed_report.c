/* SPDX-License-Identifier: Apache-2.0 */
/* handle: what it logs, and what it tells those who keep plugin events. */
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "supervisor_impl.h"

enum {
	TEXT_MAX = 2048,		/* of a line of the log */
	EVENT_MAX = 512 << 10,		/* of an event */
};

/* printf would count all of it, however much there is. */
static struct span
clip(struct span text)
{
	if (text.len > TEXT_MAX)
		text.len = TEXT_MAX;
	return text;
}

/* A second that held lines back is told of when the next one begins. */
static bool
pass(struct limiter *l, const struct managed *h, const char *what)
{
	size_t held;
	bool passes = limiter_pass(l, clock_mono_ms(), &held);

	if (held)
		log_warn("plugin %s: %zu %s were left out", h->plugin.key, held, what);
	return passes;
}

/* What the plugin writes and says */

static void
on_stderr(void *arg, struct span line)
{
	struct managed *h = arg;

	if (pass(&h->stderr_limit, h, "lines of stderr"))
		log_warn("plugin %s: [plugin stderr] %.*s", h->plugin.key, SPAN_FMT(clip(line)));
}

static void
on_bad(void *arg, const char *why)
{
	struct managed *h = arg;

	metrics_add(METRIC_PLUGIN_BAD_LINES, 1);
	if (log_enabled(LOG_LEVEL_DEBUG) && pass(&h->bad_limit, h, "ignored lines"))
		log_debug("plugin %s: a line of it was ignored: %s", h->plugin.key, why);
}

const struct worker_events managed_worker_says = { .on_stderr = on_stderr, .on_bad = on_bad };

static void
on_log(void *arg, enum log_level level, struct span message, struct jtext meta)
{
	struct managed *h = arg;

	if (log_enabled(level) && pass(&h->log_limit, h, "of its messages"))
		log_write(level, "plugin %s: %.*s%s%.*s", h->plugin.key, SPAN_FMT(clip(message)),
			  meta.kind ? " " : "", SPAN_FMT(clip(meta.raw)));
}

static void
on_event(void *arg, const struct plugin_event *n)
{
	struct managed *h = arg;

	if (n->name.len + n->message.len + n->details.len > EVENT_MAX)
		log_warn("plugin %s: an event of more than %d bytes was left out", h->plugin.key,
			 EVENT_MAX);
	else if (pass(&h->event_limit, h, "of its events"))
		h->s->ev.on_plugin_event(h->s->ev.arg, n);
}

const struct host_ops managed_host_says = { .log = on_log, .event = on_event };

void
managed_say_configured(void *arg, struct span company, const struct rpc_answer *answer)
{
	struct managed *h = arg;
	int64_t code;

	if (answer->end != RPC_ERROR || !jtext_int(answer->code, &code))
		return;
	if (code == RPC_CODE_CROSS_TENANT)
		log_warn("plugin %s serves a single company and refuses the config of '%.*s'",
			 h->plugin.key, SPAN_FMT(company));
	else
		log_debug("plugin %s: no config delivered to it for '%.*s': %.*s", h->plugin.key,
			  SPAN_FMT(company), SPAN_FMT(answer->message.raw));
}

/* Its life */

static struct plugin_event
new_event(const struct managed *h, const char *type)
{
	return (struct plugin_event){
		.type = type,
		.plugin_id = span_of(h->id),
		.plugin_key = span_of(h->plugin.key),
		.exit_code = -1,
		.will_restart = -1,
		.consecutive_crashes = supervisor_table_crashes(&h->row, clock_mono_ms()),
		.total_crashes = h->row.total,
	};
}

static void
tell(const struct managed *h, const struct plugin_event *n)
{
	h->s->ev.on_plugin_event(h->s->ev.arg, n);
}

void
managed_say_started(struct managed *h)
{
	struct plugin_event n = new_event(h, "WORKER_STARTING");

	n.pid = worker_pid(h->worker);
	log_debug("plugin %s: worker %d starts", h->plugin.key, n.pid);
	tell(h, &n);
}

void
managed_say_up(struct managed *h)
{
	struct plugin_event n = new_event(h, h->again ? "WORKER_RESTARTED" : "WORKER_STARTED");

	n.pid = worker_pid(h->worker);
	log_info("plugin %s: worker %d runs", h->plugin.key, n.pid);
	tell(h, &n);
}

static void
say_crash(struct managed *h, struct plugin_event *n, const char *what)
{
	n->will_restart = h->row.status == WORKER_BACKOFF;
	n->next_restart_at = n->will_restart ? h->next_restart_at : 0;
	if (n->will_restart)
		log_error("plugin %s: %s; restart in %lld ms", h->plugin.key, what,
			  (long long)(h->next_restart_at - clock_wall_ms()));
	else
		log_error("plugin %s: %s; it is not restarted", h->plugin.key, what);
	tell(h, n);
	if (!h->row.gave_up)
		return;
	log_error("plugin %s crashed %d times in a row and is given up until its record in the "
		  "registry changes", h->plugin.key, h->row.crashes);
	n->type = "WORKER_GAVE_UP";
	tell(h, n);
}

void
managed_say_dead(struct managed *h, const struct worker_end *end, enum worker_status before)
{
	struct plugin_event n = new_event(h, "WORKER_STOPPED");
	struct buf text = BUF_INIT;
	char name[16];

	n.pid = worker_pid(h->worker);
	n.exit_code = end->code;
	n.signal = end->signal ? spawn_signal_name(end->signal, name) : NULL;
	if (before == WORKER_STOPPING) {
		log_info("plugin %s: worker %d stopped", h->plugin.key, n.pid);
		tell(h, &n);
		return;
	}
	n.type = "WORKER_CRASHED";
	if (end->failure)
		buf_addf(&text, "Worker initialize failed for \"%s\": %s", h->id, end->failure);
	else
		buf_adds(&text, end->text);
	n.message = text.failed ? span_of(end->text) : buf_span(&text);
	say_crash(h, &n, text.failed ? end->text : text.data);
	buf_release(&text);
}

void
managed_say_not_started(struct managed *h, const char *why)
{
	struct plugin_event n = new_event(h, "WORKER_CRASHED");
	struct buf text = BUF_INIT;

	buf_addf(&text, "Worker process failed to start: %s", why);
	n.message = span_of(text.failed ? why : text.data);
	say_crash(h, &n, n.message.ptr);
	buf_release(&text);
}

void
managed_say_gone_wrong(struct managed *h, const char *why)
{
	log_warn("plugin %s (%s) is ready but cannot be run here: %s", h->plugin.key, h->id, why);
}
