/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/utf8.h"

/* printf cuts where it must, also inside a character. */
static void
one_line(char *text)
{
	utf8_trim(text);
	for (; *text; text++)
		if (*text == '\n' || *text == '\r')
			*text = ' ';
}

int
err_set(struct err *reterr, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!reterr)
		return code;
	reterr->code = code;
	reterr->retriable = false;
	va_start(ap, fmt);
	vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
	va_end(ap);
	one_line(reterr->text);
	return code;
}

int
err_nomem(struct err *reterr)
{
	return err_set(reterr, ERR_NOMEM, "out of memory");
}

void
err_prefix(struct err *reterr, const char *fmt, ...)
{
	char old[sizeof(reterr->text)];
	va_list ap;
	size_t n;

	if (!reterr)
		return;
	memcpy(old, reterr->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
	va_end(ap);
	n = strlen(reterr->text);
	snprintf(reterr->text + n, sizeof(reterr->text) - n, ": %s", old);
	one_line(reterr->text);
}
