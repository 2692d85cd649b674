/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

int
rpc_error_set(struct rpc_error *reterr, int code, const char *fmt, ...)
{
	va_list ap;
	reterr->code = code;
	va_start(ap, fmt);
	vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- out -------------------------------------------------------------- */

static void
send_message(struct rpc *rpc, json_t *take_message)
{
	char *text = take_message ? json_dumps(take_message, JSON_COMPACT) : NULL;
	json_decref(take_message);
	/* The NUL at the end is the byte to spare. */
	wire_send(&rpc->wire, text, text ? strlen(text) : 0);
}

static void
send_error(struct rpc *rpc, json_t *id, int code, const char *message)
{
	/* The message may quote a file name, which need not be UTF-8. */
	struct text clean = { 0 };
	json_t *text = NULL;
	if (text_add(&clean, message, strlen(message)) && text_end(&clean))
		text = json_stringn(clean.data, clean.len);
	text_release(&clean);
	send_message(rpc, json_pack("{s:s, s:o, s:{s:i, s:o}}", "jsonrpc", "2.0", "id",
				    id ? json_incref(id) : json_null(), "error", "code", code,
				    "message", text));
}

static void
call_free(struct call *call)
{
	json_decref(call->message);
	free(call);
}

void
rpc_reply(struct call *take_call, json_t *take_result)
{
	if (take_result)
		send_message(take_call->rpc,
			     json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", take_call->id,
				       "result", take_result));
	else
		send_error(take_call->rpc, take_call->id, RPC_INTERNAL_ERROR,
			   "The result could not be encoded.");
	call_free(take_call);
}

void
rpc_fail(struct call *take_call, const struct rpc_error *why)
{
	send_error(take_call->rpc, take_call->id, why->code, why->text);
	call_free(take_call);
}

void
rpc_notify(struct rpc *rpc, const char *method, json_t *take_params, const char *invocation)
{
	send_message(rpc, json_pack("{s:s, s:s, s:o, s:s*}", "jsonrpc", "2.0", "method", method,
				    "params", take_params, "paperclipInvocationId", invocation));
}

/* ---- in --------------------------------------------------------------- */

/* Two things that JavaScript writes and jansson does not read: halves of
 * surrogate pairs, and integers beyond 64 bits. For the latter a second parse
 * makes a real of every number, of the id too, which is put back. */
static json_t *
parse(char *line, size_t len)
{
	json_error_t error;
	text_mend_escapes(line, len);
	json_t *message = json_loadb(line, len, JSON_ALLOW_NUL, &error);
	if (message || json_error_code(&error) != json_error_numeric_overflow)
		return message;
	message = json_loadb(line, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	json_t *id = json_object_get(message, "id");
	double value = json_real_value(id);
	if (json_is_real(id) && value > -9e15 && value < 9e15 && value == (double)(int64_t)value)
		json_object_set_new(message, "id", json_integer((int64_t)value));
	return message;
}

static void
make_call(struct rpc *rpc, json_t *take_message)
{
	json_t *message = take_message, *params = json_object_get(message, "params");
	const json_t *envelope = json_object_get(message, "paperclipInvocation");
	const char *company = json_string_value(json_object_get(params, "companyId"));
	struct call *call = malloc(sizeof(*call));
	if (!call) {
		send_error(rpc, json_object_get(message, "id"), RPC_INTERNAL_ERROR,
			   "out of memory");
		json_decref(message);
		return;
	}
	*call = (struct call){
		.rpc = rpc,
		.message = message,
		.id = json_object_get(message, "id"),
		.method = json_string_value(json_object_get(message, "method")),
		.params = params,
		.invocation = json_string_value(json_object_get(envelope, "id")),
		.company = company && company[strspn(company, " \t")] ? company : NULL,
	};
	rpc->events->on_call(rpc->arg, call);
}

static bool
is_blank(const char *text, size_t len)
{
	size_t i = 0;
	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r'))
		i++;
	return i == len;
}

static void
on_line(void *arg, char *line, size_t len)
{
	struct rpc *rpc = arg;
	if (is_blank(line, len))
		return;
	json_t *message = parse(line, len);
	if (!message) {
		send_error(rpc, NULL, RPC_PARSE_ERROR, "Parse error: the line is not JSON");
		return;
	}
	json_t *id = json_object_get(message, "id");
	const json_t *params = json_object_get(message, "params");
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));
	bool has_id = json_is_string(id) || json_is_number(id);
	if (!version || strcmp(version, "2.0") != 0)
		send_error(rpc, has_id ? id : NULL, RPC_INVALID_REQUEST,
			   "Invalid request: not a JSON-RPC 2.0 object");
	else if (!has_id || !json_is_string(json_object_get(message, "method")))
		; /* a notification, or the answer to something we never asked */
	else if (params && !json_is_object(params))
		send_error(rpc, id, RPC_INVALID_PARAMS, "params must be an object");
	else
		make_call(rpc, json_incref(message));
	json_decref(message);
}

static void
on_too_long(void *arg)
{
	send_error(arg, NULL, RPC_PARSE_ERROR, "Parse error: the line is above 128 MiB");
}

static void
on_drain(void *arg)
{
	struct rpc *rpc = arg;
	rpc->events->on_drain(rpc->arg);
}

static void
on_end(void *arg)
{
	struct rpc *rpc = arg;
	rpc->events->on_end(rpc->arg);
}

int
rpc_open(struct rpc *rpc, uv_loop_t *loop, const struct rpc_events *events, void *arg)
{
	static const struct wire_events wire_events = {
		.on_line = on_line,
		.on_too_long = on_too_long,
		.on_drain = on_drain,
		.on_end = on_end,
	};
	rpc->events = events;
	rpc->arg = arg;
	return wire_open(&rpc->wire, loop, &wire_events, rpc);
}
