/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trash: removes a lease's folder, whatever a command has put into it.
 *
 * DESIGN
 * The folder is first renamed to "<root>/.gone-<id>.<…>": from then on the lease
 * is gone, all at once, and its name is free. A folder is emptied by unlinking
 * its files, without following links, and by moving its subfolders up into the
 * root under names of the same kind, where their turn comes. So no depth is too
 * deep, nothing recurses, and removing the same lease again after a crash finds
 * what was left of it.
 *
 * Owns nothing. Knows nothing of leases but the name. Blocks: call it off the
 * loop.
 */
#ifndef LOCAL_TRASH_H
#define LOCAL_TRASH_H

#include "rpc.h"

/* 0 also when there is nothing by that name. Thread-safe. */
int trash_folder(const char *root, const char *id, struct rpc_error *reterr);

#endif
