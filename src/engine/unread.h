/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unread: commands whose schema is not known yet wait here, and so does what
 * is behind them in their partition (docs/engine.md section 3, "Unread"); our
 * own schemas are registered before anything else starts.
 *
 * Owns the client of the schema registry, when one is configured. Without one
 * nothing ever waits.
 */
#ifndef ENVDRIVER_ENGINE_UNREAD_H
#define ENVDRIVER_ENGINE_UNREAD_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct engine;
struct entry;
struct err;

int unread_new(struct engine *eng, struct err *reterr);
/* Accepts that unread_new failed or was not called. */
void unread_free(struct engine *eng);

/* Is there a schema registry? */
bool unread_configured(const struct engine *eng);
/* Has our schemas registered; true when they are, or need not be. To be asked
 * again until then. */
bool unread_start(struct engine *eng);
/* Waits behind those of its partition that do already; its schema is asked for
 * at once. */
void unread_wait(struct engine *eng, struct entry *e);
/* Reads on where schemas have become known. */
void unread_turn(struct engine *eng);
void unread_tick(struct engine *eng);
/* How many of a partition may wait before it is paused. */
size_t unread_room(const struct engine *eng);
/* Appends why it is not ready, a line; nothing when it is. */
void unread_why(const struct engine *eng, struct buf *out);

#endif
