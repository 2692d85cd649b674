/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/findings.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/redis_url.h"

enum { TEXT_SIZE = 600, PATH_SIZE = 4097, HOST_SIZE = 256 };

static void
give_line(void (*fn)(void *arg, const char *text), void *arg, const char *fmt, va_list ap)
{
	char text[TEXT_SIZE];

	if (!fn)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	fn(arg, text);
}

void
findings_add(const struct findings *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	give_line(f->found, f->arg, fmt, ap);
	va_end(ap);
}

void
findings_note(const struct findings *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	give_line(f->noted, f->arg, fmt, ap);
	va_end(ap);
}

/* Where the key was set; "default" when it is unknown. */
static const char *
where_set(const struct config *c, const char *key)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(c, i, &e); i++)
		if (strcmp(e.key, key) == 0)
			return e.where;
	return "default";
}

/* --- passwords in clear text --- */

bool
findings_is_loopback(const char *host, int len)
{
	char name[HOST_SIZE];
	struct in_addr four;
	struct in6_addr six;

	if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len <= 0 || len >= HOST_SIZE)
		return false;
	snprintf(name, sizeof(name), "%.*s", len, host);
	if (inet_pton(AF_INET, name, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, name, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcasecmp(name, "localhost") == 0;
}

/* The length of the host at the start of "host:port", "[::1]:port", "host/". */
static int
host_length(const char *address)
{
	const char *end = *address == '[' ? strchr(address, ']') : NULL;

	return end ? (int)(end + 1 - address) : (int)strcspn(address, ":/,? ");
}

static void
judge_redis(const struct config *c, const struct findings *f)
{
	struct redis_url url;

	if (redis_url_parse(config_str(c, "redis.url"), &url) || url.is_unix || !url.password[0] ||
	    findings_is_loopback(url.host, (int)strlen(url.host)))
		return;
	findings_add(f, "%s: redis.url: the password goes to '%s' in clear text; use a unix "
		     "socket, or a TLS tunnel that listens on 127.0.0.1",
		     where_set(c, "redis.url"), url.host);
}

static void
judge_kafka(const struct config *c, const struct findings *f)
{
	const char *protocol = config_dynamic(c, "kafka.security.protocol");
	const char *p = config_str(c, "kafka.bootstrap.servers");

	if (!protocol || strcasecmp(protocol, "SASL_PLAINTEXT") != 0)
		return;
	while (p && *p) {
		const char *scheme = strstr(p, "://");
		size_t len = strcspn(p, ",");

		if (scheme && scheme < p + len) {
			len -= (size_t)(scheme + 3 - p);
			p = scheme + 3;
		}
		if (!findings_is_loopback(p, host_length(p))) {
			findings_add(f, "%s: kafka.security.protocol: SASL_PLAINTEXT sends the "
				     "login to '%.*s' in clear text; set SASL_SSL",
				     where_set(c, "kafka.security.protocol"), host_length(p), p);
			return;
		}
		p += len + strspn(p + len, ", ");
	}
}

/* An http:// URL; `always`: what is sent is secret though the URL holds none. */
static void
judge_url(const struct config *c, const char *key, const char *url, bool always,
	  const struct findings *f)
{
	const char *host, *at;

	if (!url || strncasecmp(url, "http://", 7) != 0)
		return;
	at = strrchr(url + 7, '@');
	host = at ? at + 1 : url + 7;
	if ((at || always) && !findings_is_loopback(host, host_length(host)))
		findings_add(f, "%s: %s: the password goes to '%.*s' in clear text; use https://",
			     where_set(c, key), key, host_length(host), host);
}

/* --- modes --- */

/* Whether others than the owner and the user's own group may write. */
static bool
is_open_to_writers(const struct stat *st)
{
	return (st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && st->st_gid != getegid());
}

static void
judge_folders(const struct config *c, const struct findings *f)
{
	const char *dirs = config_str(c, "plugin.dirs"), *where = where_set(c, "plugin.dirs");
	bool by_default = strcmp(where, "default") == 0, some = false;
	struct stat st;

	while (*dirs) {
		size_t len = strcspn(dirs, ":");
		char dir[PATH_SIZE];
		bool is_folder;

		snprintf(dir, sizeof(dir), "%.*s", (int)len, dirs);
		is_folder = stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
		some |= is_folder;
		if (!is_folder && !by_default)
			findings_add(f, "%s: plugin.dirs: '%s' is not a folder on this host; "
				     "create it, or take it out", where, dir);
		else if (is_folder && is_open_to_writers(&st))
			findings_add(f, "%s: plugin.dirs: '%s' can be written by others, who "
				     "could replace plugins; chmod go-w", where, dir);
		dirs += len + (dirs[len] == ':');
	}
	if (!some && by_default)
		findings_add(f, "plugin.dirs: none of its folders (%s) is on this host; set "
			     "plugin.dirs", config_str(c, "plugin.dirs"));
}

/* `key` names the file. */
static void
judge_secret_file(const char *where, const char *key, const char *path, const struct findings *f)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		findings_add(f, "%s: %s: cannot read '%s'", where, key, path);
	else if (st.st_mode & (S_IRWXO | S_IWGRP))
		findings_add(f, "%s: %s: '%s' is open to others; chmod o-rwx,g-w", where, key,
			     path);
}

