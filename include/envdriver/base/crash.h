/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash: signals the process at a named stage of a command's way, in test
 * builds only (docs/reliability.md, fault 1).
 *
 * ENVDRIVER_CRASH_AT=<stage> or <stage>:<n> (the n-th time; default the
 * first) sends it SIGKILL there, or what ENVDRIVER_CRASH_SIGNAL says: TERM to
 * have it stop in order, STOP to freeze it there. With ENVDRIVER_CRASH_ARM only
 * passes count that happen while that file exists. HOLD in place of a signal
 * has the thread alone stand there until that file is gone, each time, with
 * "<file>.held" made to say so. Stages: polled, claimed, called, answered,
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
