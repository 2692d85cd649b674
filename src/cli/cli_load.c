/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_load: the configuration and files that a command line names. It stands
 * above cli.c, which only reads the command line.
 */
#include "envdriver/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/service_link.h"

enum { READ_SIZE = 64 * 1024 };

int
cli_read(const char *path, size_t max, struct buf *out, struct err *reterr)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd;
	int ret = 0;

	while (n >= 0) {
		if (!buf_reserve(out, READ_SIZE)) {
			ret = err_nomem(reterr);
			break;
		}
		n = read(fd, out->data + out->len, READ_SIZE);
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n > 0)
			out->len += (size_t)n;
		out->data[out->len] = '\0';
		if (out->len > max) {
			ret = err_set(reterr, ERR_LIMIT, "'%s' is larger than %zu bytes", path,
				      max);
			break;
		}
	}
	if (n < 0)
		ret = err_set(reterr, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
	if (fd >= 0 && !standard)
		close(fd);
	return ret;
}

static void
on_config_error(void *arg, const char *text)
{
	cli_complain(arg, "%s", text);
}

/* Files, then variables, then -X: the last value wins. All errors are told, the
 * last one is returned. */
static int
load_sources(const struct cli *cli, struct config *config, char *const envp[], struct err *reterr)
{
	const char *from = getenv("ENVDRIVER_CONFIG"), *value;
	struct err pending = { 0 }, err = { 0 };

	config_go_on(config, on_config_error, (void *)cli);
	if (!cli_has(cli, "config-file") && from && *from &&
	    config_load_file(config, from, &err) < 0)
		(void)config_keep_error(config, &pending, &err);
	for (size_t i = 0; (value = cli_flag_at(cli, "config-file", i)); i++)
		if (config_load_file(config, value, &err) < 0)
			(void)config_keep_error(config, &pending, &err);
	if (config_load_env(config, envp, &err) < 0)
		(void)config_keep_error(config, &pending, &err);
	for (size_t i = 0; (value = cli_flag_at(cli, "set", i)); i++)
		if (config_set_pair(config, value, "-X", &err) < 0)
			(void)config_keep_error(config, &pending, &err);
	if (config_check(config, &err) < 0)
		(void)config_keep_error(config, &pending, &err);
	config_go_on(config, NULL, NULL);
	if (pending.code && reterr)
		*reterr = pending;
	return pending.code;
}

static bool
is_default(const struct config *config, const char *key)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(config, i, &e); i++)
		if (strcmp(e.key, key) == 0)
			return strcmp(e.where, "default") == 0;
	return false;
}

static void
set_up_log(const struct cli *cli, const struct config *config)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	const char *format = config_str(config, "log.format");
	bool service = cli_found(cli)->service, json;
	int level = LOG_LEVEL_ERROR;

	while (strcmp(levels[level], config_str(config, "log.level")) != 0)
		level++;
	if (!service && is_default(config, "log.level"))
		level = LOG_LEVEL_WARN;
	if (cli_has(cli, "verbose"))
		level = LOG_LEVEL_DEBUG;
	if (cli_has(cli, "quiet"))
		level = LOG_LEVEL_ERROR;
	json = strcmp(format, "json") == 0 ||
	       (strcmp(format, "auto") == 0 && service && !isatty(STDERR_FILENO));
	log_setup((enum log_level)level, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

/* They are no keys, and somebody may have meant one. */
static void
say_service_links(char *const envp[])
{
	const char *first;
	size_t n = service_link_count(envp, "ENVDRIVER_", &first);

	if (n)
		log_warn("ignored %.*s%s: Kubernetes sets such variables for a Service "
			 "(enableServiceLinks: false leaves them out)",
			 (int)strcspn(first, "="), first, n > 1 ? " and its like" : "");
}

struct config *
cli_load(const struct cli *cli, char *const envp[], struct err *reterr)
{
	struct config *config = config_new(reterr);

	if (!config)
		return NULL;
	if (load_sources(cli, config, envp, reterr) < 0) {
		config_free(config);
		return NULL;
	}
	set_up_log(cli, config);
	say_service_links(envp);
	return config;
}

int
cli_configure(struct cli *cli, char *const envp[], struct err *reterr)
{
	struct config *config = cli_load(cli, envp, reterr);

	if (!config)
		return ERR_CONFIG;
	cli_take_config(cli, &config);
	return 0;
}
