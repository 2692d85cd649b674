/* SPDX-License-Identifier: Apache-2.0 */
/*
 * family: the programs that this process starts for plugins and all that these
 * start in turn, wherever they hide: in a session of their own, as orphans,
 * with an empty environment. None outlives the program it belongs to, and none
 * outlives us, also when we are killed with SIGKILL.
 *
 * Each program gets a mark that all its descendants inherit: its limit of file
 * locks (RLIMIT_LOCKS), which Linux has kept and not looked at since 2.4.25. A
 * tiny process, the keeper, kills what bears a mark when it is told to or when
 * there are too many of them, and all of ours when we are gone. What takes a lower limit by
 * itself, or changes to another user, escapes; a jail lets it do neither, nor
 * kill the keeper (isolation/jail.h). A keeper that ended is replaced.
 *
 * Owns the keeper, and the set of children that somebody here waits for. One
 * per process; belongs to the loop's thread.
 */
#ifndef ENVDRIVER_BASE_FAMILY_H
#define ENVDRIVER_BASE_FAMILY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Starts the keeper, and from here on orphans become our children
 * (PR_SET_CHILD_SUBREAPER). Before other threads are there, at best. Without
 * it, or when it fails, the others below do nothing and marks are 0. What a
 * keeper does besides, may be NULL: `at_start` in a process of its own, `at_end`
 * when we and all of the family are gone. */
void family_start(void (*at_start)(void), void (*at_end)(void));
/* To be called every second or so: looks after the keeper. */
void family_tick(void);

/* A mark for one more program, of which, with all that it starts, there may be so many
 * processes (0: any number); 0: there is none. */
uint64_t family_mark(size_t processes_max);
/* In the child, between fork and exec: only async-signal-safe calls. */
void family_bear(uint64_t mark);
/* The program has ended: whatever bears its mark is killed. */
void family_end(uint64_t mark);

/* Somebody waits for this child himself; after its end and family_unexpect it
 * is any other process again. */
void family_expect(pid_t pid);
void family_unexpect(pid_t pid);
/* At a SIGCHLD: reaps the orphans that were handed to us, and nobody that is
 * expected. */
void family_reap(void);

#endif
