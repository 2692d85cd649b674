/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/supervisor_view.h"

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/plugin/supervisor.h"
#include "worker_report.h"

static bool
has_settled(void *arg, const struct supervisor_view *v)
{
	(void)arg;
	return !v->wanted || v->status == WORKER_RUNNING || v->status == WORKER_CRASHED;
}

bool
supervisor_view_settled(const struct supervisor *s)
{
	return supervisor_each(s, has_settled, NULL);
}

static void
add_state(struct buf *out, const struct supervisor_view *v)
{
	buf_addf(out, "plugin %s is %s", v->key, supervisor_status_name(v->status));
	if (*v->reason)
		buf_addf(out, " (%s)", v->reason);
}

struct waiting {
	struct buf *out;
	int64_t left_s;
};

static bool
add_waiting(void *arg, const struct supervisor_view *v)
{
	struct waiting *w = arg;

	if (has_settled(NULL, v))
		return true;
	add_state(w->out, v);
	buf_addf(w->out, "; it is waited for, %lld s at most\n", (long long)w->left_s);
	return true;
}

void
supervisor_view_add_waiting(const struct supervisor *s, int64_t left_ms, struct buf *out)
{
	struct waiting w = { out, left_ms > 0 ? (left_ms + 999) / 1000 : 0 };

	(void)supervisor_each(s, add_waiting, &w);
}

static bool
warn_waiting(void *arg, const struct supervisor_view *v)
{
	struct buf text = BUF_INIT;

	(void)arg;
	if (has_settled(NULL, v))
		return true;
	add_state(&text, v);
	log_warn("%s; it is not waited for any longer", text.failed ? v->key : text.data);
	buf_release(&text);
	return true;
}

void
supervisor_view_warn_waiting(const struct supervisor *s)
{
	(void)supervisor_each(s, warn_waiting, NULL);
}

static bool
add_state_line(void *arg, const struct supervisor_view *v)
{
	add_state(arg, v);
	buf_addch(arg, '\n');
	return true;
}

void
supervisor_view_add_lines(const struct supervisor *s, struct buf *out)
{
	(void)supervisor_each(s, add_state_line, out);
}

struct tally {
	size_t wanted, running;
	struct supervisor_view down;	/* one of those that do not run */
};

static bool
count_plugin(void *arg, const struct supervisor_view *v)
{
	struct tally *t = arg;

	if (!v->wanted)
		return true;
	t->wanted++;
	if (v->status == WORKER_RUNNING)
		t->running++;
	else if (!t->down.key || !*t->down.reason)
		t->down = *v;
	return true;
}

void
supervisor_view_add_none_running(const struct supervisor *s, struct buf *out)
{
	struct tally t = { .wanted = 0 };

	(void)supervisor_each(s, count_plugin, &t);
	if (!t.wanted || t.running)
		return;
	if (t.wanted > 1)
		buf_addf(out, "none of the %zu plugins of this host runs: ", t.wanted);
	add_state(out, &t.down);
	buf_addch(out, '\n');
}

struct list {
	struct buf *out;
	const char *comma;
};

static bool
add_view(void *arg, const struct supervisor_view *v)
{
	struct list *l = arg;
	struct buf *out = l->out;

	buf_addf(out, "%s{\"id\":", l->comma);
	jtext_add_string(out, span_of(v->id));
	buf_adds(out, ",\"key\":");
	jtext_add_string(out, span_of(v->key));
	buf_addf(out, ",\"status\":\"%s\",\"gaveUp\":%s,\"reason\":",
		 supervisor_status_name(v->status), v->gave_up ? "true" : "false");
	if (*v->reason)
		jtext_add_string(out, span_of(v->reason));
	else
		buf_adds(out, "null");
	buf_adds(out, ",\"isolation\":");
	worker_report_add_layers(v->isolation, out);
	buf_addch(out, '}');
	l->comma = ",";
	return true;
}

void
supervisor_view_add_json(const struct supervisor *s, struct buf *out)
{
	struct list l = { out, "" };

	buf_adds(out, ",\"plugins\":[");
	(void)supervisor_each(s, add_view, &l);
	buf_addch(out, ']');
}
