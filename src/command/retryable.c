/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/retryable.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LOOKED_AT_MAX = 4096 };	/* bytes of a message */

/* docs/operations.md, "Retryable errors", has the same rows. */
static const struct retryable_row table[] = {
	{ RETRYABLE_CODE, true, "408|425|429|500-599|4|14|-32000|-32003" },
	{ RETRYABLE_CODE, false, "400-499|-32001|-32005|-32006|-32602" },
	{ RETRYABLE_STATUS, true, "408|425|429|500-599" },
	{ RETRYABLE_STATUS, false, "400-499" },
	{ RETRYABLE_NAME, true,
	  "ECONNRESET|ECONNREFUSED|ECONNABORTED|ETIMEDOUT|ESOCKETTIMEDOUT|EPIPE|EAI_AGAIN" },
	{ RETRYABLE_NAME, true,
	  "ENETUNREACH|ENETDOWN|ENETRESET|EHOSTUNREACH|EHOSTDOWN|EAGAIN|EMFILE|ENFILE" },
	{ RETRYABLE_NAME, true,
	  "UND_ERR_SOCKET|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT|"
	  "ERR_STREAM_PREMATURE_CLOSE" },
	{ RETRYABLE_NAME, true, "UNAVAILABLE|DEADLINE_EXCEEDED" },
	{ RETRYABLE_NAME, false,
	  "ENOENT|ENOTFOUND|EACCES|EPERM|ENOEXEC|ENOTDIR|EISDIR|EEXIST|EINVAL|E2BIG" },
	{ RETRYABLE_WORDS, false,
	  "quota|billing|payment|insufficient funds|insufficient credits|insufficient balance" },
	{ RETRYABLE_WORDS, false,
	  "unauthorized|unauthenticated|forbidden|permission denied|access denied|"
	  "authentication failed|not allowed|not permitted" },
	{ RETRYABLE_WORDS, false,
	  "invalid|validation|must be|must not|is required|not supported|unsupported|not found|"
	  "no such|does not exist|already exists" },
	{ RETRYABLE_CODE, true, "8" },
	{ RETRYABLE_NAME, true, "RESOURCE_EXHAUSTED" },
	{ RETRYABLE_WORDS, true, "[unavailable]|[resource exhausted]|[deadline exceeded]" },
	{ RETRYABLE_WORDS, true,
	  "fetch failed|socket hang up|socket closed|other side closed|premature close|"
	  "broken pipe|unexpected eof" },
	{ RETRYABLE_WORDS, true,
	  "connection reset|connection was reset|connection refused|connection closed|"
	  "connection was closed|connection lost" },
	{ RETRYABLE_WORDS, true,
	  "connection aborted|connection terminated|connection error|no connection established|"
	  "closed by remote host|received rst_stream" },
	{ RETRYABLE_WORDS, true,
	  "network error|network timeout|network failure|network is unreachable|no route to host|"
	  "client network socket disconnected" },
	{ RETRYABLE_WORDS, true,
	  "timeout|timeout error|request timeout|gateway timeout|gateway time-out|timed out|"
	  "time limit exceeded|deadline exceeded" },
	{ RETRYABLE_WORDS, true,
	  "rate limit*|too many requests|throttl*|slow down|retry later|retry after|"
	  "try again later|try again in" },
	{ RETRYABLE_WORDS, true,
	  "overloaded|over capacity|server busy|server is busy|service busy|no healthy upstream|"
	  "upstream connect error" },
	{ RETRYABLE_WORDS, true,
	  "temporarily|temporary failure|temporary error|transient|bad gateway|"
	  "internal server error" },
	{ RETRYABLE_WORDS, true,
	  "service unavailable|service is unavailable|server unavailable|server is unavailable|"
	  "currently unavailable" },
	{ RETRYABLE_WHOLE, true,
	  "terminated|aborted|this operation was aborted|the operation was aborted" },
};

