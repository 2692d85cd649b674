/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch: an entry whose key is free finds its plugin and a free slot of its
 * worker; then its claim is sent.
 *
 * Owns the queues for the slots of each plugin. Knows nothing of what the
 * claim meets.
 */
#ifndef ENVDRIVER_ENGINE_DISPATCH_H
#define ENVDRIVER_ENGINE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

struct engine;
struct entry;

bool dispatch_new(struct engine *eng);
/* No entry may wait for a slot any more. Accepts that dispatch_new failed or
 * was not called. */
void dispatch_free(struct engine *eng);

/* Runs what may run: nothing while Redis or our own record is in doubt. */
void dispatch_turn(struct engine *eng);
/* Commands that wait for a slot or a start expire on time. */
void dispatch_tick(struct engine *eng);
/* A plugin, its worker or its slots changed: what waited looks again. */
void dispatch_plugin_changed(struct engine *eng);
/* DO_ASK_AGAIN, through the claim: the entry still stands at the head of its
 * key. */
void dispatch_ask_again(struct engine *eng, struct entry *e);
/* The plugin for whose slots the most commands wait; *ret_n says how many.
 * NULL: none waits. Borrowed until the next turn. */
const char *dispatch_longest(const struct engine *eng, size_t *ret_n);
/* Shutdown: what was not claimed yet is left to the next owner. */
void dispatch_release_read(struct engine *eng);

#endif
