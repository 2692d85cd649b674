/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_rig.h"

#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"

enum { PATIENCE_MS = 20000, PULSE_MS = 5, STEP_US = 20000 };

/* It may still be reading its file. */
static bool
answers(struct rig *r)
{
	redisReply *reply = r->admin->err ? NULL : redisCommand(r->admin, "PING");
	bool ok = reply && reply->type == REDIS_REPLY_STATUS;

	freeReplyObject(reply);
	return ok;
}

static void
connect_admin(struct rig *r)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	do {
		if (r->admin)
			redisFree(r->admin);
		r->admin = redisConnectUnix(r->socket);
		assert_non_null(r->admin);
		if (answers(r))
			return;
		usleep(STEP_US);
	} while (clock_mono_ms() < end);
	fail_msg("redis-server does not answer: %s", r->admin->errstr);
}

void
rig_server_start(struct rig *r)
{
	r->server = fork();
	assert_true(r->server >= 0);
	if (r->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* With `everysec` a write may be put off on a busy disk, and kill -9
		 * then loses what was answered. */
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", r->socket,
		       "--dir", r->folder, "--save", "", "--appendonly", "yes",
		       "--appendfsync", "no", "--logfile", "redis.log", (char *)NULL);
		perror("redis-server");
		_exit(127);
	}
	connect_admin(r);
}

void
rig_server_kill(struct rig *r)
{
	kill(r->server, SIGKILL);
	kill(r->server, SIGCONT);
	waitpid(r->server, NULL, 0);
	r->server = 0;
}

static void
on_pulse(uv_timer_t *t)
{
	(void)t;
}

void
rig_open(struct rig *r)
{
	char url[128];
	struct err err;

	memset(r, 0, sizeof(*r));
	signal(SIGPIPE, SIG_IGN);
	snprintf(r->folder, sizeof(r->folder), "/tmp/envdriver-rig-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->socket, sizeof(r->socket), "%s/redis.sock", r->folder);
	rig_server_start(r);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	uv_timer_init(&r->loop, &r->pulse);
	uv_timer_start(&r->pulse, on_pulse, PULSE_MS, PULSE_MS);
	r->config = config_new(&err);
	assert_non_null(r->config);
	snprintf(url, sizeof(url), "unix://%s", r->socket);
	rig_set(r, "redis.url", url);
	rig_set(r, "instance.id", "us");
	r->redis = redis_new(&r->loop, r->config, &err);
	assert_non_null(r->redis);
}

void
rig_set(struct rig *r, const char *key, const char *value)
{
	struct err err;

	if (config_set(r->config, key, value, "rig", &err) < 0)
		fail_msg("%s", err.text);
}

static bool
is_up(void *arg)
{
	struct rig *r = arg;

	return redis_up(r->redis);
}

void
rig_start(struct rig *r)
{
	redis_start(r->redis);
	rig_until(r, is_up, r, PATIENCE_MS);
}

static void
on_closed(void *arg)
{
	struct rig *r = arg;

	r->closed = true;
}

static bool
is_closed(void *arg)
{
	struct rig *r = arg;

	return r->closed;
}

void
rig_stop(struct rig *r)
{
	redis_close(r->redis, on_closed, r);
	rig_until(r, is_closed, r, PATIENCE_MS);
}

void
rig_close(struct rig *r)
{
	char line[128];

	redis_free(r->redis);
	config_free(r->config);
	uv_close((uv_handle_t *)&r->pulse, NULL);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	/* Nobody may leave a handle behind. */
	assert_int_equal(uv_loop_close(&r->loop), 0);
	redisFree(r->admin);
	if (r->server)
		rig_server_kill(r);
	snprintf(line, sizeof(line), "rm -rf '%s'", r->folder);
	assert_int_equal(system(line), 0);
}

void
rig_until(struct rig *r, bool (*cond)(void *arg), void *arg, int ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (!cond(arg)) {
		if (clock_mono_ms() > end)
			fail_msg("waited %d ms in vain; Redis: '%s'", ms,
				 redis_why_down(r->redis));
		uv_run(&r->loop, UV_RUN_ONCE);
	}
}

void
rig_run(struct rig *r, int ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		uv_run(&r->loop, UV_RUN_ONCE);
}

static void
add_text(char *text, size_t size, const redisReply *reply)
{
	size_t len = strlen(text), i;

	if (len && len + 1 < size)
		strcat(text, " ");
	len = strlen(text);
	if (reply->type == REDIS_REPLY_NIL)
		snprintf(text + len, size - len, "(nil)");
	else if (reply->type == REDIS_REPLY_INTEGER)
		snprintf(text + len, size - len, "%lld", reply->integer);
	else if (reply->type == REDIS_REPLY_ERROR)
		snprintf(text + len, size - len, "ERROR: %s", reply->str);
	else if (reply->type != REDIS_REPLY_ARRAY)
		snprintf(text + len, size - len, "%s", reply->str);
	else
		for (i = 0; i < reply->elements; i++)
			add_text(text, size, reply->element[i]);
}

const char *
rig_ask(struct rig *r, const char *fmt, ...)
{
	static char text[65536];
	redisReply *reply;
	va_list ap;

	text[0] = '\0';
	va_start(ap, fmt);
	reply = redisvCommand(r->admin, fmt, ap);
	va_end(ap);
	if (!reply)
		fail_msg("administrator: %s", r->admin->errstr);
	else
		add_text(text, sizeof(text), reply);
	freeReplyObject(reply);
	return text;
}
