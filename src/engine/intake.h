/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake: messages of the command topic become entries; back-pressure says
 * when no more may come (docs/decisions.md D9 (limits on what is in flight)).
 *
 * Owns no state. Knows nothing of what becomes of an entry.
 */
#ifndef ENVDRIVER_ENGINE_INTAKE_H
#define ENVDRIVER_ENGINE_INTAKE_H

#include <librdkafka/rdkafka.h>

struct engine;
struct partition;

/* Takes the message; consumer's on_message, `arg` is the engine. */
void intake_message(void *arg, rd_kafka_message_t *m);
/* Pauses and resumes partitions by what is in flight. */
void intake_pressure(struct engine *eng);
/* Logs which partitions are paused alone, and for what. */
void intake_tick(struct engine *eng);

/* Why the partition is paused while others are not; NULL: it is not. */
const char *intake_paused_for(const struct engine *eng, const struct partition *p);

#endif
