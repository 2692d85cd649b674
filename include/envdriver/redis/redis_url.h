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
#ifndef ENVDRIVER_REDIS_REDIS_URL_H
#define ENVDRIVER_REDIS_REDIS_URL_H

#include <stdbool.h>

struct err;

struct redis_url {
	bool is_unix;
	char host[256];		/* TCP: name or address, without brackets */
	char path[108];		/* unix: as long as a socket's address can be */
	int port;
	int db;
	char user[256];		/* "" when there is none */
	char password[1024];	/* "" when there is none */
};

/* ERR_CONFIG says what is wrong, never repeating the text: a password may be
 * in it. */
int redis_url_parse(const char *text, struct redis_url *ret, struct err *reterr);

#endif
