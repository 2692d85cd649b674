/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_stop: how a running execution is stopped: a ReleaseLease of its lease that
 * cancels active work, as a command and as the words to type.
 *
 * A value of text; owns nothing. Knows nothing of Kafka.
 */
#ifndef ENVDRIVER_CLIENT_EXEC_STOP_H
#define ENVDRIVER_CLIENT_EXEC_STOP_H

#include "envdriver/base/buf.h"

/* `execute` is the command in plain JSON, as publish_build makes it: its target,
 * lease, company, environment and config are taken over. The ordering key is
 * empty, so that it does not wait behind what it stops. */
void exec_stop_command(struct span execute, struct buf *out);

/* Appends "release --target … --lease … --cancel-active-work --now": the options of
 * `envdriver publish`, quoted for a shell. `config` is what --config had, NULL:
 * the JSON of the command. */
void exec_stop_words(struct span execute, const char *config, struct buf *out);

/* Appends a word, quoted when a shell would read it otherwise. */
void exec_stop_quote(struct buf *out, struct span word);

#endif
