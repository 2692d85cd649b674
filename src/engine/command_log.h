/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_log: one line of the log for each command that ended here
 * (`log.commands`).
 *
 * Owns nothing. The line is an info line; its fields are the members of an
 * object in JSON: commandId, operation, status and errorCode as in the headers
 * of the final event, ms from the record's arrival to the certain commit,
 * plugin, topic, partition and offset of the record.
 */
#ifndef ENVDRIVER_ENGINE_COMMAND_LOG_H
#define ENVDRIVER_ENGINE_COMMAND_LOG_H

struct config;
struct entry;

enum command_log_mode { COMMAND_LOG_OFF, COMMAND_LOG_FAILED, COMMAND_LOG_ALL };

enum command_log_mode command_log_mode(const struct config *config);
/* Its final event is certainly committed; the entry still holds it. */
void command_log_ended(enum command_log_mode mode, const struct entry *e);
/* Its final event was committed before; nothing is published again. */
void command_log_skipped(enum command_log_mode mode, const struct entry *e);

#endif
