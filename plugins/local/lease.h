/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease: a folder that was given to a caller.
 *
 *     <root>/<lease id>/lease.json	whose it is, since when
 *     <root>/<lease id>/workspace/	what commands see as their folder
 *
 * The disk is the only memory: a plugin may be killed and started again between
 * any two calls, and a lease must still be there. Its id is made from the
 * invocation id, so that a request which is sent again, because the outcome of
 * the first is unknown, finds the lease that the first one made.
 *
 * Owns the folders' layout. Knows nothing of processes.
 */
#ifndef LOCAL_LEASE_H
#define LOCAL_LEASE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "config.h"
#include "rpc.h"

#define LEASE_ID_MAX 200
#define LEASE_TIME_SIZE 32

struct lease {
	char id[LEASE_ID_MAX + 1];
	char root[PATH_MAX];
	char cwd[PATH_MAX];	/* the workspace, without links in its path */
	char created[LEASE_TIME_SIZE];
};

/* Where a lease may be: in the root that was written into its metadata when it
 * was made, and in that of today's config. Either may be NULL. */
struct lease_roots {
	const char *root[2];
};

struct lease_roots lease_roots(const struct config *config, const json_t *metadata);

/* Whether this can be an id of ours. Only such an id ever becomes part of a path. */
bool lease_is_id(const char *id);

/* Looks at a root: it must be a folder, ours, and not writable for others, or
 * they could swap the folders in it. 1: it is. 0: it is not there (and
 * `create` was false). -1: error. */
int lease_check_root(const char *root, bool create, struct rpc_error *reterr);

/* Makes the lease of this call, or finds the one that it made before. */
int lease_acquire(const struct call *call, const struct config *config, struct lease *ret,
		  struct rpc_error *reterr);

/* 1: found; 0: no such lease; -1: error, another company's lease included. */
int lease_find(const struct call *call, const char *id, struct lease_roots roots,
	       struct lease *ret, struct rpc_error *reterr);

/* The lease that `params.lease` names; not to find it is an error here. */
int lease_of_call(const struct call *call, const struct config *config, struct lease *ret,
		  struct rpc_error *reterr);

/* Now, as in "2026-11-23T08:00:00.000Z". */
void lease_time(char text[LEASE_TIME_SIZE]);

/* What acquire and resume answer. */
json_t *lease_to_json(const struct lease *lease, bool resumed);

#endif
