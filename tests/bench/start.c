/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start: what a jail adds to the start of a program, from spawn to exit: bare, in a
 * jail as a plugin has it (made anew each time), and under bwrap, in turns.
 *
 *     start ROUNDS PROGRAM ARGUMENT…      the program is a path
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "envdriver/base/err.h"
#include "envdriver/isolation/jail.h"
#include "envdriver/rpc/spawn.h"

enum { ROUNDS_MAX = 10000, ARGS_MAX = 64 };

enum kind { BARE, JAILED, BWRAP, KINDS };

static const char *const names[KINDS] = { "bare", "jail", "bwrap" };

static char *const bwrap[] = {
	(char *)"/usr/bin/bwrap", (char *)"--ro-bind", (char *)"/", (char *)"/", (char *)"--dev",
	(char *)"/dev", (char *)"--proc", (char *)"/proc", (char *)"--unshare-pid",
	(char *)"--unshare-ipc", (char *)"--unshare-uts", (char *)"--die-with-parent", NULL,
};

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
on_program_end(void *arg, int code, int signal)
{
	*(int *)arg = signal ? -1 : code;
}

/* Milliseconds. */
static double
run_once(uv_loop_t *loop, enum kind kind, char **program)
{
	static char *const env[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	static const char *const write[] = { "/tmp", NULL };
	const struct jail_rules rules = { .layers = JAIL_LANDLOCK | JAIL_SECCOMP, .system = true,
					  .permits = JAIL_INET, .write = write,
					  .read = (const char *const[]){ program[0], NULL } };
	char *argv[ARGS_MAX + sizeof(bwrap) / sizeof(*bwrap)] = { NULL };
	struct err err = { 0 };
	size_t n = 0;
	int fds[3], code = -2;
	double begin = now_ms();
	struct jail *jail = kind == JAILED ? jail_new(&rules, &err) : NULL;
	struct spawn *s;

	for (char *const *word = bwrap; kind == BWRAP && *word; word++)
		argv[n++] = *word;
	for (char **word = program; *word; word++)
		argv[n++] = *word;
	s = spawn_new(loop, &(struct spawn_options){ .argv = argv, .env = env, .dir = "/",
						     .jail = jail }, on_program_end, &code, fds,
		      &err);
	if (!s) {
		fprintf(stderr, "start: %s\n", err.text);
		exit(2);
	}
	while (code == -2)
		uv_run(loop, UV_RUN_ONCE);
	begin = now_ms() - begin;
	if (code != 0) {
		fprintf(stderr, "start: %s: it ended with %d\n", names[kind], code);
		exit(2);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	spawn_close(s);
	jail_free(jail);
	uv_run(loop, UV_RUN_NOWAIT);
	return begin;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	static double took[KINDS][ROUNDS_MAX];
	int rounds = argc > 2 ? atoi(argv[1]) : 0, kinds = KINDS;
	uv_loop_t loop;

	if (rounds < 1 || rounds > ROUNDS_MAX || argc > ARGS_MAX || uv_loop_init(&loop) < 0) {
		fprintf(stderr, "usage: start ROUNDS PROGRAM ARGUMENT...\n");
		return 64;
	}
	if (access(bwrap[0], X_OK) < 0)
		kinds = BWRAP;
	for (int i = 0; i < rounds; i++)
		for (int kind = 0; kind < kinds; kind++)
			took[kind][i] = run_once(&loop, (enum kind)kind, argv + 2);
	for (int kind = 0; kind < kinds; kind++) {
		qsort(took[kind], (size_t)rounds, sizeof(double), compare);
		printf("%-6s p50 %7.2f ms  p90 %7.2f ms  p99 %7.2f ms  over bare %+6.2f ms  "
		       "x%.2f\n", names[kind], took[kind][rounds / 2], took[kind][rounds * 9 / 10],
		       took[kind][rounds * 99 / 100], took[kind][rounds / 2] - took[0][rounds / 2],
		       took[kind][rounds / 2] / took[0][rounds / 2]);
	}
	return 0;
}
