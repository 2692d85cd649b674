/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_say: what a command writes: results on standard output, one-line
 * messages on standard error, and the exit code that fits an error. It stands
 * above cli.c, which only reads the command line.
 */
#include "envdriver/cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/utf8.h"

void
cli_add_safe(struct buf *out, struct span text)
{
	const char *p = text.ptr, *end = p ? p + text.len : p;

	while (p < end) {
		int len = utf8_step(p, end);

		if (len < 0) {
			buf_adds(out, UTF8_REPLACEMENT);
			p -= len;
			continue;
		}
		if (*p == '\n' || *p == '\t')
			buf_addch(out, ' ');
		else if (utf8_is_hidden(p, len))
			for (int i = 0; i < len; i++)
				buf_addf(out, "\\x%02x", (unsigned char)p[i]);
		else
			buf_add(out, p, (size_t)len);
		p += len;
	}
}

void
cli_add_json_safe(struct buf *out, struct span json)
{
	const char *p = json.ptr, *end = p ? p + json.len : p, *from = p;

	while (p < end) {
		int len = utf8_step(p, end);

		if (len < 0 || *p == '\n' || *p == '\t' || *p == '\r' || !utf8_is_hidden(p, len)) {
			p += len < 0 ? -len : len;
			continue;
		}
		buf_add(out, from, (size_t)(p - from));
		jtext_add_escape(out, utf8_get(p, len));
		p += len;
		from = p;
	}
	buf_add(out, from, (size_t)(end - from));
}

/* In its turn among the lines of the log, which must not wait for a reader. */
static void
line(const struct cli *cli, const char *fmt, va_list ap)
{
	struct buf out = BUF_INIT;
	char *text = NULL;
	int len = vasprintf(&text, fmt, ap);

	if (len < 0)
		return;
	buf_addf(&out, "%s: ", cli_path(cli));
	cli_add_safe(&out, (struct span){ text, (size_t)len });
	buf_addch(&out, '\n');
	if (!out.failed)
		log_line(buf_span(&out));
	buf_release(&out);
	free(text);
}

void
cli_complain(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(cli, fmt, ap);
	va_end(ap);
}

void
cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli_has(cli, "quiet"))
		return;
	va_start(ap, fmt);
	line(cli, fmt, ap);
	va_end(ap);
}

int
cli_code(const struct err *err)
{
	switch (err->code) {
	case ERR_CONFIG:
		return EXIT_CONFIG;
	case ERR_UNAVAILABLE:
		return EXIT_UNAVAILABLE;
	case ERR_DENIED:
		return EXIT_DENIED;
	case ERR_TIMEOUT:
	case ERR_NOMEM:
		return EXIT_AGAIN;
	case ERR_BUG:
		return EXIT_BUG;
	default:
		return EXIT_TROUBLE;
	}
}

int
cli_fail(const struct cli *cli, const struct err *err)
{
	cli_complain(cli, "%s", err->text);
	return cli_code(err);
}

int
cli_misuse(const struct cli *cli, const char *fmt, ...)
{
	const char *words = strchr(cli_path(cli), ' ');
	va_list ap;

	va_start(ap, fmt);
	line(cli, fmt, ap);
	va_end(ap);
	cli_complain(cli, "see `envdriver help%s`", words ? words : "");
	return EXIT_USAGE;
}

bool
cli_json(const struct cli *cli)
{
	const char *output = cli_flag(cli, "output");

	if (cli_has(cli, "json") || cli_has(cli, "table"))
		return cli_has(cli, "json");
	if (output)
		return strcmp(output, "json") == 0;
	return !isatty(STDOUT_FILENO);
}

bool
cli_colours(const struct cli *cli)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !cli_json(cli) && isatty(STDOUT_FILENO) && !(no && *no) &&
	       !(term && strcmp(term, "dumb") == 0);
}

bool
cli_verbose(const struct cli *cli)
{
	return cli_has(cli, "verbose");
}

/* As the default, which main turned off, would have done. */
static void
end_by_sigpipe(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

bool
cli_reader_is_gone(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

void
cli_check_reader(void)
{
	if (cli_reader_is_gone())
		end_by_sigpipe();
}

/* Waits for room, or remembers that output is lost; false when the reader has
 * gone. */
static bool
handle_failed_write(struct cli *cli)
{
	struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (errno == EINTR)
		return true;
	if (errno == EAGAIN) {
		(void)poll(&wait, 1, -1);
		return true;
	}
	if (errno == EPIPE)
		return false;
	cli_complain(cli, "cannot write to standard output: %s", strerror(errno));
	cli_output_lost(cli);
	return true;
}

bool
cli_try_write(struct cli *cli, struct span text)
{
	while (text.len && !cli_output_is_lost(cli)) {
		ssize_t n = write(STDOUT_FILENO, text.ptr, text.len);

		if (n < 0 && !handle_failed_write(cli))
			return false;
		if (n < 0)
			continue;
		text.ptr += n;
		text.len -= (size_t)n;
	}
	return true;
}

void
cli_write(struct cli *cli, struct span text)
{
	if (!cli_try_write(cli, text))
		end_by_sigpipe();
}

void
cli_write_buf(struct cli *cli, struct buf *out)
{
	if (out->failed && !cli_output_is_lost(cli)) {
		cli_complain(cli, "out of memory");
		cli_output_lost(cli);
	}
	if (cli_json(cli) && isatty(STDOUT_FILENO)) {
		struct buf safe = BUF_INIT;

		cli_add_json_safe(&safe, buf_span(out));
		cli_write(cli, buf_span(safe.failed ? out : &safe));
		buf_release(&safe);
	} else {
		cli_write(cli, buf_span(out));
	}
	buf_reset(out);
}
