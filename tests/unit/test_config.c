/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "alloc_rig.h"

/* `text` NULL: no error. */
static const struct set_row {
	const char *key, *value, *text;
} set_rows[] = {
	{ "max.in.flight", "10", NULL },
	{ "max.in.flight", "0", "-X: max.in.flight: 0 is out of range: must be 1 to 100000" },
	{ "max.in.flight", "-1", "-X: max.in.flight: '-1' is not a whole number" },
	{ "max.in.flight", "ten", "-X: max.in.flight: 'ten' is not a whole number" },
	{ "max.in.flight", "99999999999999999999",
	  "-X: max.in.flight: '99999999999999999999' is not a whole number" },
	{ "max.in.flight", "", "-X: max.in.flight: needs a value (default 1024)" },
	{ "drain.timeout", "1min", NULL },
	{ "drain.timeout", "0", NULL },
	{ "drain.timeout", "10",
	  "-X: drain.timeout: '10' is not a duration like 500ms, 10s, 5min, 24h or 9d" },
	{ "drain.timeout", "2d", "-X: drain.timeout: 2d is out of range: must be 0 to 1d" },
	{ "heartbeat.interval", "100ms",
	  "-X: heartbeat.interval: 100ms is out of range: must be 500ms to 10s" },
	{ "command.max.bytes", "2MiB", NULL },
	{ "command.max.bytes", "2097152", NULL },
	{ "command.max.bytes", "2mb",
	  "-X: command.max.bytes: '2mb' is not a size like 64KiB, 1MiB, 2GiB or plain bytes" },
	{ "plugin.restart", "off", NULL },
	{ "plugin.restart", "maybe", "-X: plugin.restart: 'maybe' must be true or false" },
	{ "assignor", "sticky",
	  "-X: assignor: 'sticky' must be one of: range, cooperative-sticky" },
	{ "topic.prefix", "", NULL },
	{ "topic.prefix", "a b",
	  "-X: topic.prefix: 'a b' may contain only letters, digits, '.', '_' and '-'" },
	{ "topic.prefix", "\"env.\"",
	  "-X: topic.prefix: '\"env.\"' must not be quoted" },
	{ "redis.url", "redis://127.0.0.1", NULL },
	{ "redis.url", "redis://u:p@h:6380/3", NULL },
	{ "redis.url", "redis://[::1]:6380/3", NULL },
	{ "redis.url", "unix:///run/redis.sock", NULL },
	{ "redis.url", "localhost:6379",
	  "-X: redis.url: 'localhost:6379' must be redis://[user:password@]host[:port][/db] or "
	  "unix:///path" },
	{ "redis.url", "redis://u:geheim@h:x",
	  "-X: redis.url: 'redis://u:***@h:x' has no valid port after the ':'" },
	{ "redis.url", "redis://u:geheim",
	  "-X: redis.url: 'redis://u:***' has no valid port after the ':'" },
	{ "redis.url", "redis:/u:geheim@h",
	  "-X: redis.url: 'redis:***' must be redis://[user:password@]host[:port][/db] or "
	  "unix:///path" },
	{ "redis.url", "redis://h:70000",
	  "-X: redis.url: 'redis://h:70000' has no valid port after the ':'" },
	{ "redis.url", "redis://h:1/x",
	  "-X: redis.url: 'redis://h:1/x' has no valid database number after the '/'" },
	{ "redis.url", "redis://:6379", "-X: redis.url: 'redis://:6379' has no host" },
	{ "redis.ulr", "x", "-X: unknown key 'redis.ulr'; did you mean 'redis.url'?" },
	{ "colour", "x", "-X: unknown key 'colour'; `envdriver config print` lists all of them" },
	{ "kafka.", "x", "-X: unknown key 'kafka.'; `envdriver config print` lists all of them" },
	{ "kafka.security.protocol", "ssl", NULL },
	{ "kafka.a b", "ssl", "-X: a key may contain up to 250 letters, digits, '.', '_' and '-'" },
	{ "kafka.acks", "1",
	  "-X: kafka.acks is refused: results are published in transactions, which need acks=all" },
	{ "kafka.ssl.ca", "a\nb", "-X: kafka.ssl.ca: value contains a control character" },
	{ "kafka.sasl.password", "***",
	  "-X: kafka.sasl.password: *** is a masked secret; write the secret itself" },
	{ "plugin.env.acme.sandbox", "HOME", NULL },
	{ "plugin.env.acme", "A=b",
	  "-X: plugin.env.acme: 'A=b' must be a list of variable names separated by spaces" },
	{ "plugin.dirs", "/a:/b", NULL },
	{ "plugin.dirs", "/a:b",
	  "-X: plugin.dirs: '/a:b' must be a list of absolute folders separated by ':'" },
	{ "http.listen", "9464",
	  "-X: http.listen: '9464' must be ADDRESS:PORT, for example 127.0.0.1:9464" },
	{ "http.listen", "", NULL },
	{ "secrets.dir", "secrets", "-X: secrets.dir: 'secrets' must be an absolute path" },
	{ "schema.registry.url", "h:1",
	  "-X: schema.registry.url: 'h:1' must be an http or https URL" },
	{ "otlp.endpoint", "http://h:1", NULL },
};

