/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "audit/ledger.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "alloc_rig.h"

enum { STEPS = 14, PARTITIONS = 3, RETENTION = 100000 };

/* Partition 0: the log is [5, 40), verified is [10, 30); partition 1: all of
 * [0, 40); partition 2 is not verified. A record's time is 1000 times its
 * offset. Events stand on partition 7 of their topic, at offsets 0, 1, ... */
enum what {
	END,
	COMMAND,	/* offset, id (NULL: none): asks for a ProbeResult */
	RESULT,		/* of the command at offset, naming id */
	LETTER,		/* dead letter, the same */
	REFUSED,	/* DUPLICATE_COMMAND, naming `other` as the first */
	FOREIGN, WRONG,	/* a result of a record of another topic; a LeaseResult */
	DONE,		/* the group is done with all below offset, but not `other` */
	HORIZON,	/* probe results up to time `offset` were deleted */
	DEAD_HORIZON,	/* dead letters, the same */
	GROWN, TRIMMED,	/* the log of the partition ends, begins at offset */
	UNREADABLE,
};

struct step {
	enum what what;
	int partition;
	int64_t offset;
	const char *id;
	int64_t other;
};

#define C(offset, id) { COMMAND, 0, offset, id, 0 }
#define R(offset, id) { RESULT, 0, offset, id, 0 }
#define D(offset, id) { LETTER, 0, offset, id, 0 }
#define UUID "0b9c1f7e-12ab-4cd3-8ef0-001122334455"

