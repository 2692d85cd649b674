/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync_check: the operations of a SyncIn or SyncOut (docs/schemas.md, "Sync
 * operations").
 *
 * Owns nothing. Checks form and never looks at a file; members that it does not
 * know pass.
 */
#ifndef ENVDRIVER_COMMAND_SYNC_CHECK_H
#define ENVDRIVER_COMMAND_SYNC_CHECK_H

#include <stdbool.h>

#include "envdriver/base/jtext.h"

struct reject;

/* `operations` is the array. False with *r filled, naming the place under
 * `field`. */
bool sync_check(struct reject *r, const char *field, struct jtext operations);

/* Whether one of them, which sync_check has accepted, runs a command. */
bool sync_check_commands(struct jtext operations);

#endif
