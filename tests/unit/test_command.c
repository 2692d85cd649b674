/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fixture.h"
#include "alloc_rig.h"

#define DRIVER "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}"
#define PROVIDER "\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"s\"}"
#define PROBE "\"operation\":{\"type\":\"Probe\"}"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""

static void
test_everything_is_read(void **state)
{
	struct command *c = fixture_command(
		"{\"commandId\":\"id\",\"issuedAt\":1795409884120,\"issuedBy\":\"me\","
		"\"companyId\":\"co\",\"environmentId\":\"env\",\"issueId\":\"i\","
		"\"orderingKey\":\"k\",\"expiresAt\":7,\"rerunIfInterrupted\":true,"
		"\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
		"\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\","
		"\"pluginId\":\"pin\"},\"config\":{\"a\":1},"
		"\"operation\":{\"type\":\"Execute\"," LEASE ",\"command\":\"sh\","
		"\"args\":[\"-c\",\"echo \\\"\\n\\u0000\"],\"env\":{\"A\":\"b\"},"
		"\"timeoutMs\":5,\"bypassSession\":false}}");

	(void)state;
	assert_true(span_is(c->id, "id") && c->id.ptr[2] == '\0');
	assert_int_equal(c->issued_at, 1795409884120);
	assert_true(span_is(c->issued_by, "me"));
	assert_true(span_is(c->company_id, "co"));
	assert_true(span_is(c->environment_id, "env"));
	assert_true(span_is(c->issue_id, "i"));
	assert_true(span_is(c->ordering_key, "k"));
	assert_int_equal(c->expires_at, 7);
	assert_true(c->rerun);
	assert_int_equal(c->traceparent.len, 55);
	assert_int_equal(c->target, COMMAND_TARGET_DRIVER);
	assert_true(span_is(c->plugin_key, "p") && span_is(c->driver_key, "d"));
	assert_true(span_is(c->pinned_id, "pin"));
	assert_true(span_is(c->config, "{\"a\":1}"));
	assert_true(span_is(c->lease_id, "l1"));
	assert_int_equal(c->op->id, OPERATION_EXECUTE);
	assert_true(span_is(command_value(c, "command")->text, "sh"));
	assert_true(span_is(command_value(c, "args")->text,
			    "[\"-c\",\"echo \\\"\\n\\u0000\"]"));
	assert_true(span_is(command_value(c, "env")->text, "{\"A\":\"b\"}"));
	assert_int_equal(command_value(c, "timeoutMs")->number, 5);
	assert_true(command_value(c, "bypassSession")->present);
	assert_false(command_value(c, "bypassSession")->flag);
	assert_false(command_value(c, "cwd")->present);
	assert_true(c->bytes > sizeof(*c));
	command_free(c);
	command_free(NULL);
}

static void
test_defaults(void **state)
{
	struct command *c = fixture_command("{" PROVIDER "," PROBE "}");
	struct buf key = BUF_INIT;

	(void)state;
	assert_null(c->issued_by.ptr);
	assert_null(c->issue_id.ptr);
	assert_null(c->ordering_key.ptr);
	assert_null(c->traceparent.ptr);
	assert_null(c->plugin_key.ptr);
	assert_null(c->pinned_id.ptr);
	assert_null(c->lease_id.ptr);
	assert_true(span_is(c->company_id, ""));
	assert_int_equal(c->expires_at, -1);
	assert_false(c->rerun);
	assert_true(span_is(c->config, "{}"));
	command_provider_key(c, &key);
	assert_string_equal(key.data, "s");
	buf_release(&key);
	command_free(c);
}

static const struct key_row {
	const char *name, *json;
	const char *key, *lease;	/* NULL: none */
} key_rows[] = {
	{ "probe", "{" DRIVER "," PROBE "}", NULL, NULL },
	{ "probe, key given", "{\"orderingKey\":\"k\"," DRIVER "," PROBE "}", "k", NULL },
	{ "acquire", "{" DRIVER ",\"operation\":{\"type\":\"AcquireLease\",\"runId\":\"r\"}}", NULL,
	  NULL },
	{ "destroy", "{" DRIVER ",\"operation\":{\"type\":\"DestroyLease\","
	  "\"providerLeaseId\":\"l1\"}}", "l1", "l1" },
	{ "destroy without id", "{" DRIVER ",\"operation\":{\"type\":\"DestroyLease\"}}", NULL,
	  NULL },
	{ "destroy now", "{\"orderingKey\":\"\"," DRIVER
	  ",\"operation\":{\"type\":\"DestroyLease\","
	  "\"providerLeaseId\":\"l1\"}}", NULL, "l1" },
	{ "execute", "{" DRIVER ",\"operation\":{\"type\":\"Execute\",\"command\":\"a\"," LEASE
	  "}}", "l1", "l1" },
	{ "execute, escaped id", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"command\":\"a\",\"lease\":\" {\\\"providerLeaseId\\\": \\\"\\\\u006c1\\\"}\"}}", "l1",
	  "l1" },
	{ "execute, own key", "{\"orderingKey\":\"k\"," DRIVER ",\"operation\":{"
	  "\"type\":\"Execute\",\"command\":\"a\"," LEASE "}}", "k", "l1" },
	{ "execute, null id", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"command\":\"a\",\"lease\":{\"providerLeaseId\":null}}}", NULL, NULL },
	{ "execute, empty id", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"command\":\"a\",\"lease\":{\"providerLeaseId\":\"\"}}}", NULL, NULL },
};

