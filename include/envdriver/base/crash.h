/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash: kills, stops or holds the process at a named stage of a command, in
 * test builds only (docs/reliability.md, fault 1).
 *
 * ENVDRIVER_CRASH_AT=<stage> or <stage>:<n> (the n-th time; default the
 * first) sends the process SIGKILL at that stage, or the signal in
 * ENVDRIVER_CRASH_SIGNAL: TERM for an orderly stop, STOP to freeze it. With
 * ENVDRIVER_CRASH_ARM, only passes while that file exists count. HOLD instead
 * of a signal makes only the thread wait, each time, until that file is gone;
 * "<file>.held" exists meanwhile. Stages: polled, claimed, called, answered,
 * taking (a claim is about to be taken over), recording (of a lease: its answer
 * is about to be written), recorded, handing (an answer is about to be handed
 * over), handed, begun, produced, offsets, committing, committed (its OK is
 * there, its verdict not yet told), pieces (a set of large output is committed
 * ahead of its result).
 */
#ifndef ENVDRIVER_BASE_CRASH_H
#define ENVDRIVER_BASE_CRASH_H

#ifdef ENVDRIVER_TEST
void crash_at(const char *stage);
#else
#define crash_at(stage) ((void)0)
#endif

#endif
