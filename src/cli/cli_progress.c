/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_progress: the line of progress of cli.h, and numbers for people. It stands
 * above cli.c, which only reads the command line.
 */
#include "envdriver/cli/cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "envdriver/base/clock.h"

enum { EVERY_MS = 500, LINE_MAX_TEXT = 300 };

void
cli_progress_start(struct cli_progress *p, const struct cli *cli)
{
	*p = (struct cli_progress){.cli = cli, .next_ms = INT64_MAX};
	if (isatty(STDERR_FILENO) && !cli_has(cli, "quiet"))
		p->next_ms = clock_mono_ms() + EVERY_MS;
}

bool
cli_progress_due(const struct cli_progress *p)
{
	return p->next_ms < INT64_MAX && clock_mono_ms() >= p->next_ms;
}

void
cli_progress(struct cli_progress *p, const char *fmt, ...)
{
	char text[LINE_MAX_TEXT], line[LINE_MAX_TEXT + 100];
	va_list ap;
	int len;

	if (p->next_ms == INT64_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = snprintf(line, sizeof(line), "\r%.90s: %s\x1b[K", cli_path(p->cli), text);
	(void)!write(STDERR_FILENO, line, (size_t)len);
	p->shown = true;
	p->next_ms = clock_mono_ms() + EVERY_MS;
}

void
cli_progress_clear(struct cli_progress *p)
{
	if (p->shown)
		(void)!write(STDERR_FILENO, "\r\x1b[K", 4);
	p->shown = false;
}

char *
cli_number(uint64_t n, char ret[CLI_NUMBER_MAX])
{
	char digits[CLI_NUMBER_MAX];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = ret;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret;
}
