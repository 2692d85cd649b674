/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_execute: what a plugin answered to Execute. A reader of answer_read.
 *
 * The command has run, and its output exists nowhere else: no field's form is a
 * reason to lose it. What is unusual is read as what it most likely means, never as
 * a success that nobody claimed, and a warning says so.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer_read.h"
#include "answer_reader.h"
#include "envdriver/base/base64.h"
#include "envdriver/rpc/rpc.h"

enum {
	EXIT_CODE,
	SIGNAL,
	TIMED_OUT,
	STDOUT,
	STDERR,
	METADATA,
	STDOUT_BASE64,
	STDERR_BASE64,
	FIELDS,
	TEXT_MAX = 64
};

static const struct answer_field fields[FIELDS] = {
	[EXIT_CODE] = { "exitCode", 0, JTEXT_NUMBER },
	[SIGNAL] = { "signal", 0, JTEXT_STRING },
	[TIMED_OUT] = { "timedOut", 0, JTEXT_TRUE },
	[STDOUT] = { "stdout", 0, JTEXT_STRING },
	[STDERR] = { "stderr", 0, JTEXT_STRING },
	[METADATA] = { "metadata", 0, JTEXT_OBJECT },
	[STDOUT_BASE64] = { "stdoutBase64", 0, JTEXT_STRING },
	[STDERR_BASE64] = { "stderrBase64", 0, JTEXT_STRING },
};

/* The protocol demands these; what we assume instead. */
static const char *const defaults[FIELDS] = {
	[EXIT_CODE] = "null",
	[TIMED_OUT] = "false",
	[STDOUT] = "no output",
	[STDERR] = "no output",
};

/* Says that a field is read as something else than it is. */
static void
warn_of_field(struct answer_reader *r, int field, struct jtext value, const char *read_as)
{
	int n = value.raw.len > TEXT_MAX ? TEXT_MAX : (int)value.raw.len;

	while (n > 0 && (size_t)n < value.raw.len &&
	       ((unsigned char)value.raw.ptr[n] & 0xc0) == 0x80)
		n--;
	answer_warn(r->answer, "the plugin answered %s with \"%s\": %.*s%s, which is read as %s",
		    r->reply->method, fields[field].name, n, value.raw.ptr,
		    (size_t)n < value.raw.len ? "..." : "", read_as);
}

/* A short text of a string or a number, without blanks around it; "" when it is
 * neither, or long. */
static void
read_short(struct jtext value, char ret[TEXT_MAX])
{
	struct buf text = BUF_INIT;
	struct span s = value.raw;

	ret[0] = '\0';
	if (value.kind == JTEXT_STRING) {
		jtext_decode(value, &text, NULL);
		s = buf_span(&text);
	}
	while (s.len && strchr(" \t\r\n", s.ptr[s.len - 1]))
		s.len--;
	while (s.len && strchr(" \t\r\n", *s.ptr)) {
		s.ptr++;
		s.len--;
	}
	if (s.len && s.len < TEXT_MAX && !memchr(s.ptr, '\0', s.len) &&
	    (value.kind == JTEXT_STRING || value.kind == JTEXT_NUMBER)) {
		memcpy(ret, s.ptr, s.len);
		ret[s.len] = '\0';
	}
	buf_release(&text);
}

/* An integer, decimal or hexadecimal, and nothing else. */
static bool
read_integer(struct jtext value, int64_t *ret)
{
	char text[TEXT_MAX], *end;
	const char *digits = text;
	bool hex;

	if (value.kind == JTEXT_NUMBER && jtext_int(value, ret))
		return true;
	if (value.kind != JTEXT_STRING)
		return false;
	read_short(value, text);
	digits += text[0] == '-' || text[0] == '+';
	hex = strncasecmp(digits, "0x", 2) == 0 && digits[2];
	if (hex ? strspn(digits + 2, "0123456789abcdefABCDEF") != strlen(digits + 2)
		: !*digits || strspn(digits, "0123456789.") != strlen(digits))
		return false;
	errno = 0;
	*ret = strtoll(text, &end, hex ? 16 : 10);
	/* "3.0" is what some languages print for 3. */
	if (*end == '.')
		end += 1 + strspn(end + 1, "0");
	return errno == 0 && !*end;
}

static void
read_exit_code(struct answer_reader *r, struct jtext value)
{
	int64_t code = 0;
	char read_as[TEXT_MAX];

	if (!answer_given(value))
		return;
	if (!read_integer(value, &code) || code < INT32_MIN || code > (int64_t)UINT32_MAX) {
		warn_of_field(r, EXIT_CODE, value, "null: it is no 32-bit integer");
		return;
	}
	r->answer->has_exit_code = true;
	r->answer->exit_code = (int32_t)(uint32_t)code;
	snprintf(read_as, sizeof(read_as), "%d", r->answer->exit_code);
	if (value.kind != JTEXT_NUMBER || code > INT32_MAX)
		warn_of_field(r, EXIT_CODE, value, read_as);
}

/* The number of a signal by its name ("SIGKILL", "kill", "Killed"), or 0. */
static int
signal_of_name(const char *name)
{
	const char *plain = strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;
	int n;

	for (n = 1; n < NSIG; n++)
		if (sigabbrev_np(n) && (strcasecmp(plain, sigabbrev_np(n)) == 0 ||
					strcasecmp(name, sigdescr_np(n)) == 0))
			return n;
	return 0;
}

