/* SPDX-License-Identifier: Apache-2.0 */
#include "http_peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE = 4 };	/* a connection that is shut down takes a moment to go */

struct peer {
	int fd;			/* -1: free */
	struct in6_addr address;
	int64_t since;		/* mono ms: waits for a request */
	bool waits, shut;
};

struct http_peers {
	pthread_mutex_t mutex;
	struct peer peers[HTTP_PEERS_MAX];
};

static struct in6_addr
address_of(const struct sockaddr *from)
{
	struct in6_addr a = { 0 };

	if (from && from->sa_family == AF_INET6)
		a = ((const struct sockaddr_in6 *)from)->sin6_addr;
	else if (from && from->sa_family == AF_INET)
		memcpy(&a, &((const struct sockaddr_in *)from)->sin_addr, sizeof(struct in_addr));
	return a;
}

static bool
is_of(const struct peer *peer, const struct in6_addr *address)
{
	return peer->fd >= 0 &&
	       (!address || memcmp(&peer->address, address, sizeof(*address)) == 0);
}

bool
http_peers_are_local(const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;

	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return a->sa_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

struct http_peers *
http_peers_new(void)
{
	struct http_peers *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->mutex, NULL);
	for (int i = 0; i < HTTP_PEERS_MAX; i++)
		p->peers[i].fd = -1;
	return p;
}

void
http_peers_free(struct http_peers *p)
{
	if (p)
		pthread_mutex_destroy(&p->mutex);
	free(p);
}

/* The one with this descriptor; -1: a free one. */
static struct peer *
find_peer(struct http_peers *p, int fd)
{
	for (int i = 0; i < HTTP_PEERS_MAX; i++)
		if (p->peers[i].fd == fd)
			return &p->peers[i];
	return NULL;
}

void
http_peers_add(struct http_peers *p, int fd, const struct sockaddr *from)
{
	struct peer *peer;

	pthread_mutex_lock(&p->mutex);
	peer = find_peer(p, fd);
	if (!peer)
		peer = find_peer(p, /* fd= */ -1);
	if (peer)
		*peer = (struct peer){ fd, address_of(from), 0, false, false };
	pthread_mutex_unlock(&p->mutex);
}

static void
set_peer(struct http_peers *p, int fd, bool stays, bool waits, int64_t now_ms)
{
	struct peer *peer;

	pthread_mutex_lock(&p->mutex);
	peer = find_peer(p, fd);
	if (peer && fd >= 0) {
		peer->fd = stays ? fd : -1;
		peer->waits = waits && !peer->shut;
		peer->since = now_ms;
	}
	pthread_mutex_unlock(&p->mutex);
}

void
http_peers_remove(struct http_peers *p, int fd)
{
	set_peer(p, fd, /* stays= */ false, /* waits= */ false, 0);
}

void
http_peers_asked(struct http_peers *p, int fd)
{
	set_peer(p, fd, /* stays= */ true, /* waits= */ false, 0);
}

void
http_peers_waits(struct http_peers *p, int fd, int64_t now_ms)
{
	set_peer(p, fd, /* stays= */ true, /* waits= */ true, now_ms);
}

/* The library then finds its end and closes it. */
static void
shut_down(struct peer *peer)
{
	peer->waits = false;
	peer->shut = true;
	(void)shutdown(peer->fd, SHUT_RDWR);
}

/* Of an address; NULL: of all. Whether one more has room now. */
static bool
thin_out(struct http_peers *p, const struct in6_addr *address, size_t max)
{
	struct peer *oldest = NULL;
	size_t n = 0, n_shut = 0;

	for (struct peer *i = p->peers; i < p->peers + HTTP_PEERS_MAX; i++) {
		if (!is_of(i, address))
			continue;
		n++;
		n_shut += i->shut;
		if (i->waits && (!oldest || i->since < oldest->since))
			oldest = i;
	}
	if (n - n_shut + SPARE > max && oldest)
		shut_down(oldest);
	return n < max;
}

bool
http_peers_make_room(struct http_peers *p, const struct sockaddr *from)
{
	struct in6_addr address = address_of(from);
	bool room;

	pthread_mutex_lock(&p->mutex);
	room = thin_out(p, &address, HTTP_PEERS_PER_ADDRESS);
	room &= thin_out(p, /* address= */ NULL, HTTP_PEERS_MAX);
	pthread_mutex_unlock(&p->mutex);
	return room;
}

void
http_peers_tick(struct http_peers *p, int64_t now_ms)
{
	pthread_mutex_lock(&p->mutex);
	for (struct peer *i = p->peers; i < p->peers + HTTP_PEERS_MAX; i++)
		if (i->fd >= 0 && i->waits && now_ms - i->since >= HTTP_PEERS_REQUEST_MS)
			shut_down(i);
	pthread_mutex_unlock(&p->mutex);
}
