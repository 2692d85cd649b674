/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calling: the plugin is called for an entry, and its answer becomes events.
 *
 * Owns the pending calls, also those whose answer is not waited for any more
 * but which may still bring a lease (P4, no lease is forgotten). Knows
 * nothing of claims or commits: the end of a call is an event of its entry.
 */
#ifndef ENVDRIVER_ENGINE_CALLING_H
#define ENVDRIVER_ENGINE_CALLING_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/result/result.h"

struct engine;
struct entry;
struct outcome;

bool calling_new(struct engine *eng);
/* Accepts that calling_new failed or was not called. */
void calling_free(struct engine *eng);
/* Late leases are not waited for any longer. */
void calling_free_late(struct engine *eng);
/* Calls without an answer that an entry waits for. */
size_t calling_running(const struct engine *eng);

/* DO_CALL: writes the request to the plugin. */
void calling_start(struct engine *eng, struct entry *e);
/* Its answer will not be waited for, but a lease that it brings is an orphan. */
void calling_close(struct engine *eng, struct entry *e);

/* What the final event says of the call. Both borrow from the entry. */
void calling_trace(const struct entry *e, struct trace *ret);
/* Builds the event of an end without an answer into e->events. Negative: out of
 * memory, which was reported. */
int calling_fail(struct engine *eng, struct entry *e, const struct outcome *o);
/* DO_INTERRUPTED: the claim says so, or we have just made it say so. */
void calling_interrupted(struct engine *eng, struct entry *e);

#endif
