/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden_compare: whether an event says what the original returned or threw
 * (OPERATIONS maps the one to the other).
 */
#ifndef ENVDRIVER_TESTS_GOLDEN_COMPARE_H
#define ENVDRIVER_TESTS_GOLDEN_COMPARE_H

#include "unit.h"

#include "envdriver/rpc/rpc.h"
#include "golden_json.h"

/* Where we differ from the recording, and why. */
enum {
	STRICT = 1,	/* BAD_RESPONSE where JavaScript let it pass */
	LOOSE = 2,	/* the same members, but for nulls and their order */
	MASKED = 4,	/* the request holds a number that the recording hides */
};

extern const char *golden_case;	/* the name of the case in hand */

int golden_flags_of(const char *name);

void golden_expect(bool condition, const char *what, const struct buf *record);

/* A field that holds JSON text. */
void golden_expect_json(struct jtext record, const char *path, struct jtext expected,
	const struct buf *text);

void golden_expect_same(struct jtext record, const char *path, struct jtext expected,
	const struct buf *text);

void golden_compare_event(struct jtext recorded, const struct events *e);

#endif
