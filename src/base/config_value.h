/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_value: the text of one value against its row of the table of
 * parameters.
 *
 * Owns nothing. Knows nothing of where a value comes from or is kept.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdint.h>

struct config_param;
struct err;

/* `value` is not empty. `ret` is set for all but texts. ERR_CONFIG says what is
 * wrong, without a secret. */
int config_value_parse(const struct config_param *p, const char *value, int64_t *ret,
		       struct err *reterr);

#endif
