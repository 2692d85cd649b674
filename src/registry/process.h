/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: names a process so that no other can be meant (boot, pid namespace,
 * pid, start time), and tells whether it is gone.
 *
 * Owns nothing. Reads /proc.
 */
#ifndef ENVDRIVER_REGISTRY_PROCESS_H
#define ENVDRIVER_REGISTRY_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct process {
	char boot_id[40];	/* "" when it cannot be read */
	char pid_namespace[40];	/* "pid:[4026531836]" */
	int pid;
	uint64_t start;		/* clock ticks since boot; 0: unknown */
};

/* This one. What cannot be read stays empty: then nothing is provable. */
void process_self(struct process *ret);

/* Whether process `other`, as it was written down, is certainly gone; `self`
 * is from process_self. False when in doubt: another machine, another
 * namespace, no permission to see. */
bool process_gone(const struct process *self, const struct process *other);

/* Takes "<pid> (<name>) <state> ... <start> ..." of /proc/<pid>/stat apart;
 * the name may hold anything. */
bool process_parse_stat(struct span text, int *ret_pid, char *ret_state, uint64_t *ret_start);

#endif
