/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_view: how the plugins of this host are, as text and JSON for those who
 * look: readiness, status, the log.
 *
 * Owns nothing. Names no company.
 */
#ifndef ENVDRIVER_PLUGIN_SUPERVISOR_VIEW_H
#define ENVDRIVER_PLUGIN_SUPERVISOR_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct supervisor;

/* Each plugin that is to run on this host runs, or has failed for good. */
bool supervisor_view_settled(const struct supervisor *s);
/* Those that have not settled: appends a line each, with how long they are waited
 * for; or says in the log that they are not any longer. */
void supervisor_view_add_waiting(const struct supervisor *s, int64_t left_ms, struct buf *out);
void supervisor_view_warn_waiting(const struct supervisor *s);
/* Appends a line when there are plugins that are to run on this host, and none
 * does. */
void supervisor_view_add_none_running(const struct supervisor *s, struct buf *out);
/* Appends how each plugin is, a line each. */
void supervisor_view_add_lines(const struct supervisor *s, struct buf *out);
/* Appends `,"plugins":[…]`: id, key, status, gaveUp, reason (or null) and isolation of
 * each. */
void supervisor_view_add_json(const struct supervisor *s, struct buf *out);

#endif
