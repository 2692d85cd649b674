/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/worker/service.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/family.h"
#include "envdriver/base/findings.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metric_series.h"
#include "envdriver/base/metrics.h"
#include "envdriver/cli/cli.h"
#include "envdriver/engine/engine.h"
#include "envdriver/isolation/cgroup.h"
#include "envdriver/isolation/scratch.h"
#include "envdriver/kafka/client.h"
#include "envdriver/plugin/isolation_check.h"
#include "http_server.h"
#include "instance_lock.h"

enum { SHOW_MS = 1000, OLD_MS = 5000, STUCK_MS = 30000, SETTLE_MS = 5000, LOG_MS = 500 };
enum { ARENAS = 2, FILES_MIN = 64 };

struct service {
	uv_loop_t loop;
	struct engine *engine;
	struct http_server *http;
	uv_signal_t term, intr, child, other[3];	/* `other`: see ignored_signals */
	uv_timer_t show;
	const struct service_hooks *hooks;
	/* A copy for the HTTP thread, made once a second. */
	pthread_mutex_t mutex;
	struct buf reasons, status;
	int64_t shown_at;
	int exit_code;
	int signals;
};

/* --- descriptors --- */

/* librdkafka retries for ever when it may not open a socket: a worker with too
 * few descriptors would neither work nor end. */
static int
check_descriptors(struct err *reterr)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_MIN)
		return 0;
	return err_set(reterr, ERR_NOMEM,
		       "the limit of %ju open files is too low: a worker needs %d, and more with "
		       "each broker and plugin; raise it (ulimit -n, LimitNOFILE=)",
		       (uintmax_t)files.rlim_cur, FILES_MIN);
}

/* --- what the HTTP server shows --- */

static void
publish_snapshot(struct service *s)
{
	pthread_mutex_lock(&s->mutex);
	buf_reset(&s->reasons);
	buf_reset(&s->status);
	engine_ready(s->engine, &s->reasons);
	engine_status(s->engine, &s->status);
	s->shown_at = clock_mono_ms();
	pthread_mutex_unlock(&s->mutex);
}

static bool
show_healthy(void *arg)
{
	struct service *s = arg;
	bool healthy;

	pthread_mutex_lock(&s->mutex);
	healthy = clock_mono_ms() - s->shown_at < STUCK_MS;
	pthread_mutex_unlock(&s->mutex);
	return healthy;
}

static void
show_copy(struct service *s, const struct buf *from, struct buf *out)
{
	pthread_mutex_lock(&s->mutex);
	buf_addspan(out, buf_span(from));
	pthread_mutex_unlock(&s->mutex);
}

static void
show_reasons(void *arg, struct buf *out)
{
	struct service *s = arg;
	int64_t age;

	show_copy(s, &s->reasons, out);
	pthread_mutex_lock(&s->mutex);
	age = clock_mono_ms() - s->shown_at;
	pthread_mutex_unlock(&s->mutex);
	/* What it shows was true then. */
	if (age >= OLD_MS)
		buf_addf(out, "the event loop has not turned for %lld s\n", (long long)age / 1000);
}

static void
show_status(void *arg, struct buf *out)
{
	struct service *s = arg;

	show_copy(s, &s->status, out);
}

static void
show_metrics(void *arg, struct buf *out)
{
	(void)arg;
	metrics_print(out);
	metric_series_print(out);
}

static void
on_show(uv_timer_t *timer)
{
	family_tick();
	publish_snapshot(timer->data);
}

/* --- the end --- */

/* A reader of the log that is not there does not hold it up for long. */
static void __attribute__((noreturn))
end_process(int code)
{
	instance_lock_free();
	log_flush(LOG_MS);
	_exit(code);
}

/* --- events --- */

static void
end_loop(struct service *s, int exit_code)
{
	s->exit_code = exit_code;
	uv_stop(&s->loop);
}

static void
on_engine_failed(void *arg, int exit_code, const char *text)
{
	log_error("%s", text);
	end_loop(arg, exit_code);
}

static void
on_engine_ready(void *arg)
{
	struct service *s = arg;

	publish_snapshot(s);
}

static void
on_engine_open(void *arg)
{
	struct service *s = arg;
	struct buf plugins = BUF_INIT;

	if (!s->hooks)
		return;
	engine_plugins(s->engine, &plugins);
	s->hooks->on_open(s->hooks->arg, buf_span(&plugins).ptr);
	buf_release(&plugins);
}

