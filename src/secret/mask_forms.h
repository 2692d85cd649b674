/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mask_forms: the patterns that a text is searched for, so that each value is
 * found in each of its forms.
 *
 * Owns the matcher. Long patterns are cut into pieces, each of which is searched
 * for: so what has to be held back of a stream is bounded, and a part of a long
 * value is masked too. Knows nothing of text.
 */
#ifndef ENVDRIVER_SECRET_MASK_FORMS_H
#define ENVDRIVER_SECRET_MASK_FORMS_H

#include "envdriver/secret/mask.h"
#include "matcher.h"

/* NULL when out of memory. mask_forms_add for each value, then
 * mask_forms_finish; one that failed may only be freed. */
struct mask_forms *mask_forms_new(void);
bool mask_forms_add(struct mask_forms *f, struct span value);
bool mask_forms_finish(struct mask_forms *f);
const struct matcher *mask_forms_matcher(const struct mask_forms *f);

#endif
