/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit: what the programs of the benchmark share. Nothing here recovers: any
 * error ends the program with a line on standard error.
 */
#ifndef BENCH_KIT_H
#define BENCH_KIT_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <time.h>

enum { KIT_PATIENCE_MS = 20000 };

void kit_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Takes the error; NULL is none. */
void kit_must(rd_kafka_error_t *error, const char *what);
int64_t kit_now_us(clockid_t clock);

/* `settings` ends with a NULL name. A producer's failed delivery ends the
 * program, too. */
rd_kafka_t *kit_client(rd_kafka_type_t type, const char *bootstrap,
		       const char *const settings[][2]);

#endif