static void
on_engine_stopped(void *arg)
{
	log_info("stopped");
	end_loop(arg, EXIT_DONE);
}

/* The first signal asks for an orderly end, the second one ends at once. */
static void
on_stop_signal(uv_signal_t *signal, int signum)
{
	struct service *s = signal->data;

	if (s->signals++) {
		log_warn("second signal, ending at once");
		end_process(EXIT_SIGNAL + signum);
	}
	engine_stop(s->engine);
	publish_snapshot(s);
}

/* Those that would end a process by habit: of a terminal that closes, of a
 * reload, of a rotation of logs. */
static const struct {
	int number;
	const char *name;
} ignored_signals[] = { { SIGHUP, "SIGHUP" }, { SIGUSR1, "SIGUSR1" }, { SIGUSR2, "SIGUSR2" } };

/* Said once each. */
static void
on_other_signal(uv_signal_t *signal, int signum)
{
	(void)signum;
	if (signal->data)
		log_info("ignored %s: nothing is read again; SIGTERM stops a worker",
			 (const char *)signal->data);
	signal->data = NULL;
}

static void
on_child(uv_signal_t *signal, int signum)
{
	(void)signal;
	(void)signum;
	family_reap();
}

static void
watch_signals(struct service *s)
{
	size_t n = sizeof(ignored_signals) / sizeof(*ignored_signals);

	uv_signal_init(&s->loop, &s->term);
	uv_signal_init(&s->loop, &s->intr);
	uv_signal_init(&s->loop, &s->child);
	s->term.data = s->intr.data = s;
	uv_signal_start(&s->term, on_stop_signal, SIGTERM);
	uv_signal_start(&s->intr, on_stop_signal, SIGINT);
	uv_signal_start(&s->child, on_child, SIGCHLD);
	for (size_t i = 0; i < n; i++) {
		/* Of a terminal that closes, nothing is left behind. */
		bool stops = s->hooks && ignored_signals[i].number == SIGHUP;

		uv_signal_init(&s->loop, &s->other[i]);
		s->other[i].data = stops ? (void *)s : (void *)ignored_signals[i].name;
		uv_signal_start(&s->other[i], stops ? on_stop_signal : on_other_signal,
				ignored_signals[i].number);
	}
}

/* --- what runs here --- */

/* The files of the command line, or the one of the variable. */
static void
add_files(const struct cli *cli, struct buf *out)
{
	const char *from = getenv("ENVDRIVER_CONFIG"), *file;

	for (size_t i = 0; (file = cli_flag_at(cli, "config-file", i)); i++)
		buf_addf(out, "%s%s", i ? " " : "", file);
	if (out->len == 0 && from)
		buf_adds(out, from);
}

static void
add_http(const struct service *s, const char *listen, struct buf *out)
{
	const char *port = listen ? strrchr(listen, ':') : NULL;

	if (port)
		buf_addf(out, "%.*s:%d", (int)(port - listen), listen, http_server_port(s->http));
}

static void
say_start(const struct service *s, const struct cli *cli, const struct config *config)
{
	struct buf files = BUF_INIT, http = BUF_INIT, redis = BUF_INIT, layers = BUF_INIT;

	add_files(cli, &files);
	add_http(s, config_str(config, "http.listen"), &http);
	config_add_shown(&redis, "redis.url", config_str(config, "redis.url"));
	isolation_check_add_layers(config, &layers);
	const struct log_field fields[] = {
		{ .name = "version", .text = span_of(ENVDRIVER_VERSION) },
		{ .name = "instance", .text = span_of(config_str(config, "instance.id")) },
		{ .name = "group", .text = span_of(config_str(config, "kafka.group.id")) },
		{ .name = "config", .text = buf_span(&files) },
		{ .name = "http", .text = buf_span(&http) },
		{ .name = "kafka",
		  .text = span_of(config_str(config, "kafka.bootstrap.servers")) },
		{ .name = "redis", .text = buf_span(&redis) },
		{ .name = "isolation", .text = buf_span(&layers) },
		{ .name = "pid", .number = getpid() },
		{ .name = NULL },
	};

	log_fields(LOG_LEVEL_INFO, "envdriver starts", fields);
	buf_release(&files);
	buf_release(&http);
	buf_release(&redis);
	buf_release(&layers);
}

static void
on_start_finding(void *arg, const char *text)
{
	(void)arg;
	log_warn("%s", text);
}

