/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_load: files and variables into a configuration, and the check of the
 * whole. Apart from config.c, which does no input.
 */
#include "envdriver/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/base/findings.h"
#include "envdriver/base/service_link.h"

#define VARIABLE "ENVDRIVER_"

enum { FILE_MAX = 1024 * 1024, READ_SIZE = 64 * 1024, PAIRS = 3 };

static int
read_file(const char *path, struct buf *out, struct err *reterr)
{
	int fd, ret = 0;
	ssize_t n = 1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(reterr, ERR_CONFIG, "cannot open '%s': %s", path, strerror(errno));
	while (n != 0) {
		if (!buf_reserve(out, READ_SIZE)) {
			ret = err_nomem(reterr);
			goto out;
		}
		n = read(fd, out->data + out->len, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ret = err_set(reterr, ERR_CONFIG, "cannot read '%s': %s", path,
				      strerror(errno));
			goto out;
		}
		out->len += (size_t)n;
		if (out->len > FILE_MAX) {
			ret = err_set(reterr, ERR_CONFIG,
				      "'%s' is larger than %d bytes: is it a configuration?", path,
				      FILE_MAX);
			goto out;
		}
	}
	out->data[out->len] = '\0';
out:
	close(fd);
	return ret;
}

static char *
trim(char *p)
{
	char *end = p + strlen(p);

	while (isspace((unsigned char)*p))
		p++;
	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return p;
}

/* Cuts `line` in place. */
static int
load_line(struct config *c, char *line, const char *where, struct err *reterr)
{
	char *key = trim(line), *eq;

	if (*key == '\0' || *key == '#')
		return 0;
	eq = strchr(key, '=');
	if (!eq || eq == key)
		return err_set(reterr, ERR_CONFIG, "%s: expected key = value, or # and a comment",
			       where);
	*eq = '\0';
	return config_set(c, trim(key), trim(eq + 1), where, reterr);
}

static int
end_load(const struct err *pending, struct err *reterr)
{
	if (pending->code && reterr)
		*reterr = *pending;
	return pending->code;
}

int
config_load_file(struct config *c, const char *path, struct err *reterr)
{
	struct buf text = BUF_INIT, where = BUF_INIT;
	struct err pending = { 0 }, err = { 0 };
	char *line, *end;
	unsigned n = 0;
	int ret;

	ret = read_file(path, &text, reterr);
	if (ret < 0)
		goto out;
	line = text.data;
	if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3;	/* an editor's byte order mark */
	for (; line < text.data + text.len; line = end + 1) {
		buf_reset(&where);
		buf_addf(&where, "%s:%u", path, ++n);
		if (where.failed) {
			ret = err_nomem(reterr);
			goto out;
		}
		end = memchr(line, '\n', (size_t)(text.data + text.len - line));
		end = end ? end : text.data + text.len;
		*end = '\0';
		if (strlen(line) != (size_t)(end - line)) {
			ret = err_set(reterr, ERR_CONFIG, "%s: NUL byte", where.data);
			goto out;
		}
		if (load_line(c, line, where.data, &err) < 0 &&
		    !config_keep_error(c, &pending, &err))
			break;
	}
	ret = end_load(&pending, reterr);
out:
	buf_release(&text);
	buf_release(&where);
	return ret;
}

static bool
is_other(const char *name)
{
	static const char crash[] = "ENVDRIVER_CRASH_";	/* crash.h */
	static const char secret[] = "ENVDRIVER_SECRET_";	/* secret_source.h */

	return strcmp(name, "ENVDRIVER_CONFIG") == 0 ||
	       (strncmp(name, secret, sizeof(secret) - 1) == 0 && strstr(name, "__")) ||
	       strncmp(name, crash, sizeof(crash) - 1) == 0;
}

static int
load_variable(struct config *c, const char *variable, struct err *reterr)
{
	const char *eq = strchr(variable, '=');
	struct buf name = BUF_INIT, key = BUF_INIT;
	int ret = 0;

	if (!eq)
		return 0;
	buf_add(&name, variable, (size_t)(eq - variable));
	for (const char *p = variable + strlen(VARIABLE); p < eq; p++)
		buf_addch(&key, *p == '_' ? '.' : (char)tolower((unsigned char)*p));
	buf_addch(&key, '\0');
	if (name.failed || key.failed)
		ret = err_nomem(reterr);
	else if (!is_other(name.data))
		ret = config_set(c, key.data, eq + 1, name.data, reterr);
	buf_release(&name);
	buf_release(&key);
	return ret;
}

int
config_load_env(struct config *c, char *const envp[], struct err *reterr)
{
	struct err pending = { 0 }, err = { 0 };

	for (; *envp; envp++)
		if (strncmp(*envp, VARIABLE, strlen(VARIABLE)) == 0 && !service_link_is(*envp) &&
		    load_variable(c, *envp, &err) < 0 && !config_keep_error(c, &pending, &err))
			break;
	return end_load(&pending, reterr);
}

static bool
is_loopback(const char *listen)
{
	const char *colon = strrchr(listen, ':');

	return findings_is_loopback(listen, (int)(colon ? (size_t)(colon - listen)
							: strlen(listen)));
}

/* What is wrong with values that depend on each other, one after another. */
static int
check_pair(const struct config *c, int which, struct err *reterr)
{
	const char *listen = config_str(c, "http.listen");

	if (which == 0 && listen && !is_loopback(listen) && !config_str(c, "http.token.file"))
		return err_set(reterr, ERR_CONFIG,
			       "http.listen: %s can be reached from other hosts; set "
			       "http.token.file, or listen on 127.0.0.1", listen);
	if (which == 1 && config_int(c, "command.max.bytes") > config_int(c, "in.flight.max.bytes"))
		return err_set(reterr, ERR_CONFIG,
			       "command.max.bytes is larger than in.flight.max.bytes: such a "
			       "command could never be taken");
	if (which == 2 &&
	    config_int(c, "commit.interval") > config_int(c, "transaction.timeout") / 2)
		return err_set(reterr, ERR_CONFIG,
			       "commit.interval is longer than half of transaction.timeout");
	return 0;
}

int
config_check(const struct config *c, struct err *reterr)
{
	struct err pending = { 0 }, err = { 0 };

	for (int i = 0; i < PAIRS; i++)
		if (check_pair(c, i, &err) < 0 && !config_keep_error(c, &pending, &err))
			break;
	return end_load(&pending, reterr);
}