static const struct row {
	const char *name;
	struct step steps[STEPS];
	const char *found;	/* kind topic@offset id, "; " between */
} rows[] = {
	{ "nothing", { { END } }, "" },
	{ "each has one", { C(10, "a"), C(11, "b"), R(11, "b"), R(10, "a") }, "" },
	{ "two partitions, the same offset",
	  { C(10, "a"), { COMMAND, 1, 10, "b", 0 }, { RESULT, 1, 10, "b", 0 }, R(10, "a") }, "" },
	{ "a gap", { C(10, "a"), C(12, "b"), R(10, "a") }, "gap commands@12 b" },
	{ "a gap, and the group is past it",
	  { C(10, "a"), C(12, "b"), { DONE, 0, 13, NULL, -1 }, R(10, "a") }, "gap commands@12 b" },
	{ "pending: the group is not there yet",
	  { C(10, "a"), C(12, "b"), { DONE, 0, 12, NULL, -1 }, R(10, "a") },
	  "pending commands@12 b" },
	{ "pending: the group has left it out",
	  { C(10, "a"), C(12, "b"), C(13, "c"), { DONE, 0, 20, NULL, 12 }, R(10, "a") },
	  "pending commands@12 b; gap commands@13 c" },
	{ "a duplicate", { C(10, "a"), R(10, "a"), R(10, "a") }, "duplicate probe-results@1 a" },
	{ "two duplicates, one a dead letter", { C(10, "a"), R(10, "a"), R(10, "a"), D(10, "a") },
	  "duplicate probe-results@1 a; duplicate dead-letters@2 a" },
	{ "an orphan inside the range", { C(10, "a"), R(10, "a"), R(11, "x") },
	  "orphan probe-results@1 x" },
	{ "an orphan beyond the log", { R(40, "x") }, "orphan probe-results@0 x" },
	{ "no orphan: the log has grown", { { GROWN, 0, 41, NULL, 0 }, R(40, "x") }, "" },
	{ "no orphan: the log was trimmed meanwhile",
	  { { TRIMMED, 0, 12, NULL, 0 }, R(11, "x") }, "" },
	{ "an orphan of no offset", { R(-1, "x") }, "orphan probe-results@0 x" },
	{ "an orphan of another topic", { { FOREIGN, 0, 10, "x", 0 } },
	  "orphan probe-results@0 x" },
	{ "an orphan of no partition",
	  { { RESULT, 3, 10, "x", 0 }, { RESULT, -1, 10, "y", 0 } },
	  "orphan probe-results@0 x; orphan probe-results@1 y" },
	{ "before the range, after it, below the log, not verified",
	  { R(9, "x"), R(30, "x"), R(4, "x"), { RESULT, 2, 10, "x", 0 } }, "" },
	{ "wrong id", { C(10, "a"), R(10, "b") }, "wrong-id probe-results@0 b" },
	{ "wrong id of a dead letter", { C(10, "a"), D(10, "b") }, "wrong-id dead-letters@0 b" },
	{ "a result without id", { C(10, "a"), R(10, NULL) }, "wrong-id probe-results@0 -" },
	{ "a dead letter need not know it", { C(10, "a"), D(10, NULL) }, "" },
	{ "ids that look alike",
	  { C(10, UUID), C(11, "0B9c1f7e-12ab-4cd3-8ef0-001122334455"), R(10, UUID),
	    R(11, UUID) }, "wrong-id probe-results@1 " UUID },
	{ "no command: a dead letter", { C(10, NULL), C(11, ""), D(10, NULL), D(11, NULL) }, "" },
	{ "no command: no result", { C(10, NULL), R(10, "a") }, "wrong-record probe-results@0 a" },
	{ "the result of something else", { C(10, "a"), { WRONG, 0, 10, "a", 0 } },
	  "wrong-record lease-results@0 a" },
	{ "the second of an id is refused",
	  { C(10, "a"), C(12, "a"), R(10, "a"), { REFUSED, 0, 12, "a", 10 } }, "" },
	{ "so is the first, when the second was claimed first",
	  { C(10, "a"), C(12, "a"), C(13, "a"), { REFUSED, 0, 10, "a", 12 }, R(12, "a"),
	    { REFUSED, 0, 13, "a", 12 } }, "" },
	{ "two are served", { C(10, "a"), C(12, "a"), R(10, "a"), R(12, "a") },
	  "served-twice commands@12 a" },
	{ "two UUIDs are served",
	  { C(10, UUID), C(11, "b"), C(12, UUID), R(10, UUID), R(12, UUID), R(11, "b") },
	  "served-twice commands@12 " UUID },
	{ "an id may come back when it was forgotten",
	  { { COMMAND, 1, 0, "a", 0 }, { COMMAND, 1, 100, "a", 0 }, { RESULT, 1, 0, "a", 0 },
	    { RESULT, 1, 100, "a", 0 } }, "gone commands@100 a" },
	{ "none is served: it names itself",
	  { C(10, "a"), { REFUSED, 0, 10, "a", 10 } }, "wrong-first dead-letters@0 a" },
	{ "none is served: they name each other",
	  { C(10, "a"), C(12, "a"), { REFUSED, 0, 10, "a", 12 }, { REFUSED, 0, 12, "a", 10 } },
	  "wrong-first dead-letters@0 a; wrong-first dead-letters@1 a" },
	{ "it names another command, and nothing",
	  { C(10, "a"), C(11, "b"), R(10, "a"), { REFUSED, 0, 11, "b", 10 }, C(13, "a"),
	    { REFUSED, 0, 13, "a", 14 } },
	  "wrong-first dead-letters@1 b; wrong-first dead-letters@2 a" },
	{ "the first one has not ended yet: said once",
	  { C(10, "a"), C(12, "a"), { REFUSED, 0, 12, "a", 10 } }, "gap commands@10 a" },
	{ "the first one is out of reach",
	  { C(10, "a"), { REFUSED, 0, 10, "a", 7 }, C(12, "b"), { REFUSED, 0, 12, "b", 3 } }, "" },
	{ "an invalid one of the same id counts for nothing",
	  { C(10, "a"), C(12, "a"), D(10, "a"), R(12, "a") }, "" },
	{ "events of its time were deleted",
	  { C(10, "a"), C(12, "b"), { HORIZON, 0, 10000, NULL, 0 } },
	  "gone commands@10 a; gap commands@12 b" },
	{ "dead letters of its time were deleted",
	  { C(10, NULL), C(11, "b"), C(12, "c"), C(13, "c"), R(12, "c"),
	    { DEAD_HORIZON, 0, 20000, NULL, 0 } },
	  "gone commands@10 -; gap commands@11 b; gone commands@13 c" },
	{ "an event that cannot be read",
	  { C(10, "a"), { UNREADABLE, 0, 0, "a", 0 } },
	  "unreadable probe-results@0 a; gap commands@10 a" },
};

struct rig {
	struct ledger *ledger;
	struct buf found;
	int64_t n_events;
};

static void
found(void *arg, const struct finding *f)
{
	struct rig *rig = arg;

	buf_addf(&rig->found, "%s%s %s@%lld %.*s", rig->found.len ? "; " : "",
		 finding_kind_name(f->kind), topic_name(f->at.topic), (long long)f->at.offset,
		 f->command_id.ptr ? (int)f->command_id.len : 1,
		 f->command_id.ptr ? f->command_id.ptr : "-");
	assert_true(f->text[0]);
}

