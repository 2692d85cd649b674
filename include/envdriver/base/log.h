/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line for each decision, on standard error, for people (text) or
 * machines (JSON).
 *
 * Owns the level and the format. Masks nothing: a caller that logs a value of
 * the configuration takes it from config_add_shown. The code that decides
 * logs, and no other. Thread safe; a line is one write, which may block as
 * long as the reader of standard error does.
 */
#ifndef ENVDRIVER_BASE_LOG_H
#define ENVDRIVER_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* At the start: until then text from LOG_LEVEL_INFO on. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* One line of at most 4095 bytes, without its line break. Control characters
 * are escaped. */
void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
