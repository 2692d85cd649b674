/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/command/retryable.h"
#include "fixture.h"

static const struct row {
	bool retryable;
	const char *code, *data;	/* JSON, or NULL */
	const char *message;
} rows[] = {
	/* What the plugin says wins. */
	{ true, NULL, "{\"retryable\":true}", "invalid image" },
	{ true, "404", "{\"retryable\":true}", "HTTP 404" },
	{ false, "503", "{\"retryable\":false}", "service unavailable" },
	{ false, NULL, "{\"retryable\":\"yes\"}", "no" },
	{ false, NULL, "[true]", "no" },
	{ true, "503", "{\"retryable\":null}", "" },

	/* Codes. */
	{ true, "429", NULL, "" },
	{ true, "408", NULL, "" },
	{ true, "425", NULL, "" },
	{ true, "500", NULL, "" },
	{ true, "503", NULL, "pod not found" },
	{ true, "599", NULL, "" },
	{ true, "4", NULL, "" },
	{ true, "14", NULL, "14 UNAVAILABLE: No connection established" },
	{ true, "8", NULL, "8 RESOURCE_EXHAUSTED: too many sandboxes at once" },
	{ false, "8", NULL, "8 RESOURCE_EXHAUSTED: quota of sandboxes used up" },
	{ true, "-32000", NULL, "" },
	{ true, "-32003", NULL, "" },
	{ false, "-32001", NULL, "request timed out" },
	{ false, "-32002", NULL, "lease is gone" },
	{ true, "-32002", NULL, "request timed out" },
	{ false, "-32005", NULL, "" },
	{ false, "-32602", NULL, "timeout" },
	{ false, "400", NULL, "" },
	{ false, "401", NULL, "temporarily unavailable" },
	{ false, "403", NULL, "" },
	{ false, "404", NULL, "fetch failed" },
	{ false, "409", NULL, "" },
	{ false, "422", NULL, "" },
	{ false, "428", NULL, "" },
	{ false, "430", NULL, "" },
	{ false, "600", NULL, "" },
	{ false, "4290", NULL, "" },
	{ false, "5", NULL, "5 NOT_FOUND: sandbox" },
	{ false, "3", NULL, "3 INVALID_ARGUMENT: image" },
	{ false, "7", NULL, "7 PERMISSION_DENIED: token" },
	{ false, "16", NULL, "16 UNAUTHENTICATED" },
	{ false, "1234", NULL, "" },
	{ false, "1.5", NULL, "" },
	{ true, "\"ECONNRESET\"", NULL, "" },
	{ false, "\"ENOENT\"", NULL, "" },
	{ true, "-32002", "{\"status\":503}", "failed" },
	{ true, "-32002", "{\"statusCode\":429}", "failed" },
	{ false, "-32002", "{\"statusCode\":404}", "timeout" },
	{ true, "-32002", "{\"code\":\"ETIMEDOUT\"}", "failed" },
	{ true, "-32002", "{\"code\":14}", "failed" },
	{ true, "-32002", "{\"name\":\"UND_ERR_SOCKET\"}", "failed" },

	/* Names. */
	{ true, NULL, NULL, "read ECONNRESET" },
	{ true, NULL, NULL, "connect ECONNREFUSED 127.0.0.1:5000" },
	{ true, NULL, NULL, "connect ETIMEDOUT 10.0.0.1:443" },
	{ true, NULL, NULL, "getaddrinfo EAI_AGAIN api.example.com" },
	{ true, NULL, NULL, "connect ENETUNREACH 2606:4700::1:443" },
	{ true, NULL, NULL, "connect EHOSTUNREACH 10.0.0.1:22" },
	{ true, NULL, NULL, "write EPIPE" },
	{ true, NULL, NULL, "spawn ssh EAGAIN" },
	{ true, NULL, NULL, "[UND_ERR_HEADERS_TIMEOUT] headers" },
	{ true, NULL, NULL, "/modal.Client/AppGet UNAVAILABLE: x" },
	{ true, NULL, NULL, "4 DEADLINE_EXCEEDED: Deadline exceeded after 60s" },
	{ true, NULL, NULL, "invalid answer: read ECONNRESET" },
	{ false, NULL, NULL, "getaddrinfo ENOTFOUND no.example" },
	{ false, NULL, NULL, "spawn ssh ENOENT" },
	{ false, NULL, NULL, "open x EACCES" },
	{ false, NULL, NULL, "spawn timeout ENOENT" },
	{ false, NULL, NULL, "MY_ECONNRESET_TEST" },
	{ false, NULL, NULL, "XECONNRESET" },
	{ false, NULL, NULL, "econnreset" },

	/* A status in words. */
	{ true, NULL, NULL, "Cloudflare sandbox bridge request failed with HTTP 503." },
	{ true, NULL, NULL, "exe.dev API command failed (429) for: ls --json" },
	{ true, NULL, NULL, "exe.dev API command failed (503) for: new --json" },
	{ true, NULL, NULL, "Request failed with status code 502" },
	{ true, NULL, NULL, "HTTP-Code: 500\nMessage: Unknown API Status Code!\nBody: \"\"" },
	{ true, NULL, NULL, "503: no sandbox" },
	{ true, NULL, NULL, "429 Too Many Requests" },
	{ true, NULL, NULL, "500 - oops" },
	{ true, NULL, NULL, "server answered: HTTP/1.1 504" },
	{ true, NULL, NULL, "upstream returned 503" },
	{ true, NULL, NULL, "API responded with 502, giving up" },
	{ true, NULL, NULL, "Unexpected response 500" },
	{ true, NULL, NULL, "{\"statusCode\":503,\"message\":\"x\"}" },
	{ true, NULL, NULL, "invalid answer: 502 Bad Gateway" },
	{ true, NULL, NULL, "injected 429" },
	{ true, NULL, NULL, "Failed to create sandbox: request rejected: 503." },
	{ false, NULL, NULL, "request rejected: 404" },
	{ false, NULL, NULL, "copied 500 files" },
	{ false, NULL, NULL, "Request failed with status code 404" },
	{ false, NULL, NULL, "HTTP 401: try again later" },
	{ false, NULL, NULL, "exe.dev API command failed (403) for: ls" },
	{ false, NULL, NULL, "exe.dev API command failed (422) for: new --prompt='rate limit'" },
	{ false, NULL, NULL, "403 Forbidden" },
	{ false, NULL, NULL, "4290 files" },
	{ false, NULL, NULL, "429 files could not be read" },
	{ false, NULL, NULL, "could not copy 500 files" },
	{ false, NULL, NULL, "returned 500 rows" },
	{ false, NULL, NULL, "error 500 times" },
	{ false, NULL, NULL, "port 5000 is taken" },
	{ false, NULL, NULL, "port 503 is taken" },
	{ false, NULL, NULL, "http://503.example.com is no URL" },
	{ false, NULL, NULL, "http://10.0.0.1:503/x" },
	{ false, NULL, NULL, "lease 429" },
	{ false, NULL, NULL, "lease-503" },
	{ false, NULL, NULL, "sandbox sb_429_503 is gone" },
	{ false, NULL, NULL, "code 50300" },
	{ false, NULL, NULL, "version 1.503.0" },
	{ false, NULL, NULL, "code 503.5" },
	{ false, NULL, NULL, "took 500ms" },

	/* Words. */
	{ true, NULL, NULL, "fetch failed" },
	{ true, NULL, NULL, "TypeError: Fetch Failed" },
	{ true, NULL, NULL, "socket hang up" },
	{ true, NULL, NULL, "terminated" },
	{ true, NULL, NULL, "Terminated." },
	{ true, NULL, NULL, "This operation was aborted" },
	{ true, NULL, NULL, "The operation was aborted due to timeout" },
	{ true, NULL, NULL, "Network Error" },
	{ true, NULL, NULL, "read tcp 10.0.0.1:44: connection reset by peer" },
	{ true, NULL, NULL, "dial tcp 10.0.0.1:443: connect: connection refused" },
	{ true, NULL, NULL, "unexpected EOF" },
	{ true, NULL, NULL, "net/http: TLS handshake timeout" },
	{ true, NULL, NULL, "context deadline exceeded" },
	{ true, NULL, NULL, "Rate limit exceeded, please try again later." },
	{ true, NULL, NULL, "RateLimitError: slow" },
	{ true, NULL, NULL, "rate-limited" },
	{ true, NULL, NULL, "ThrottlingException: Rate exceeded" },
	{ true, NULL, NULL, "Request was throttled." },
	{ true, NULL, NULL, "the server is currently unavailable (post sandboxes)" },
	{ true, NULL, NULL, "[unavailable] HTTP 503" },
	{ true, NULL, NULL, "[unavailable] upstream" },
	{ true, NULL, NULL, "[resource_exhausted] too many" },
	{ true, NULL, NULL, "[deadline_exceeded] the operation took too long" },
	{ true, NULL, NULL, "13 INTERNAL: Received RST_STREAM with code 2" },
	{ true, NULL, NULL, "Connection to vm.exe.xyz closed by remote host." },
	{ true, NULL, NULL, "Connection closed by 10.0.0.1 port 22" },
	{ true, NULL, NULL, "Service Unavailable" },
	{ true, NULL, NULL, "ServiceUnavailable" },
	{ true, NULL, NULL, "The model is temporarily down" },
	{ true, NULL, NULL, "Connect Timeout Error (attempted address: x:443)" },
	{ true, NULL, NULL, "timeout of 60000ms exceeded" },
	{ true, NULL, NULL, "Cloudflare sandbox bridge request timed out after 20000ms." },
	{ true, NULL, NULL, "TimeoutError: sandbox" },
	{ true, NULL, NULL, "Overloaded" },
	{ false, NULL, NULL, "" },
	{ false, NULL, NULL, "boom" },
	{ false, NULL, NULL, "the sandbox was terminated" },
	{ false, NULL, NULL, "timeoutMs 5 is too small" },
	{ false, NULL, NULL, "bridgeRequestTimeoutMs" },
	{ false, NULL, NULL, "timeout must be a positive number" },
	{ false, NULL, NULL, "invalid timeout" },
	{ false, NULL, NULL, "Quota exceeded, try again later" },
	{ false, NULL, NULL, "The sandbox was not found: this is likely due to a timeout" },
	{ false, NULL, NULL, "unauthorized: rate limit of anonymous users" },
	{ false, NULL, NULL, "temporary directory /tmp/x is missing" },
	{ false, NULL, NULL, "network policy x is missing" },
	{ false, NULL, NULL, "fix the config and try again" },
	{ false, NULL, NULL, "prefetch failed_over" },
	{ false, NULL, NULL, "Permission denied (publickey)." },
	{ false, NULL, NULL, "image unavailable in this region" },
};

