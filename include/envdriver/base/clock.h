/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: the clocks of the system in milliseconds, and RFC 3339 text.
 *
 * Owns nothing. Nothing blocks.
 */
#ifndef ENVDRIVER_BASE_CLOCK_H
#define ENVDRIVER_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970 UTC: for records and people. */
int64_t clock_wall_ms(void);
/* CLOCK_MONOTONIC: for deadlines. */
int64_t clock_mono_ms(void);
/* CLOCK_BOOTTIME: also runs while the machine sleeps, so it shows a stall. */
int64_t clock_boot_ms(void);
/* CPU time of the calling thread. */
int64_t clock_thread_ms(void);

enum { CLOCK_TEXT_MAX = 32 };
/* Writes "2026-11-23T05:17:57.000Z" into `text`, which it returns. */
char *clock_text(int64_t wall_ms, char text[CLOCK_TEXT_MAX]);
/* Reads a time as people write it: RFC 3339, with less than that: without a zone
 * it is UTC, without seconds or a time of day they are zero. Returns 0 or
 * ERR_INVALID. */
int clock_parse_loose(const char *text, int64_t *ret_wall_ms);
/* Reads RFC 3339 (any fraction, Z or a numeric offset). Returns 0 or
 * ERR_INVALID. */
int clock_parse(const char *text, size_t len, int64_t *ret_wall_ms);

#endif