static void
judge_secrets_dir(const struct config *c, const struct findings *f)
{
	const char *dir = config_str(c, "secrets.dir"), *where = where_set(c, "secrets.dir");
	struct stat st;

	if (dir && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)))
		findings_add(f, "%s: secrets.dir: '%s' is not a folder on this host", where, dir);
	else if (dir && (st.st_mode & (S_IRWXO | S_IWGRP)))
		findings_add(f, "%s: secrets.dir: '%s' is open to others; chmod o-rwx,g-w", where,
			     dir);
}

static bool
is_shown_masked(const struct config_entry *e)
{
	struct buf shown = BUF_INIT;
	bool ret;

	if (!e->value)
		return false;
	config_add_shown(&shown, e->key, e->value);
	ret = shown.data && strcmp(shown.data, e->value) != 0;
	buf_release(&shown);
	return ret;
}

/* The configuration files that hold a secret, each once. */
static void
judge_sources(const struct config *c, const struct findings *f)
{
	char path[PATH_SIZE], last[PATH_SIZE] = "";
	struct config_entry e;
	struct stat st;

	for (size_t i = 0; config_entry(c, i, &e); i++) {
		const char *colon = strrchr(e.where, ':');

		if (!colon || !is_shown_masked(&e))
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)(colon - e.where), e.where);
		if (strcmp(path, last) == 0 || stat(path, &st) < 0 ||
		    !(st.st_mode & (S_IRWXO | S_IWGRP)))
			continue;
		strcpy(last, path);
		findings_add(f, "%s: %s: '%s' holds a secret and is open to others; chmod "
			     "o-rwx,g-w", e.where, e.key, path);
	}
}

void
findings_of_config(const struct config *c, const struct findings *f)
{
	static const char *const private_keys[] = { "kafka.ssl.key.location",
						    "kafka.ssl.keystore.location" };
	static const char endpoint[] = "kafka.sasl.oauthbearer.token.endpoint.url";
	const char *token = config_str(c, "http.token.file");

	for (size_t i = 0; config_gone[i]; i++)
		if (config_gone_where(c, i))
			findings_add(f, "%s: %s does nothing; a later version will refuse it: "
				     "take it out", config_gone_where(c, i), config_gone[i]);
	if (token && !config_str(c, "http.listen"))
		findings_add(f, "%s: http.token.file does nothing without http.listen",
			     where_set(c, "http.token.file"));
	judge_redis(c, f);
	judge_kafka(c, f);
	judge_url(c, "schema.registry.url", config_str(c, "schema.registry.url"), false, f);
	judge_url(c, endpoint, config_dynamic(c, endpoint), true, f);
	judge_folders(c, f);
	judge_sources(c, f);
	judge_secrets_dir(c, f);
	if (token)
		judge_secret_file(where_set(c, "http.token.file"), "http.token.file", token, f);
	for (size_t i = 0; i < sizeof(private_keys) / sizeof(*private_keys); i++)
		if (config_dynamic(c, private_keys[i]))
			judge_secret_file(where_set(c, private_keys[i]), private_keys[i],
					  config_dynamic(c, private_keys[i]), f);
}
