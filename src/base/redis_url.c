/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/redis_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 6379, PORT_MAX = 65535, DB_MAX = 65535 };

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
read_decimal(const char *from, const char *end, int max, int *ret)
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
static const char *
read_user(const char *from, const char *at, struct redis_url *u)
{
	const char *colon = memchr(from, ':', (size_t)(at - from));

	if (!colon || colon + 1 == at)
		return "has a user without a password before the '@'";
	if (!copy(u->user, sizeof(u->user), from, colon) ||
	    !copy(u->password, sizeof(u->password), colon + 1, at))
		return "has a user or password that is too long";
	if (!unpercent(u->user) || !unpercent(u->password))
		return "has an invalid percent code in its user or password";
	return NULL;
}

static const char *
read_tcp(const char *text, struct redis_url *u)
{
	const char *end = strchr(text, '/'), *host_end, *port;

	if (!end)
		end = text + strlen(text);
	if (*text == '[') {
		text++;
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end)
			return "has no ']' after its address";
		port = host_end + 1;
	} else {
		host_end = memchr(text, ':', (size_t)(end - text));
		if (!host_end)
			host_end = end;
		port = host_end;
	}
	if (host_end == text || !copy(u->host, sizeof(u->host), text, host_end))
		return host_end == text ? "has no host" : "has a host that is too long";
	if (port < end && (*port != ':' || !read_decimal(port + 1, end, PORT_MAX, &u->port) ||
			   u->port == 0))
		return "has no valid port after the ':'";
	if (end[0] && end[1] && !read_decimal(end + 1, end + strlen(end), DB_MAX, &u->db))
		return "has no valid database number after the '/'";
	return NULL;
}

static const char *
read_unix(const char *text, struct redis_url *u)
{
	const char *query = strchr(text, '?'), *end = query ? query : text + strlen(text);

	u->is_unix = true;
	if (*text != '/')
		return "must name a socket by its absolute path, as in unix:///run/redis.sock";
	if (!copy(u->path, sizeof(u->path), text, end))
		return "has a path longer than 107 bytes";
	if (query && (strncmp(query, "?db=", 4) != 0 ||
		      !read_decimal(query + 4, query + strlen(query), DB_MAX, &u->db)))
		return "may have nothing but ?db=NUMBER after its path";
	return NULL;
}

const char *
redis_url_parse(const char *text, struct redis_url *ret)
{
	struct redis_url u = { .port = PORT };
	bool is_unix = strncmp(text, "unix://", 7) == 0;
	const char *p, *at, *wrong = NULL;

	if (strncmp(text, "rediss://", 9) == 0)
		return "asks for TLS, which is not supported: let a TLS tunnel listen on this "
		       "host, or use a unix socket";
	if (!is_unix && strncmp(text, "redis://", 8) != 0)
		return "must be redis://[user:password@]host[:port][/db] or unix:///path";
	p = text + (is_unix ? 7 : 8);
	at = is_unix && *p == '/' ? NULL : strrchr(p, '@');
	if (at) {
		wrong = read_user(p, at, &u);
		p = at + 1;
	}
	if (!wrong)
		wrong = is_unix ? read_unix(p, &u) : read_tcp(p, &u);
	if (!wrong)
		*ret = u;
	return wrong;
}
