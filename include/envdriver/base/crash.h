/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash: ends the process at a named stage of a command's way, in test
 * builds only (RELIABILITY, fault 1).
 *
 * ENVDRIVER_CRASH_AT=<stage> or <stage>:<n> (the n-th time; default the
 * first) kills the process with SIGKILL there. Stages: polled, claimed,
 * called, answered, begun, produced, offsets, committing, committed (its OK is
 * there, its verdict not yet told). Used by: flow, publisher. May use: nothing.
 */
#ifndef ENVDRIVER_BASE_CRASH_H
#define ENVDRIVER_BASE_CRASH_H

#ifdef ENVDRIVER_TEST
void crash_at(const char *stage);
#else
#define crash_at(stage) ((void)0)
#endif

#endif
