/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share: how much of what may wait in memory one partition may hold, so that
 * what waits behind a key or a plugin holds up its own partition only
 * (docs/engine.md section 5, "Shares").
 *
 * Pure.
 */
#ifndef ENVDRIVER_ENGINE_SHARE_H
#define ENVDRIVER_ENGINE_SHARE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A partition holds `mine` of the `all` bytes that wait, and half of `limit`
 * is for them. It is full when it holds as much as is left free: one alone may
 * have half of that half, n alike 1/(n + 1) of it each, and a part is free for
 * whoever comes next. One that holds nothing is never full. `paused`: it was
 * full, and is until it holds less than three quarters of what is free.
 */
bool share_full(size_t mine, size_t all, size_t limit, bool paused);

#endif
