/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: environmentExecute. Starts a job, passes its output on while it runs, and
 * answers with how it ended.
 *
 * A command that fails, is killed or takes too long is not an error of the call:
 * those are outcomes. An error means that it did not run.
 */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "config.h"
#include "lease.h"
#include "plugin.h"

#define CHUNK_MAX 65536		/* of live output, in one notification */
#define JOBS_MAX 200		/* each takes four descriptors */

struct exec {
	struct plugin *plugin;
	struct call *call;
	size_t output_limit;
	char started[LEASE_TIME_SIZE];
};

/* ---- what comes back -------------------------------------------------- */

/* Adds bytes in base64; what there is no memory for has its text only. */
static void
add_base64(json_t *to, const char *name, const char *bytes, size_t len)
{
	char *text = text_base64(bytes, len);
	if (to && text)
		json_object_set_new(to, name, json_stringn_nocheck(text, strlen(text)));
	free(text);
}

/* Live output is tied to its request by the invocation id, so a host that sent
 * none could not use it. Bytes that are not UTF-8 go beside their text, which is
 * then not cut: one read has 64 KiB. */
static bool
on_output(void *arg, bool is_err, const char *utf8, size_t len, const char *raw, size_t raw_len)
{
	struct exec *x = arg;
	struct rpc *rpc = x->call->rpc;
	bool same = !raw || (raw_len == len && memcmp(raw, utf8, len) == 0);
	while (x->call->invocation && len > 0) {
		size_t n = same ? text_whole(utf8, len, CHUNK_MAX) : len;
		json_t *params = json_pack("{s:s, s:s%}", "stream", is_err ? "stderr" : "stdout",
					   "chunk", utf8, n);
		if (!same)
			add_base64(params, "chunkBase64", raw, raw_len);
		rpc_notify(rpc, "execute.log", params, x->call->invocation);
		utf8 += n;
		len -= n;
	}
	return !wire_is_congested(&rpc->wire);
}

static json_t *
signal_name(int number)
{
	const char *name = sigabbrev_np(number);
	if (number == 0)
		return json_null();
	return name ? json_sprintf("SIG%s", name) : json_sprintf("SIG%d", number);
}

static json_t *
metadata(const struct exec *x, const struct job_outcome *o)
{
	static const char *const ends[] = {
		[JOB_EXITED] = "exit",		 [JOB_TIMEOUT] = "timeout",
		[JOB_OUTPUT_LIMIT] = "outputLimit", [JOB_RELEASED] = "release",
		[JOB_DESTROYED] = "destroy",	 [JOB_SHUTDOWN] = "shutdown",
	};
	json_t *m = json_pack("{s:i, s:s, s:I, s:s}", "pid", o->pid, "startedAt", x->started,
			      "durationMs", (json_int_t)o->duration_ms, "endedBy", ends[o->end]);
	if (o->end == JOB_OUTPUT_LIMIT || o->cut) {
		json_int_t limit = (json_int_t)x->output_limit;
		json_object_set_new(m, "outputLimitBytes", json_integer(limit));
		json_object_set_new(m, "outputCut", json_boolean(o->cut));
	}
	if (o->out->replaced + o->err->replaced > 0)
		json_object_set_new(m, "outputBytesReplaced",
				    json_integer((json_int_t)(o->out->replaced +
							      o->err->replaced)));
	if (o->left_running)
		json_object_set_new(m, "leftRunning", json_true());
	/* It had ended in time; what it left behind held its output open. */
	if (o->end == JOB_TIMEOUT && o->exit_code >= 0)
		json_object_set_new(m, "exitCode", json_integer(o->exit_code));
	return m;
}

/* The bytes of output that is not UTF-8, if the line has room for them. */
static void
add_bytes(json_t *result, const struct job_outcome *o)
{
	size_t need = o->out->raw_len / 3 * 4 + o->err->raw_len / 3 * 4 + 8;
	if (o->out->escaped + o->err->escaped + need > JOB_ESCAPED_MAX)
		return;
	if (o->out->raw)
		add_base64(result, "stdoutBase64", o->out->raw, o->out->raw_len);
	if (o->err->raw)
		add_base64(result, "stderrBase64", o->err->raw, o->err->raw_len);
}

static void
on_done(void *arg, const struct job_outcome *o)
{
	struct exec *x = arg;
	struct rpc_error err;
	const char *command = json_string_value(json_object_get(x->call->params, "command"));
	bool timed_out = o->end == JOB_TIMEOUT;
	if (o->error) {
		rpc_error_set(&err, RPC_WORKER_ERROR, "spawn %s %s", command,
			      uv_err_name(uv_translate_sys_error(o->error)));
		rpc_fail(x->call, &err);
	} else if (o->lost && o->end == JOB_EXITED) {
		rpc_error_set(&err, RPC_WORKER_ERROR,
			      "The process that watched over %s was killed.", command);
		rpc_fail(x->call, &err);
	} else {
		json_t *result = json_pack(
			"{s:o, s:o, s:b, s:s%, s:s%, s:o}", "exitCode",
			timed_out || o->exit_code < 0 ? json_null() : json_integer(o->exit_code),
			"signal", signal_name(o->signal), "timedOut", timed_out, "stdout",
			o->out->len ? o->out->data : "", o->out->len, "stderr",
			o->err->len ? o->err->data : "", o->err->len, "metadata", metadata(x, o));
		add_bytes(result, o);
		rpc_reply(x->call, result);
	}
	free(x);
}

/* ---- what is asked for ------------------------------------------------ */

static int
start(struct exec *x, struct rpc_error *reterr)
{
	static const struct job_events events = { .on_output = on_output, .on_done = on_done };
	struct jobs *jobs = &x->plugin->jobs;
	struct config config;
	struct lease lease;
	struct command command;
	if (config_of_call(x->call, &config, reterr) < 0 ||
	    lease_of_call(x->call, &config, &lease, reterr) < 0)
		return -1;
	if (jobs_end_in(jobs, lease.id))
		return rpc_error_set(reterr, RPC_WORKER_ERROR, "Lease \"%s\" is being given back.",
				     lease.id);
	if (jobs->count >= JOBS_MAX)
		return rpc_error_set(reterr, RPC_BUSY, "%u commands are running already.",
				     jobs->count);
	x->output_limit = config.output_limit;
	int ret = command_read(x->call, &config, &lease, &command, reterr);
	if (ret == 0) {
		ret = job_start(jobs, &command.spec, &events, x);
		if (ret < 0)
			rpc_error_set(reterr, RPC_WORKER_ERROR, "spawn %s %s", command.spec.argv[0],
				      uv_err_name(ret));
	}
	command_release(&command);
	return ret;
}

void
exec_on_execute(struct plugin *plugin, struct call *take_call)
{
	struct rpc_error err;
	struct exec *x = calloc(1, sizeof(*x));
	if (!x) {
		rpc_reply(take_call, NULL);
		return;
	}
	x->plugin = plugin;
	x->call = take_call;
	lease_time(x->started);
	if (start(x, &err) < 0) {
		rpc_fail(take_call, &err);
		free(x);
	}
}