static void
read_signal(struct answer_reader *r, struct jtext value)
{
	char text[TEXT_MAX], name[TEXT_MAX];
	struct buf *out = &r->answer->texts[ANSWER_SIGNAL];
	int64_t number = 0;

	read_short(value, text);
	if (!answer_given(value) || (value.kind == JTEXT_STRING && value.raw.len <= 2))
		return;
	if (read_integer(value, &number) ? number == 0 : value.kind == JTEXT_FALSE) {
		warn_of_field(r, SIGNAL, value, "null");
		return;
	}
	if (number < 0)		/* as Python counts them */
		number = number > -NSIG ? -number : 0;
	else if (number > 128 && number < 128 + NSIG)	/* as a shell does */
		number -= 128;
	if (!number)
		number = signal_of_name(text);
	if (number <= 0 || number >= NSIG || !sigabbrev_np((int)number)) {
		answer_reader_decode(r, ANSWER_SIGNAL, "signal", value);
		if (value.kind != JTEXT_STRING)
			warn_of_field(r, SIGNAL, value, "a signal without a name");
		return;
	}
	r->answer->has[ANSWER_SIGNAL] = true;
	snprintf(name, sizeof(name), "SIG%s", sigabbrev_np((int)number));
	buf_adds(out, name);
	if (strcmp(text, name) != 0 || value.kind != JTEXT_STRING)
		warn_of_field(r, SIGNAL, value, name);
}

static void
read_timed_out(struct answer_reader *r, struct jtext value)
{
	char text[TEXT_MAX];
	int64_t number = 0;

	read_short(value, text);
	if (value.kind == JTEXT_NUMBER)
		r->answer->timed_out = !jtext_int(value, &number) || number != 0;
	else if (value.kind == JTEXT_STRING)
		r->answer->timed_out = value.raw.len > 2 && strcasecmp(text, "false") != 0 &&
				       strcasecmp(text, "no") != 0 && strcmp(text, "0") != 0;
	else
		r->answer->timed_out = answer_given(value) && value.kind != JTEXT_FALSE;
	if (value.kind != JTEXT_MISSING && value.kind != JTEXT_TRUE && value.kind != JTEXT_FALSE)
		warn_of_field(r, TIMED_OUT, value, r->answer->timed_out ? "true" : "false");
}

static void
read_output(struct answer_reader *r, int field, enum answer_slot slot, struct jtext value)
{
	if (value.kind == JTEXT_NULL)
		warn_of_field(r, field, value, "no output");
	if (!answer_given(value))
		return;
	answer_reader_decode(r, slot, fields[field].name, value);
	if (value.kind != JTEXT_STRING)
		warn_of_field(r, field, value, "its JSON text");
}

/* The bytes as the command wrote them, of which the text is made again: it must
 * be the same wherever a piece begins. */
static void
read_raw_output(struct answer_reader *r, int field, enum answer_slot slot, enum answer_slot raw,
		struct jtext value)
{
	struct buf *bytes = &r->answer->texts[raw], *text = &r->answer->texts[slot];
	struct buf base64 = BUF_INIT;

	if (!answer_given(value))
		return;
	if (value.kind == JTEXT_STRING)
		jtext_decode(value, &base64, NULL);
	if (value.kind != JTEXT_STRING || !base64_decode(bytes, buf_span(&base64)))
		warn_of_field(r, field, value, "nothing: it is not base64");
	else if (!jtext_utf8_ok(buf_span(bytes)))
		r->answer->has[raw] = r->answer->has[slot] = true;
	if (r->answer->has[raw]) {
		buf_reset(text);
		jtext_add_repaired(text, buf_span(bytes));
	}
	text->failed |= base64.failed;
	buf_release(&base64);
}

/* What a plugin says of the output in its metadata (docs/protocol.md section 4). */
static void
warn_of_output(struct answer_reader *r, struct jtext metadata)
{
	int64_t n = 0;
	struct jtext value = jtext_get(metadata, "outputLimitBytes");
	struct jtext ended_by = jtext_get(metadata, "endedBy");

	if (jtext_get(metadata, "outputCut").kind == JTEXT_TRUE ||
	    (ended_by.kind == JTEXT_STRING && jtext_is(ended_by, "outputLimit"))) {
		if (value.kind == JTEXT_NUMBER && jtext_int(value, &n))
			answer_warn(r->answer, "the output was cut at the plugin's limit of %lld "
				    "bytes", (long long)n);
		else
			answer_warn(r->answer, "the output was cut by the plugin");
	}
	value = jtext_get(metadata, "outputBytesReplaced");
	if (value.kind == JTEXT_NUMBER && jtext_int(value, &n) && n > 0)
		answer_warn(r->answer, "%lld bytes of the output are not UTF-8; U+FFFD replaces "
			    "them", (long long)n);
}

void
answer_execute(struct answer_reader *r)
{
	struct jtext v[ANSWER_FIELDS_MAX];
	size_t i;

	if (!answer_reader_fields(r, fields, FIELDS, v))
		return;
	for (i = 0; i < FIELDS; i++)
		if (v[i].kind == JTEXT_MISSING && defaults[i])
			answer_warn(r->answer,
				    "the plugin answered %s without \"%s\": %s is assumed",
				    r->reply->method, fields[i].name, defaults[i]);
	read_exit_code(r, v[EXIT_CODE]);
	read_signal(r, v[SIGNAL]);
	read_timed_out(r, v[TIMED_OUT]);
	read_output(r, STDOUT, ANSWER_STDOUT, v[STDOUT]);
	read_output(r, STDERR, ANSWER_STDERR, v[STDERR]);
	read_raw_output(r, STDOUT_BASE64, ANSWER_STDOUT, ANSWER_STDOUT_RAW, v[STDOUT_BASE64]);
	read_raw_output(r, STDERR_BASE64, ANSWER_STDERR, ANSWER_STDERR_RAW, v[STDERR_BASE64]);
	r->answer->metadata = answer_json(v[METADATA]);
	if (v[METADATA].kind == JTEXT_OBJECT)
		warn_of_output(r, v[METADATA]);
}
