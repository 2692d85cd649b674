/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units: durations and sizes as people write them: "500ms", "10s", "5min",
 * "24h", "9d"; "64KiB", "1MiB", "2GiB", plain bytes. Other names that mean one
 * thing only are read, too: "5m" and "5 minutes" are 5min, "1MB" is 1000000
 * bytes, "1M" is 1MiB.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_BASE_UNITS_H
#define ENVDRIVER_BASE_UNITS_H

#include <stdint.h>

struct buf;
struct err;

/* Whole numbers, no sign. A duration without a unit is refused unless it is
 * 0, a size without one is bytes. ERR_INVALID says what was expected. */
int units_int(const char *text, int64_t *ret, struct err *reterr);
int units_duration(const char *text, int64_t *ret_ms, struct err *reterr);
int units_size(const char *text, int64_t *ret_bytes, struct err *reterr);

/* Appends in the largest unit that divides: 90000 is "90s". */
void units_add_duration(struct buf *out, int64_t ms);
void units_add_size(struct buf *out, int64_t bytes);

#endif
