/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exit: the exit codes of every command, fixed by name in docs/operations.md.
 *
 * Those from 64 on are the ones of sysexits.h, so that a service manager can
 * tell a mistake in the configuration from an outage. Only main returns them;
 * all other code passes them up as values.
 */
#ifndef ENVDRIVER_BASE_EXIT_H
#define ENVDRIVER_BASE_EXIT_H

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FINDINGS = 1,	/* findings, or a failed outcome */
	EXIT_TROUBLE = 2,	/* could not do it */
	EXIT_USAGE = 64,
	EXIT_UNAVAILABLE = 69,	/* fenced, or a peer is away */
	EXIT_BUG = 70,
	EXIT_AGAIN = 75,
	EXIT_DENIED = 77,
	EXIT_CONFIG = 78,
	/* of `exec` besides the command's own */
	EXIT_EXEC_INTERRUPTED = 122,	/* nobody knows whether it ran */
	EXIT_EXEC_CUT = 123,	/* ended at the plugin's output limit */
	EXIT_EXEC_TIMEOUT = 124,
	EXIT_EXEC_FAILED = 125,
	EXIT_EXEC_DENIED = 126,	/* the program is not executable, as in shells */
	EXIT_EXEC_MISSING = 127,	/* there is no such program, as in shells */
	EXIT_SIGNAL = 128,	/* plus the signal's number */
};

#endif