static void
test_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(set_rows) / sizeof(*set_rows); i++) {
		const struct set_row *r = &set_rows[i];
		struct config *c = config_new(NULL);
		struct err err = { 0 };
		int ret;

		assert_non_null(c);
		ret = config_set(c, r->key, r->value, "-X", &err);
		if ((ret < 0) != (r->text != NULL))
			fail_msg("%s = %s: returned %d %s", r->key, r->value, ret, err.text);
		if (ret < 0 && (ret != ERR_CONFIG || err.code != ERR_CONFIG))
			fail_msg("%s = %s: code %d", r->key, r->value, ret);
		CHECK_TEXT(r->key, err.text, r->text ? r->text : "");
		config_free(c);
	}
}

/* A file of an earlier version still loads. */
static void
test_gone(void **state)
{
	struct config *c = config_new(NULL);
	struct config_entry e;

	(void)state;
	for (size_t i = 0; config_gone[i]; i++) {
		assert_null(config_gone_where(c, i));
		assert_int_equal(config_set(c, config_gone[i], "any:thing@all", "f:3", NULL), 0);
		assert_string_equal(config_gone_where(c, i), "f:3");
		for (size_t j = 0; config_entry(c, j, &e); j++)
			assert_string_not_equal(e.key, config_gone[i]);
	}
	config_free(c);
}

/* Every key that docs/engine.md section 9 names, and what would slip past it under
 * another name. */
static void
test_refusals(void **state)
{
	static const char *const keys[] = {
		"enable.auto.commit", "enable.auto.offset.store", "isolation.level",
		"auto.offset.reset", "transactional.id", "enable.idempotence", "acks",
		"group.protocol", "partition.assignment.strategy", "partitioner",
		"request.required.acks", "auto.commit.enable", "metadata.broker.list",
		"transaction.timeout.ms",
	};
	struct config *c = config_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct err err = { 0 };
		char key[64], start[96];

		snprintf(key, sizeof(key), "kafka.%s", keys[i]);
		snprintf(start, sizeof(start), "f:1: %s is refused: ", key);
		if (config_set(c, key, "x", "f:1", &err) != ERR_CONFIG ||
		    strncmp(err.text, start, strlen(start)) != 0 || strlen(err.text) > 250)
			fail_msg("%s: %s", key, err.text);
	}
	config_free(c);
}