static void
test_keys(void **state)
{
	const struct key_row *row;

	(void)state;
	EACH(row, key_rows) {
		struct command *c = fixture_command(row->json);

		CHECK(row->name, span_eq(c->ordering_key, span_of(row->key)));
		CHECK(row->name, span_eq(c->lease_id, span_of(row->lease)));
		command_free(c);
	}
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct trace_row {
	const char *name, *header, *field, *expected;	/* NULL: none */
} trace_rows[] = {
	{ "none", NULL, NULL, NULL },
	{ "field", NULL, TRACE, TRACE },
	{ "header wins", TRACE, "00-11111111111111111111111111111111-b7ad6b7169203331-01", TRACE },
	{ "bad header is ignored", "nonsense", TRACE, TRACE },
	{ "upper case", NULL, "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", NULL },
	{ "no trace id", NULL, "00-00000000000000000000000000000000-b7ad6b7169203331-01", NULL },
	{ "no span id", NULL, "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", NULL },
	{ "version ff", NULL, "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL },
	{ "version 00 ends there", NULL, TRACE "-more", NULL },
	{ "a later version goes on", NULL,
	  "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
	  "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more" },
	{ "but not so", NULL, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more", NULL },
	{ "nor with a line break", NULL,
	  "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-\\n", NULL },
	{ "short", NULL, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", NULL },
};

static void
test_traceparent(void **state)
{
	struct command_decoder *d = command_decoder_new(fixture_schemas(), 4096, NULL);
	const struct trace_row *row;

	(void)state;
	EACH(row, trace_rows) {
		struct buf json = BUF_INIT, framed = BUF_INIT;
		struct command *c;
		struct reject r;

		buf_adds(&json, "{");
		if (row->field)
			buf_addf(&json, "\"traceparent\":\"%s\",", row->field);
		buf_adds(&json, DRIVER "," PROBE "}");
		fixture_encode(json.data, &framed);
		c = command_decode(d, buf_span(&framed), span_of(row->header), &r);
		CHECK(row->name, c != NULL);
		CHECK(row->name, span_eq(c->traceparent, span_of(row->expected)));
		command_free(c);
		buf_release(&json);
		buf_release(&framed);
	}
	command_decoder_free(d);
}

static void
test_invocation_id(void **state)
{
	struct command *a = fixture_command("{\"commandId\":\"a\"," DRIVER "," PROBE "}");
	struct command *b = fixture_command("{\"commandId\":\"b\"," DRIVER "," PROBE "}");
	char one[37], two[37];

	(void)state;
	command_invocation_id(a, one);
	/* Python: uuid.uuid5(UUID("add1dead-d8ca-4b8b-97c8-2cd10ccce4fd"), "a").
	 * Must never change: plugins recognise a repeated call by it. */
	assert_string_equal(one, "2c6032e2-29ff-52db-91c7-ea04e5a9fceb");
	command_invocation_id(b, two);
	assert_string_not_equal(one, two);
	command_free(a);
	command_free(b);
}

static int fail_at;

static void *
failing_realloc(void *ptr, size_t size)
{
	return fail_at-- == 0 ? NULL : realloc(ptr, size);
}

/* Fails the n-th allocation, for every n, until the whole succeeds. */
static void
test_out_of_memory(void **state)
{
	struct buf framed = BUF_INIT;
	struct command *c = NULL;
	int n;

	(void)state;
	fixture_encode("{" DRIVER ",\"operation\":{\"type\":\"Execute\",\"command\":\"a\"," LEASE
		       ",\"args\":[\"1\"]}}", &framed);
	alloc_replace(failing_realloc);
	for (n = 0; !c && n < 100; n++) {
		struct command_decoder *d;
		struct reject r = { .reason = REJECT_NOTHING };

		fail_at = n;
		d = command_decoder_new(fixture_schemas(), 4096, NULL);
		if (d)
			c = command_decode(d, buf_span(&framed), SPAN_NULL, &r);
		assert_true(c || r.reason == REJECT_NOTHING);
		command_decoder_free(d);
	}
	alloc_replace(NULL);
	assert_non_null(c);
	assert_true(n > 3);
	command_free(c);
	buf_release(&framed);
}

/* Of another release: it has what has no default, in another order, an int
 * for the long, plain types for unions. */
static const char minimal[] =
	"{\"type\":\"record\",\"name\":\"EnvironmentCommand\",\"fields\":["
	"{\"name\":\"environmentId\",\"type\":\"bytes\"},"
	"{\"name\":\"operation\",\"type\":["
	"{\"type\":\"record\",\"name\":\"New\",\"fields\":[]},"
	"{\"type\":\"record\",\"name\":\"Execute\",\"fields\":["
	"{\"name\":\"priority\",\"type\":\"double\"},"
	"{\"name\":\"command\",\"type\":\"string\"},"
	"{\"name\":\"lease\",\"type\":\"string\"}]}]},"
	"{\"name\":\"issuedAt\",\"type\":\"int\"},"
	"{\"name\":\"companyId\",\"type\":\"string\"},"
	"{\"name\":\"commandId\",\"type\":\"string\"},"
	"{\"name\":\"target\",\"type\":{\"type\":\"record\",\"name\":\"SandboxProvider\","
	"\"fields\":[{\"name\":\"provider\",\"type\":\"string\"}]}}]}";

static int
look_up(void *arg, uint32_t id, const struct schema **ret, struct err *reterr)
{
	*ret = arg;
	return id == 1 ? 0 : err_set(reterr, ERR_UNAVAILABLE, "later");
}

static const struct foreign_row {
	const char *name;
	struct span value;
	int reason;		/* REJECT_NOTHING: it is a command */
	const char *message;
} foreign_rows[] = {
	{ "read by name",
	  S("\0\0\0\0\1" "\x02" "e" "\x02" "\0\0\0\0\0\0\0\0" "\x06" "run" "\x04" "{}"
	    "\x0a" "\0" "\x04" "c1" "\x02" "p"),
	  REJECT_INVALID, "operation.lease.providerLeaseId: expected string or null, got nothing" },
	{ "unknown operation",
	  S("\0\0\0\0\1" "\x02" "e" "\0" "\x0a" "\0" "\x04" "c1" "\x02" "p"),
	  REJECT_INVALID, "operation: 'New' is not known to this version" },
	{ "bytes that are no text",
	  S("\0\0\0\0\1" "\x02" "\xff" "\x02" "\0\0\0\0\0\0\0\0" "\x06" "run" "\x04" "{}"
	    "\x0a" "\0" "\x04" "c1" "\x02" "p"),
	  REJECT_INVALID, "a text of the command is not UTF-8" },
	{ "cut", S("\0\0\0\0\1" "\x02" "e" "\x02"), REJECT_UNREADABLE,
	  "operation.Execute.priority: double of 8 bytes" },
	{ "not known yet", S("\0\0\0\0\2" "x"), REJECT_WAIT, "" },
};

static void
test_foreign_writer(void **state)
{
	static const char good[] =
		"\0\0\0\0\1" "\x02" "e" "\x02" "\0\0\0\0\0\0\0\0" "\x06" "run"
		"\x36" "{\"providerLeaseId\":\"lease\"}" "\x0a" "\0" "\x04" "c1" "\x02" "p";
	struct schemas *all = schemas_new(NULL);
	struct schema *writer = schema_new(SPAN_LIT(minimal), NULL);
	struct command_decoder *d = command_decoder_new(all, 1 << 20, NULL);
	const struct foreign_row *row;
	struct command *c;
	struct reject r;

	(void)state;
	assert_non_null(writer);
	schemas_set_lookup(all, look_up, writer);
	EACH(row, foreign_rows) {
		c = command_decode(d, row->value, SPAN_NULL, &r);
		if (c || (int)r.reason != row->reason ||
		    (row->message && strncmp(r.message, row->message, strlen(row->message)) != 0))
			fail_msg("%s: %d '%s'", row->name, r.reason, r.message);
	}
	c = command_decode(d, SPAN_LIT(good), SPAN_NULL, &r);
	if (!c)
		fail_msg("%s", r.message);
	assert_string_equal(c->id.ptr, "c1");
	assert_int_equal(c->issued_at, 5);
	assert_string_equal(c->environment_id.ptr, "e");
	assert_string_equal(c->driver_key.ptr, "p");
	assert_string_equal(c->lease_id.ptr, "lease");
	assert_string_equal(c->ordering_key.ptr, "lease");
	assert_string_equal(command_value(c, "command")->text.ptr, "run");
	/* The defaults of today's .avsc. */
	assert_string_equal(c->config.ptr, "{}");
	assert_int_equal(c->expires_at, -1);
	assert_false(c->rerun);
	assert_null(c->issued_by.ptr);
	assert_null(c->pinned_id.ptr);
	assert_false(command_value(c, "args")->present);
	command_free(c);
	/* The decoder holds what it keeps a value of. */
	schema_free(writer);
	c = command_decode(d, SPAN_LIT("\0\0\0\0\2" "x"), SPAN_NULL, &r);
	assert_null(c);
	command_decoder_free(d);
	schemas_free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_traceparent),
		cmocka_unit_test(test_invocation_id),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_foreign_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
