/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_report: what is logged about one plugin's worker, and the plugin
 * events that tell of it; what the plugin itself writes is limited per second.
 *
 * Owns the limits. Knows nothing of processes.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_REPORT_H
#define ENVDRIVER_PLUGIN_WORKER_REPORT_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/limiter.h"

struct config;
struct host_plugin;
struct plugin_event;
struct rpc_answer;
struct supervisor_row;
struct worker_end;

enum {
	WORKER_REASON_SIZE = 512,	/* as it may stand in records, with its NUL */
	WORKER_REPORT_COMPANIES = 32,
};

struct worker_report {
	/* Borrowed for the report's life. */
	const struct host_plugin *plugin;
	const struct supervisor_row *row;
	void (*on_plugin_event)(void *arg, const struct plugin_event *e);
	void *arg;

	struct limiter messages, stderr_lines, events, ignored;
	/* By a hash of the company: */
	struct limiter company_events[WORKER_REPORT_COMPANIES];
	struct limiter company_messages[WORKER_REPORT_COMPANIES];
	size_t series_max;	/* of its metrics */
	size_t n_points_out;	/* points that were left out, */
	int64_t points_at_ms;	/* and when that was told, 0: never */
	size_t n_noise;		/* lines of standard output that were no messages */
	int64_t noise_at_ms;	/* when one was told, 0: never */
	struct buf failure;	/* the words of its last end, emptied when it comes up */
	char reason[WORKER_REASON_SIZE];	/* the same as one bounded line */
};

/* `r` is released by worker_report_release. */
void worker_report_init(struct worker_report *r, const struct host_plugin *plugin,
			const struct supervisor_row *row, const struct config *config,
			void (*on_plugin_event)(void *arg, const struct plugin_event *e),
			void *arg);
void worker_report_release(struct worker_report *r);

/* What the plugin writes: to stderr, what was no message (`line` is the line when
 * it was noise, else NULL), what it logs (`meta` is MISSING when there is none),
 * and its events: a company that floods leaves room for the others. */
void worker_report_stderr(struct worker_report *r, struct span line);
void worker_report_ignored(struct worker_report *r, const char *why, struct span line);
void worker_report_message(struct worker_report *r, enum log_level level, struct span company,
			   struct span message, struct jtext meta);
void worker_report_event(struct worker_report *r, const struct plugin_event *e);
/* A point of its metrics (host.h). */
void worker_report_metric(struct worker_report *r, struct span labels, double value);
/* Its answer to a company's config. */
void worker_report_config(struct worker_report *r, struct span company,
			  const struct rpc_answer *answer);

/* Its life. `again`: the start follows a crash. */
void worker_report_starting(struct worker_report *r, int pid);
void worker_report_up(struct worker_report *r, int pid, bool again, const char *layers);
/* "limits,landlock:7" as a JSON array of two strings. */
void worker_report_add_layers(const char *layers, struct buf *out);
void worker_report_stopped(struct worker_report *r, int pid, const struct worker_end *end);
/* Keeps why it ended, or (`end` NULL) why no process came to be; nothing is told yet. */
void worker_report_failed(struct worker_report *r, const struct worker_end *end, const char *why);
/* Tells that. The row is that after the crash; `end` NULL: no process came to be.
 * `next_restart_at`: wall ms. */
void worker_report_crashed(struct worker_report *r, int pid, const struct worker_end *end,
			   int64_t next_restart_at);
/* One that was being replaced: it stopped, or (not asked to) it died with its calls. */
void worker_report_old_ended(struct worker_report *r, int pid, const struct worker_end *end);
/* A successor is called from now on. */
void worker_report_renewed(struct worker_report *r, int pid, int old_pid);
/* It did not come up, and the one that runs goes on; `again_at`: wall ms, 0: it is not
 * tried again. Its reason is kept until another one comes up. */
void worker_report_not_renewed(struct worker_report *r, int pid, const struct worker_end *end,
			       const char *why, int64_t again_at);
/* The plugin is ready, and its package cannot be run on this host. */
void worker_report_not_runnable(struct worker_report *r, const char *why);

#endif