static void
rig_init(struct rig *rig)
{
	struct ledger_options options = {
		.prefix = "t.",
		.partitions = PARTITIONS,
		.claim_retention_ms = RETENTION,
		.seed = 42,
		.on_finding = found,
		.arg = rig,
	};

	*rig = (struct rig){ .ledger = ledger_new(&options) };
	assert_non_null(rig->ledger);
	ledger_partition(rig->ledger, 0, &(struct entries_range){ 5, 10, 30, 40 });
	ledger_partition(rig->ledger, 1, &(struct entries_range){ 0, 0, 200, 200 });
}

static void
rig_release(struct rig *rig)
{
	ledger_free(rig->ledger);
	buf_release(&rig->found);
}

static int
give_event(struct rig *rig, const struct step *s, bool sure)
{
	struct ledger_event e = {
		.at = { TOPIC_PROBE_RESULTS, 7, rig->n_events },
		.time_ms = s->offset * 1000,
		.source_topic = span_of(s->what == FOREIGN ? "u.commands" : "t.commands"),
		.source_partition = s->partition,
		.source_offset = s->offset,
		.command_id = span_of(s->id),
		.refused = s->what == REFUSED,
		.first_topic = SPAN_LIT("t.commands"),
		.first_partition = s->partition,
		.first_offset = s->other,
	};

	if (s->what == LETTER || s->what == REFUSED)
		e.at.topic = TOPIC_DEAD_LETTERS;
	if (s->what == WRONG)
		e.at.topic = TOPIC_LEASE_RESULTS;
	return ledger_event(rig->ledger, &e, sure, NULL);
}

static int
take_step(struct rig *rig, const struct step *s)
{
	struct finding_position at = { TOPIC_PROBE_RESULTS, 7, rig->n_events };
	int ret = 0;

	switch (s->what) {
	case COMMAND:
		return ledger_command(rig->ledger, s->partition, s->offset, s->offset * 1000,
				      span_of(s->id), TOPIC_PROBE_RESULTS, NULL);
	case DONE:
		ledger_position(rig->ledger, s->partition, s->offset, &s->other, s->other >= 0);
		return 0;
	case HORIZON:
	case DEAD_HORIZON:
		ledger_horizon(rig->ledger, s->what == HORIZON ? TOPIC_PROBE_RESULTS
							       : TOPIC_DEAD_LETTERS, s->offset);
		return 0;
	case GROWN:
		ledger_log(rig->ledger, s->partition, 0, s->offset);
		return 0;
	case TRIMMED:
		ledger_log(rig->ledger, s->partition, s->offset, 0);
		return 0;
	case UNREADABLE:
		ledger_unreadable(rig->ledger, &at, 0, span_of(s->id), "bytes");
		break;
	default:
		ret = give_event(rig, s, false);
		if (ret == LEDGER_ASK)
			ret = give_event(rig, s, true);
		break;
	}
	rig->n_events++;
	return ret;
}

static void
test_rows(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct rig rig;

		rig_init(&rig);
		for (const struct step *s = row->steps; s < row->steps + STEPS && s->what; s++)
			if (take_step(&rig, s) != 0)
				fail_msg("%s: step %zu", row->name, (size_t)(s - row->steps));
		ledger_end(rig.ledger);
		if (!span_is(buf_span(&rig.found), row->found))
			fail_msg("%s: found '%.*s', not '%s'", row->name,
				 SPAN_FMT(buf_span(&rig.found)), row->found);
		rig_release(&rig);
	}
}

/* Nothing is believed to be an orphan before the log was asked again. */
static void
test_asks(void **state)
{
	static const struct step beyond = R(40, "x"), missing = R(11, "x"), early = R(9, "x");
	struct rig rig;

	(void)state;
	rig_init(&rig);
	assert_int_equal(give_event(&rig, &beyond, false), LEDGER_ASK);
	assert_int_equal(give_event(&rig, &missing, false), LEDGER_ASK);
	assert_int_equal(give_event(&rig, &early, false), 0);
	assert_int_equal(rig.found.len, 0);
	rig_release(&rig);
}

