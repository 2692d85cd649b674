/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror of the registry, on a real Redis that is written to beside it. */
#include "unit.h"

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/registry/registry.h"
#include "redis_rig.h"

enum { PATIENCE_MS = 20000, QUIET_MS = 150 };

#define MANIFEST "{\"environmentDrivers\":[{\"driverKey\":\"d\",\"kind\":\"sandbox_provider\"}]}"

static struct rig rig;
static struct registry *registry;
static int changes;

static void
on_change(void *arg)
{
	(void)arg;
	changes++;
	assert_true(registry_fresh(registry));
}

static void
add(const char *id, int order, const char *key, const char *status)
{
	rig_ask(&rig,
		"HSET envdriver:plugin:%s pluginKey %s status %s manifest %s package /p/%s", id,
		key, status, MANIFEST, id);
	rig_ask(&rig, "ZADD envdriver:plugins %d %s", order, id);
}

/* Everything that there is, in order: "id=key:status ...". */
static const char *
listed(void)
{
	static char text[4096];
	const struct registry_plugin *p;

	text[0] = '\0';
	for (size_t i = 0; (p = registry_at(registry, i)); i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s=%s:%s", i ? " " : "", p->id, p->key,
			 p->status);
	}
	return text;
}

static const char *wanted;

static bool
is_listed(void *arg)
{
	(void)arg;
	return registry_fresh(registry) && strcmp(listed(), wanted) == 0;
}

static void
expect(const char *text)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	wanted = text;
	while (!is_listed(NULL)) {
		if (clock_mono_ms() > end)
			fail_msg("listed '%s', want '%s'", listed(), text);
		uv_run(&rig.loop, UV_RUN_ONCE);
	}
}

static const char *
id_of(const struct registry_plugin *p)
{
	return p ? p->id : "none";
}

static void
expect_key(const char *key, const char *id)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	while (!registry_fresh(registry) ||
	       strcmp(id_of(registry_by_key(registry, span_of(key))), id) != 0) {
		if (clock_mono_ms() > end)
			fail_msg("key '%s': %s, want %s", key,
				 id_of(registry_by_key(registry, span_of(key))), id);
		uv_run(&rig.loop, UV_RUN_ONCE);
	}
}

static void
empty(void)
{
	rig_ask(&rig, "FLUSHALL");
	expect("");
}

static void
test_follows_writers(void **state)
{
	const struct registry_plugin *p;

	(void)state;
	empty();
	add("b", 2, "kb", "ready");
	add("a", 1, "ka", "installed");
	expect("a=ka:installed b=kb:ready");
	p = registry_by_id(registry, SPAN_LIT("b"));
	assert_true(p->ready);
	assert_string_equal(p->package, "/p/b");
	assert_true(registry_driver(p, SPAN_LIT("d"))->sandbox_provider);
	assert_null(registry_by_id(registry, SPAN_LIT("c")));
	rig_ask(&rig, "HSET envdriver:plugin:a status ready");
	expect("a=ka:ready b=kb:ready");
	rig_ask(&rig, "ZADD envdriver:plugins 3 a");
	expect("b=kb:ready a=ka:ready");
	assert_true(registry_at(registry, 1)->order > 2.5);
	rig_ask(&rig, "ZREM envdriver:plugins b");
	expect("a=ka:ready");
	rig_ask(&rig, "DEL envdriver:plugin:a");
	expect("a=:");
	rig_ask(&rig, "FLUSHALL");
	expect("");
}

static void
test_by_key(void **state)
{
	(void)state;
	empty();
	add("a", 1, "k", "ready");
	expect("a=k:ready");
	/* No plugin-key record: the plugin that has the key. */
	expect_key("k", "a");
	add("b", 2, "k", "ready");
	expect("a=k:ready b=k:ready");
	expect_key("k", "none");
	rig_ask(&rig, "SET envdriver:plugin-key:k b");
	expect_key("k", "b");
	rig_ask(&rig, "SET envdriver:plugin-key:k a");
	expect_key("k", "a");
	rig_ask(&rig, "SET envdriver:plugin-key:alias b");
	expect_key("alias", "b");
	rig_ask(&rig, "SET envdriver:plugin-key:alias gone");
	expect_key("alias", "none");
	rig_ask(&rig, "DEL envdriver:plugin-key:k");
	expect_key("k", "none");
	rig_ask(&rig, "DEL envdriver:plugin-key:k");
	rig_ask(&rig, "LPUSH envdriver:plugin-key:k a");
	rig_ask(&rig, "ZREM envdriver:plugins b");
	expect_key("k", "a");
}

