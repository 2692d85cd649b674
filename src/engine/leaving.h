/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaving: what becomes of entries whose partition goes: calls that outlive
 * it, answers that are handed over to the next owner (docs/engine.md section 7).
 *
 * Owns nothing: the entries are in the lists `left` and `handing`. Knows
 * nothing of why the partition goes.
 */
#ifndef ENVDRIVER_ENGINE_LEAVING_H
#define ENVDRIVER_ENGINE_LEAVING_H

#include <stdbool.h>

struct engine;
struct entry;
struct partition;

/* Every entry leaves by the table (ON_REVOKED and the like); the partition is
 * closed and freed. */
void leaving_close(struct engine *eng, struct partition *p);
/* The same of all that are still here, as if they were lost. */
void leaving_close_all(struct engine *eng);

/* DO_LEAVE: frees the key, since the new owner keeps the order; the slot stays
 * taken while the call runs. */
void leaving_leave(struct engine *eng, struct entry *e);
/* DO_HAND_OVER: the answer goes to Redis. */
void leaving_hand_over(struct engine *eng, struct entry *e);
/* DO_TAKE_OWN: we take our own claim over, so that no worker has to wait until
 * we are judged dead; the plugin's answer is not waited for. */
void leaving_take_own(struct engine *eng, struct entry *e);

/* Gives up all LEFT calls that may be. */
void leaving_give_up_left(struct engine *eng);
/* Redis was not there for so long that we will be judged dead, and no call is
 * LEFT: what is to be written waits no longer. */
bool leaving_redis_gone(const struct engine *eng);
/* Gives up what has been LEFT or HANDING for handover.timeout. */
void leaving_tick(struct engine *eng);

#endif
