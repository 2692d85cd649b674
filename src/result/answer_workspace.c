/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_workspace: what a plugin answered about a workspace: its folder, what was
 * copied, where its web socket is. Readers of answer_read.
 */
#include "answer_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "answer_reader.h"
#include "envdriver/command/command.h"

enum { HEADERS_MAX = 64, HEADER_NAME_MAX = 256, PORT_MAX = 65535, PORT_DIGITS = 5 };

void
answer_workspace_realize(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "cwd", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (v[0].kind == JTEXT_STRING)
		answer_reader_decode(r, ANSWER_CWD, "cwd", v[0]);
	else
		answer_reader_without(r, "cwd");
	r->answer->metadata = answer_json(v[1]);
}

/* --- sync --- */

/* A count; missing is 0, with a warning. */
static bool
check_count(struct answer_reader *r, size_t i, struct jtext item, const char *name)
{
	struct jtext value = jtext_get(item, name);
	char path[80];
	int64_t n;

	if (!answer_given(value)) {
		answer_warn(r->answer, "operation %zu of the answer has no \"%s\": 0 is assumed",
			    i + 1, name);
		return true;
	}
	if (value.kind == JTEXT_NUMBER && jtext_int(value, &n) && n >= 0)
		return true;
	snprintf(path, sizeof(path), "result.operations[%zu].%s", i, name);
	answer_reader_refuse(r, path, "a count",
			     value.kind == JTEXT_NUMBER ? "another number"
							: jtext_kind_name(value.kind));
	return false;
}

static bool
check_synced(struct answer_reader *r, size_t i, struct jtext item)
{
	struct jtext id = jtext_get(item, "operationId");
	char path[80];

	if (item.kind != JTEXT_OBJECT) {
		snprintf(path, sizeof(path), "result.operations[%zu]", i);
		answer_reader_bad(r, path, jtext_kind_name(JTEXT_OBJECT), item.kind);
		return false;
	}
	if (id.kind != JTEXT_STRING) {
		snprintf(path, sizeof(path), "result.operations[%zu].operationId", i);
		answer_reader_bad(r, path, jtext_kind_name(JTEXT_STRING), id.kind);
		return false;
	}
	return check_count(r, i, item, "filesTransferred") &&
	       check_count(r, i, item, "bytesTransferred");
}

static bool
same_text(struct jtext a, struct jtext b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	bool same;

	jtext_decode(a, &x, /* ret_replaced= */ NULL);
	jtext_decode(b, &y, /* ret_replaced= */ NULL);
	same = !x.failed && !y.failed && span_eq(buf_span(&x), buf_span(&y));
	buf_release(&x);
	buf_release(&y);
	return same;
}

/* Each operation that was asked for, in its order, or the answer is not about
 * them. */
static void
compare_operations(struct answer_reader *r, struct jtext synced)
{
	struct span text = command_value(r->command, "operations")->text;
	struct jtext asked, done;
	struct jtext_iter a, d;
	bool more_asked, more_done;
	size_t i;

	jtext_iter_init(&a, command_json(text, JTEXT_ARRAY));
	jtext_iter_init(&d, synced);
	for (i = 1;; i++) {
		more_asked = jtext_iter_next(&a, /* ret_key= */ NULL, &asked);
		more_done = jtext_iter_next(&d, /* ret_key= */ NULL, &done);
		if (!more_asked || !more_done)
			break;
		if (same_text(jtext_get(asked, "operationId"), jtext_get(done, "operationId")))
			continue;
		answer_warn(r->answer, "operation %zu of the answer is not the one of the command",
			    i);
		return;
	}
	if (more_asked || more_done)
		answer_warn(r->answer, "the answer has %s operations than the command",
			    more_asked ? "fewer" : "more");
}

void
answer_workspace_sync(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "operations", ANSWER_IS(JTEXT_ARRAY), JTEXT_ARRAY },
	};
	struct jtext v[ANSWER_FIELDS_MAX], item;
	struct jtext_iter it;
	size_t i;

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (v[0].kind == JTEXT_MISSING) {
		answer_reader_without(r, "operations");
		return;
	}
	jtext_iter_init(&it, v[0]);
	for (i = 0; jtext_iter_next(&it, /* ret_key= */ NULL, &item); i++)
		if (!check_synced(r, i, item))
			return;
	compare_operations(r, v[0]);
	r->answer->synced = v[0];
}

/* --- ingress --- */

