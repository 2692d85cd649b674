/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/redis/redis_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"

enum { PORT = 6379, PORT_MAX = 65535, DB_MAX = 65535 };

static int
wrong(struct err *reterr, const char *how)
{
	return err_set(reterr, ERR_CONFIG, "redis.url %s", how);
}

/* Copies [from, end); false when it does not fit or holds a NUL. */
static bool
copy(char *to, size_t size, const char *from, const char *end)
{
	size_t len = (size_t)(end - from);

	if (len >= size)
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static bool
unpercent(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		if (hex(text[1]) < 0 || hex(text[2]) < 0)
			return false;
		*to = (char)(hex(text[1]) * 16 + hex(text[2]));
		if (!*to++)
			return false;
		text += 2;
	}
	*to = '\0';
	return true;
}

static bool
number(const char *from, const char *end, int max, int *ret)
{
	int v = 0;

	if (from == end || end - from > 5)
		return false;
	for (; from < end; from++) {
		if (!isdigit((unsigned char)*from))
			return false;
		v = v * 10 + (*from - '0');
	}
	*ret = v;
	return v <= max;
}

/* "user:password" or ":password" before `at`. */
static int
read_user(const char *from, const char *at, struct redis_url *u, struct err *reterr)
{
	const char *colon = memchr(from, ':', (size_t)(at - from));

	if (!colon || colon + 1 == at)
		return wrong(reterr, "has a user without a password before the '@'");
	if (!copy(u->user, sizeof(u->user), from, colon) ||
	    !copy(u->password, sizeof(u->password), colon + 1, at))
		return wrong(reterr, "has too long a user or password");
	if (!unpercent(u->user) || !unpercent(u->password))
		return wrong(reterr, "has a wrong percent code in its user or password");
	return 0;
}

static int
read_tcp(const char *text, struct redis_url *u, struct err *reterr)
{
	const char *end = strchr(text, '/'), *host_end, *port;

	if (!end)
		end = text + strlen(text);
	if (*text == '[') {
		text++;
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end)
			return wrong(reterr, "lacks the ']' of its address");
		port = host_end + 1;
	} else {
		host_end = memchr(text, ':', (size_t)(end - text));
		if (!host_end)
			host_end = end;
		port = host_end;
	}
	if (host_end == text || !copy(u->host, sizeof(u->host), text, host_end))
		return wrong(reterr, host_end == text ? "names no host" : "has too long a host");
	if (port < end && (*port != ':' || !number(port + 1, end, PORT_MAX, &u->port) ||
			   u->port == 0))
		return wrong(reterr, "has no port number after the ':'");
	if (end[0] && end[1] && !number(end + 1, end + strlen(end), DB_MAX, &u->db))
		return wrong(reterr, "has no database number after the '/'");
	return 0;
}

static int
read_unix(const char *text, struct redis_url *u, struct err *reterr)
{
	const char *query = strchr(text, '?'), *end = query ? query : text + strlen(text);

	u->is_unix = true;
	if (*text != '/')
		return wrong(reterr, "lacks the socket's absolute path, as in "
				     "unix:///run/redis.sock");
	if (!copy(u->path, sizeof(u->path), text, end))
		return wrong(reterr, "has too long a path, a socket's has 107 bytes at most");
	if (query && (strncmp(query, "?db=", 4) != 0 ||
		      !number(query + 4, query + strlen(query), DB_MAX, &u->db)))
		return wrong(reterr, "has something else than ?db=NUMBER after its path");
	return 0;
}

int
redis_url_parse(const char *text, struct redis_url *ret, struct err *reterr)
{
	struct redis_url u = { .port = PORT };
	bool is_unix = strncmp(text, "unix://", 7) == 0;
	const char *p, *at;
	int code = 0;

	if (strncmp(text, "rediss://", 9) == 0)
		return wrong(reterr, "asks for TLS, which this build cannot: let a TLS tunnel "
				     "listen on this host, or use a unix socket");
	if (!is_unix && strncmp(text, "redis://", 8) != 0)
		return wrong(reterr, "is not redis://[user:password@]host[:port][/db] or "
				     "unix:///path");
	p = text + (is_unix ? 7 : 8);
	at = is_unix && *p == '/' ? NULL : strrchr(p, '@');
	if (at) {
		code = read_user(p, at, &u, reterr);
		p = at + 1;
	}
	if (code == 0)
		code = is_unix ? read_unix(p, &u, reterr) : read_tcp(p, &u, reterr);
	if (code == 0)
		*ret = u;
	return code;
}
