/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out, at every single allocation of the pure modules. */
#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "alloc_rig.h"
#include "engine/entry.h"
#include "engine/scheduler.h"
#include "envdriver/base/config.h"
#include "envdriver/claim/claim.h"
#include "envdriver/command/request.h"
#include "envdriver/secret/secret_refs.h"
#include "engine/window.h"
#include "envdriver/kafka/source.h"
#include "envdriver/result/deadletter.h"
#include "fixture_result.h"
#include "rpc/frame.h"
#include "registry/registry_record.h"

/* What the cases work on, made while there is memory. */
static struct command *execute, *acquire;
static struct buf framed, long_output;
static struct jtext answer_json, lease_json;

/* --- the cases: true when all went well, false when it was said not to --- */

static bool
use_buf(void)
{
	struct buf b = BUF_INIT;
	size_t len = 0;
	char *text;

	buf_adds(&b, "text");
	for (int i = 0; i < 100; i++)
		buf_addf(&b, "%d,", i);
	buf_reserve(&b, 10000);
	buf_consume(&b, 4);
	text = buf_take(&b, &len);
	assert_true(!text || strncmp(text, "0,1,2,", 6) == 0);
	free(text);
	return text != NULL;
}

static bool
use_jtext(void)
{
	struct jtext string = { JTEXT_STRING, SPAN_LIT("\"a\\u00e9\\ud83d\\ude00\\n\"") };
	struct buf text = BUF_INIT, json = BUF_INIT, flat = BUF_INIT, good = BUF_INIT;
	bool ok;

	jtext_decode(string, &text, NULL);
	jtext_add_string(&json, buf_span(&text));
	jtext_add_flat(&flat, SPAN_LIT("{\n\"a\":\t1}"));
	jtext_add_repaired(&good, SPAN_LIT("a\xff\xfe"));
	ok = !text.failed && !json.failed && !flat.failed && !good.failed;
	assert_true(!ok || span_is(buf_span(&json), "\"a\xc3\xa9\xf0\x9f\x98\x80\\n\""));
	buf_release(&text);
	buf_release(&json);
	buf_release(&flat);
	buf_release(&good);
	return ok;
}

static bool
deliver_all(struct window *w, size_t *ret_taken)
{
	size_t gone;

	for (int64_t o = 100; o < 400; o++) {
		size_t before = window_pending(w);
		enum window_verdict v = window_deliver(w, o, &gone);

		/* NOMEM changes nothing. */
		if (v == WINDOW_NOMEM) {
			assert_int_equal(window_pending(w), before);
			return false;
		}
		*ret_taken += v == WINDOW_TAKE;
	}
	return true;
}

static bool
use_window(void)
{
	/* What is not done: 100 and 102, up to 103. */
	struct span metadata = SPAN_LIT("4QMAAg");
	int64_t offset = -1, done[] = { 100, 102, 350 };
	struct buf text = BUF_INIT;
	bool foreign = false, ok = false;
	struct window *w = window_new(100, 0, metadata, &foreign);
	size_t taken = 0;

	if (!w || !deliver_all(w, &taken))
		goto out;
	assert_true(!foreign && taken == 299);
	assert_int_equal(window_seal(w, done, 3, &offset, &text), 3);
	ok = !text.failed;
out:
	window_free(w);
	buf_release(&text);
	return ok;
}

static bool
use_scheduler(void)
{
	static const char *const keys[] = { "a", "b", "a", NULL, "a" };
	struct entry_list runnable;
	struct scheduler *s = scheduler_new(&runnable);
	struct entry *e[5] = { NULL };
	bool ok = s != NULL;

	entry_list_init(&runnable);
	for (int i = 0; i < 5 && ok; i++) {
		e[i] = entry_new();
		ok = e[i] && scheduler_add(s, e[i], span_of(keys[i]));
	}
	assert_true(!ok || runnable.n == 3);
	for (int i = 0; i < 5 && e[i]; i++) {
		entry_list_remove(e[i]);
		scheduler_remove(s, e[i]);
		entry_free(e[i]);
	}
	scheduler_free(s);
	return ok;
}