const struct retryable_row *
retryable_row(size_t i)
{
	return i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

/* --- words --- */

static bool
is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Between two characters of a text, a word may begin or end. */
static bool
is_edge(struct span text, size_t at)
{
	return at == 0 || at >= text.len || !is_word_char(text.ptr[at - 1]) ||
	       !is_word_char(text.ptr[at]);
}

static bool
is_word_gap(char c)
{
	return c == ' ' || c == '-' || c == '_' || c == '\t' || c == '\n' || c == '\r';
}

/* How many bytes of `text` from `at` on are the words; 0: they do not stand there.
 * Where they have a space, there may be any gap, or none ("RateLimit"). */
static size_t
match_words(struct span text, size_t at, struct span words)
{
	size_t i = at;

	for (size_t w = 0; w < words.len; w++) {
		if (words.ptr[w] == '*' && w + 1 == words.len)
			break;
		if (words.ptr[w] == ' ') {
			while (i < text.len && is_word_gap(text.ptr[i]))
				i++;
			continue;
		}
		if (i >= text.len ||
		    tolower((unsigned char)text.ptr[i]) != (unsigned char)words.ptr[w])
			return 0;
		i++;
	}
	return i - at;
}

static bool
has_words(struct span text, struct span words)
{
	bool open = words.ptr[words.len - 1] == '*';

	for (size_t at = 0; at < text.len; at++) {
		size_t n = is_edge(text, at) ? match_words(text, at, words) : 0;

		if (n && (open || is_edge(text, at + n)))
			return true;
	}
	return false;
}

static bool
is_whole_message(struct span text, struct span words)
{
	while (text.len && (text.ptr[text.len - 1] == '.' || is_word_gap(text.ptr[text.len - 1])))
		text.len--;
	return text.len && match_words(text, 0, words) == text.len;
}

static bool
has_name(struct span text, struct span name)
{
	for (size_t at = 0; at + name.len <= text.len; at++)
		if (is_edge(text, at) && is_edge(text, at + name.len) &&
		    memcmp(text.ptr + at, name.ptr, name.len) == 0)
			return true;
	return false;
}

/* --- an HTTP status in a text --- */

/* Words before a number that make it a status: some at once, some only when no
 * thing that is counted can follow ("returned 500 rows"). */
static const struct {
	const char *word;
	bool surely;
} lead_ins[] = {
	{ "http", true },	{ "http/1.0", true },	{ "http/1.1", true },
	{ "http/2", true },	{ "http/2.0", true },	{ "http/3", true },
	{ "status", true },	{ "statuscode", true },	{ "code", true },
	{ "error", false },	{ "response", false },	{ "returned", false },
	{ "failed", false },	{ "responded with", false }, { "replied with", false },
	{ "answered with", false }, { "failed with", false }, { "answered", false },
};

static bool
ends_with_word(struct span text, const char *word)
{
	size_t len = strlen(word);

	return text.len >= len && strncasecmp(text.ptr + text.len - len, word, len) == 0 &&
	       is_edge(text, text.len - len);
}

/* Reason phrases, as they begin, with a space before them. */
static bool
has_reason(struct span after)
{
	static const char *const reasons[] = {
		"Too Many", "Service Un", "Internal Server", "Bad Gateway", "Gateway T",
		"Request Time", "Bad Request", "Unauthorized", "Forbidden", "Not Found", "Conflict",
		"Payment Req", "Unprocessable", "Gone", "Too Early", "Method Not",
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		size_t len = strlen(reasons[i]);

		if (after.len > len && after.ptr[0] == ' ' &&
		    strncasecmp(after.ptr + 1, reasons[i], len) == 0)
			return true;
	}
	return false;
}

/* `after`: what follows the number. */
static bool
counts_nothing(struct span after)
{
	return after.len < 2 || after.ptr[0] != ' ' || !islower((unsigned char)after.ptr[1]);
}

/* Whether the three digits at `at` are said to be a status. */
static bool
is_status(struct span text, size_t at)
{
	struct span before = { text.ptr, at };
	struct span after = { text.ptr + at + 3, text.len - at - 3 };

	if (at == 0)
		return after.len && (after.ptr[0] == ':' || after.ptr[0] == ',' ||
				     (after.len > 1 && memcmp(after.ptr, " -", 2) == 0) ||
				     has_reason(after));
	if (has_reason(after))
		return true;
	while (before.len && strchr(" :=(#[\"'-", before.ptr[before.len - 1]))
		before.len--;
	for (size_t i = 0; i < sizeof(lead_ins) / sizeof(*lead_ins); i++)
		if (ends_with_word(before, lead_ins[i].word))
			return lead_ins[i].surely || counts_nothing(after);
	/* "rejected: 429": what a verb ends with, and nothing behind it. */
	return before.len > 3 && memcmp(before.ptr + before.len - 2, "ed", 2) == 0 &&
	       (!after.len || strchr(".,;:)", after.ptr[0]));
}

/* The first one in a text; 0: none. */
static int64_t
find_status(struct span text)
{
	for (size_t at = 0; at + 3 <= text.len; at++) {
		const char *p = text.ptr + at;

		if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]) ||
		    !isdigit((unsigned char)p[2]) || !is_edge(text, at) || !is_edge(text, at + 3) ||
		    (at && (p[-1] == '.' || p[-1] == '-')) ||
		    (at + 4 < text.len && p[3] == '.' && isdigit((unsigned char)p[4])))
			continue;
		if (*p >= '1' && *p <= '5' && is_status(text, at))
			return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
	}
	return 0;
}

