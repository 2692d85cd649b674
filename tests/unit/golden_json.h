/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden_json: JSON of recorded cases: the same or not, as JSON.stringify
 * writes it, the lines of a list.
 */
#ifndef ENVDRIVER_TESTS_GOLDEN_JSON_H
#define ENVDRIVER_TESTS_GOLDEN_JSON_H

#include "unit.h"

#include "fixture.h"

bool golden_same_members(struct jtext a, struct jtext b, bool loose);

bool golden_equal(struct jtext a, struct jtext b, bool loose);

/* As JSON.stringify writes it: the recordings escape what is not ASCII. */
void golden_stringify(struct jtext value, struct buf *out);

bool golden_given(struct jtext value);

/* The i-th line of a recorded list, as text in `out`. */
bool golden_line_at(struct jtext list, size_t i, struct buf *out);

#endif