static struct jtext
json_of(const char *text)
{
	return text ? fixture_json(text) : (struct jtext){ JTEXT_MISSING, SPAN_NULL };
}

static void
test_rows(void **state)
{
	const struct row *row;
	int wrong = 0;

	(void)state;
	EACH(row, rows) {
		const struct retryable_error e = { json_of(row->code), json_of(row->data),
						   span_of(row->message) };

		if (retryable_error(&e) == row->retryable)
			continue;
		print_error("%s code=%s data=%s: %d\n", row->message, row->code ? row->code : "",
			    row->data ? row->data : "", !row->retryable);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Each alternative of each row of the table fits by itself. */
static void
test_each_alternative(void **state)
{
	const struct retryable_row *row;

	(void)state;
	for (size_t i = 0; (row = retryable_row(i)); i++) {
		char list[2048], *save = NULL;

		assert_true(strlen(row->what) < sizeof(list));
		strcpy(list, row->what);
		for (char *one = strtok_r(list, "|", &save); one;
		     one = strtok_r(NULL, "|", &save)) {
			struct retryable_error e = { .message = span_of("") };
			bool number = row->kind == RETRYABLE_CODE ||
				      row->kind == RETRYABLE_STATUS;
			char text[128];

			if (number && strchr(one + 1, '-'))
				*strchr(one + 1, '-') = '\0';
			if (one[strlen(one) - 1] == '*')
				one[strlen(one) - 1] = '\0';
			snprintf(text, sizeof(text), "%s%s", number ? "HTTP " : "", one);
			if (row->kind == RETRYABLE_CODE)
				e.code = fixture_json(one);
			else
				e.message = span_of(text);
			/* Of what does not fit, the answer is no, too. */
			if (retryable_error(&e) != row->retryable)
				fail_msg("row %zu: %s", i, text);
		}
	}
}

/* Long ones are looked at as far as it pays, and in no quadratic time. */
static void
test_long_messages(void **state)
{
	struct buf text = BUF_INIT;
	struct retryable_error e = { .message = SPAN_NULL };

	(void)state;
	assert_false(retryable_error(&e));
	for (int i = 0; i < 300000; i++)
		buf_adds(&text, "rate ");
	e.message = buf_span(&text);
	assert_false(retryable_error(&e));
	buf_reset(&text);
	buf_adds(&text, "socket hang up ");
	for (int i = 0; i < 300000; i++)
		buf_adds(&text, "x ");
	e.message = buf_span(&text);
	assert_true(retryable_error(&e));
	buf_release(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_each_alternative),
		cmocka_unit_test(test_long_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