static void
test_counts(void **state)
{
	static const struct step steps[] = {
		C(10, "a"), C(12, "b"), { COMMAND, 1, 5, "c", 0 }, { DONE, 0, 11, NULL, -1 },
	};
	static const struct step a = R(10, "a"), b = D(12, "b"), gone = { RESULT, 1, -1, "x", 0 };
	struct ledger_sums sums;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		assert_int_equal(take_step(&rig, &steps[i]), 0);
	assert_int_equal(ledger_waiting(rig.ledger), 3);
	assert_int_equal(ledger_overdue(rig.ledger), 1);
	assert_int_equal(take_step(&rig, &a), 0);
	assert_int_equal(ledger_waiting(rig.ledger), 2);
	assert_int_equal(ledger_overdue(rig.ledger), 0);
	assert_int_equal(take_step(&rig, &b), 0);
	assert_int_equal(take_step(&rig, &gone), 0);
	ledger_end(rig.ledger);
	ledger_sum(rig.ledger, &sums);
	assert_int_equal(sums.commands, 3);
	assert_int_equal(sums.events, 2);
	assert_int_equal(sums.results, 1);
	assert_int_equal(sums.dead_letters, 1);
	assert_int_equal(sums.found[FINDING_ORPHAN], 1);
	assert_int_equal(sums.found[FINDING_GAP], 1);
	assert_int_equal(sums.oldest_pending_ms, -1);
	rig_release(&rig);
}

/* --- output --- */

/* What the result says of standard output, and the pieces that come; "|"
 * stands for the result, which comes last when there is none. */
#define BAD "output execution-results@0 a"

static const struct output_row {
	const char *name;
	bool cut;
	const char *whole;	/* what the result counts and digests */
	int64_t records;
	const char *pieces[5];	/* the last one is marked so, unless it ends in "~" */
	const char *found;	/* NULL: nothing */
} output_rows[] = {
	{ "all in the result", false, "abc", 0, { NULL }, NULL },
	{ "in two pieces", true, "abcd", 2, { "ab", "cd", "|" }, NULL },
	{ "the result first", true, "abcd", 2, { "|", "ab", "cd" }, NULL },
	{ "the result between", true, "abcd", 2, { "ab", "|", "cd" }, NULL },
	{ "no piece", true, "abcd", 2, { NULL }, BAD },
	{ "the last is missing", true, "abcd", 2, { "ab~" }, BAD },
	{ "other bytes", true, "abcd", 2, { "ab", "cx" }, BAD },
	{ "more bytes", true, "abcd", 2, { "ab", "cde" }, BAD },
	{ "other count", true, "abcd", 3, { "ab", "cd" }, BAD },
	{ "one in the middle is missing", true, "abcdef", 3, { "ab", "-cd", "ef" }, BAD },
	{ "one twice, the same", true, "abcd", 2, { "ab", "=ab", "cd" }, NULL },
	{ "one twice, not the same", true, "abcd", 2, { "ab", "=ac", "cd" }, BAD },
	{ "pieces left over from a failure", false, "", 0, { "ab", "cd", "|" }, NULL },
};

static int
tell(struct rig *rig, const struct output_row *row)
{
	char sha256[DIGEST_HEX_SIZE];
	struct outputs_result out = {
		.token = SPAN_LIT("i.1"),
		.time_ms = 10000,
		.records = row->records,
		.streams = { { row->cut, (int64_t)strlen(row->whole),
			       row->cut ? 1 : strlen(row->whole), SPAN_NULL } },
	};
	struct ledger_event e = {
		.at = { TOPIC_EXECUTION_RESULTS, 0, 0 },
		.source_topic = SPAN_LIT("t.commands"),
		.source_partition = 0,
		.source_offset = 10,
		.command_id = SPAN_LIT("a"),
		.output = &out,
	};

	assert_true(digest_sha256_hex(span_of(row->whole), sha256));
	out.streams[0].sha256 = row->cut ? span_of(sha256) : SPAN_NULL;
	return ledger_event(rig->ledger, &e, false, NULL);
}

