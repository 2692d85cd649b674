/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/service_link.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const protocols[] = { "TCP", "UDP", "SCTP" };

enum { N_PROTOCOLS = sizeof(protocols) / sizeof(*protocols) };

static bool
ends(const char *name, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(name + len - n, with, n) == 0;
}

static bool
is_url(const char *value)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (strncasecmp(value, protocols[i], strlen(protocols[i])) == 0 &&
		    strncmp(value + strlen(protocols[i]), "://", 3) == 0)
			return true;
	return false;
}

/* What follows "_PORT_": "<number>_<protocol>", and perhaps one word more. */
static bool
is_port_rest(const char *rest, size_t len)
{
	static const char *const words[] = { "", "_PROTO", "_PORT", "_ADDR" };
	size_t digits = 0, n;

	while (digits < len && isdigit((unsigned char)rest[digits]))
		digits++;
	if (digits == 0 || digits == len || rest[digits] != '_')
		return false;
	rest += digits + 1;
	len -= digits + 1;
	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		n = strlen(protocols[i]);
		if (len < n || memcmp(rest, protocols[i], n) != 0)
			continue;
		for (size_t k = 0; k < sizeof(words) / sizeof(*words); k++)
			if (len - n == strlen(words[k]) && memcmp(rest + n, words[k], len - n) == 0)
				return true;
	}
	return false;
}

bool
service_link_is(const char *variable)
{
	static const char port[] = "_PORT_", named[] = "_SERVICE_PORT_";
	const char *eq = strchr(variable, '=');
	size_t len = eq ? (size_t)(eq - variable) : 0;

	if (ends(variable, len, "_SERVICE_HOST") || ends(variable, len, "_SERVICE_PORT"))
		return true;
	if (ends(variable, len, "_PORT") && is_url(eq + 1))
		return true;
	for (const char *p = variable; len && p + sizeof(port) - 1 < eq; p++) {
		if (strncmp(p, named, sizeof(named) - 1) == 0 && p + sizeof(named) - 1 < eq)
			return true;
		if (strncmp(p, port, sizeof(port) - 1) == 0 &&
		    is_port_rest(p + sizeof(port) - 1, (size_t)(eq - p) - (sizeof(port) - 1)))
			return true;
	}
	return false;
}

size_t
service_link_count(char *const envp[], const char *prefix, const char **ret_first)
{
	size_t n = 0;

	for (; *envp; envp++)
		if (strncmp(*envp, prefix, strlen(prefix)) == 0 && service_link_is(*envp) &&
		    n++ == 0)
			*ret_first = *envp;
	return n;
}
