/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: one table of parameters; `key = value` files, ENVDRIVER_KEY
 * variables and -X key=value, later wins (docs/decisions.md D3).
 *
 * Written by hand: the file format is a dozen lines, and one table of ours has
 * to feed the parser, the errors and the documents, which no library does.
 *
 * Owns the values. Knows nothing of what they mean. The table (name, type,
 * range, default, unit, description) feeds the parser, `config print`, the
 * manual page and README. Keys that start with "kafka." and are not in the table
 * go to librdkafka untouched; those that would break a promise are refused with
 * the reason (docs/engine.md section 9).
 */
#ifndef ENVDRIVER_BASE_CONFIG_H
#define ENVDRIVER_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct config;
struct err;

enum config_type {
	CONFIG_STRING,
	CONFIG_INT,
	CONFIG_BOOL,
	CONFIG_DURATION,	/* ms inside; "500ms", "10s", "5min", "24h", "9d" */
	CONFIG_SIZE,		/* bytes inside; "64KiB", "1MiB", "2GiB", plain bytes */
	CONFIG_PATHS,		/* ':' between folders */
};

struct config_param {
	const char *name;
	enum config_type type;
	const char *def;	/* as it would be written; NULL: unset */
	int64_t min, max;	/* of INT, DURATION (ms), SIZE (bytes); length of a STRING */
	const char *const *words;	/* allowed values of a STRING, or NULL */
	/* What is wrong with a STRING or PATHS value ("is not …"), NULL when
	 * nothing is; may be NULL. */
	const char *(*wrong)(const char *value);
	const char *help;	/* one line */
};

/* Ends with a row whose name is NULL. "plugin.env.<name>",
 * "plugin.call.timeout.<name>" and "kafka.<anything>" are accepted besides. Values
 * of kafka.*.password and their like, and passwords inside URLs, are secret:
 * printed as ***. */
extern const struct config_param config_params[];

/* Keys of earlier versions. They still load, so that an old file starts a new
 * worker, but do nothing. Ends with NULL. */
extern const char *const config_gone[];

/* Why "kafka.<name>" is refused; NULL when it is not. */
const char *config_refusal(const char *kafka_name);

/* Holds the defaults. */
struct config *config_new(struct err *reterr);
void config_free(struct config *c);

/* ERR_CONFIG names file and line, or variable, or the -X option, the key and
 * the way out (the nearest known key, the range, why it is refused). */
int config_load_file(struct config *c, const char *path, struct err *reterr);
/* ENVDRIVER_REDIS_URL is redis.url: lower case, '_' for '.'; a variable that
 * starts ENVDRIVER_ and names no key is an error too, except
 * ENVDRIVER_CRASH_AT and ENVDRIVER_CONFIG, secrets (ENVDRIVER_SECRET_A__B), and
 * what service_link.h names. */
int config_load_env(struct config *c, char *const envp[], struct err *reterr);
/* `where` is for the error text: "-X" or "envdriver dev". */
int config_set(struct config *c, const char *key, const char *value, const char *where,
	       struct err *reterr);
/* "key=value" */
int config_set_pair(struct config *c, const char *pair, const char *where, struct err *reterr);
/* Loading then goes on behind an error: each goes to `fn`, but for the last one,
 * which is returned. Without it, loading stops at the first. */
void config_go_on(struct config *c, void (*fn)(void *arg, const char *text), void *arg);
/* For what loads: takes `err`, which becomes *pending; the one that was there
 * goes to `fn`. False: stop here. */
bool config_keep_error(const struct config *c, struct err *pending, const struct err *err);
/* What can only be seen when all is loaded (ranges that depend on each
 * other). */
int config_check(const struct config *c, struct err *reterr);

/* By full name; an unknown name or a wrong type asserts. NULL when unset;
 * borrowed until the key is set again. */
const char *config_str(const struct config *c, const char *key);
/* INT, DURATION in ms, SIZE in bytes. */
int64_t config_int(const struct config *c, const char *key);
bool config_bool(const struct config *c, const char *key);
/* Where the i-th key of config_gone was set, as in config_entry; NULL: nowhere. */
const char *config_gone_where(const struct config *c, size_t i);
/* "plugin.env.<key>" style names; NULL when unset. */
const char *config_dynamic(const struct config *c, const char *key);
/* The same of "<key>.<name>"; `name` NULL has none. */
const char *config_own(const struct config *c, const char *key, const char *name);

/* One value in force. */
struct config_entry {
	const char *key;
	const char *value;	/* NULL when unset; secrets are in clear */
	const char *where;	/* "FILE:LINE", a variable, "-X", or "default" */
	const struct config_param *param;	/* NULL for those besides the table */
};
/* The i-th: those of the table in its order, then the others in the order
 * they were set. False past the last one. Borrowed until a key is set. */
bool config_entry(const struct config *c, size_t i, struct config_entry *ret);
/* Appends the value as it may be shown: secrets as ***. */
void config_add_shown(struct buf *out, const char *key, const char *value);
/* The same for a value that was refused: of a URL less is shown. */
void config_add_refused(struct buf *out, const char *key, const char *value);

/* Calls `fn` for every kafka.* value that was set and is not in the table,
 * without the prefix. Stops and returns what `fn` returned when that is
 * negative, with "FILE:LINE: " before the text. */
int config_each_kafka(const struct config *c,
		      int (*fn)(void *arg, const char *name, const char *value, struct err *reterr),
		      void *arg, struct err *reterr);

/* Appends what is in force as a configuration file that can be read again,
 * secrets as ***, each key with its description and where it was set. */
void config_print(const struct config *c, struct buf *out);
/* The parameter table as the rows of a Markdown table, or of man page
 * sections, for the documents. */
void config_print_markdown(struct buf *out);
void config_print_man(struct buf *out);

#endif
