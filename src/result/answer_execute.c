/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "envdriver/plugin/rpc.h"

enum { EXIT_CODE, SIGNAL, TIMED_OUT, STDOUT, STDERR, METADATA, FIELDS };

static const struct answer_field fields[FIELDS] = {
	[EXIT_CODE] = { "exitCode", ANSWER_IS(JTEXT_NUMBER) | ANSWER_IS(JTEXT_NULL), JTEXT_NUMBER },
	[SIGNAL] = { "signal", ANSWER_IS(JTEXT_STRING) | ANSWER_IS(JTEXT_NULL), JTEXT_STRING },
	[TIMED_OUT] = { "timedOut", ANSWER_BOOL, JTEXT_TRUE },
	[STDOUT] = { "stdout", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
	[STDERR] = { "stderr", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
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
answer_execute(struct answer *s, const struct answer_call *call)
{
	struct jtext v[ANSWER_FIELDS_MAX];
	int64_t code = 0;
	size_t i;

	if (!answer_fields(s, call, fields, FIELDS, v))
		return;
	if (v[EXIT_CODE].kind == JTEXT_NUMBER) {
		if (!jtext_int(v[EXIT_CODE], &code) || code < INT32_MIN || code > INT32_MAX) {
			answer_bad(s, call, "result.exitCode", "32-bit integer", JTEXT_NUMBER);
			return;
		}
		s->has_exit_code = true;
		s->exit_code = (int32_t)code;
	}
	for (i = 0; i < FIELDS; i++)
		if (v[i].kind == JTEXT_MISSING && defaults[i])
			answer_warn(s, "the plugin answered %s without \"%s\": %s is assumed",
				   call->answer->method, fields[i].name, defaults[i]);
	s->timed_out = v[TIMED_OUT].kind == JTEXT_TRUE;
	if (v[SIGNAL].kind == JTEXT_STRING)
		answer_decode(s, ANSWER_SIGNAL, "signal", v[SIGNAL]);
	if (v[STDOUT].kind == JTEXT_STRING)
		answer_decode(s, ANSWER_STDOUT, "stdout", v[STDOUT]);
	if (v[STDERR].kind == JTEXT_STRING)
		answer_decode(s, ANSWER_STDERR, "stderr", v[STDERR]);
	s->metadata = answer_json(v[METADATA]);
}
