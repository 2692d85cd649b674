// SPDX-License-Identifier: Apache-2.0
/* Skeleton of an environment plugin (docs/plugins.md): protocol and leases, which are folders here.
 * No isolation. Build: cc -std=gnu17 -D_GNU_SOURCE -o plugin plugin.c command.c -ljansson */
#include "plugin.h"

#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static struct job jobs[64];

void
plugin_say(json_t *message)
{
	char *line = json_dumps(message, JSON_COMPACT);
	printf("%s\n", line ? line : ""); // One call is one whole line.
	fflush(stdout);
	free(line);
	json_decref(message);
}

/* Takes both; without a result it is an error. */
static void
answer(json_t *request, json_t *result, int code, const char *why)
{
	json_t *value = result ? result : json_pack("{s:i,s:s}", "code", code, "message", why);
	plugin_say(json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id",
			     json_object_get(request, "id"), result ? "result" : "error", value));
	json_decref(request);
}

/* The company is in the folder's name, so that no other one reaches the lease. Returns 1 when the
 * folder is there, 0 when not, -1 when the lease can have none. */
static int
find_folder(const char *lease, const char *company, char folder[1024])
{
	const char *data = getenv("PLUGIN_DATA_DIR"), *root = data ? data : getenv("TMPDIR");
	if (!root || !*lease || *lease == '.' || strpbrk(lease, "/@") || strpbrk(company, "/@"))
		return -1;
	if (snprintf(folder, 1024, "%s/%s@", root, lease) < 1024 && access(folder, F_OK) == 0)
		return 1;
	int length = snprintf(folder, 1024, "%s/%s@%s", root, lease, company);
	return length >= 1024 ? -1 : access(folder, F_OK) == 0;
}

static int
remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
	return (void)info, (void)type, (void)at, remove(path);
}

static json_t *
probe(void)
{
	return json_pack("{s:b,s:s}", "ok", 1, "summary", "Leases are folders.");
}

static json_t *
acquire(const char *invocation, const char *company, char why[256])
{
	char lease[128], folder[1024];
	unsigned long any = 0; // The same lease for the same invocation: a host may ask twice.

	if (!*invocation && getrandom(&any, sizeof(any), 0) != sizeof(any))
		return snprintf(why, 256, "There are no random numbers."), NULL;
	snprintf(lease, sizeof(lease), "c-%s%lx", invocation, any);
	int there = find_folder(lease, company, folder);
	if (there == 1 || (there == 0 && mkdir(folder, 0700) == 0))
		return json_pack("{s:s,s:{s:s}}", "providerLeaseId", lease, "metadata", "remoteCwd",
				 folder);
	return snprintf(why, 256, "The lease could not be made."), NULL;
}

/* Of release, too. The receipt comes when nothing runs; the lease may be gone already. */
static json_t *
destroy(const char *lease, const char *company, char why[256])
{
	char folder[1024];
	if (find_folder(lease, company, folder) < 0)
		return snprintf(why, 256, "That is no lease of this plugin."), NULL;
	for (struct job *job = jobs; job < jobs + 64; job++)
		for (; job->used && strcmp(job->folder, folder) == 0; usleep(10000))
			job->ended = 1;
	nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return json_pack("{s:s,s:s}", "providerLeaseId", lease, "state", "destroyed");
}

static void *
run(void *data)
{
	struct job *job = data;
	char why[256] = "";
	json_t *result = command_run(job, why);
	answer(job->request, result, -32002, why);
	job->used = 0;
	return NULL;
}

/* Takes the request; a thread answers it. */
static void
execute(json_t *request, const char *lease, const char *company)
{
	struct job *job = jobs;
	pthread_t thread;
	while (job < jobs + 63 && job->used)
		job++;
	if (job->used)
		return answer(request, NULL, 429, "As many commands as there can be run already.");
	if (find_folder(lease, company, job->folder) != 1)
		return answer(request, NULL, -32002, "The lease does not exist.");
	job->request = request;
	job->ended = 0;
	job->used = 1;
	if (pthread_create(&thread, NULL, run, job) == 0)
		pthread_detach(thread);
	else
		run(job);
}

int
main(void)
{
	json_t *request;
	char why[256] = "";
	while ((request = json_loadf(stdin, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL))) {
		const char *method = "", *lease = "", *company = "", *invocation = "";
		json_unpack(request, "{s?s,s?{s?{s?s},s?s,s?s},s?{s?s}}", "method", &method,
			    "params", "lease", "providerLeaseId", &lease, "providerLeaseId", &lease,
			    "companyId", &company, "paperclipInvocation", "id", &invocation);
		if (strcmp(method, "environmentExecute") == 0)
			execute(request, lease, company);
		else if (strcmp(method, "initialize") == 0)
			answer(request,
			       json_pack("{s:b,s:[sssss]}", "ok", 1, "supportedMethods",
					 "environmentProbe", "environmentAcquireLease",
					 "environmentReleaseLease", "environmentDestroyLease",
					 "environmentExecute"),
			       0, "");
		else if (strcmp(method, "shutdown") == 0)
			answer(request, json_null(), 0, "");
		else if (strcmp(method, "environmentProbe") == 0)
			answer(request, probe(), 0, "");
		else if (strcmp(method, "environmentAcquireLease") == 0)
			answer(request, acquire(invocation, company, why), -32002, why);
		else if (strstr(method, "ReleaseLease") || strstr(method, "DestroyLease"))
			answer(request, destroy(lease, company, why), -32002, why);
		else if (json_object_get(request, "id"))
			answer(request, NULL, -32601, "Unknown method");
		else
			json_decref(request); // A notification.
	}
	_exit(0); // The host closed our input; it ends what still runs.
}
