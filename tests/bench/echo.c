/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: a plugin that answers environmentProbe as fast as a program can, so
 * that what the benchmark measures is the host and not the plugin.
 *
 * Correct JSON-RPC for what it is sent, and no more: the id comes back letter
 * by letter, a notification gets no answer, an unknown method an error.
 * Answers go out with one write for each read.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 4 << 20, ANSWER_MAX = 1024 };

struct text {
	const char *at;
	size_t length;
};

static char in[ROOM], out[ROOM];
static size_t out_length;

#define METADATA \
	"{\"driverKey\":\"probe\",\"region\":\"local-1\",\"provider\":\"bench\"," \
	"\"latencyMs\":0,\"sandboxes\":3,\"image\":\"paperclip/sandbox:2026.8\"}"

static const struct method {
	const char *name, *result;
} methods[] = {
	{ "environmentProbe",
	  "{\"ok\":true,\"summary\":\"driver reachable\",\"metadata\":" METADATA "}" },
	{ "initialize", "{\"ok\":true,\"supportedMethods\":[\"environmentProbe\"]}" },
	{ "health", "{\"status\":\"ok\"}" },
	{ "shutdown", "null" },
};

#define N_METHODS (sizeof(methods) / sizeof(*methods))

static bool
is(struct text t, const char *name)
{
	return t.length == strlen(name) && memcmp(t.at, name, t.length) == 0;
}

/* --- the members of one object --- */

/* Past the string that begins at its opening quote. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : end;
}

/* Past any value: up to the comma or brace that follows it. */
static const char *
skip_value(const char *p, const char *end)
{
	int depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (depth == 0 && (*p == ',' || *p == '}'))
			break;
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		p++;
	}
	return p;
}

static const char *
skip(const char *p, const char *end, const char *these)
{
	while (p < end && strchr(these, *p))
		p++;
	return p;
}

static struct text
trimmed(const char *from, const char *to)
{
	while (to > from && strchr(" \t\r", to[-1]))
		to--;
	return (struct text){ from, (size_t)(to - from) };
}

static struct text
unquoted(struct text t)
{
	return t.length < 2 ? t : (struct text){ t.at + 1, t.length - 2 };
}

/* Stops at the second of the two: hosts write them first. */
static void
read_request(const char *p, const char *end, struct text *ret_id, struct text *ret_method)
{
	p = skip(p, end, " \t{");
	while (p < end && *p == '"' && !(ret_id->at && ret_method->at)) {
		const char *key_end = skip_string(p, end);
		struct text key = unquoted(trimmed(p, key_end));
		const char *value = skip(key_end, end, " \t:");

		p = skip_value(value, end);
		if (is(key, "id"))
			*ret_id = trimmed(value, p);
		else if (is(key, "method"))
			*ret_method = unquoted(trimmed(value, p));
		p = skip(p, end, " \t,");
	}
}

/* --- answers --- */

static void
flush(void)
{
	size_t done = 0;

	while (done < out_length) {
		ssize_t n = write(STDOUT_FILENO, out + done, out_length - done);

		if (n <= 0)
			exit(1);
		done += (size_t)n;
	}
	out_length = 0;
}

static void
put(const char *at, size_t length)
{
	memcpy(out + out_length, at, length);
	out_length += length;
}

/* `member` is the key of result or error with its punctuation. */
static void
answer(struct text id, const char *member, const char *value)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";

	if (out_length + id.length + ANSWER_MAX > ROOM)
		flush();
	put(head, sizeof(head) - 1);
	put(id.at, id.length);
	put(member, strlen(member));
	put(value, strlen(value));
	put("}\n", 2);
}

static void
serve(const char *line, const char *end)
{
	struct text id = { 0 }, method = { 0 };

	read_request(line, end, &id, &method);
	if (!id.at)
		return;
	for (size_t i = 0; i < N_METHODS; i++) {
		if (!is(method, methods[i].name))
			continue;
		answer(id, ",\"result\":", methods[i].result);
		if (is(method, "shutdown")) {
			flush();
			exit(0);
		}
		return;
	}
	answer(id, ",\"error\":", "{\"code\":-32601,\"message\":\"Unknown method\"}");
}

int
main(void)
{
	size_t have = 0;
	ssize_t n;

	while (have < ROOM && (n = read(STDIN_FILENO, in + have, ROOM - have)) > 0) {
		const char *line = in, *end = in + have + n, *nl;

		while ((nl = memchr(line, '\n', (size_t)(end - line)))) {
			serve(line, nl);
			line = nl + 1;
		}
		have = (size_t)(end - line);
		memmove(in, line, have);
		flush();
	}
	return have > 0;
}
