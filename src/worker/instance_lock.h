/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_lock: one process of this host per instance.id.
 *
 * Owns the lock's file while the process lives. It spares a worker that is
 * started twice the quarrel with itself; what makes two of one name harmless is
 * the fencing of Kafka and Redis (docs/engine.md section 9). So a host that has
 * no place for a lock is no reason not to start.
 *
 * The file lies in the first of these that takes it: `lock.dir`, then
 * $RUNTIME_DIRECTORY, /run/envdriver, $XDG_RUNTIME_DIR, /run/lock, /tmp. Its
 * name is a hash of what makes two workers the same one, without passwords.
 */
#ifndef ENVDRIVER_WORKER_INSTANCE_LOCK_H
#define ENVDRIVER_WORKER_INSTANCE_LOCK_H

struct config;
struct err;

/* ERR_CONFIG: another process has it. 0 otherwise, also when no place takes it:
 * then a warning says so. */
int instance_lock_take(const struct config *config, struct err *reterr);
/* At an orderly end: takes the file away. */
void instance_lock_free(void);

#endif
