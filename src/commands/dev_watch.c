/* SPDX-License-Identifier: Apache-2.0 */
#include "dev_watch.h"

#include <fts.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/manifest.h"

enum { LOOK_MS = 500, FILES_MAX = 20000 };

struct watched {
	char *id, *dir;
	uint64_t taken, seen;	/* how its files looked: when it was started, and just now */
};

struct dev_watch {
	const struct config *config;
	struct watched *folders;
	size_t n;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool started, over;	/* `over` under the lock */
};

/* How the files look */

static bool
has_ending(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static bool
passed_over(const FTSENT *e)
{
	return e->fts_level > 0 &&
	       (e->fts_name[0] == '.' || strcmp(e->fts_name, "node_modules") == 0 ||
		strcmp(e->fts_name, "__pycache__") == 0 || has_ending(e->fts_name, ".pyc") ||
		has_ending(e->fts_name, ".log") || has_ending(e->fts_name, "~"));
}

/* In any order: the files' own hashes are added up. */
static uint64_t
look_of(const struct watched *f)
{
	char *paths[] = { f->dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t sum = 0;
	size_t n = 0;
	FTSENT *e;

	while (fts && n < FILES_MAX && (e = fts_read(fts))) {
		const struct stat *st = e->fts_statp;
		const uint64_t facts[] = {
			(uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)st->st_mode,
			(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
		};

		if (passed_over(e)) {
			fts_set(fts, e, FTS_SKIP);
		} else if (e->fts_info == FTS_F || e->fts_info == FTS_SL) {
			n++;
			sum += span_hash(span_of(e->fts_path)) ^
			       span_hash((struct span){ (const char *)facts, sizeof(facts) });
		}
	}
	if (fts)
		fts_close(fts);
	return sum;
}

/* Starting it anew */

static int
read_again(const struct watched *f, struct buf *ret_manifest, struct err *reterr)
{
	struct jtext manifest;
	int ret = manifest_read(f->dir, ret_manifest, &manifest, reterr);

	if (ret == 0)
		ret = manifest_check(manifest, reterr);
	if (ret == 0 && !jtext_is(jtext_get(manifest, "id"), f->id))
		ret = err_set(reterr, ERR_INVALID, "its manifest has another id now; start "
			      "`envdriver dev` again");
	return ret;
}

static void
start_anew(const struct dev_watch *w, const struct watched *f)
{
	struct err err = { 0 };
	struct buf manifest = BUF_INIT;
	struct cli_redis *redis = NULL;
	redisReply *reply = NULL;
	char now[CLOCK_TEXT_MAX], look[24];

	snprintf(look, sizeof(look), "%016llx", (unsigned long long)f->seen);
	if (read_again(f, &manifest, &err) == 0)
		redis = cli_redis_new(w->config, &err);
	if (redis)
		reply = cli_redis_do(redis, &err, "HSET %splugin:%s manifest %b generation %s "
				     "updatedAt %s", cli_redis_prefix(redis), f->id, manifest.data,
				     manifest.len, look, clock_text(clock_wall_ms(), now));
	if (reply)
		log_warn("plugin %s: its files have changed; it is started anew", f->id);
	else
		log_warn("plugin %s: its files have changed, and it stays as it is: %s", f->id,
			 err.text);
	if (reply)
		freeReplyObject(reply);
	cli_redis_free(redis);
	buf_release(&manifest);
}

static void
look_at_folder(struct dev_watch *w, struct watched *f)
{
	uint64_t now = look_of(f);

	if (now != f->seen) {
		f->seen = now;	/* still being written, perhaps */
	} else if (now != f->taken) {
		start_anew(w, f);
		f->taken = now;
	}
}

/* The thread */

static bool
wait_for_look(struct dev_watch *w)
{
	struct timespec at;
	bool over;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += LOOK_MS * 1000000L;
	at.tv_sec += at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&w->lock);
	if (!w->over)
		pthread_cond_timedwait(&w->cond, &w->lock, &at);
	over = w->over;
	pthread_mutex_unlock(&w->lock);
	return !over;
}

static void *
run_dev_watch(void *arg)
{
	struct dev_watch *w = arg;

	while (wait_for_look(w))
		for (size_t i = 0; i < w->n; i++)
			look_at_folder(w, &w->folders[i]);
	return NULL;
}

int
dev_watch_start(struct dev_watch *w, struct err *reterr)
{
	sigset_t all, before;
	int rc;

	for (size_t i = 0; i < w->n; i++)
		w->folders[i].taken = w->folders[i].seen = look_of(&w->folders[i]);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&w->thread, NULL, run_dev_watch, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = rc == 0;
	return rc == 0 ? 0 : err_set(reterr, ERR_IO, "cannot start a thread: %s", strerror(rc));
}

struct dev_watch *
dev_watch_new(const struct config *config, struct err *reterr)
{
	struct dev_watch *w = calloc(1, sizeof(*w));

	if (!w) {
		err_nomem(reterr);
		return NULL;
	}
	w->config = config;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	return w;
}

int
dev_watch_add(struct dev_watch *w, const char *id, const char *dir, struct err *reterr)
{
	struct watched *more = realloc(w->folders, (w->n + 1) * sizeof(*more));
	struct watched *f;

	if (!more)
		return err_nomem(reterr);
	w->folders = more;
	f = &more[w->n];
	*f = (struct watched){ .id = strdup(id), .dir = strdup(dir) };
	if (f->id && f->dir) {
		w->n++;
		return 0;
	}
	free(f->id);
	free(f->dir);
	return err_nomem(reterr);
}

void
dev_watch_free(struct dev_watch *w)
{
	if (!w)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->over = true;
		pthread_cond_signal(&w->cond);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	for (size_t i = 0; i < w->n; i++) {
		free(w->folders[i].id);
		free(w->folders[i].dir);
	}
	free(w->folders);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
