/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_address.h"

#include <netdb.h>
#include <stdio.h>

static void
on_address_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct redis_address *a = request->data;

	a->resolving = false;
	a->found = a->at = found;
	a->on_found(a->arg, status < 0 ? uv_strerror(status) : NULL);
}

int
redis_address_resolve(struct redis_address *a, uv_loop_t *loop, const char *host, int port,
		      void (*on_found)(void *arg, const char *why), void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char text[16];
	int code;

	if (a->resolving)
		return 0;
	snprintf(text, sizeof(text), "%d", port);
	a->request.data = a;
	a->on_found = on_found;
	a->arg = arg;
	code = uv_getaddrinfo(loop, &a->request, on_address_found, host, text, &hints);
	a->resolving = code == 0;
	return code;
}

const struct sockaddr *
redis_address_get(const struct redis_address *a)
{
	return a->at ? a->at->ai_addr : NULL;
}

bool
redis_address_next(struct redis_address *a)
{
	if (a->at && a->at->ai_next) {
		a->at = a->at->ai_next;
		return true;
	}
	redis_address_release(a);
	return false;
}

void
redis_address_cancel(struct redis_address *a)
{
	if (a->resolving)
		(void)uv_cancel((uv_req_t *)&a->request);
}

void
redis_address_release(struct redis_address *a)
{
	uv_freeaddrinfo(a->found);
	a->found = a->at = NULL;
}