/* --- the rows --- */

/* What an error has for each kind of row. */
struct facts {
	int64_t codes[2];	/* its own, and the status in its data; 0: none */
	int64_t status;
	struct span message;
	struct buf names;	/* texts of code and data, a space between them */
};

static bool
fits_number(struct span what, int64_t number)
{
	char text[24], *dash;
	long from, to;

	if (!number || what.len >= sizeof(text))
		return false;
	memcpy(text, what.ptr, what.len);
	text[what.len] = '\0';
	from = to = strtol(text, &dash, 10);
	if (*dash == '-')
		to = strtol(dash + 1, NULL, 10);
	return number >= from && number <= to;
}

static bool
alternative_fits(const struct facts *f, enum retryable_kind kind, struct span what)
{
	switch (kind) {
	case RETRYABLE_CODE:
		return fits_number(what, f->codes[0]) || fits_number(what, f->codes[1]);
	case RETRYABLE_STATUS:
		return fits_number(what, f->status);
	case RETRYABLE_NAME:
		return has_name(f->message, what) || has_name(buf_span(&f->names), what);
	case RETRYABLE_WORDS:
		return has_words(f->message, what);
	case RETRYABLE_WHOLE:
		return is_whole_message(f->message, what);
	}
	return false;
}

static bool
row_fits(const struct facts *f, const struct retryable_row *row)
{
	for (const char *p = row->what, *end; *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "|");
		if (alternative_fits(f, row->kind, (struct span){ p, (size_t)(end - p) }))
			return true;
	}
	return false;
}

static void
add_error_name(struct buf *names, struct jtext value)
{
	if (value.kind != JTEXT_STRING || value.raw.len > LOOKED_AT_MAX)
		return;
	jtext_decode(value, names, NULL);
	buf_addch(names, ' ');
}

static void
read_error_facts(const struct retryable_error *e, struct facts *ret)
{
	static const char *const numbers[] = { "status", "statusCode", "httpStatus", "code" };

	*ret = (struct facts){ .message = e->message, .names = BUF_INIT };
	if (ret->message.len > LOOKED_AT_MAX)
		ret->message.len = LOOKED_AT_MAX;
	if (e->code.kind != JTEXT_NUMBER || !jtext_int(e->code, &ret->codes[0]))
		ret->codes[0] = 0;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers) && !ret->codes[1]; i++) {
		struct jtext value = jtext_get(e->data, numbers[i]);

		if (value.kind != JTEXT_NUMBER || !jtext_int(value, &ret->codes[1]))
			ret->codes[1] = 0;
	}
	add_error_name(&ret->names, e->code);
	add_error_name(&ret->names, jtext_get(e->data, "code"));
	add_error_name(&ret->names, jtext_get(e->data, "name"));
	ret->status = find_status(ret->message);
}

bool
retryable_error(const struct retryable_error *e)
{
	struct jtext said = jtext_get(e->data, "retryable");
	bool retryable = false, found = false;
	struct facts f;

	if (said.kind == JTEXT_TRUE || said.kind == JTEXT_FALSE)
		return said.kind == JTEXT_TRUE;
	read_error_facts(e, &f);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table) && !found; i++) {
		found = row_fits(&f, &table[i]);
		retryable = found && table[i].retryable;
	}
	buf_release(&f.names);
	return retryable;
}
