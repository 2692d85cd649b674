/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/secret_source.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/utf8.h"
#include "secret_file.h"

#define SECRET_VARIABLE "ENVDRIVER_SECRET_"

enum { VARIABLE_MAX = sizeof(SECRET_VARIABLE) + 2 * SECRET_NAME_MAX + 2 };

/* One secret that is looked for. Texts end with a NUL. */
struct wanted {
	const char *company, *id;
	struct buf *out;
};

/* --- the sources --- */

static int
read_from_dir(const struct secret_source *s, const struct wanted *w, struct err *reterr)
{
	return secret_file_read(s->dir, w->company, w->id, w->out, reterr);
}

/* The first '_' behind the prefix ends the company: one with a '_' of its own
 * could be taken for another one, and has nothing here. */
static int
read_from_credentials(const struct secret_source *s, const struct wanted *w, struct err *reterr)
{
	char name[SECRET_NAME_MAX + 1];
	int len;

	if (strchr(w->company, '_'))
		return ERR_NOTFOUND;
	len = snprintf(name, sizeof(name), "secrets_%s_%s", w->company, w->id);
	if (len >= (int)sizeof(name))
		return ERR_NOTFOUND;
	return secret_file_read(s->credentials, /* folder= */ NULL, name, w->out, reterr);
}

/* Appends the name in capitals; false for one that another name could be taken
 * for: what is not of a-z, 0-9 and single '-' inside. */
static bool
add_variable_part(char **at, const char *name)
{
	for (const char *p = name; *p; p++) {
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
			return false;
		if (*p == '-' && (p == name || p[1] == '-' || p[1] == '\0'))
			return false;
		*(*at)++ = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	}
	return true;
}

static int
read_from_env(const struct secret_source *s, const struct wanted *w, struct err *reterr)
{
	char name[VARIABLE_MAX + 1] = SECRET_VARIABLE, *at = name + strlen(name);
	struct span value;

	(void)reterr;
	if (!add_variable_part(&at, w->company))
		return ERR_NOTFOUND;
	*at++ = '_';
	*at++ = '_';
	if (!add_variable_part(&at, w->id))
		return ERR_NOTFOUND;
	*at++ = '=';
	*at = '\0';
	for (char *const *e = s->env; *e; e++) {
		if (strncmp(*e, name, (size_t)(at - name)) != 0)
			continue;
		value = span_of(*e + (at - name));
		buf_reserve(w->out, value.len + 1);
		buf_addspan(w->out, value);
		return w->out->failed ? err_nomem(reterr) : 0;
	}
	return ERR_NOTFOUND;
}

static bool
has_dir(const struct secret_source *s)
{
	return s->dir;
}

static bool
has_credentials(const struct secret_source *s)
{
	return s->credentials;
}

static bool
has_env(const struct secret_source *s)
{
	return s->env;
}

/* In the order in which they are asked. */
static const struct source {
	const char *name;
	bool (*is_on)(const struct secret_source *s);
	/* Appends the value; ERR_NOTFOUND without a text: ask the next one. */
	int (*read)(const struct secret_source *s, const struct wanted *w, struct err *reterr);
} sources[] = {
	{ "secrets.dir", has_dir, read_from_dir },
	{ "$CREDENTIALS_DIRECTORY", has_credentials, read_from_credentials },
	{ "the worker's environment", has_env, read_from_env },
};

/* --- one secret --- */

/* As the name of a file. */
static int
take_name(char into[SECRET_NAME_MAX + 1], const char *what, struct span name, struct err *reterr)
{
	const char *p = name.ptr, *end = p + name.len;

	if (name.len == 0)
		return err_set(reterr, ERR_INVALID, "%s is empty", what);
	if (name.len > SECRET_NAME_MAX)
		return err_set(reterr, ERR_INVALID, "%s is longer than %d bytes", what,
			       SECRET_NAME_MAX);
	if (*p == '.')
		return err_set(reterr, ERR_INVALID, "%s begins with a dot", what);
	for (int len; p < end; p += len) {
		len = utf8_step(p, end);
		if (len < 0 || *p == '/' || utf8_is_hidden(p, len))
			return err_set(reterr, ERR_INVALID,
				       "%s has a '/' or a character that cannot be seen", what);
	}
	memcpy(into, name.ptr, name.len);
	into[name.len] = '\0';
	return 0;
}

/* What was appended since `from` is a value that can be used; cuts one line
 * break off its end. */
static int
check_secret(struct buf *out, size_t from, const char *source, struct err *reterr)
{
	const char *value = out->data + from;
	size_t len = out->len - from;

	if (len && value[len - 1] == '\n')
		len -= len > 1 && value[len - 2] == '\r' ? 2 : 1;
	out->len = from + len;
	out->data[out->len] = '\0';
	if (len > SECRET_MAX)
		return err_set(reterr, ERR_INVALID, "%s has more than %d bytes for it", source,
			       SECRET_MAX);
	if (len < SECRET_MIN)
		return err_set(reterr, ERR_INVALID, "%s has %zu bytes for it; fewer than %d cannot "
			       "be masked in results", source, len, SECRET_MIN);
	if (memchr(value, '\0', len) || utf8_find_bad(value, value + len) != value + len)
		return err_set(reterr, ERR_INVALID, "what %s has for it is not text (UTF-8 "
			       "without NUL)", source);
	return 0;
}

static int
not_found(const struct secret_source *s, const char *company, struct err *reterr)
{
	char asked[200] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		if (sources[i].is_on(s))
			len += (size_t)snprintf(asked + len, sizeof(asked) - len, "%s%s",
						len ? ", " : "", sources[i].name);
	if (!len)
		return err_set(reterr, ERR_NOTFOUND, "this worker has no source of secrets; set "
			       "secrets.dir");
	return err_set(reterr, ERR_NOTFOUND, "not found for company \"%s\" (asked: %s)", company,
		       asked);
}

int
secret_source_read(const struct secret_source *s, struct span company, struct span id,
		   struct buf *out, struct err *reterr)
{
	char company_name[SECRET_NAME_MAX + 1], id_name[SECRET_NAME_MAX + 1];
	struct wanted w = { company_name, id_name, out };
	size_t from = out->len;
	int ret;

	if (company.len == 0)
		return err_set(reterr, ERR_INVALID, "no company is named, and each secret belongs "
			       "to one");
	ret = take_name(id_name, "its id", id, reterr);
	if (ret == 0)
		ret = take_name(company_name, "the company's id", company, reterr);
	for (size_t i = 0; ret == 0 && i < sizeof(sources) / sizeof(*sources); i++) {
		if (!sources[i].is_on(s))
			continue;
		ret = sources[i].read(s, &w, reterr);
		if (ret == 0)
			return check_secret(out, from, sources[i].name, reterr);
		if (ret == ERR_NOTFOUND)
			ret = 0;
	}
	return ret < 0 ? ret : not_found(s, company_name, reterr);
}
