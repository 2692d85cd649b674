/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"

static enum log_level cur_level = LOG_LEVEL_INFO;
static enum log_format cur_format = LOG_FORMAT_TEXT;

static const char *const names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void
log_setup(enum log_level level, enum log_format format)
{
	cur_level = level;
	cur_format = format;
}

bool
log_enabled(enum log_level level)
{
	return level <= cur_level;
}

static void
escape(struct buf *out, const char *text, bool json)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			buf_addf(out, "\\u%04x", c);
		else if (json && (c == '"' || c == '\\'))
			buf_addf(out, "\\%c", c);
		else
			buf_addch(out, (char)c);
	}
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	char when[CLOCK_TEXT_MAX], text[4096];
	bool json = cur_format == LOG_FORMAT_JSON;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_text(clock_wall_ms(), when);
	if (json)
		buf_addf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when,
			 names[level]);
	else
		buf_addf(&line, "%s %-5s ", when, names[level]);
	escape(&line, text, json);
	buf_adds(&line, json ? "\"}\n" : "\n");
	/* One write a line: lines of several threads do not mix. A log that
	 * cannot be written has nowhere to be reported. */
	if (!line.failed)
		(void)!write(STDERR_FILENO, line.data, line.len);
	buf_release(&line);
}
