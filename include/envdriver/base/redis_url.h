/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_url: where Redis is, from redis.url.
 *
 * Owns nothing; a plain value.
 *
 *	redis://[user:password@]host[:port][/db]	also [:password@], [::1]
 *	unix://[user:password@]/path[?db=n]
 *
 * User and password are percent-decoded.
 */
#ifndef ENVDRIVER_BASE_REDIS_URL_H
#define ENVDRIVER_BASE_REDIS_URL_H

#include <stdbool.h>

struct redis_url {
	bool is_unix;
	char host[256];		/* TCP: name or address, without brackets */
	char path[108];		/* unix: as long as a socket's address can be */
	int port;
	int db;
	char user[256];		/* "" when there is none */
	char password[1024];	/* "" when there is none */
};

/* NULL, or what is wrong ("has no host"): a literal, since a password may be in
 * `text`. */
const char *redis_url_parse(const char *text, struct redis_url *ret);

#endif
