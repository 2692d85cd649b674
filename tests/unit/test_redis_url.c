/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/redis_url.h"

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
	  "has a path longer than 107 bytes" },
	{ "unix, relative", "unix://run/redis.sock",
	  "must name a socket by its absolute path, as in unix:///run/redis.sock" },
	{ "unix, other query", "unix:///r?timeout=4",
	  "may have nothing but ?db=NUMBER after its path" },
	{ "unix, database no number", "unix:///r?db=x",
	  "may have nothing but ?db=NUMBER after its path" },
	{ "scheme", "http://h",
	  "must be redis://[user:password@]host[:port][/db] or unix:///path" },
	{ "empty", "",
	  "must be redis://[user:password@]host[:port][/db] or unix:///path" },
	{ "TLS", "rediss://h",
	  "asks for TLS, which is not supported: let a TLS tunnel listen on this host, "
	  "or use a unix socket" },
	{ "no host", "redis://", "has no host" },
	{ "port without host", "redis://:6379", "has no host" },
	{ "user without password", "redis://u@h",
	  "has a user without a password before the '@'" },
	{ "empty password", "redis://u:@h",
	  "has a user without a password before the '@'" },
	{ "port no number", "redis://u:geheim@h:x", "has no valid port after the ':'" },
	{ "port empty", "redis://h:", "has no valid port after the ':'" },
	{ "port 0", "redis://h:0", "has no valid port after the ':'" },
	{ "port too large", "redis://h:65536", "has no valid port after the ':'" },
	{ "port of many digits", "redis://h:99999999999",
	  "has no valid port after the ':'" },
	{ "database no number", "redis://h/a", "has no valid database number after the '/'" },
	{ "database negative", "redis://h/-1", "has no valid database number after the '/'" },
	{ "bracket open", "redis://[::1", "has no ']' after its address" },
	{ "text behind the bracket", "redis://[::1]x",
	  "has no valid port after the ':'" },
	{ "percent code", "redis://u:p%4@h",
	  "has an invalid percent code in its user or password" },
	{ "NUL in the password", "redis://u:p%00@h",
	  "has an invalid percent code in its user or password" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct redis_url u = { 0 };
		const char *wrong = redis_url_parse(rows[i].text, &u);
		char got[3000];

		if (wrong) {
			snprintf(got, sizeof(got), "%s", wrong);
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

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "redis://u:", 10);
	memcpy(text + 1100, "@h", 3);
	assert_string_equal(redis_url_parse(text, &u), "has a user or password that is too long");
	memset(text, 'a', 1200);
	memcpy(text, "redis://", 8);
	text[400] = '\0';
	assert_string_equal(redis_url_parse(text, &u), "has a host that is too long");
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
