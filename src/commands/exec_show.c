/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_show.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/avro/avro_field.h"
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
	show_output(x, stream,
		    exec_output_take(&x->output, stream, offset,
				     avro_field_get_span(&r->value, "text")));
}

static int
report_failure(struct exec_show *x, const struct record *r)
{
	cli_complain(x->cli, "%.*s", SPAN_FMT(buf_span(&r->summary)));
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
	show_output(x, STREAM_STDOUT,
		    exec_output_take(&x->output, STREAM_STDOUT, 0,
				     avro_field_get_span(&r->value, "stdout")));
	show_output(x, STREAM_STDERR,
		    exec_output_take(&x->output, STREAM_STDERR, 0,
				     avro_field_get_span(&r->value, "stderr")));
	(void)avro_field_get_int(&r->value, "stdoutBytes", &x->total[STREAM_STDOUT]);
	(void)avro_field_get_int(&r->value, "stderrBytes", &x->total[STREAM_STDERR]);
	(void)avro_field_get_bool(&r->value, "timedOut", &timed_out);
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
