/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_read: from a plugin's reply to the fields of a result, by operation
 * (docs/operations.md, both tables and "Outcomes").
 *
 * Owns the table of readers and nothing else. Strict where the original let
 * JavaScript decide. Knows nothing of Avro, Kafka or time.
 */
#ifndef ENVDRIVER_RESULT_ANSWER_READ_H
#define ENVDRIVER_RESULT_ANSWER_READ_H

#include <stdbool.h>

#include "envdriver/base/jtext.h"

struct answer;
struct answer_reader;
struct chosen;
struct command;
struct rpc_answer;

/* Fills `a`, which was reset before, from how the call ended. Unless the
 * outcome is SUCCEEDED, the own fields are at their defaults, but for
 * config_warnings of CONFIG_REJECTED. */
void answer_read(struct answer *a, const struct command *c, const struct chosen *chosen,
		 const struct rpc_answer *reply);

/* The id of a lease as later commands name it, which must be the one that the
 * plugin knows: a number is its text; a string that cannot be kept as it is, or is
 * longer than a command's may be, is no id: false, with a BAD_RESPONSE. Not for
 * the empty string. */
bool answer_lease_id(struct answer_reader *r, struct jtext id);

/* The readers of results that have files of their own: answer_config.c,
 * answer_lease.c, answer_workspace.c, answer_setup.c, answer_execute.c. */
void answer_config_validate(struct answer_reader *r);
void answer_lease_acquire(struct answer_reader *r);
void answer_lease_resume(struct answer_reader *r);
void answer_lease_release(struct answer_reader *r);
void answer_lease_destroy(struct answer_reader *r);
void answer_workspace_realize(struct answer_reader *r);
void answer_workspace_sync(struct answer_reader *r);
void answer_workspace_ingress(struct answer_reader *r);
void answer_setup_session(struct answer_reader *r);
void answer_setup_cancel(struct answer_reader *r);
void answer_setup_capture(struct answer_reader *r);
void answer_setup_delete(struct answer_reader *r);
void answer_execute(struct answer_reader *r);

#endif
