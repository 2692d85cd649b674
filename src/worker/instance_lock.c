/* SPDX-License-Identifier: Apache-2.0 */
#include "instance_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/redis_url.h"

enum { PATH_SIZE = 4096, HASH_SHOWN = 32, TRIES = 10 };

enum lock_answer { LOCK_TAKEN, LOCK_BUSY, LOCK_NO_PLACE };

static struct {
	int fd;
	char path[PATH_SIZE];
} held = { .fd = -1 };

/* Two with the same of these would be one worker. */
static int
lock_name(const struct config *c, char ret[DIGEST_HEX_SIZE], struct err *reterr)
{
	static const char *const keys[] = { "kafka.bootstrap.servers", "kafka.group.id",
					    "instance.id", "redis.prefix" };
	struct buf identity = BUF_INIT;
	struct redis_url redis;
	bool ok;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		buf_addf(&identity, "%s\n", config_str(c, keys[i]) ? config_str(c, keys[i]) : "");
	/* Nobody must be able to try passwords on a file's name. */
	if (!redis_url_parse(config_str(c, "redis.url"), &redis))
		buf_addf(&identity, "%s\n%s\n%d\n%d\n", redis.is_unix ? "" : redis.host,
			 redis.is_unix ? redis.path : "", redis.port, redis.db);
	ok = !identity.failed && digest_sha256_hex(buf_span(&identity), ret);
	buf_release(&identity);
	return ok ? 0 : err_nomem(reterr);
}

/* Somebody else's file, or what is no file, is no lock of ours. */
static bool
is_ours(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	errno = EPERM;
	return S_ISREG(st.st_mode) && st.st_uid == geteuid();
}

/* Its last holder may have taken it away meanwhile. */
static bool
is_still_there(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

/* errno says why there is no place. */
static enum lock_answer
take_at(const char *path)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		int why;

		if (fd < 0)
			return LOCK_NO_PLACE;
		if (!is_ours(fd) || flock(fd, LOCK_EX | LOCK_NB) < 0) {
			why = errno;
			close(fd);
			errno = why;
			return why == EWOULDBLOCK ? LOCK_BUSY : LOCK_NO_PLACE;
		}
		if (is_still_there(fd, path)) {
			held.fd = fd;
			return LOCK_TAKEN;
		}
		close(fd);
	}
	errno = EBUSY;
	return LOCK_NO_PLACE;
}

static enum lock_answer
take_in(const char *dir, const char *name)
{
	/* $RUNTIME_DIRECTORY may list several. */
	int len = dir ? (int)strcspn(dir, ":") : 0;

	errno = ENOENT;
	if (len == 0 || *dir != '/' ||
	    snprintf(held.path, sizeof(held.path), "%.*s/envdriver-%.*s.lock", len, dir, HASH_SHOWN,
		     name) >= (int)sizeof(held.path))
		return LOCK_NO_PLACE;
	return take_at(held.path);
}

int
instance_lock_take(const struct config *config, struct err *reterr)
{
	const char *const places[] = { config_str(config, "lock.dir"), getenv("RUNTIME_DIRECTORY"),
				       "/run/envdriver", getenv("XDG_RUNTIME_DIR"), "/run/lock",
				       "/tmp" };
	char name[DIGEST_HEX_SIZE];

	if (lock_name(config, name, reterr) < 0)
		return reterr->code;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		switch (take_in(places[i], name)) {
		case LOCK_TAKEN:
			return 0;
		case LOCK_BUSY:
			return err_set(reterr, ERR_CONFIG,
				       "another worker on this host runs as '%s' (lock '%s'); "
				       "give this one its own instance.id",
				       config_str(config, "instance.id"), held.path);
		case LOCK_NO_PLACE:
			if (i == 0 && places[i])
				log_warn("lock.dir: no lock can be made in '%s': %s", places[i],
					 strerror(errno));
			break;
		}
	}
	log_warn("no place for a lock, so nothing on this host sees a second worker that runs as "
		 "'%s' (Kafka and Redis do); lock.dir names one",
		 config_str(config, "instance.id"));
	return 0;
}

void
instance_lock_free(void)
{
	if (held.fd < 0)
		return;
	/* While it is held: nobody else can hold it then. */
	(void)unlink(held.path);
	close(held.fd);
	held.fd = -1;
}
