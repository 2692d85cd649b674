/* SPDX-License-Identifier: Apache-2.0 */
#include "sync_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command_check.h"
#include "envdriver/command/command.h"

enum { MODE_MAX = 07777 };

/* Where a check is, and whom it tells. */
struct place {
	struct reject *reject;
	char path[sizeof(((struct reject *)0)->field)];
};

enum member_kind {
	MEMBER_ID,		/* a string of 1 to OPERATION_ID_MAX bytes */
	MEMBER_TEXT,		/* a string that is not empty */
	MEMBER_PATH,		/* a string that starts with '/' */
	MEMBER_MODE,		/* 0 to 07777 */
	MEMBER_MS,		/* an integer > 0 */
	MEMBER_BOOL,
	MEMBER_TEXTS,		/* an array of strings */
	MEMBER_WORD,		/* one of `words` */
};

struct member {
	const char *name;
	enum member_kind kind;
	bool required;		/* else it may be missing, or null */
	const char *words[3];
};

static const struct member of_file[] = {
	{ "sourcePath", MEMBER_PATH, true, { NULL } },
	{ "targetPath", MEMBER_PATH, true, { NULL } },
	{ "kind", MEMBER_WORD, true, { "file", "directory" } },
	{ "mode", MEMBER_MODE, false, { NULL } },
	{ "exclude", MEMBER_TEXTS, false, { NULL } },
	{ "followSymlinks", MEMBER_BOOL, false, { NULL } },
	{ "access", MEMBER_WORD, false, { "rw", "ro" } },
	{ "writablePath", MEMBER_PATH, false, { NULL } },
};

static const struct member of_command[] = {
	{ "command", MEMBER_TEXT, true, { NULL } },
	{ "cwd", MEMBER_PATH, false, { NULL } },
	{ "timeoutMs", MEMBER_MS, false, { NULL } },
};

static const struct member of_operation[] = {
	{ "operationId", MEMBER_ID, true, { NULL } },
};

#define LIST(members) members, sizeof(members) / sizeof(members[0])