/* "-" before a piece: it is left out; "=": it bears the number before. */
static int
send_pieces(struct rig *rig, const struct output_row *row, bool *ret_told)
{
	struct outputs_piece p = { .token = SPAN_LIT("i.1") };
	size_t n = 0, i;
	int ret = 0;

	for (i = 0; i < 5 && row->pieces[i]; i++)
		n = row->pieces[i][0] == '|' ? n : i;
	for (i = 0; i < 5 && row->pieces[i] && ret == 0; i++) {
		const char *text = row->pieces[i];
		bool skip = text[0] == '-', again = text[0] == '=';

		if (text[0] == '|') {
			*ret_told = true;
			ret = tell(rig, row);
			continue;
		}
		p.text = span_of(text + (skip || again));
		p.last = i == n && text[strlen(text) - 1] != '~';
		p.text.len -= text[strlen(text) - 1] == '~';
		p.sequence -= again;
		p.byte_offset -= again ? (int64_t)p.text.len : 0;
		ret = skip ? 0 : ledger_piece(rig->ledger, &p, NULL);
		p.sequence++;
		p.byte_offset += (int64_t)p.text.len;
	}
	return ret;
}

static void
run_output(const struct output_row *row, int64_t horizon)
{
	bool told = false;
	struct rig rig;

	rig_init(&rig);
	assert_int_equal(ledger_command(rig.ledger, 0, 10, 0, SPAN_LIT("a"),
					TOPIC_EXECUTION_RESULTS, NULL), 0);
	assert_int_equal(send_pieces(&rig, row, &told), 0);
	if (!told)
		assert_int_equal(tell(&rig, row), 0);
	ledger_horizon(rig.ledger, TOPIC_EXECUTION_LOGS, horizon);
	if (!row->found && ledger_overdue(rig.ledger))
		fail_msg("%s: something is overdue", row->name);
	ledger_end(rig.ledger);
	if (horizon >= 0)
		assert_string_equal(rig.found.data, "gone execution-results@0 a");
	else if (!span_is(buf_span(&rig.found), row->found ? row->found : ""))
		fail_msg("%s: found '%.*s'", row->name, SPAN_FMT(buf_span(&rig.found)));
	rig_release(&rig);
}

static void
test_output(void **state)
{
	const struct output_row *row;

	(void)state;
	EACH(row, output_rows)
		run_output(row, INT64_MIN);
	run_output(&output_rows[4], 10000);
}

/* Many, so that every table grows; each is found again. */
static void
test_many(void **state)
{
	enum { MANY = 20000 };
	struct ledger_sums sums;
	char id[32];
	struct rig rig;

	(void)state;
	rig_init(&rig);
	ledger_partition(rig.ledger, 2, &(struct entries_range){ 0, 0, 3 * MANY, 3 * MANY });
	for (int64_t i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "command-%lld", (long long)(i % (MANY - 1)));
		assert_int_equal(ledger_command(rig.ledger, 2, 3 * i, i, span_of(id),
						TOPIC_PROBE_RESULTS, NULL), 0);
	}
	for (int64_t i = 0; i < MANY; i++) {
		struct step s = { RESULT, 2, 3 * i, id, 0 };

		snprintf(id, sizeof(id), "command-%lld", (long long)(i % (MANY - 1)));
		assert_int_equal(take_step(&rig, &s), 0);
	}
	ledger_end(rig.ledger);
	assert_string_equal(rig.found.data, "served-twice commands@59997 command-0");
	ledger_sum(rig.ledger, &sums);
	assert_true(sums.bytes < 110 * MANY);
	rig_release(&rig);
}

/* --- out of memory --- */

static int fail_at;

static void *
failing(void *ptr, size_t size)
{
	return --fail_at == 0 ? NULL : realloc(ptr, size);
}

static void
test_out_of_memory(void **state)
{
	static const struct step steps[] = {
		C(10, "a"), C(12, "a"), R(10, "a"), { REFUSED, 0, 12, "a", 10 },
	};
	static const struct output_row cut = { "", true, "abcd", 2, { "ab", "cd", "|" }, NULL };
	bool told = false;
	int failed = 0;

	(void)state;
	for (int n = 1; n < 14; n++) {
		struct rig rig;
		int ret = 0;

		rig_init(&rig);
		fail_at = n;
		alloc_replace(failing);
		for (size_t i = 0; i < 4 && ret == 0; i++)
			ret = take_step(&rig, &steps[i]);
		if (ret == 0)
			ret = send_pieces(&rig, &cut, &told);
		alloc_replace(NULL);
		assert_true(ret == 0 || ret == ERR_NOMEM);
		failed += ret != 0;
		rig_release(&rig);
	}
	assert_true(failed >= 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), cmocka_unit_test(test_asks),
		cmocka_unit_test(test_counts), cmocka_unit_test(test_output),
		cmocka_unit_test(test_many), cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
