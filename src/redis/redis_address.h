/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_address: the addresses of a host's name, one after another.
 *
 * Owns what the last look-up found. Knows nothing of connections.
 */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include <stdbool.h>
#include <uv.h>

struct redis_address {
	uv_getaddrinfo_t request;
	bool resolving;
	struct addrinfo *found, *at;	/* NULL: to be looked up */
	void (*on_found)(void *arg, const char *why);
	void *arg;
};

/* Looks the name up, on a thread of libuv's pool. `on_found` comes from the
 * loop, with NULL or with what failed; also after redis_address_cancel. A
 * look-up that is under way serves this call, too. Returns a code of libuv. */
int redis_address_resolve(struct redis_address *a, uv_loop_t *loop, const char *host, int port,
			  void (*on_found)(void *arg, const char *why), void *arg);
/* NULL when nothing was looked up yet. Borrowed until the next call. */
const struct sockaddr *redis_address_get(const struct redis_address *a);
/* Goes on to the next address; false when there is none, and then the name is
 * to be looked up again, since it may have moved. */
bool redis_address_next(struct redis_address *a);
void redis_address_cancel(struct redis_address *a);
/* Not while `resolving`. */
void redis_address_release(struct redis_address *a);

#endif
