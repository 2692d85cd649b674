/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_show.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/base/utf8.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/record.h"
#include "envdriver/client/wait.h"

enum { STREAM_STDOUT = 0, STREAM_STDERR = 1 };

static void
show_output(struct exec_show *x, int stream, struct span text)
{
	if (stream == STREAM_STDOUT) {
		x->unread = x->unread || !cli_try_write(x->cli, text);
		return;
	}
	while (text.len) {
		ssize_t n = write(STDERR_FILENO, text.ptr, text.len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			text.ptr += n;
			text.len -= (size_t)n;
		}
	}
}

/* Shows what is new of a piece of text, or of the bytes that it stands for. */
static void
show_new(struct exec_show *x, int stream, int64_t offset, struct span text, struct span raw)
{
	struct span rest = exec_output_take(&x->output, stream, offset, text);
	size_t from;

	if (raw.ptr && rest.len) {
		from = utf8_raw_len(raw.ptr, raw.len, text.len - rest.len);
		rest = (struct span){ raw.ptr + from, raw.len - from };
	}
	show_output(x, stream, rest);
}

void
exec_show_piece(struct exec_show *x, const struct record *r)
{
	const char *name = avro_field_get_enum(&r->value, "stream");
	int stream = name && strcmp(name, "STDERR") == 0 ? STREAM_STDERR : STREAM_STDOUT;
	int64_t offset = 0;

	/* The result names the attempt that counts. */
	if (x->ended && !span_is(r->token, x->output.token))
		return;
	if (exec_output_restart(&x->output, r->token))
		cli_note(x->cli, "another worker started the command again");
	(void)avro_field_get_int(&r->value, "byteOffset", &offset);
	show_new(x, stream, offset, avro_field_get_span(&r->value, "text"),
		 avro_field_get_span(&r->value, "raw"));
}

static int
report_failure(struct exec_show *x, const struct record *r)
{
	cli_complain(x->cli, "%.*s", SPAN_FMT(buf_span(&r->summary)));
	if (span_is(r->code, "TIMEOUT") && !cli_has(x->cli, "timeout"))
		cli_note(x->cli, "--timeout gives the command a limit of its own");
	return exec_output_failure_code(r->status, buf_span(&r->summary));
}

/* A plugin's limit ended the command: whatever its exit code says, it is no success. */
static bool
is_cut(const struct exec_show *x, const struct record *r)
{
	int64_t limit = 0;

	if (!exec_output_is_cut(avro_field_get_span(&r->value, "metadata"), &limit))
		return false;
	if (limit > 0)
		cli_complain(x->cli, "the command was ended at the plugin's output limit of %lld "
			     "bytes; what came after it is missing", (long long)limit);
	else
		cli_complain(x->cli, "the plugin cut the command's output");
	return true;
}

/* What is shown is not what the command wrote, and its bytes did not come with it. */
static void
tell_replaced(const struct exec_show *x, const struct record *r)
{
	avro_value_t trace, warnings, one;
	size_t n = 0;

	if (avro_field_get_span(&r->value, "stdoutRaw").ptr ||
	    avro_field_get_span(&r->value, "stderrRaw").ptr ||
	    !avro_field_open(&r->value, "trace", NULL, &trace) ||
	    !avro_field_open(&trace, "warnings", NULL, &warnings))
		return;
	(void)avro_value_get_size(&warnings, &n);
	for (size_t i = 0; i < n; i++) {
		struct span text;

		if (avro_value_get_by_index(&warnings, i, &one, NULL) != 0)
			continue;
		text = avro_field_span(&one);
		if (text.ptr && memmem(text.ptr, text.len, "U+FFFD", strlen("U+FFFD")))
			cli_complain(x->cli, "%.*s", SPAN_FMT(text));
	}
}

int
exec_show_result(struct exec_show *x, const struct record *r)
{
	int64_t code = 0;
	bool timed_out = false, has_code;
	int ret;

	x->ended = true;
	if (!wait_succeeded(r))
		return report_failure(x, r);
	if (r->token.ptr && exec_output_restart(&x->output, r->token))
		cli_note(x->cli, "the output so far came from an abandoned attempt");
	show_new(x, STREAM_STDOUT, 0, avro_field_get_span(&r->value, "stdout"),
		 avro_field_get_span(&r->value, "stdoutRaw"));
	show_new(x, STREAM_STDERR, 0, avro_field_get_span(&r->value, "stderr"),
		 avro_field_get_span(&r->value, "stderrRaw"));
	(void)avro_field_get_int(&r->value, "stdoutBytes", &x->total[STREAM_STDOUT]);
	(void)avro_field_get_int(&r->value, "stderrBytes", &x->total[STREAM_STDERR]);
	(void)avro_field_get_bool(&r->value, "timedOut", &timed_out);
	tell_replaced(x, r);
	has_code = avro_field_get_int(&r->value, "exitCode", &code);
	ret = exec_output_code(timed_out, has_code, code, avro_field_get_span(&r->value, "signal"));
	if (timed_out)
		cli_note(x->cli, "the command exceeded its time limit, %s",
			 cli_has(x->cli, "timeout") ? "--timeout"
						    : "which is the plugin's: `timeoutMs` of the "
						      "config or its default");
	if (ret < 0) {
		cli_complain(x->cli, "the command ended without an exit code");
		ret = EXIT_EXEC_FAILED;
	}
	return is_cut(x, r) ? EXIT_EXEC_CUT : ret;
}

bool
exec_show_complete(const struct exec_show *x)
{
	return x->output.shown[STREAM_STDOUT] >= x->total[STREAM_STDOUT] &&
	       x->output.shown[STREAM_STDERR] >= x->total[STREAM_STDERR];
}
