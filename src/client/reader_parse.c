/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_parse: topics and places in the log as people write them. Apart from
 * reader.c because it needs no Kafka.
 */
#include "envdriver/client/reader.h"

#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"
#include "envdriver/base/units.h"

enum { OFFSET_TEXT = 24 };

static const struct word {
	const char *word;
	enum topic topic;	/* TOPIC_COUNT: all */
} words[] = {
	{ "commands", TOPIC_COMMANDS },
	{ "probe", TOPIC_PROBE_RESULTS },
	{ "lease", TOPIC_LEASE_RESULTS },
	{ "execution", TOPIC_EXECUTION_RESULTS },
	{ "config", TOPIC_CONFIG_RESULTS },
	{ "workspace", TOPIC_WORKSPACE_RESULTS },
	{ "setup", TOPIC_SETUP_RESULTS },
	{ "driver", TOPIC_DRIVER_RESULTS },
	{ "logs", TOPIC_EXECUTION_LOGS },
	{ "events", TOPIC_PLUGIN_EVENTS },
	{ "dead-letters", TOPIC_DEAD_LETTERS },
	{ "all", TOPIC_COUNT },
};

enum { N_WORDS = sizeof(words) / sizeof(*words) };

static const char *
word_at(const void *arg, size_t i)
{
	(void)arg;
	return i < N_WORDS ? words[i].word : NULL;
}

static int
choose(struct span name, bool ret[TOPIC_COUNT], struct err *reterr)
{
	enum topic topic = topic_find(name);
	char text[NEAREST_LEN_MAX + 1];
	const char *near;

	for (size_t i = 0; i < N_WORDS; i++) {
		if (!span_is(name, words[i].word))
			continue;
		topic = words[i].topic;
		for (int t = 0; t < TOPIC_COUNT; t++)
			ret[t] |= topic == TOPIC_COUNT || topic == (enum topic)t;
		return 0;
	}
	if (topic < TOPIC_COUNT) {
		ret[topic] = true;
		return 0;
	}
	snprintf(text, sizeof(text), "%.*s", (int)(name.len < NEAREST_LEN_MAX ? name.len
									      : NEAREST_LEN_MAX),
		 name.ptr);
	near = nearest_word(text, word_at, NULL);
	if (near)
		return err_set(reterr, ERR_INVALID, "unknown topic '%s'; did you mean '%s'?",
			       text, near);
	return err_set(reterr, ERR_INVALID,
		       "unknown topic '%s'; valid: commands, probe, lease, execution, "
		       "config, workspace, setup, driver, logs, events, dead-letters, all", text);
}

int
reader_parse_topics(const char *text, bool ret[TOPIC_COUNT], struct err *reterr)
{
	memset(ret, 0, TOPIC_COUNT * sizeof(*ret));
	for (;;) {
		size_t len = strcspn(text, ",");
		int rc = choose((struct span){ text, len }, ret, reterr);

		if (rc < 0)
			return rc;
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

int
reader_parse_place(const char *text, struct reader_place *ret, struct err *reterr)
{
	int64_t n;

	if (strcmp(text, "beginning") == 0) {
		*ret = (struct reader_place){ READER_BEGINNING, 0 };
		return 0;
	}
	if (strcmp(text, "end") == 0) {
		*ret = (struct reader_place){ READER_END, 0 };
		return 0;
	}
	if (units_duration(text, &n, NULL) == 0 && strcmp(text, "0") != 0)
		n = clock_wall_ms() - n;
	else if (clock_parse_loose(text, &n) < 0 && units_int(text, &n, NULL) < 0)
		return err_set(reterr, ERR_INVALID,
			       "'%.64s' is not beginning, end, a date like 2026-11-23, a time "
			       "like 2026-11-23T05:17:57Z or a duration like 15min", text);
	/* Kafka knows no time before 1970. */
	*ret = n <= 0 ? (struct reader_place){ READER_BEGINNING, 0 }
		      : (struct reader_place){ READER_TIME, n };
	return 0;
}

/* Refuses a range in which nothing can lie. What lies in the others, the log
 * knows. */
static int
check_order(const char *from_text, const char *to_text, const struct reader_place *from,
	    const struct reader_place *to, struct err *reterr)
{
	if (from->at != READER_TIME || to->at != READER_TIME || from->value < to->value)
		return 0;
	return err_set(reterr, ERR_INVALID,
		       "the range is empty: --from %.64s is not before --to %.64s; did you mean "
		       "--from %.64s --to %.64s?", from_text, to_text, to_text, from_text);
}

static int
parse_offsets(const char *text, struct reader_place *ret_from, struct reader_place *ret_to,
	      struct err *reterr)
{
	const char *dots = strstr(text, "..");
	char first[OFFSET_TEXT];
	int64_t a, b = INT64_MAX - 1;

	snprintf(first, sizeof(first), "%.*s", dots ? (int)(dots - text) : 0, text);
	if (!dots || units_int(first, &a, NULL) < 0 ||
	    (dots[2] && units_int(dots + 2, &b, NULL) < 0) || b < a || b == INT64_MAX)
		return err_set(reterr, ERR_INVALID, "--offsets: '%.64s' is not FIRST..LAST", text);
	*ret_from = (struct reader_place){ READER_OFFSET, a };
	*ret_to = (struct reader_place){ READER_OFFSET, b + 1 };
	return 0;
}

int
reader_parse_range(const char *from, const char *to, const char *offsets,
		   struct reader_place *ret_from, struct reader_place *ret_to, struct err *reterr)
{
	int ret;

	if (offsets && (from || to))
		return err_set(reterr, ERR_INVALID, "--offsets excludes --from and --to");
	if (offsets)
		return parse_offsets(offsets, ret_from, ret_to, reterr);
	ret = reader_parse_place(from ? from : "beginning", ret_from, reterr);
	if (ret < 0) {
		err_prefix(reterr, "--from");
		return ret;
	}
	ret = reader_parse_place(to ? to : "end", ret_to, reterr);
	if (ret < 0)
		err_prefix(reterr, "--to");
	return ret < 0 ? ret : check_order(from, to, ret_from, ret_to, reterr);
}