static void
test_defaults(void **state)
{
	struct config *c = config_new(NULL);
	char host[65] = "";

	(void)state;
	assert_non_null(c);
	assert_string_equal(config_str(c, "kafka.bootstrap.servers"), "localhost:9092");
	assert_string_equal(config_str(c, "kafka.group.id"), "envdriver");
	assert_string_equal(config_str(c, "redis.url"), "redis://127.0.0.1:6379/0");
	assert_string_equal(config_str(c, "redis.prefix"), "envdriver:");
	assert_string_equal(config_str(c, "topic.prefix"), "environment.");
	assert_int_equal(config_int(c, "max.in.flight"), 1024);
	assert_int_equal(config_int(c, "in.flight.max.bytes"), 256 << 20);
	assert_int_equal(config_int(c, "command.max.bytes"), 1 << 20);
	assert_int_equal(config_int(c, "execution.inline.limit"), 256 << 10);
	assert_int_equal(config_int(c, "commit.interval"), 10);
	assert_int_equal(config_int(c, "transaction.max.records"), 1000);
	assert_int_equal(config_int(c, "transaction.timeout"), 10000);
	assert_int_equal(config_int(c, "kafka.session.timeout.ms"), 10000);
	assert_int_equal(config_int(c, "revoke.drain"), 3000);
	assert_string_equal(config_str(c, "assignor"), "range");
	assert_int_equal(config_int(c, "drain.timeout"), 30000);
	assert_int_equal(config_int(c, "handover.timeout"), 900000);
	assert_int_equal(config_int(c, "claim.retention"), 86400000);
	assert_int_equal(config_int(c, "heartbeat.interval"), 5000);
	assert_string_equal(config_str(c, "plugin.dirs"),
			    "/usr/lib/envdriver/plugins:/var/lib/envdriver/plugins");
	assert_int_equal(config_int(c, "plugin.max.in.flight"), 64);
	assert_int_equal(config_int(c, "plugin.call.timeout"), 30000);
	assert_int_equal(config_int(c, "plugin.start.timeout"), 15000);
	assert_int_equal(config_int(c, "plugin.start.wait"), 2000);
	assert_true(config_bool(c, "plugin.restart"));
	assert_int_equal(config_int(c, "plugin.line.max.bytes"), 128 << 20);
	assert_int_equal(config_int(c, "plugin.log.max.bytes"), 128 << 20);
	assert_null(config_str(c, "plugin.env"));
	assert_null(config_str(c, "plugin.wrapper"));
	assert_int_equal(config_int(c, "plugin.limit.memory"), 0);
	assert_int_equal(config_int(c, "plugin.limit.files"), 4096);
	assert_int_equal(config_int(c, "plugin.limit.processes"), 0);
	assert_int_equal(config_int(c, "plugin.limit.core"), 0);
	assert_null(config_str(c, "secrets.dir"));
	assert_null(config_str(c, "http.listen"));
	assert_null(config_str(c, "schema.registry.url"));
	assert_string_equal(config_str(c, "log.level"), "info");
	assert_string_equal(config_str(c, "log.format"), "auto");
	assert_null(config_dynamic(c, "plugin.env.acme"));
	gethostname(host, sizeof(host) - 1);
	assert_int_equal(strlen(config_str(c, "instance.id")), strlen(host));
	assert_int_equal(config_check(c, NULL), 0);
	config_free(c);
}

/* The table itself: names unique and typeable as a variable, a help line
 * without full stop. */
static void
test_table(void **state)
{
	(void)state;
	for (const struct config_param *p = config_params; p->name; p++) {
		size_t len = strlen(p->help);

		if (strspn(p->name, "abcdefghijklmnopqrstuvwxyz.") != strlen(p->name))
			fail_msg("%s: cannot be a variable", p->name);
		if (len == 0 || len > 90 || p->help[len - 1] == '.')
			fail_msg("%s: help", p->name);
		if (p->type != CONFIG_BOOL && p->min >= p->max)
			fail_msg("%s: range", p->name);
		for (const struct config_param *q = config_params; q < p; q++)
			if (strcmp(p->name, q->name) == 0)
				fail_msg("%s: twice", p->name);
	}
}

