/* SPDX-License-Identifier: Apache-2.0 */
#include "shape.h"
#include "envdriver/plugin/rpc.h"

enum { EXIT_CODE, SIGNAL, TIMED_OUT, STDOUT, STDERR, METADATA, FIELDS };

static const struct shape_field fields[FIELDS] = {
	[EXIT_CODE] = { "exitCode", SHAPE_IS(JTEXT_NUMBER) | SHAPE_IS(JTEXT_NULL), JTEXT_NUMBER },
	[SIGNAL] = { "signal", SHAPE_IS(JTEXT_STRING) | SHAPE_IS(JTEXT_NULL), JTEXT_STRING },
	[TIMED_OUT] = { "timedOut", SHAPE_BOOL, JTEXT_TRUE },
	[STDOUT] = { "stdout", SHAPE_IS(JTEXT_STRING), JTEXT_STRING },
	[STDERR] = { "stderr", SHAPE_IS(JTEXT_STRING), JTEXT_STRING },
	[METADATA] = { "metadata", 0, JTEXT_OBJECT },
};

/* The protocol demands these; what we assume instead. */
static const char *const defaults[FIELDS] = {
	[EXIT_CODE] = "null",
	[TIMED_OUT] = "false",
	[STDOUT] = "no output",
	[STDERR] = "no output",
};

void
shape_execute(struct shape *s, const struct shape_call *call)
{
	struct jtext v[SHAPE_FIELDS_MAX];
	int64_t code = 0;
	size_t i;

	if (!shape_fields(s, call, fields, FIELDS, v))
		return;
	if (v[EXIT_CODE].kind == JTEXT_NUMBER) {
		if (!jtext_int(v[EXIT_CODE], &code) || code < INT32_MIN || code > INT32_MAX) {
			shape_bad(s, call, "result.exitCode", "32-bit integer", JTEXT_NUMBER);
			return;
		}
		s->has_exit_code = true;
		s->exit_code = (int32_t)code;
	}
	for (i = 0; i < FIELDS; i++)
		if (v[i].kind == JTEXT_MISSING && defaults[i])
			shape_warn(s, "the plugin answered %s without \"%s\": %s is assumed",
				   call->answer->method, fields[i].name, defaults[i]);
	s->timed_out = v[TIMED_OUT].kind == JTEXT_TRUE;
	if (v[SIGNAL].kind == JTEXT_STRING)
		shape_decode(s, SHAPE_SIGNAL, "signal", v[SIGNAL]);
	if (v[STDOUT].kind == JTEXT_STRING)
		shape_decode(s, SHAPE_STDOUT, "stdout", v[STDOUT]);
	if (v[STDERR].kind == JTEXT_STRING)
		shape_decode(s, SHAPE_STDERR, "stderr", v[STDERR]);
	s->metadata = shape_json(v[METADATA]);
}
