/* SPDX-License-Identifier: Apache-2.0 */
#include "finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { TEXT_MAX = 1200 };

const char *
finding_kind_name(enum finding_kind kind)
{
	static const char *const names[FINDING_KINDS] = {
		[FINDING_GAP] = "gap",
		[FINDING_PENDING] = "pending",
		[FINDING_DUPLICATE] = "duplicate",
		[FINDING_ORPHAN] = "orphan",
		[FINDING_WRONG_ID] = "wrong-id",
		[FINDING_WRONG_RECORD] = "wrong-record",
		[FINDING_SERVED_TWICE] = "served-twice",
		[FINDING_WRONG_FIRST] = "wrong-first",
		[FINDING_OUTPUT] = "output",
		[FINDING_UNREADABLE] = "unreadable",
		[FINDING_GONE] = "gone",
	};

	return names[kind];
}

const char *
finding_position_text(const struct findings *l, const struct finding_position *at,
		      char text[FINDING_POSITION_MAX])
{
	snprintf(text, FINDING_POSITION_MAX, "%s%s[%" PRId32 "]@%" PRId64, l->prefix,
		 topic_name(at->topic), at->partition, at->offset);
	return text;
}

void
finding_add(struct findings *l, enum finding_kind kind, const struct finding_position *at,
	    struct span command_id, int64_t time_ms, const char *fmt, ...)
{
	struct finding f = { kind, *at, command_id, time_ms, NULL };
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = text;
	l->counts[kind]++;
	l->on_finding(l->arg, &f);
}
