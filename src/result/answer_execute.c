/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_execute: what a plugin answered to Execute. A reader of answer_read, with
 * its own table of fields and of what stands in for a missing one.
 */
#include "answer_read.h"
#include "answer_reader.h"
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
answer_execute(struct answer_reader *r)
{
	struct jtext v[ANSWER_FIELDS_MAX];
	int64_t code = 0;
	size_t i;

	if (!answer_reader_fields(r, fields, FIELDS, v))
		return;
	if (v[EXIT_CODE].kind == JTEXT_NUMBER) {
		if (!jtext_int(v[EXIT_CODE], &code) || code < INT32_MIN || code > INT32_MAX) {
			answer_reader_bad(r, "result.exitCode", "32-bit integer", JTEXT_NUMBER);
			return;
		}
		r->answer->has_exit_code = true;
		r->answer->exit_code = (int32_t)code;
	}
	for (i = 0; i < FIELDS; i++)
		if (v[i].kind == JTEXT_MISSING && defaults[i])
			answer_warn(r->answer,
				    "the plugin answered %s without \"%s\": %s is assumed",
				    r->reply->method, fields[i].name, defaults[i]);
	r->answer->timed_out = v[TIMED_OUT].kind == JTEXT_TRUE;
	if (v[SIGNAL].kind == JTEXT_STRING)
		answer_reader_decode(r, ANSWER_SIGNAL, "signal", v[SIGNAL]);
	if (v[STDOUT].kind == JTEXT_STRING)
		answer_reader_decode(r, ANSWER_STDOUT, "stdout", v[STDOUT]);
	if (v[STDERR].kind == JTEXT_STRING)
		answer_reader_decode(r, ANSWER_STDERR, "stderr", v[STDERR]);
	r->answer->metadata = answer_json(v[METADATA]);
}
