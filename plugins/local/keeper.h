/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper: a small process between the plugin and each command, so that "stop"
 * can be a promise.
 *
 * DESIGN
 * A command may start processes that outlive it, leave its process group and
 * its session, and lose their parent. Killing the process group misses them,
 * and a receipt that says "stopped" would be a lie. So each command runs below a
 * keeper, which is a "child subreaper": whatever loses its parent below it
 * becomes its child. To stop everything it kills its children until it has
 * none; nothing can slip away from that.
 *
 *     plugin ──leash──▶ keeper ──▶ command ──▶ whatever that starts
 *                         └──▶ what lost its parent
 *
 * The keeper lives as long as anything below it does. It holds one end of a
 * socket, the leash, as descriptor 3:
 *     plugin to keeper 'T': SIGTERM to the command's process group
 *                        'K': SIGKILL to everything, until nothing is left
 *                        end of file (the plugin is gone, even by kill -9): 'K'
 *     keeper to plugin "pid N\n", then one of "exit N\n", "signal N\n",
 *                        "error N\n" (an errno: it could not be started); end
 *                        of file: nothing is left
 *
 * Owns the command's processes. Knows nothing of leases, JSON or libuv: it is
 * plain blocking code.
 */
#ifndef LOCAL_KEEPER_H
#define LOCAL_KEEPER_H

#define KEEPER_OPTION "--keep"
#define KEEPER_LEASH_FD 3
/* What stands before each variable in a keeper's environment. A command's
 * LD_PRELOAD is not meant for the keeper. */
#define KEEPER_ENV_MARK '+'

enum keeper_order {
	KEEPER_TERMINATE = 'T',
	KEEPER_KILL = 'K',
};

/* argv: program, KEEPER_OPTION, command, its arguments. Returns the exit code. */
int keeper_main(char **argv);

#endif
