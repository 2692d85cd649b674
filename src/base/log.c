/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"
#include "log_writer.h"

#define ELLIPSIS "\xe2\x80\xa6"

enum { TEXT_MAX = 4096, FIELD_MAX = 256, CRASH_MS = 500 };

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

/* A character that a terminal or a reader of JSON must not see as it is. */
static void
add_escaped(struct buf *out, const char *p, int len, bool json)
{
	unsigned rune = utf8_get(p, len);

	if (rune == '\n' || rune == '\t')
		buf_adds(out, rune == '\n' ? "\\n" : "\\t");
	else if (json)
		jtext_add_escape(out, rune);
	else if (rune > 0xff)
		buf_addf(out, "\\u%04x", rune);
	else
		buf_addf(out, "\\x%02x", rune);
}

static void
add_text(struct buf *out, struct span text, bool json)
{
	const char *p = text.ptr, *end = p + text.len;

	while (p < end) {
		int len = utf8_step(p, end);

		if (len < 0) {
			buf_adds(out, UTF8_REPLACEMENT);
			p -= len;
			continue;
		}
		if (utf8_is_hidden(p, len))
			add_escaped(out, p, len, json);
		else if (json && (*p == '"' || *p == '\\'))
			buf_addf(out, "\\%c", *p);
		else
			buf_add(out, p, (size_t)len);
		p += len;
	}
}

static void
add_clipped(struct buf *out, struct span text, size_t max, bool json)
{
	size_t len = utf8_cut(text.ptr, text.len, max);

	add_text(out, (struct span){ text.ptr, len }, json);
	if (len < text.len)
		buf_adds(out, ELLIPSIS);
}

static void
add_json_field(struct buf *out, const struct log_field *f)
{
	buf_addf(out, ",\"%s\":", f->name);
	if (!f->text.ptr) {
		buf_addf(out, "%" PRId64, f->number);
		return;
	}
	buf_addch(out, '"');
	add_clipped(out, f->text, FIELD_MAX, /* json= */ true);
	buf_addch(out, '"');
}

/* Text that holds a space or a quote is quoted. */
static void
add_text_field(struct buf *out, const struct log_field *f)
{
	bool quoted = f->text.len == 0 || memchr(f->text.ptr, ' ', f->text.len) ||
		      memchr(f->text.ptr, '"', f->text.len);

	buf_addf(out, " %s=", f->name);
	if (!f->text.ptr) {
		buf_addf(out, "%" PRId64, f->number);
		return;
	}
	if (quoted)
		buf_addch(out, '"');
	add_clipped(out, f->text, FIELD_MAX, /* json= */ quoted);
	if (quoted)
		buf_addch(out, '"');
}

static void
add_line(struct buf *out, enum log_level level, struct span text, const struct log_field *fields)
{
	bool json = cur_format == LOG_FORMAT_JSON;
	char when[CLOCK_TEXT_MAX];

	clock_text(clock_wall_ms(), when);
	if (json)
		buf_addf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when,
			 names[level]);
	else
		buf_addf(out, "%s %-5s ", when, names[level]);
	add_clipped(out, text, TEXT_MAX, json);
	if (json)
		buf_addch(out, '"');
	for (const struct log_field *f = fields; f && f->name; f++)
		(json ? add_json_field : add_text_field)(out, f);
	buf_adds(out, json ? "}\n" : "\n");
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	/* One more than is shown, so that it shows when some is cut. */
	char text[TEXT_MAX + UTF8_MAX + 1];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_line(&line, level, span_of(text), /* fields= */ NULL);
	if (!line.failed)
		log_writer_put(buf_span(&line));
	buf_release(&line);
}

void
log_fields(enum log_level level, const char *message, const struct log_field *fields)
{
	struct buf line = BUF_INIT;

	if (!log_enabled(level))
		return;
	add_line(&line, level, span_of(message), fields);
	if (!line.failed)
		log_writer_put(buf_span(&line));
	buf_release(&line);
}

void
log_line(struct span line)
{
	log_writer_put(line);
}

static void
add_notice(struct buf *out, uint64_t dropped)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "dropped %" PRIu64 " log lines: standard error took no more of them", dropped);
	add_line(out, LOG_LEVEL_WARN, span_of(text), /* fields= */ NULL);
}

void
log_start_writer(void)
{
	log_writer_start(add_notice);
}

void
log_flush(int64_t ms)
{
	log_writer_flush(ms);
}

/*
 * The C library's own would write to standard error itself, past the queue and
 * in a form that no reader of JSON lines knows, and would wait for a reader.
 */
void
__assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
	log_error("bug: %s:%u: %s: Assertion `%s' failed.", file, line, function, assertion);
	log_flush(CRASH_MS);
	abort();
}