static bool
use_command(void)
{
	struct command_decoder *d = command_decoder_new(fixture_schemas(), 1 << 20, NULL);
	struct command *c = NULL;
	struct buf params = BUF_INIT;
	struct outcome why = { .code = CODE_NONE };
	struct reject reject = { .reason = REJECT_NOTHING };
	struct secret_refs *refs = NULL;
	bool ok = false;

	if (!d)
		return false;
	c = command_decode(d, buf_span(&framed), SPAN_NULL, &reject);
	/* Memory is not the command's fault: it is not put to the dead letters. */
	assert_true(c || reject.reason == REJECT_NOTHING);
	if (c && request_params(c, NULL, &params, &refs, &why) == 0)
		ok = !params.failed;
	else
		assert_true(!c || why.code == CODE_INTERNAL);
	outcome_release(&why);
	secret_refs_free(refs);
	buf_release(&params);
	command_free(c);
	command_decoder_free(d);
	return ok;
}

static bool
fill_events(struct events *e)
{
	const struct event_header header = { SPAN_LIT("status"), SPAN_LIT("SUCCEEDED") };

	for (int i = 0; i < 3; i++) {
		size_t count = e->count;

		if (!events_add(e, TOPIC_EXECUTION_LOGS, SPAN_NULL, &header, 1,
				buf_span(&framed))) {
			assert_int_equal(e->count, count);
			return false;
		}
	}
	return events_cut_to_last(e) && events_cut(e) &&
	       events_add(e, TOPIC_EXECUTION_RESULTS, SPAN_LIT("k"), &header, 1, SPAN_LIT("v"));
}

static bool
use_events(void)
{
	struct events e = EVENTS_INIT, copy = EVENTS_INIT;
	bool ok = fill_events(&e);
	int ret;

	if (ok) {
		ret = events_unpack(&copy, events_packed(&e), NULL);
		assert_true(ret == 0 || (ret == ERR_NOMEM && copy.count == 0));
		ok = ret == 0 && copy.count == 1 && events_succeeded(&copy);
	}
	events_release(&e);
	events_release(&copy);
	return ok;
}

static bool
answered(const struct command *c, struct jtext result, struct result_limits limits)
{
	struct result_ctx *ctx = result_ctx_new(fixture_schemas(), "host-a", limits, NULL);
	struct rpc_answer a = fixture_answer(c, result);
	struct outcome o = OUTCOME_INIT;
	struct events e = EVENTS_INIT;
	struct result_brought brought = RESULT_BROUGHT_INIT;
	int64_t sequence = 0, at = 0;
	int ret = ERR_NOMEM;

	if (!ctx)
		return false;
	ret = result_answered(ctx, c, &chosen, &called, &a, &e, &brought);
	assert_true(ret == ERR_NOMEM || (ret == 0 && e.count > 0));
	outcome_fail(&o, CODE_TIMEOUT, "no answer in %d ms", 5);
	if (ret == 0)
		ret = result_failed(ctx, c, &nobody, &not_called, &o, &e);
	if (ret == 0)
		ret = result_live(ctx,
				  &(struct result_live){
					  .command = c,
					  .chosen = &chosen,
					  .trace = &called,
					  .output = buf_span(&long_output),
					  .sequence = &sequence,
					  .byte_offset = &at,
				  },
				  &e);
	assert_true(ret == 0 || ret == ERR_NOMEM);
	outcome_release(&o);
	events_release(&e);
	result_brought_release(&brought);
	result_ctx_free(ctx);
	return ret == 0;
}

/* With output beyond one record and beyond one set. */
static bool
use_result(void)
{
	return answered(execute, answer_json, (struct result_limits){ 100, 10000, 8000, NULL, 0 });
}