static void
add_hint(struct err *reterr, const char *hint)
{
	struct err before = *reterr;

	if (hint)
		err_set(reterr, before.code, "%s; %s", before.text, hint);
}

static int
start_service(struct service *s, const struct cli *cli, const struct config *config,
	      struct err *reterr)
{
	const struct engine_events ev = {
		.on_exit = on_engine_failed, .on_open = on_engine_open,
		.on_ready = on_engine_ready, .on_stopped = on_engine_stopped, .arg = s,
	};
	const struct http_server_source source = {show_healthy, show_reasons, show_metrics,
						  show_status, s};
	const struct findings findings = { .found = on_start_finding };
	int ret;

	findings_of_config(config, &findings);
	isolation_check(config, &findings);
	ret = client_conf_assignor(rd_kafka_version(), config_str(config, "assignor"), reterr);
	if (ret == 0)
		ret = check_descriptors(reterr);
	if (ret == 0)
		ret = instance_lock_take(config, reterr);
	if (ret < 0)
		return ret;
	s->engine = engine_new(&s->loop, config, &ev, reterr);
	if (!s->engine)
		return reterr->code;
	publish_snapshot(s);
	if (config_str(config, "http.listen")) {
		s->http = http_server_start(config, &source, reterr);
		if (!s->http) {
			add_hint(reterr, s->hooks ? s->hooks->http_hint : NULL);
			return reterr->code;
		}
	}
	say_start(s, cli, config);
	watch_signals(s);
	uv_timer_init(&s->loop, &s->show);
	s->show.data = s;
	uv_timer_start(&s->show, on_show, 0, SHOW_MS);
	engine_start(s->engine);
	return 0;
}

#ifdef ENVDRIVER_TEST
static int
release_all(struct service *s)
{
	instance_lock_free();
	engine_free(s->engine);
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->intr, NULL);
	uv_close((uv_handle_t *)&s->child, NULL);
	for (size_t i = 0; i < sizeof(s->other) / sizeof(*s->other); i++)
		uv_close((uv_handle_t *)&s->other[i], NULL);
	uv_close((uv_handle_t *)&s->show, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	client_wait_closed(SETTLE_MS);
	if (uv_loop_close(&s->loop) != 0)
		log_error("bug: the loop has handles left");
	buf_release(&s->reasons);
	buf_release(&s->status);
	return s->exit_code;
}
#endif

/* The memory holds passwords, and plugins run as the same user. The sanitizers
 * and valgrind look into it themselves. */
static void
close_memory(const struct config *config)
{
#ifdef ENVDRIVER_TEST
	(void)config;
#else
	if (!config_bool(config, "core.dumps"))
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* What plugins leave behind, processes and files, goes when this one ends. */
static void
start_family(const struct config *config)
{
	struct err err = { 0 };

	if (cgroup_start(config_str(config, "plugin.cgroup"), &err) < 0)
		log_warn("plugins get no control groups: %s", err.text);
	if (scratch_start(config_str(config, "plugin.tmp.dir"), &err) < 0)
		log_warn("plugins get no temporary folder of their own: %s", err.text);
	family_start(scratch_sweep, scratch_end);
}

int
service_run(struct cli *cli, const struct config *config, const struct service_hooks *hooks)
{
	struct service s = {
		.hooks = hooks,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
	};
	struct err err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	close_memory(config);
	start_family(config);
	log_start_writer();
	/* librdkafka has a dozen threads and more: each would get an arena. */
	(void)mallopt(M_ARENA_MAX, ARENAS);
	if (uv_loop_init(&s.loop) < 0) {
		cli_complain(cli, "cannot create an event loop");
		return EXIT_AGAIN;
	}
	if (start_service(&s, cli, config, &err) < 0) {
		/* The process ends here, and with it all that was made. */
		s.exit_code = cli_fail(cli, &err);
		if (hooks)
			hooks->on_end(hooks->arg);
		fflush(NULL);
		end_process(s.exit_code);
	}
	uv_run(&s.loop, UV_RUN_DEFAULT);
	http_server_stop(s.http);
	if (hooks)
		hooks->on_end(hooks->arg);
#ifdef ENVDRIVER_TEST
	/* The sanitizers want to see everything released. */
	if (s.exit_code == EXIT_DONE)
		return release_all(&s);
#endif
	/* Nothing is left to do, and librdkafka's threads may hang or crash when
	 * they are ended in order while brokers are away (docs/engine.md
	 * section 8). */
	end_process(s.exit_code);
}
