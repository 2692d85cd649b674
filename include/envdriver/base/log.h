/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line for each decision, on standard error, for people (text) or
 * machines (JSON).
 *
 * Owns the level and the format. Masks nothing: a caller that logs a value of
 * the configuration takes it from config_add_shown. The code that decides
 * logs, and no other. Thread safe. A program that has an event loop calls
 * log_start_writer: then a line never waits for the reader of standard error.
 */
#ifndef ENVDRIVER_BASE_LOG_H
#define ENVDRIVER_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* At the start: until then text from LOG_LEVEL_INFO on. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* From here on lines are queued (up to 1 MiB) and a thread writes them. Those
 * that find the queue full are dropped and counted
 * (`envdriver_log_lines_dropped_total`); a line says how many when there is
 * room again. Before, and without it, a line is one write, which may block. */
void log_start_writer(void);
/* Waits up to `ms` until what is queued is written: before the process ends. */
void log_flush(int64_t ms);

/* One line of at most 4096 bytes, without its line break. Characters that
 * control a terminal or hide text are escaped, what is not UTF-8 becomes
 * U+FFFD, and a text that is too long is cut between two characters. */
void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* More of a line: members of the object in JSON, name=value in text. A NULL
 * `text.ptr` makes it a number. Of a text the first 256 bytes are shown. */
struct log_field {
	const char *name;	/* NULL ends a list */
	struct span text;
	int64_t number;
};
void log_fields(enum log_level level, const char *message, const struct log_field *fields);

/* A line in the caller's own form, with its line break, in its turn among the
 * others. */
void log_line(struct span line);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