static bool
use_result_lease(void)
{
	return answered(acquire, lease_json, wide);
}

/* One that no record can hold. */
static bool
use_result_too_large(void)
{
	return answered(acquire, lease_json, (struct result_limits){ 100, 1000, 8000, NULL, 0 });
}

static bool
use_deadletter(void)
{
	const struct event_header header = { SPAN_LIT("a"), SPAN_LIT("1") };
	const struct first_record first = { "t", 0, 1 };
	const struct reject why = { .reason = REJECT_DUPLICATE, .message = "seen before",
				    .command_id = "c1" };
	const struct source src = { .topic = "t", .value = buf_span(&framed), .headers = &header,
				    .n_headers = 1 };
	struct events e = EVENTS_INIT;
	int ret = deadletter_build(fixture_schemas(), "i", 1 << 20, &src, &why, &first, &e);

	assert_true((ret == 0 && e.count == 1) || ret == ERR_NOMEM);
	events_release(&e);
	return ret == 0;
}

static bool
use_claim(void)
{
	struct claim back, c = {
		.state = CLAIM_CALLING,
		.record = { SPAN_LIT("a|b"), 3, 17, -1 },
		.instance = SPAN_LIT("host-a"), .incarnation = SPAN_LIT("inc"),
		.token = SPAN_LIT("inc.1"), .attempt = 1, .started_at = SPAN_LIT("now"),
		.lease = SPAN_LIT("l%1"),
	};
	struct buf text = BUF_INIT, scratch = BUF_INIT;
	int ret = ERR_NOMEM;

	claim_format(&c, &text);
	if (!text.failed)
		ret = claim_parse(buf_span(&text), &scratch, &back, NULL);
	assert_true(ret == ERR_NOMEM || (ret == 0 && span_eq(back.lease, c.lease)));
	buf_release(&text);
	buf_release(&scratch);
	return ret == 0;
}

static bool
use_registry_record(void)
{
	const struct span values[REGISTRY_FIELDS] = {
		[REGISTRY_KEY] = SPAN_LIT("acme.x"),
		[REGISTRY_STATUS] = SPAN_LIT("ready"),
		[REGISTRY_MANIFEST] = SPAN_LIT("{\"environmentDrivers\":[{\"driverKey\":\"d\"},"
					       "{\"driverKey\":\"\\u0065\"}]}"),
	};
	struct err wrong = { .text = "" };
	struct registry_record *r = registry_record_new(SPAN_LIT("p1"), values, &wrong);
	bool ok = r != NULL;

	/* Memory is not the record's fault: it is not called malformed. */
	if (r)
		assert_true(!*wrong.text && registry_record_plugin(r)->n_drivers == 2);
	registry_record_free(r);
	r = registry_record_bad(SPAN_LIT("p2"), "is no hash", &wrong);
	ok = ok && r;
	registry_record_free(r);
	return ok;
}

