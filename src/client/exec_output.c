/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/exec_output.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/jtext.h"
#include "envdriver/cli/cli.h"

bool
exec_output_restart(struct exec_output *o, struct span token)
{
	bool other = o->token[0] && !span_is(token, o->token);

	if (o->token[0] && !other)
		return false;
	*o = (struct exec_output){0};
	snprintf(o->token, sizeof(o->token), "%.*s", SPAN_FMT(token));
	return other;
}

struct span
exec_output_take(struct exec_output *o, int stream, int64_t offset, struct span text)
{
	int64_t skip = offset < 0 ? INT64_MAX : o->shown[stream] - offset;

	if (skip < 0) {
		o->gap[stream] = true;
		return SPAN_LIT("");
	}
	if (skip >= (int64_t)text.len)
		return SPAN_LIT("");
	o->shown[stream] += (int64_t)text.len - skip;
	o->gap[stream] = false;
	return (struct span){text.ptr + skip, text.len - (size_t)skip};
}

/* 9 for "SIGKILL", and for "SIG9" and "9", as signals without a name are
 * written; 0 when there is no such signal. */
static int
signal_number(struct span name)
{
	char text[8], *end;
	long number;

	if (name.len > 3 && memcmp(name.ptr, "SIG", 3) == 0)
		name = (struct span){name.ptr + 3, name.len - 3};
	for (int n = 1; n < NSIG; n++)
		if (sigabbrev_np(n) && span_is(name, sigabbrev_np(n)))
			return n;
	snprintf(text, sizeof(text), "%.*s", SPAN_FMT(name));
	number = strtol(text, &end, 10);
	return name.len < sizeof(text) && !*end && number > 0 && number < NSIG ? (int)number : 0;
}

int
exec_output_code(bool timed_out, bool has_code, int64_t code, struct span signal)
{
	int n = signal.ptr ? signal_number(signal) : 0;

	if (timed_out)
		return EXIT_EXEC_TIMEOUT;
	if (n)
		return EXIT_SIGNAL + n;
	if (!has_code)
		return -1;
	/* An exit code has 8 bits; failure must not become 0. */
	return (code & 0xff) == 0 && code != 0 ? 1 : (int)(code & 0xff);
}

static bool
ends_with(struct span text, const char *end)
{
	size_t n = strlen(end);

	return text.len >= n && memcmp(text.ptr + text.len - n, end, n) == 0;
}

int
exec_output_failure_code(struct span status, struct span summary)
{
	static const char spawn[] = "PLUGIN_ERROR: spawn ";

	if (span_is(status, "INTERRUPTED"))
		return EXIT_EXEC_INTERRUPTED;
	while (summary.len && strchr(".\n", summary.ptr[summary.len - 1]))
		summary.len--;
	if (summary.len < sizeof(spawn) || memcmp(summary.ptr, spawn, sizeof(spawn) - 1) != 0)
		return EXIT_EXEC_FAILED;
	if (ends_with(summary, " ENOENT"))
		return EXIT_EXEC_MISSING;
	if (ends_with(summary, " EACCES") || ends_with(summary, " ENOEXEC"))
		return EXIT_EXEC_DENIED;
	return EXIT_EXEC_FAILED;
}

bool
exec_output_is_cut(struct span metadata, int64_t *ret_limit)
{
	struct jtext json, limit, ended_by;

	*ret_limit = 0;
	if (!metadata.ptr || jtext_check(metadata, 64, &json, NULL) < 0)
		return false;
	ended_by = jtext_get(json, "endedBy");
	if (jtext_get(json, "outputCut").kind != JTEXT_TRUE &&
	    (ended_by.kind != JTEXT_STRING || !jtext_is(ended_by, "outputLimit")))
		return false;
	limit = jtext_get(json, "outputLimitBytes");
	if (limit.kind == JTEXT_NUMBER)
		(void)jtext_int(limit, ret_limit);
	return true;
}
