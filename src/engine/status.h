/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status: readiness, /status, and the gauges of /metrics. Reads what the
 * stages say of themselves and changes nothing of theirs.
 */
#ifndef ENVDRIVER_ENGINE_STATUS_H
#define ENVDRIVER_ENGINE_STATUS_H

#include <stdbool.h>

struct buf;
struct engine;

bool status_new(struct engine *eng);
/* Accepts that status_new failed or was not called. */
void status_free(struct engine *eng);

/* False: appends why, a reason a line (`reasons` may be NULL). */
bool status_ready(const struct engine *eng, struct buf *reasons);
/* on_ready, the first time. */
void status_turn(struct engine *eng);
/* How much CPU time the loop took since the last one: waiting takes none. */
void status_measure_turn(struct engine *eng);
void status_tick(struct engine *eng);
/* JSON object for /status. */
void status_json(const struct engine *eng, struct buf *out);

#endif
