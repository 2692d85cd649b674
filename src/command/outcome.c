/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/outcome.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* docs/operations.md, "Outcomes". Whether a PLUGIN_ERROR is retryable depends on
 * what the plugin answered (retryable.h), a RELEASE_UNCONFIRMED on its receipt, and
 * whether INTERNAL may have run on where it happened. */
static const struct row {
	const char *name;
	enum outcome_status status;
	bool retryable, may_have_run;
	int http_status;
} table[CODE_COUNT] = {
	[CODE_NONE] = { "", OUTCOME_SUCCEEDED, false, false, 0 },
	[CODE_DRIVER_NOT_READY] = { "DRIVER_NOT_READY", OUTCOME_FAILED, false, false, 0 },
	[CODE_DRIVER_NOT_DECLARED] = { "DRIVER_NOT_DECLARED", OUTCOME_FAILED, false, false, 0 },
	[CODE_NO_RUNNING_WORKER] = { "NO_RUNNING_WORKER", OUTCOME_FAILED, true, false, 0 },
	[CODE_PROVIDER_NOT_AVAILABLE] = { "PROVIDER_NOT_AVAILABLE", OUTCOME_FAILED, true, false,
					  0 },
	[CODE_CONFIG_REJECTED] = { "CONFIG_REJECTED", OUTCOME_FAILED, false, true, 422 },
	[CODE_PLUGIN_ERROR] = { "PLUGIN_ERROR", OUTCOME_FAILED, false, true, 0 },
	[CODE_METHOD_NOT_IMPLEMENTED] = { "METHOD_NOT_IMPLEMENTED", OUTCOME_FAILED, false, false,
					  0 },
	[CODE_WORKER_UNAVAILABLE] = { "WORKER_UNAVAILABLE", OUTCOME_FAILED, true, true, 0 },
	[CODE_TIMEOUT] = { "TIMEOUT", OUTCOME_FAILED, true, true, 0 },
	[CODE_BAD_RESPONSE] = { "BAD_RESPONSE", OUTCOME_FAILED, false, true, 0 },
	[CODE_EXPIRED] = { "EXPIRED", OUTCOME_EXPIRED, false, false, 0 },
	[CODE_INTERRUPTED] = { "INTERRUPTED", OUTCOME_INTERRUPTED, true, true, 0 },
	[CODE_SECRET_UNRESOLVED] = { "SECRET_UNRESOLVED", OUTCOME_FAILED, false, false, 0 },
	[CODE_RELEASE_UNCONFIRMED] = { "RELEASE_UNCONFIRMED", OUTCOME_FAILED, false, true, 0 },
	[CODE_RESULT_TOO_LARGE] = { "RESULT_TOO_LARGE", OUTCOME_FAILED, false, true, 0 },
	[CODE_OPERATION_NOT_SUPPORTED] = { "OPERATION_NOT_SUPPORTED", OUTCOME_FAILED, false, false,
					   0 },
	[CODE_INTERNAL] = { "INTERNAL", OUTCOME_FAILED, true, false, 0 },
};

void
outcome_release(struct outcome *o)
{
	buf_release(&o->message);
	buf_release(&o->details);
	buf_release(&o->why);
}

void
outcome_begin(struct outcome *o, enum outcome_code code)
{
	const struct row *row = &table[code];

	assert((unsigned)code < CODE_COUNT);
	o->status = row->status;
	o->code = code;
	o->has_rpc_code = false;
	o->rpc_code = 0;
	o->http_status = row->http_status;
	o->retryable = row->retryable;
	o->may_have_run = row->may_have_run;
	buf_reset(&o->message);
	buf_reset(&o->details);
	buf_reset(&o->why);
}

void
outcome_fail(struct outcome *o, enum outcome_code code, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	outcome_begin(o, code);
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0 && buf_reserve(&o->message, (size_t)n)) {
		vsnprintf(o->message.data, (size_t)n + 1, fmt, again);
		o->message.len = (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

const char *
outcome_code_name(enum outcome_code code)
{
	assert((unsigned)code < CODE_COUNT);
	return table[code].name;
}

const char *
outcome_status_name(enum outcome_status status)
{
	static const char *const names[] = {
		[OUTCOME_SUCCEEDED] = "SUCCEEDED",
		[OUTCOME_FAILED] = "FAILED",
		[OUTCOME_INTERRUPTED] = "INTERRUPTED",
		[OUTCOME_EXPIRED] = "EXPIRED",
	};

	assert((unsigned)status < sizeof(names) / sizeof(names[0]));
	return names[status];
}