/* `%s` in `text` is the file's path. */
static const struct file_row {
	const char *name, *file;
	size_t len;		/* 0: strlen */
	const char *text;	/* the error; NULL: none */
	int64_t flight;		/* max.in.flight afterwards */
} file_rows[] = {
	{ "empty", "", 0, NULL, 1024 },
	{ "comment and blank", "# one\n\n   \n\t# two\nmax.in.flight = 7\n", 0, NULL, 7 },
	{ "no last line break", "max.in.flight=7", 0, NULL, 7 },
	{ "crlf", "max.in.flight = 7\r\nredis.prefix = x:\r\n", 0, NULL, 7 },
	{ "byte order mark", "\xef\xbb\xbfmax.in.flight = 7\n", 0, NULL, 7 },
	{ "later wins", "max.in.flight = 7\nmax.in.flight = 8\n", 0, NULL, 8 },
	{ "equals in the value", "kafka.sasl.password = a=b\nmax.in.flight = 9", 0, NULL, 9 },
	{ "no equals", "\nmax.in.flight 7\n", 0,
	  "%s:2: expected key = value, or # and a comment", 1024 },
	{ "no key", "= 7\n", 0, "%s:1: expected key = value, or # and a comment", 1024 },
	{ "unknown", "# x\n\nmax.in.fligth = 7\n", 0,
	  "%s:3: unknown key 'max.in.fligth'; did you mean 'max.in.flight'?", 1024 },
	{ "comment behind", "max.in.flight = 7 # seven", 0,
	  "%s:1: max.in.flight: '7 # seven' is not a whole number", 1024 },
	{ "NUL", "max.in.flight = 7\0\n", 19, "%s:1: NUL byte", 1024 },
	{ "stops at the first", "max.in.flight = 7\nmax.in.flight = x\nmax.in.flight = 9", 0,
	  "%s:2: max.in.flight: 'x' is not a whole number", 7 },
	{ "refused", "kafka.isolation.level = read_uncommitted", 0,
	  "%s:1: kafka.isolation.level is refused: commands are read read_committed; otherwise "
	  "commands of aborted transactions would run", 1024 },
};

static void
write_temp(char path[32], const char *data, size_t len)
{
	FILE *f;
	int fd;

	strcpy(path, "/tmp/test_config.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
test_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(file_rows) / sizeof(*file_rows); i++) {
		const struct file_row *r = &file_rows[i];
		struct config *c = config_new(NULL);
		struct err err = { 0 };
		char path[32], want[600] = "";

		write_temp(path, r->file, r->len ? r->len : strlen(r->file));
		config_load_file(c, path, &err);
		if (r->text) {
			const char *rest = r->text + 2;

			snprintf(want, sizeof(want), "%s%s", path, rest);
		}
		CHECK_TEXT(r->name, err.text, want);
		if (config_int(c, "max.in.flight") != r->flight)
			fail_msg("%s: %lld", r->name, (long long)config_int(c, "max.in.flight"));
		unlink(path);
		config_free(c);
	}
}

static void
test_file_faults(void **state)
{
	struct config *c = config_new(NULL);
	struct err err = { 0 };
	char path[32], *big = malloc(1 << 21);

	(void)state;
	assert_int_equal(config_load_file(c, "/nonexistent/x", &err), ERR_CONFIG);
	CHECK_TEXT("missing", err.text, "cannot open '/nonexistent/x': No such file or directory");
	assert_int_equal(config_load_file(c, "/", &err), ERR_CONFIG);
	CHECK_TEXT("folder", err.text, "cannot read '/': Is a directory");
	memset(big, '#', 1 << 21);
	write_temp(path, big, 1 << 21);
	assert_int_equal(config_load_file(c, path, &err), ERR_CONFIG);
	assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
	unlink(path);
	free(big);
	config_free(c);
}

static const struct env_row {
	const char *variable, *text;
} env_rows[] = {
	{ "ENVDRIVER_MAX_IN_FLIGHT=5", NULL },
	{ "ENVDRIVER_KAFKA_SASL_PASSWORD=x", NULL },
	{ "ENVDRIVER_CONFIG=/x", NULL },
	{ "ENVDRIVER_CRASH_AT=begun", NULL },
	{ "ENVDRIVER_CRASH_SIGNAL=TERM", NULL },
	{ "ENVDRIVERX=1", NULL },
	{ "HOME=/x", NULL },
	{ "ENVDRIVER_MAX_IN_FLIGHT=x",
	  "ENVDRIVER_MAX_IN_FLIGHT: max.in.flight: 'x' is not a whole number" },
	{ "ENVDRIVER_REDIS_ULR=x",
	  "ENVDRIVER_REDIS_ULR: unknown key 'redis.ulr'; did you mean 'redis.url'?" },
	{ "ENVDRIVER_=x",
	  "ENVDRIVER_: unknown key ''; `envdriver config print` lists all of them" },
};