/* The plugin is not ready, the others are not touched. */
static void
test_malformed(void **state)
{
	(void)state;
	empty();
	add("ok", 9, "k", "ready");
	add("x", 1, "kx", "ready");
	expect("x=kx:ready ok=k:ready");
	rig_ask(&rig, "HSET envdriver:plugin:x manifest {");
	expect("x=kx: ok=k:ready");
	assert_false(registry_by_id(registry, SPAN_LIT("x"))->ready);
	assert_int_equal(registry_by_id(registry, SPAN_LIT("x"))->manifest.kind, JTEXT_MISSING);
	rig_ask(&rig, "DEL envdriver:plugin:x");
	rig_ask(&rig, "SET envdriver:plugin:x text");
	expect("x=: ok=k:ready");
	rig_ask(&rig, "DEL envdriver:plugin:x");
	add("x", 1, "kx", "ready");
	expect("x=kx:ready ok=k:ready");
	rig_ask(&rig, "DEL envdriver:plugins");
	rig_ask(&rig, "SET envdriver:plugins text");
	expect("");
	rig_ask(&rig, "DEL envdriver:plugins");
	rig_ask(&rig, "ZADD envdriver:plugins inf ok 1 %b", "a\0b", (size_t)3);
	expect("ok=k:ready");
}

static void
test_told_when_fresh_again(void **state)
{
	(void)state;
	empty();
	add("a", 1, "k", "ready");
	expect("a=k:ready");
	rig_run(&rig, QUIET_MS);
	changes = 0;
	/* Nothing changes, but look-ups have waited. */
	rig_ask(&rig, "HSET envdriver:plugin:a status ready");
	rig_run(&rig, QUIET_MS);
	assert_int_equal(changes, 1);
	/* Not ours. */
	rig_ask(&rig, "HSET envdriver:worker:a:us status running");
	rig_ask(&rig, "SET other:plugin:a 1");
	rig_run(&rig, QUIET_MS);
	assert_int_equal(changes, 1);
}

static void
test_many_writes(void **state)
{
	char status[16];

	(void)state;
	empty();
	add("a", 1, "k", "ready");
	expect("a=k:ready");
	for (int i = 0; i < 2000; i++) {
		snprintf(status, sizeof(status), "s%d", i);
		rig_ask(&rig, "HSET envdriver:plugin:a status %s", status);
		if (i % 50 == 0)
			uv_run(&rig.loop, UV_RUN_NOWAIT);
	}
	expect("a=k:s1999");
}

static bool
is_stale(void *arg)
{
	(void)arg;
	return !registry_fresh(registry);
}

static void
test_connection_lost(void **state)
{
	(void)state;
	empty();
	add("a", 1, "k", "ready");
	rig_ask(&rig, "SET envdriver:plugin-key:k a");
	expect("a=k:ready");
	/* Either of the two. */
	for (int i = 0; i < 2; i++) {
		rig_ask(&rig, "CLIENT KILL TYPE %s SKIPME yes", i ? "pubsub" : "normal");
		rig_until(&rig, is_stale, NULL, PATIENCE_MS);
		/* What is known stays: a plugin does not stop for this. */
		assert_string_equal(listed(), i ? "b=kb:ready" : "a=k:ready");
		rig_ask(&rig, "FLUSHALL");
		add(i ? "c" : "b", 1, i ? "kc" : "kb", "ready");
		rig_ask(&rig, "SET envdriver:plugin-key:kx %s", i ? "c" : "b");
		expect(i ? "c=kc:ready" : "b=kb:ready");
		expect_key("kx", i ? "c" : "b");
		expect_key("k", "none");
	}
}

/* More keys than one SCAN brings, and some that only look like ours. */
static void
test_scan(void **state)
{
	char id[32];

	(void)state;
	empty();
	for (int i = 0; i < 30000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		rig_ask(&rig, "SET envdriver:claim:%s x", id);
	}
	add("a", 1, "k", "ready");
	expect("a=k:ready");
	rig_server_kill(&rig);
	rig_until(&rig, is_stale, NULL, PATIENCE_MS);
	rig_server_start(&rig);
	rig_ask(&rig, "SET envdriver:plugin-key:alias a");
	rig_ask(&rig, "SET envdriver_plugin-key:other a");
	expect_key("alias", "a");
	expect_key("other", "none");
}

static int
set_up(void **state)
{
	struct err err;

	(void)state;
	rig_open(&rig);
	registry = registry_new(rig.redis, on_change, NULL, &err);
	assert_non_null(registry);
	assert_false(registry_fresh(registry));
	assert_null(registry_by_key(registry, SPAN_LIT("k")));
	assert_null(registry_at(registry, 0));
	rig_start(&rig);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_ask(&rig, "HSET envdriver:plugin:a status gone");
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	rig_stop(&rig);
	registry_free(registry);
	registry_free(NULL);
	rig_close(&rig);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows_writers),
		cmocka_unit_test(test_by_key),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_told_when_fresh_again),
		cmocka_unit_test(test_many_writes),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_scan),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
