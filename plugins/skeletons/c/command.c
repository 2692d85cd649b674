// SPDX-License-Identifier: Apache-2.0
/* The part of the skeleton that you replace: runs a command on this host, with live output. */
#include "plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 64 << 20, PIECE = 65536 };

struct output {
	const char *name;
	size_t size, held; // held: the beginning of a character
	char bytes[PIECE], *text;
	FILE *all;
};

/* What of n bytes is whole characters, and in *n how many that are; '?' for what is not UTF-8. */
static json_t *
text_of(char *bytes, size_t *n, int last)
{
	for (size_t cut = 0; cut < (last ? 1 : 4) && cut <= *n; cut++) {
		json_t *text = json_stringn(bytes, *n - cut);
		if (text)
			return *n -= cut, text;
	}
	for (size_t i = 0; i < *n; i++)
		bytes[i] = bytes[i] & 0x80 ? '?' : bytes[i];
	return json_stringn(bytes, *n);
}

/* Passes a piece on. Returns the pipe, -1 at its end. */
static int
pump(int fd, struct output *o, json_t *request)
{
	ssize_t n = read(fd, o->bytes + o->held, PIECE - o->held);
	size_t size = o->held + (n > 0 ? n : 0), whole = size;
	json_t *text = text_of(o->bytes, &whole, n <= 0);
	fwrite(o->bytes, 1, whole, o->all);
	memmove(o->bytes, o->bytes + whole, o->held = size - whole);
	json_t *invocation = json_object_get(json_object_get(request, "paperclipInvocation"), "id");
	if (invocation && whole > 0)
		plugin_say(json_pack("{s:s,s:s,s:O,s:{s:s,s:O}}", "jsonrpc", "2.0", "method",
				     "execute.log", "paperclipInvocationId", invocation, "params",
				     "stream", o->name, "chunk", text));
	json_decref(text);
	return n > 0 ? fd : (close(fd), -1);
}

/* Returns 0 or an errno. */
static int
start(pid_t *pid, json_t *params, const char *folder, const int fds[3])
{
	json_t *args = json_object_get(params, "args"), *env = json_object_get(params, "env"),
	       *value;
	const char *command = "", *cwd = ".", *name;
	char **argv = calloc(json_array_size(args) + 2, sizeof(char *)), path[4096];
	char **vars = calloc(json_object_size(env) + 2, sizeof(char *));
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	size_t n = 0;
	json_unpack(params, "{s?s,s?s}", "command", &command, "cwd", &cwd);
	snprintf(path, sizeof(path), "%s/%s", *cwd == '/' ? "" : folder, cwd);
	argv[n++] = (char *)command;
	for (size_t i = 0; i < json_array_size(args); i++)
		argv[n++] = (char *)json_string_value(json_array_get(args, i));
	vars[n = 0] =
		json_object_get(env, "PATH") ? NULL : strdup("PATH=/usr/local/bin:/usr/bin:/bin");
	n += vars[0] != NULL;
	json_object_foreach(env, name, value) n +=
		asprintf(&vars[n], "%s=%s", name, json_string_value(value)) > 0;
	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	posix_spawn_file_actions_addchdir_np(&actions, path);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	int failed = posix_spawnp(pid, command, &actions, &attr, argv, vars);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	for (n = 0; vars[n]; n++)
		free(vars[n]);
	return free(vars), free(argv), failed;
}

static long long
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Until the command and its output have ended, or it was to be ended. */
static json_t *
watch(pid_t pid, struct pollfd fds[2], struct output o[2], double limit, struct job *job)
{
	long long end = now() + (long long)limit, size = 0;
	int status = 0, late = 0;
	while (fds[0].fd >= 0 || fds[1].fd >= 0 || waitpid(pid, &status, WNOHANG) == 0) {
		late = now() > end;
		if (late || job->ended || size > OUTPUT_LIMIT) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		poll(fds, 2, 50);
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				fds[i].fd = pump(fds[i].fd, &o[i], job->request);
		size = ftell(o[0].all) + ftell(o[1].all);
	}
	for (int i = 0; i < 2; i++)
		fclose(o[i].all);
	json_t *result = json_pack("{s:b,s:s%,s:s%,s:{s:b}}", "timedOut", late, "stdout", o[0].text,
				   o[0].size, "stderr", o[1].text, o[1].size, "metadata",
				   "outputCut", size > OUTPUT_LIMIT);
	if (WIFSIGNALED(status))
		json_object_set_new(result, "signal",
				    json_sprintf("SIG%s", sigabbrev_np(WTERMSIG(status))));
	else
		json_object_set_new(result, "exitCode", json_integer(WEXITSTATUS(status)));
	return result;
}

json_t *
command_run(struct job *job, char why[256])
{
	json_t *params = json_object_get(job->request, "params"), *result = NULL;
	struct output *o = calloc(2, sizeof(*o));
	const char *input = "", *command = "";
	double limit = 300000;
	int out[2] = {-1, -1}, err[2] = {-1, -1}, in = memfd_create("stdin", MFD_CLOEXEC);
	pid_t pid;
	json_unpack(params, "{s?{s?F},s?F,s?s,s?s}", "config", "timeoutMs", &limit, "timeoutMs",
		    &limit, "stdin", &input, "command", &command);
	ssize_t length = (ssize_t)strlen(input);
	int failed = !o || in < 0 || pwrite(in, input, length, 0) != length ||
				     pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)
			     ? errno
			     : start(&pid, params, job->folder, (int[]){in, out[1], err[1]});
	close(in), close(out[1]), close(err[1]);
	if (failed) {
		close(out[0]), close(err[0]);
		snprintf(why, 256, "spawn %.200s %s", command, strerrorname_np(failed));
	} else {
		struct pollfd fds[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
		for (int i = 0; i < 2; i++) {
			o[i].name = i ? "stderr" : "stdout";
			o[i].all = open_memstream(&o[i].text, &o[i].size);
		}
		result = watch(pid, fds, o, limit, job);
		for (int i = 0; i < 2; i++) {
			if (fds[i].fd >= 0)
				close(fds[i].fd);
			free(o[i].text);
		}
	}
	free(o);
	return result;
}
