/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/exec_output.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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

/* 9 for "SIGKILL"; 0 when there is no such signal. */
static int
signal_number(struct span name)
{
	for (int n = 1; n < NSIG; n++) {
		const char *abbrev = sigabbrev_np(n);

		if (abbrev && name.len > 3 && memcmp(name.ptr, "SIG", 3) == 0 &&
		    span_is((struct span){name.ptr + 3, name.len - 3}, abbrev))
			return n;
	}
	return 0;
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
