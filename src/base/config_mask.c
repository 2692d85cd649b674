/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_mask: what of a value may be shown. Apart from config_print.c, since
 * errors about a value need it, too.
 */
#include "envdriver/base/config.h"

#define MASK "***"

/* Parts of librdkafka's names whose values are secret. */
static const char *const secret_parts[] = {
	"password", "secret", "passphrase", "key.pem", "token", "sasl.oauthbearer.config",
	"kinit.cmd", NULL,
};

static bool
is_secret(const char *key)
{
	if (strcmp(key, "command.token") == 0)
		return true;
	if (strncmp(key, "kafka.", 6) != 0)
		return false;
	for (size_t i = 0; secret_parts[i]; i++)
		if (strstr(key, secret_parts[i]))
			return true;
	return false;
}

/* A password may hold '/' unescaped, so the last '@' ends the authority. What
 * stands alone before it is a user of Redis, but of an http URL a token; so is
 * what follows '?' there. */
static void
add_url(struct buf *out, const char *value)
{
	bool is_http = strncmp(value, "http", 4) == 0;
	const char *authority = strstr(value, "://"), *at, *colon, *rest = value, *query;

	authority = authority ? authority + 3 : NULL;
	at = authority ? strrchr(authority, '@') : NULL;
	colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
	if (colon || (at && is_http)) {
		buf_add(out, value, (size_t)((colon ? colon + 1 : authority) - value));
		buf_adds(out, MASK);
		rest = at;
	}
	query = is_http && authority ? strchr(rest, '?') : NULL;
	if (!query) {
		buf_adds(out, rest);
		return;
	}
	buf_add(out, rest, (size_t)(query + 1 - rest));
	buf_adds(out, query[1] ? MASK : "");
}

void
config_add_shown(struct buf *out, const char *key, const char *value)
{
	if (is_secret(key))
		buf_adds(out, *value ? MASK : "");
	else
		add_url(out, value);
}

/* "redis://user:password" was cut, "redis:/user:password@host" mistyped: without
 * both "://" and '@' what follows a ':' and is no port may be a password. */
void
config_add_refused(struct buf *out, const char *key, const char *value)
{
	const char *end = strrchr(key, '.'), *scheme = strstr(value, "://");
	const char *colon = strchr(scheme ? scheme + 3 : value, ':');
	bool url = end && (strcmp(end, ".url") == 0 || strcmp(end, ".endpoint") == 0);
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

	if (!url || !colon || (scheme && strchr(value, '@')) ||
	    (digits && (colon[1 + digits] == '\0' || colon[1 + digits] == '/'))) {
		config_add_shown(out, key, value);
		return;
	}
	buf_add(out, value, (size_t)(colon + 1 - value));
	buf_adds(out, MASK);
}
