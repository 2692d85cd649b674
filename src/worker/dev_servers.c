/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/worker/dev_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/base/family.h"
#include "envdriver/kafka/event.h"

enum {
	PARTITIONS = 4,
	PLACE_MAX = 60,
	REDIS_TRIES = 500,
	REDIS_TRY_NS = 10 * 1000 * 1000,
	SWEEP_TRIES = 100,
	SWEEP_AGAIN_NS = 20 * 1000 * 1000,
	SWEEP_FILES = 8,
};

struct dev_servers {
	rd_kafka_t *host; /* the mock cluster lives in it */
	rd_kafka_mock_cluster_t *cluster;
	char folder[64 + PLACE_MAX];
	char socket[80 + PLACE_MAX];
	char url[96 + PLACE_MAX];
	pid_t redis;
	int sweeper;		/* it removes the folder when this is closed; -1: none */
};

/* --- the folder --- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)remove(path);
	return 0;
}

/* The server may still be writing when it is killed with us. */
static void
remove_folder(const char *folder)
{
	const struct timespec pause = { 0, SWEEP_AGAIN_NS };

	for (int i = 0; i < SWEEP_TRIES; i++) {
		(void)nftw(folder, remove_one, SWEEP_FILES, FTW_DEPTH | FTW_PHYS);
		if (access(folder, F_OK) < 0)
			return;
		nanosleep(&pause, NULL);
	}
}

static void __attribute__((noreturn))
sweep(int from, const char *folder)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
	char none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "envdriver-sweep", 0, 0, 0);
	from = dup2(from, STDERR_FILENO + 1);
	syscall(SYS_close_range, STDERR_FILENO + 2, ~0u, 0u);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		close(fd);
	(void)!chdir("/");
	while (read(from, &none, 1) < 0 && errno == EINTR)
		;
	remove_folder(folder);
	_exit(0);
}

/* Nobody's child, before other threads are there. Its pipe is closed when the
 * process is gone, however that came. */
static int
start_sweeper(struct dev_servers *d, struct err *reterr)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(reterr, ERR_IO, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			sweep(fds[0], d->folder);
		_exit(0);
	}
	close(fds[0]);
	d->sweeper = fds[1];
	if (pid < 0)
		return err_set(reterr, ERR_IO, "cannot fork: %s", strerror(errno));
	waitpid(pid, NULL, 0);
	return 0;
}

static int
make_folder(struct dev_servers *d, struct err *reterr)
{
	const char *tmp = getenv("TMPDIR");

	/* A socket's path must be short. */
	if (!tmp || *tmp != '/' || strlen(tmp) > PLACE_MAX)
		tmp = "/tmp";
	snprintf(d->folder, sizeof(d->folder), "%s/envdriver-dev-XXXXXX", tmp);
	if (mkdtemp(d->folder))
		return start_sweeper(d, reterr);
	d->folder[0] = '\0';
	return err_set(reterr, ERR_IO, "cannot create a folder in '%s': %s", tmp, strerror(errno));
}

/* --- Kafka --- */

static int
start_kafka(struct dev_servers *d, const char *prefix, struct err *reterr)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];

	/* It would warn that it has no broker, as intended. */
	rd_kafka_conf_set_log_cb(conf, NULL);
	d->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!d->host) {
		rd_kafka_conf_destroy(conf);
		return err_set(reterr, ERR_IO, "cannot start the mock cluster: %s", text);
	}
	d->cluster = rd_kafka_mock_cluster_new(d->host, 1);
	if (!d->cluster)
		return err_set(reterr, ERR_IO, "cannot start the mock cluster");
	for (int t = 0; t < TOPIC_COUNT; t++) {
		snprintf(text, sizeof(text), "%s%s", prefix, topic_name((enum topic)t));
		if (rd_kafka_mock_topic_create(d->cluster, text, PARTITIONS, 1))
			return err_set(reterr, ERR_IO, "cannot create topic '%s'", text);
	}
	return 0;
}

/* --- Redis --- */

/* Between fork and exec only async-signal-safe calls are allowed. */
static void
become_redis(char *const argv[])
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	/* Ctrl-C is for envdriver, which ends the server last. */
	setsid();
	execvp(argv[0], argv);
	_exit(127);
}

static bool
redis_answers(const struct dev_servers *d)
{
	redisContext *c = redisConnectUnix(d->socket);
	redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
	bool ok = reply && reply->type == REDIS_REPLY_STATUS;

	if (reply)
		freeReplyObject(reply);
	if (c)
		redisFree(c);
	return ok;
}

static int
wait_for_redis(struct dev_servers *d, struct err *reterr)
{
	const struct timespec pause = {0, REDIS_TRY_NS};
	int status;

	for (int i = 0; i < REDIS_TRIES; i++) {
		if (redis_answers(d))
			return 0;
		if (waitpid(d->redis, &status, WNOHANG) == d->redis) {
			d->redis = 0;
			return err_set(reterr, ERR_UNAVAILABLE,
				       "cannot run 'redis-server': is it installed and on PATH? "
				       "(Debian: apt install redis-server)");
		}
		nanosleep(&pause, NULL);
	}
	return err_set(reterr, ERR_TIMEOUT, "the private redis-server does not answer on '%s'",
		       d->socket);
}

static int
start_redis(struct dev_servers *d, struct err *reterr)
{
	char *argv[] = {(char *)"redis-server",
			(char *)"--port",
			(char *)"0",
			(char *)"--unixsocket",
			d->socket,
			(char *)"--save",
			(char *)"",
			(char *)"--appendonly",
			(char *)"yes",	/* or the worker would warn */
			(char *)"--appendfsync",
			(char *)"no",
			(char *)"--dir",
			d->folder,
			(char *)"--loglevel",
			(char *)"warning",
			NULL};

	snprintf(d->socket, sizeof(d->socket), "%s/redis.sock", d->folder);
	snprintf(d->url, sizeof(d->url), "unix://%s", d->socket);
	d->redis = fork();
	if (d->redis < 0)
		return err_set(reterr, ERR_IO, "cannot fork: %s", strerror(errno));
	if (d->redis == 0)
		become_redis(argv);
	family_expect(d->redis);
	return wait_for_redis(d, reterr);
}

/* --- both --- */

struct dev_servers *
dev_servers_start(const char *prefix, struct err *reterr)
{
	struct dev_servers *d = calloc(1, sizeof(*d));

	if (!d) {
		err_nomem(reterr);
		return NULL;
	}
	d->sweeper = -1;
	if (make_folder(d, reterr) < 0 || start_redis(d, reterr) < 0 ||
	    start_kafka(d, prefix, reterr) < 0) {
		dev_servers_stop(d);
		return NULL;
	}
	return d;
}

const char *
dev_servers_kafka(const struct dev_servers *d)
{
	return rd_kafka_mock_cluster_bootstraps(d->cluster);
}

const char *
dev_servers_redis(const struct dev_servers *d)
{
	return d->url;
}

const char *
dev_servers_folder(const struct dev_servers *d)
{
	return d->folder;
}

void
dev_servers_stop(struct dev_servers *d)
{
	if (!d)
		return;
	if (d->redis > 0) {
		kill(d->redis, SIGKILL); /* nothing in it is kept */
		waitpid(d->redis, NULL, 0);
	}
	if (d->folder[0])
		remove_folder(d->folder);
	if (d->sweeper >= 0)
		close(d->sweeper);
	if (d->cluster)
		rd_kafka_mock_cluster_destroy(d->cluster);
	if (d->host)
		rd_kafka_destroy(d->host);
	free(d);
}
