/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/redis/redis_url.h"

#define TEN "1234567890"
#define PATH_107 "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "123456"

static const struct row {
	const char *name, *text;
	const char *got;	/* "host:port/db user=… password=…", or the error */
} rows[] = {
	{ "default", "redis://127.0.0.1:6379/0", "127.0.0.1:6379/0 - -" },
	{ "host alone", "redis://h", "h:6379/0 - -" },
	{ "host and slash", "redis://h/", "h:6379/0 - -" },
	{ "host and database", "redis://h/7", "h:6379/7 - -" },
	{ "all", "redis://u:p@h.example:6380/3", "h.example:6380/3 u p" },
	{ "password alone", "redis://:p@h", "h:6379/0 - p" },
	{ "percent codes", "redis://u%40x:p%3a%2F%25@h", "h:6379/0 u@x p:/%" },
	{ "'@' and ':' in the password", "redis://u:a@b:c@h:1", "h:1/0 u a@b:c" },
	{ "'/' in the password", "redis://u:a/b@h:1", "h:1/0 u a/b" },
	{ "IPv6", "redis://[::1]:6380/2", "::1:6380/2 - -" },
	{ "IPv6 without port", "redis://[fe80::1]", "fe80::1:6379/0 - -" },
	{ "unix", "unix:///run/redis.sock", "unix:/run/redis.sock/0 - -" },
	{ "unix with a database", "unix:///run/redis.sock?db=4", "unix:/run/redis.sock/4 - -" },
	{ "unix with a password", "unix://u:p@/run/r", "unix:/run/r/0 u p" },
	{ "unix, '@' in the path", "unix:///run/a@b", "unix:/run/a@b/0 - -" },
	{ "unix, longest path", "unix://" PATH_107, "unix:" PATH_107 "/0 - -" },
	{ "unix, path too long", "unix://" PATH_107 "8",
	  "redis.url has too long a path, a socket's has 107 bytes at most" },
	{ "unix, relative", "unix://run/redis.sock",
	  "redis.url lacks the socket's absolute path, as in unix:///run/redis.sock" },
	{ "unix, other query", "unix:///r?timeout=4",
	  "redis.url has something else than ?db=NUMBER after its path" },
	{ "unix, database no number", "unix:///r?db=x",
	  "redis.url has something else than ?db=NUMBER after its path" },
	{ "scheme", "http://h",
	  "redis.url is not redis://[user:password@]host[:port][/db] or unix:///path" },
	{ "empty", "",
	  "redis.url is not redis://[user:password@]host[:port][/db] or unix:///path" },
	{ "TLS", "rediss://h",
	  "redis.url asks for TLS, which this build cannot: let a TLS tunnel listen on this host, "
	  "or use a unix socket" },
	{ "no host", "redis://", "redis.url names no host" },
	{ "port without host", "redis://:6379", "redis.url names no host" },
	{ "user without password", "redis://u@h",
	  "redis.url has a user without a password before the '@'" },
	{ "empty password", "redis://u:@h",
	  "redis.url has a user without a password before the '@'" },
	{ "port no number", "redis://u:geheim@h:x", "redis.url has no port number after the ':'" },
	{ "port empty", "redis://h:", "redis.url has no port number after the ':'" },
	{ "port 0", "redis://h:0", "redis.url has no port number after the ':'" },
	{ "port too large", "redis://h:65536", "redis.url has no port number after the ':'" },
	{ "port of many digits", "redis://h:99999999999",
	  "redis.url has no port number after the ':'" },
	{ "database no number", "redis://h/a", "redis.url has no database number after the '/'" },
	{ "database negative", "redis://h/-1", "redis.url has no database number after the '/'" },
	{ "bracket open", "redis://[::1", "redis.url lacks the ']' of its address" },
	{ "text behind the bracket", "redis://[::1]x",
	  "redis.url has no port number after the ':'" },
	{ "percent code", "redis://u:p%4@h",
	  "redis.url has a wrong percent code in its user or password" },
	{ "NUL in the password", "redis://u:p%00@h",
	  "redis.url has a wrong percent code in its user or password" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct redis_url u = { 0 };
		struct err err = { 0 };
		char got[3000];

		if (redis_url_parse(rows[i].text, &u, &err) < 0) {
			assert_int_equal(err.code, ERR_CONFIG);
			snprintf(got, sizeof(got), "%s", err.text);
		} else if (u.is_unix) {
			snprintf(got, sizeof(got), "unix:%s/%d %s %s", u.path, u.db,
				 u.user[0] ? u.user : "-", u.password[0] ? u.password : "-");
		} else {
			snprintf(got, sizeof(got), "%s:%d/%d %s %s", u.host, u.port, u.db,
				 u.user[0] ? u.user : "-", u.password[0] ? u.password : "-");
		}
		if (strcmp(got, rows[i].got) != 0)
			fail_msg("%s: got '%s', want '%s'", rows[i].name, got, rows[i].got);
	}
}

static void
test_too_long(void **state)
{
	char text[3000];
	struct redis_url u;
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "redis://u:", 10);
	memcpy(text + 1100, "@h", 3);
	assert_int_equal(redis_url_parse(text, &u, &err), ERR_CONFIG);
	assert_string_equal(err.text, "redis.url has too long a user or password");
	memset(text, 'a', 1200);
	memcpy(text, "redis://", 8);
	text[400] = '\0';
	assert_int_equal(redis_url_parse(text, &u, &err), ERR_CONFIG);
	assert_string_equal(err.text, "redis.url has too long a host");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