static void
test_env(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(env_rows) / sizeof(*env_rows); i++) {
		char *envp[] = { (char *)env_rows[i].variable, NULL };
		struct config *c = config_new(NULL);
		struct err err = { 0 };

		config_load_env(c, envp, &err);
		CHECK_TEXT(env_rows[i].variable, err.text, env_rows[i].text ? env_rows[i].text
			: "");
		if (i == 0)
			assert_int_equal(config_int(c, "max.in.flight"), 5);
		if (i == 1)
			assert_string_equal(config_dynamic(c, "kafka.sasl.password"), "x");
		config_free(c);
	}
}

static const struct check_row {
	const char *name, *pairs[2], *text;
} check_rows[] = {
	{ "loopback", { "http.listen=127.0.0.1:1" }, NULL },
	{ "open without token", { "http.listen=0.0.0.0:1" },
	  "http.listen: 0.0.0.0:1 can be reached from other hosts; set http.token.file, or "
	  "listen on 127.0.0.1" },
	{ "open with token", { "http.listen=0.0.0.0:1", "http.token.file=/t" }, NULL },
	{ "command over all", { "in.flight.max.bytes=1MiB", "command.max.bytes=2MiB" },
	  "command.max.bytes is larger than in.flight.max.bytes: such a command could never be "
	  "taken" },
	{ "commit over transaction", { "commit.interval=10s" },
	  "commit.interval is longer than half of transaction.timeout" },
};

static void
test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(check_rows) / sizeof(*check_rows); i++) {
		struct config *c = config_new(NULL);
		struct err err = { 0 };

		for (size_t k = 0; k < 2 && check_rows[i].pairs[k]; k++)
			assert_int_equal(config_set_pair(c, check_rows[i].pairs[k], "-X", NULL), 0);
		config_check(c, &err);
		CHECK_TEXT(check_rows[i].name, err.text, check_rows[i].text ? check_rows[i].text
			: "");
		config_free(c);
	}
}

static int
collect(void *arg, const char *name, const char *value, struct err *reterr)
{
	if (strcmp(value, "bad") == 0)
		return err_set(reterr, ERR_CONFIG, "No such configuration property");
	buf_addf(arg, "%s=%s;", name, value);
	return 0;
}

static void
test_kafka(void **state)
{
	struct config *c = config_new(NULL);
	struct buf got = BUF_INIT;
	struct err err = { 0 };

	(void)state;
	config_set_pair(c, "kafka.b=1", "-X", NULL);
	config_set_pair(c, "kafka.a=2", "-X", NULL);
	config_set_pair(c, "kafka.b=3", "-X", NULL);
	config_set_pair(c, "plugin.env.x=3", "-X", NULL);
	config_set_pair(c, "kafka.group.id=g", "-X", NULL);
	assert_int_equal(config_each_kafka(c, collect, &got, &err), 0);
	CHECK_TEXT("each", got.data, "b=3;a=2;");
	config_set(c, "kafka.zz", "bad", "f:9", NULL);
	assert_int_equal(config_each_kafka(c, collect, &got, &err), ERR_CONFIG);
	CHECK_TEXT("error", err.text, "f:9: No such configuration property");
	assert_int_equal(config_set_pair(c, "kafka.b", "-X", &err), ERR_CONFIG);
	CHECK_TEXT("no pair", err.text, "-X: 'kafka.b' is not key=value");
	buf_release(&got);
	config_free(c);
}

static int fail_at;

static void *
failing(void *ptr, size_t size)
{
	return --fail_at == 0 ? NULL : realloc(ptr, size);
}

/* Out of memory at the n-th allocation, for every n. */
static void
test_nomem(void **state)
{
	struct err err = { 0 };
	struct config *c;
	char *envp[] = { (char *)"ENVDRIVER_KAFKA_X=1", NULL };
	int n, ret;

	(void)state;
	alloc_replace(failing);
	for (n = 1;; n++) {
		fail_at = n;
		c = config_new(&err);
		if (c)
			break;
		assert_int_equal(err.code, ERR_NOMEM);
	}
	assert_true(n > 40);
	for (n = 1;; n++) {
		fail_at = n;
		ret = config_load_env(c, envp, &err);
		if (ret == 0)
			break;
		assert_int_equal(ret, ERR_NOMEM);
		assert_true(n < 20);
	}
	alloc_replace(NULL);
	assert_string_equal(config_dynamic(c, "kafka.x"), "1");
	config_free(c);
	config_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_gone), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_faults),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_kafka),
		cmocka_unit_test(test_nomem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