/* `name` (may be "") is the member that is wrong. */
static bool sync_refuse(const struct place *at, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool
sync_refuse(const struct place *at, const char *name, const char *fmt, ...)
{
	char field[sizeof(at->path) + 32], why[200];
	va_list ap;

	snprintf(field, sizeof(field), "%s%s%s", at->path, *name ? "." : "", name);
	field[sizeof(at->path) - 1] = '\0';
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	command_reject(at->reject, REJECT_INVALID, field, "%s: %s", field, why);
	return false;
}

static bool
sync_expect(const struct place *at, const char *name, enum jtext_kind wanted, struct jtext value)
{
	if (value.kind == wanted)
		return true;
	return sync_refuse(at, name, "expected %s, got %s", jtext_kind_name(wanted),
		      jtext_kind_name(value.kind));
}

static bool
sync_text(const struct place *at, const struct member *m, struct jtext value)
{
	struct buf text = BUF_INIT;
	bool ok = sync_expect(at, m->name, JTEXT_STRING, value);

	if (!ok)
		return false;
	jtext_decode(value, &text, /* ret_replaced= */ NULL);
	if (text.failed)
		ok = sync_refuse(at, m->name, "out of memory");
	else if (!text.len)
		ok = sync_refuse(at, m->name, "must not be empty");
	else if (memchr(text.data, '\0', text.len))
		ok = sync_refuse(at, m->name, "must not contain NUL");
	else if (m->kind == MEMBER_PATH && text.data[0] != '/')
		ok = sync_refuse(at, m->name, "must start with '/'");
	else if (m->kind == MEMBER_ID && text.len > OPERATION_ID_MAX)
		ok = sync_refuse(at, m->name, "%zu bytes, at most %d are allowed", text.len,
			    OPERATION_ID_MAX);
	buf_release(&text);
	return ok;
}

static bool
sync_number(const struct place *at, const struct member *m, struct jtext value, int64_t min,
	     int64_t max)
{
	int64_t n;

	if (!sync_expect(at, m->name, JTEXT_NUMBER, value))
		return false;
	if (jtext_int(value, &n) && n >= min && n <= max)
		return true;
	return sync_refuse(at, m->name, "expected an integer from %" PRId64 " to %" PRId64, min,
			   max);
}

static bool
sync_word(const struct place *at, const struct member *m, struct jtext value)
{
	size_t i;

	if (!sync_expect(at, m->name, JTEXT_STRING, value))
		return false;
	for (i = 0; m->words[i]; i++)
		if (jtext_is(value, m->words[i]))
			return true;
	return sync_refuse(at, m->name, "expected \"%s\" or \"%s\"", m->words[0], m->words[1]);
}

static bool
sync_texts(const struct place *at, const struct member *m, struct jtext value)
{
	struct jtext_iter it;
	struct jtext item;

	if (!sync_expect(at, m->name, JTEXT_ARRAY, value))
		return false;
	jtext_iter_init(&it, value);
	while (jtext_iter_next(&it, /* ret_key= */ NULL, &item))
		if (item.kind != JTEXT_STRING)
			return sync_refuse(at, m->name, "expected strings, got %s",
				      jtext_kind_name(item.kind));
	return true;
}

static bool
sync_member(const struct place *at, const struct member *m, struct jtext value)
{
	if (!m->required && (value.kind == JTEXT_MISSING || value.kind == JTEXT_NULL))
		return true;
	switch (m->kind) {
	case MEMBER_ID:
	case MEMBER_TEXT:
	case MEMBER_PATH:
		return sync_text(at, m, value);
	case MEMBER_MODE:
		return sync_number(at, m, value, 0, MODE_MAX);
	case MEMBER_MS:
		return sync_number(at, m, value, 1, INT64_MAX);
	case MEMBER_BOOL:
		return value.kind == JTEXT_TRUE || sync_expect(at, m->name, JTEXT_FALSE, value);
	case MEMBER_TEXTS:
		return sync_texts(at, m, value);
	case MEMBER_WORD:
		return sync_word(at, m, value);
	}
	return true;
}

static bool
sync_members(const struct place *at, struct jtext object, const struct member *members, size_t n)
{
	size_t i;

	if (!sync_expect(at, "", JTEXT_OBJECT, object))
		return false;
	for (i = 0; i < n; i++)
		if (!sync_member(at, &members[i], jtext_get(object, members[i].name)))
			return false;
	return true;
}

/* The items of a member that is an array of objects. */
static bool
sync_items(const struct place *in, const char *name, struct jtext array,
	    const struct member *members, size_t n)
{
	struct place at = { .reject = in->reject };
	struct jtext_iter it;
	struct jtext item;
	size_t i;

	if (!sync_expect(in, name, JTEXT_ARRAY, array))
		return false;
	jtext_iter_init(&it, array);
	for (i = 0; jtext_iter_next(&it, /* ret_key= */ NULL, &item); i++) {
		snprintf(at.path, sizeof(at.path), "%.60s.%s[%zu]", in->path, name, i);
		if (!sync_members(&at, item, members, n))
			return false;
	}
	return true;
}

static struct jtext
commands_of(struct jtext operation)
{
	return jtext_get(operation, "postUploadCommands");
}

bool
sync_check(struct reject *r, const char *field, struct jtext operations)
{
	struct place at = { .reject = r };
	struct jtext commands, item;
	struct jtext_iter it;
	size_t i;

	jtext_iter_init(&it, operations);
	for (i = 0; jtext_iter_next(&it, /* ret_key= */ NULL, &item); i++) {
		snprintf(at.path, sizeof(at.path), "%s[%zu]", field, i);
		commands = commands_of(item);
		if (!sync_members(&at, item, LIST(of_operation)) ||
		    !sync_items(&at, "files", jtext_get(item, "files"), LIST(of_file)))
			return false;
		if (commands.kind != JTEXT_MISSING && commands.kind != JTEXT_NULL &&
		    !sync_items(&at, "postUploadCommands", commands, LIST(of_command)))
			return false;
	}
	return true;
}

bool
sync_check_commands(struct jtext operations)
{
	struct jtext item, command;
	struct jtext_iter it, commands;

	jtext_iter_init(&it, operations);
	while (jtext_iter_next(&it, /* ret_key= */ NULL, &item)) {
		if (commands_of(item).kind != JTEXT_ARRAY)
			continue;
		jtext_iter_init(&commands, commands_of(item));
		if (jtext_iter_next(&commands, /* ret_key= */ NULL, &command))
			return true;
	}
	return false;
}
