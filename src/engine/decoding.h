/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decoding: the bytes of a record become a command, or a dead letter that
 * says why they cannot (docs/engine.md section 3).
 *
 * Owns the decoder of commands. Knows nothing of Kafka's consumer or of
 * the schema registry: a schema is known, or it is not.
 */
#ifndef ENVDRIVER_ENGINE_DECODING_H
#define ENVDRIVER_ENGINE_DECODING_H

#include <stdbool.h>

struct engine;
struct entry;
struct err;

int decoding_new(struct engine *eng, struct err *reterr);
/* Accepts that decoding_new failed or was not called. */
void decoding_free(struct engine *eng);

/* Queues the command behind its ordering key, or has its dead letter
 * published (ON_REJECTED). False: its schema is not known yet, nothing was done. */
bool decoding_read(struct engine *eng, struct entry *e);
/* DO_DUPLICATE: a dead letter that names the first record with this id. */
void decoding_duplicate(struct engine *eng, struct entry *e);
/* The broker refused the dead letter: a smaller one. */
void decoding_rebuild_letter(struct engine *eng, struct entry *e);

#endif