static bool
use_rpc(void)
{
	struct jtext id = { JTEXT_NUMBER, SPAN_LIT("7") };
	struct buf out = BUF_INIT;
	bool ok;

	rpc_add_request(&out, 1, "environmentExecute", SPAN_LIT("{\n}"), UUID, SPAN_LIT("co"),
			SPAN_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
	rpc_add_result(&out, id, SPAN_LIT("{}"));
	rpc_add_error(&out, id, -32601, "no such method");
	ok = !out.failed;
	buf_release(&out);
	return ok;
}

static void
count_line(void *arg, struct span line, bool repaired)
{
	(void)line;
	(void)repaired;
	++*(int *)arg;
}

/* Lines that come in pieces, so that they are kept, and one to be repaired. */
static bool
use_frame(void)
{
	static const char *const reads[] = { "first ", "line\nsecond", " l\xffne\n", "third" };
	int lines = 0;
	struct frame_events ev = { count_line, NULL, &lines };
	struct frame *f = frame_new(FRAME_MESSAGES, 1 << 20, &ev, NULL);

	if (!f)
		return false;
	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
		assert_int_equal(frame_feed(f, reads[i], strlen(reads[i])), strlen(reads[i]));
	frame_feed(f, buf_span(&long_output).ptr, long_output.len);
	frame_end(f);
	assert_true(lines <= 3);
	frame_free(f);
	return lines == 3;
}

static bool
use_config(void)
{
	static const char text[] = "kafka.bootstrap.servers = localhost:9092\n"
				   "kafka.linger.ms = 5\nplugin.env.acme.x = A\n";
	struct config *c = config_new(NULL);
	struct buf out = BUF_INIT;
	char path[40];
	int fd, ret;

	if (!c)
		return false;
	fd = memfd_create("config", MFD_CLOEXEC);
	assert_true(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = config_load_file(c, path, NULL);
	assert_true(ret == 0 || ret == ERR_NOMEM);
	if (ret == 0) {
		config_print(c, &out);
		ret = out.failed ? ERR_NOMEM : 0;
	}
	close(fd);
	buf_release(&out);
	config_free(c);
	return ret == 0;
}

/* What is refused says why also without memory for it. */
static bool
use_config_refused(void)
{
	static const char *const pairs[] = { "log.level=loud", "redis.url=nonsense",
					     "plugin.call.timeout=9999d", "kafka.acks=0",
					     "no.such.key=1", "plain" };
	struct config *c = config_new(NULL);
	bool ok = c != NULL;

	for (size_t i = 0; c && i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct err err = { .text = "" };
		int ret = config_set_pair(c, pairs[i], "-X", &err);

		assert_true((ret == ERR_CONFIG || ret == ERR_NOMEM) && *err.text);
		ok = ok && ret == ERR_CONFIG;
	}
	config_free(c);
	return ok;
}

static const struct alloc_row rows[] = {
	{ "buf", use_buf, 2 },
	{ "jtext_text", use_jtext, 4 },
	{ "window", use_window, 4 },
	{ "scheduler", use_scheduler, 8 },
	{ "command", use_command, 4 },
	{ "event", use_events, 4 },
	{ "result", use_result, 10 },
	{ "result of a lease", use_result_lease, 10 },
	{ "result too large", use_result_too_large, 10 },
	{ "deadletter", use_deadletter, 8 },
	{ "claim", use_claim, 2 },
	{ "registry_record", use_registry_record, 6 },
	{ "rpc", use_rpc, 2 },
	{ "frame", use_frame, 2 },
	{ "config", use_config, 20 },
	{ "config refused", use_config_refused, 20 },
};

static void
test_one_fails(void **state)
{
	const struct alloc_row *row;

	(void)state;
	EACH(row, rows)
		alloc_run(row, false);
}

static void
test_all_fail_from_there(void **state)
{
	const struct alloc_row *row;

	(void)state;
	EACH(row, rows)
		alloc_run(row, true);
}

static int
set_up(void **state)
{
	static const char execute_text[] = DRIVER "{\"type\":\"Execute\"," LEASE ","
		"\"command\":\"sh\",\"args\":[\"-c\",\"ls\"],\"env\":{\"A\":\"b\"}}}";
	static struct buf json, lease;

	(void)state;
	for (int i = 0; i < 2000; i++)
		buf_addf(&long_output, "%d ", i);
	fixture_encode(execute_text, &framed);
	execute = fixture_command(execute_text);
	acquire = fixture_command(ACQUIRE);
	buf_addf(&json, "{\"exitCode\":0,\"timedOut\":false,\"stdout\":\"%s\",\"stderr\":\"\"}",
		 long_output.data);
	answer_json = fixture_json(json.data);
	buf_addf(&lease, "{\"providerLeaseId\":\"new\",\"metadata\":{\"a\":\"%s\"}}",
		 long_output.data);
	lease_json = fixture_json(lease.data);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_fails),
		cmocka_unit_test(test_all_fail_from_there),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
