/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_plugin.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

struct fake {
	char line[1 << 16];
};

static void
fake_put(int fd, const char *text)
{
	for (size_t n = strlen(text); n > 0;) {
		ssize_t w = write(fd, text, n);

		if (w <= 0)
			exit(98);
		text += w;
		n -= (size_t)w;
	}
}

static bool
fake_read(struct fake *f)
{
	size_t n = 0;

	while (n < sizeof(f->line) - 1 && read(0, f->line + n, 1) == 1)
		if (f->line[n++] == '\n')
			break;
	f->line[n] = '\0';
	return n > 0;
}

static void
fake_expect(struct fake *f, const char *text)
{
	if (fake_read(f) && strstr(f->line, text))
		return;
	fprintf(stderr, "fake: expected %s, got %s\n", text, f->line);
	exit(99);
}

static void
fake_reply(struct fake *f, const char *result)
{
	const char *id = strstr(f->line, "\"id\":");
	char head[64];

	if (!id)
		exit(97);
	snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":", atol(id + 5));
	fake_put(1, head);
	fake_put(1, result);
	fake_put(1, "}\n");
}

static void
fake_show(struct fake *f)
{
	char out[4096], dir[1024];
	DIR *d = opendir("/proc/self/fd");
	size_t n, fds = 0;
	int death = 0;
	sigset_t mask;

	while (d && readdir(d))
		fds++;
	if (d)
		closedir(d);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	prctl(PR_GET_PDEATHSIG, &death);
	/* Without ".", ".." and the one being read. */
	n = (size_t)snprintf(out, sizeof(out),
			     "{\"fds\":%zu,\"leader\":%d,\"death\":%d,\"privs\":%d,\"pipe\":%d,"
			     "\"blocked\":%d,\"dir\":\"%s\",\"env\":[", fds - 3,
			     getsid(0) == getpid() && getpgrp() == getpid(), death,
			     prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
			     signal(SIGPIPE, SIG_DFL) == SIG_DFL, sigismember(&mask, SIGUSR1),
			     getcwd(dir, sizeof(dir)));
	for (char **e = environ; *e; e++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s\"%s\"", e == environ ? "" :
			",", *e);
	snprintf(out + n, sizeof(out) - n, "]}");
	fake_reply(f, out);
}

static void
fake_limits(struct fake *f)
{
	static const int resources[] = { RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_NPROC };
	struct rlimit r[3];
	char out[200];

	for (int i = 0; i < 3; i++)
		if (getrlimit(resources[i], &r[i]) < 0)
			exit(94);
	snprintf(out, sizeof(out),
		 "{\"core\":%llu,\"files\":%llu,\"soft\":%llu,\"processes\":%llu}",
		 (unsigned long long)r[0].rlim_max, (unsigned long long)r[1].rlim_max,
		 (unsigned long long)r[1].rlim_cur, (unsigned long long)r[2].rlim_max);
	fake_reply(f, out);
}

static void
fake_fork(bool away)
{
	if (fork() == 0) {
		if (away)
			setsid();
		sleep(5);
		_exit(0);
	}
	/* Time for it to get away. */
	usleep(100000);
}

static void
fake_echo(struct fake *f)
{
	while (fake_read(f)) {
		fake_reply(f, "{}");
		if (strstr(f->line, "\"method\":\"shutdown\""))
			exit(0);
	}
}

/* Without an operand. */
static bool
fake_word(struct fake *f, const char *word)
{
	if (strcmp(word, "init") == 0) {
		fake_expect(f, "\"method\":\"initialize\"");
		fake_reply(f, "{\"ok\":true,\"supportedMethods\":[\"health\","
			"\"environmentProbe\"]}");
	} else if (strcmp(word, "deaf") == 0) {
		signal(SIGTERM, SIG_IGN);
	} else if (strcmp(word, "hold") == 0 || strcmp(word, "away") == 0) {
		fake_fork(*word == 'a');
	} else if (strcmp(word, "show") == 0) {
		fake_show(f);
	} else if (strcmp(word, "limits") == 0) {
		fake_limits(f);
	} else if (strcmp(word, "echo") == 0) {
		fake_echo(f);
	} else if (strcmp(word, "eof") == 0) {
		while (fake_read(f))
			;
	} else {
		return false;
	}
	return true;
}

static void
fake_do(struct fake *f, const char *word, const char *operand)
{
	if (strcmp(word, "expect") == 0) {
		fake_expect(f, operand);
	} else if (strcmp(word, "reply") == 0) {
		fake_reply(f, operand);
	} else if (strcmp(word, "send") == 0) {
		fake_put(1, operand);
		fake_put(1, "\n");
	} else if (strcmp(word, "raw") == 0) {
		fake_put(1, operand);
	} else if (strcmp(word, "err") == 0) {
		fake_put(2, operand);
		fake_put(2, "\n");
	} else if (strcmp(word, "rawerr") == 0) {
		fake_put(2, operand);
	} else if (strcmp(word, "sleep") == 0) {
		usleep((useconds_t)atoi(operand) * 1000);
	} else if (strcmp(word, "exit") == 0) {
		_exit(atoi(operand));
	} else if (strcmp(word, "kill") == 0) {
		signal(atoi(operand), SIG_DFL);
		kill(getpid(), atoi(operand));
		pause();
	} else if (strcmp(word, "close") == 0) {
		close(atoi(operand));
	} else {
		exit(96);
	}
}

int
fake_plugin(int argc, char **argv)
{
	static struct fake f;

	for (int i = 0; i < argc; i++) {
		if (fake_word(&f, argv[i]))
			continue;
		if (i + 1 == argc)
			return 95;
		fake_do(&f, argv[i], argv[i + 1]);
		i++;
	}
	return 0;
}