/* A host, and maybe a port, as they stand in a URL. */
static bool
is_authority(struct span s)
{
	const char *colon = memrchr(s.ptr, ':', s.len), *end = s.ptr + s.len, *p;
	bool literal = s.len && *s.ptr == '[';
	long port = 0;

	if (literal) {
		const char *close = memchr(s.ptr, ']', s.len);

		if (!close || (close + 1 < end && close[1] != ':'))
			return false;
		colon = close + 1 < end ? close + 1 : NULL;
		s = (struct span){ s.ptr + 1, (size_t)(close - s.ptr - 1) };
	} else if (colon) {
		s.len = (size_t)(colon - s.ptr);
	}
	if (colon && (end - colon == 1 || end - colon > PORT_DIGITS + 1))
		return false;
	for (p = colon ? colon + 1 : end; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		port = port * 10 + (*p - '0');
	}
	for (p = s.ptr; p < s.ptr + s.len; p++)
		if (!strchr(literal ? "0123456789abcdefABCDEF:."
				    : "0123456789abcdefghijklmnopqrstuvwxyz-._"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ", *p) || !*p)
			return false;
	return s.len && (!colon || (port > 0 && port <= PORT_MAX));
}

/* What is wrong with the URL, never quoting it: it may hold a password. */
static const char *
wrong_url(struct span url, struct span path)
{
	static const char scheme[] = "wss://";
	const size_t skip = sizeof(scheme) - 1;
	struct span rest, authority;
	size_t i;

	for (i = 0; i < url.len; i++)
		if ((unsigned char)url.ptr[i] <= ' ' || (unsigned char)url.ptr[i] >= 0x7f ||
		    url.ptr[i] == '\\')
			return "characters that must be escaped";
	if (url.len < skip || strncasecmp(url.ptr, scheme, skip) != 0)
		return "another scheme";
	if (memchr(url.ptr, '?', url.len))
		return "a query";
	if (memchr(url.ptr, '#', url.len))
		return "a fragment";
	authority = (struct span){ url.ptr + skip, url.len - skip };
	rest = SPAN_LIT("/");
	for (i = 0; i < authority.len; i++) {
		if (authority.ptr[i] != '/')
			continue;
		rest = (struct span){ authority.ptr + i, authority.len - i };
		authority.len = i;
	}
	if (memchr(authority.ptr, '@', authority.len))
		return "user information";
	if (!is_authority(authority))
		return "no valid host and port";
	return span_eq(rest, path) ? NULL : "another path";
}

static bool
read_socket_url(struct answer_reader *r, struct jtext url)
{
	const char *wrong;

	if (url.kind != JTEXT_STRING) {
		answer_reader_bad(r, "result.websocketUrl", jtext_kind_name(JTEXT_STRING),
				  url.kind);
		return false;
	}
	answer_reader_decode(r, ANSWER_URL, "websocketUrl", url);
	wrong = wrong_url(answer_text(r->answer, ANSWER_URL),
			  command_value(r->command, "path")->text);
	if (wrong)
		answer_reader_refuse(r, "result.websocketUrl",
				     "a wss: URL with the command's path and nothing more", wrong);
	return !wrong;
}

/* A token of RFC 9110. */
static bool
is_header_name(struct span name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (!strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", name.ptr[i]) || !name.ptr[i])
			return false;
	return name.len && name.len <= HEADER_NAME_MAX;
}

/* Text without what would end a header line. */
static bool
is_header_value(struct span value)
{
	size_t i;

	for (i = 0; i < value.len; i++)
		if (((unsigned char)value.ptr[i] < ' ' && value.ptr[i] != '\t') ||
		    value.ptr[i] == 0x7f)
			return false;
	return true;
}

static bool
read_header(struct answer_reader *r, size_t i, struct jtext header)
{
	struct jtext name = jtext_get(header, "name"), value = jtext_get(header, "value");
	struct buf text = BUF_INIT, secret = BUF_WIPES;
	const char *wrong = NULL;
	char path[80];

	if (name.kind == JTEXT_STRING)
		jtext_decode(name, &text, /* ret_replaced= */ NULL);
	if (value.kind == JTEXT_STRING)
		jtext_decode(value, &secret, /* ret_replaced= */ NULL);
	if (name.kind != JTEXT_STRING || !is_header_name(buf_span(&text)))
		wrong = "name";
	else if (value.kind != JTEXT_STRING || !is_header_value(buf_span(&secret)))
		wrong = "value";
	else
		answer_list_add(&r->answer->header_names, buf_span(&text));
	r->answer->header_names.bytes.failed |= text.failed | secret.failed;
	buf_release(&text);
	buf_release(&secret);
	if (!wrong)
		return true;
	snprintf(path, sizeof(path), "result.secretHeaders[%zu].%s", i, wrong);
	answer_reader_refuse(r, path, "what an HTTP header may have", "something else");
	return false;
}

static bool
read_headers(struct answer_reader *r, struct jtext headers)
{
	struct jtext_iter it;
	struct jtext item;
	size_t i;

	if (!answer_given(headers)) {
		answer_reader_without(r, "secretHeaders");
		return true;
	}
	jtext_iter_init(&it, headers);
	for (i = 0; jtext_iter_next(&it, /* ret_key= */ NULL, &item); i++) {
		if (i == HEADERS_MAX) {
			answer_reader_refuse(r, "result.secretHeaders", "at most 64 headers",
					     "more");
			return false;
		}
		if (!read_header(r, i, item))
			return false;
	}
	return !i || answer_reader_credential(r, "result.secretHeaders", headers);
}

void
answer_workspace_ingress(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "kind", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "websocketUrl", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "secretHeaders", ANSWER_IS(JTEXT_ARRAY) | ANSWER_IS(JTEXT_NULL), JTEXT_ARRAY },
		{ "generation", 0, JTEXT_STRING },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (v[0].kind != JTEXT_STRING || !jtext_is(v[0], "authenticated_websocket")) {
		answer_reader_refuse(r, "result.kind", "\"authenticated_websocket\"",
				     v[0].kind == JTEXT_STRING ? "another kind"
							       : jtext_kind_name(v[0].kind));
		return;
	}
	if (!read_socket_url(r, v[1]) || !read_headers(r, v[2]))
		return;
	if (answer_given(v[3]))
		answer_reader_decode(r, ANSWER_GENERATION, "generation", v[3]);
	else
		answer_reader_without(r, "generation");
}
