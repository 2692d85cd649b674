/* SPDX-License-Identifier: Apache-2.0 */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX 16384

static int
io_error(struct rpc_error *reterr, const char *what, const char *path)
{
	return rpc_error_set(reterr, RPC_WORKER_ERROR, "cannot %s '%s': %s", what, path,
			     strerror(errno));
}

/* False, with errno set, when it does not fit. */
static bool
join(char *path, const char *root, const char *id, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s", root, id, name);
	if (n < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* ---- ids -------------------------------------------------------------- */

static bool
is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-';
}

bool
lease_is_id(const char *id)
{
	if (!id || strncmp(id, "local-", 6) != 0 || strlen(id) > LEASE_ID_MAX || !id[6])
		return false;
	for (const char *p = id; *p; p++)
		if (!is_plain(*p) && *p != '_')
			return false;
	return true;
}

/* "local-<invocation id>", in practice a UUID; whatever else a host may send is
 * spelled out so that two ids never become one. */
static bool
id_of_invocation(const char *invocation, char *id)
{
	size_t n = (size_t)sprintf(id, "local-");
	for (const char *p = invocation; *p; p++) {
		if (n + 3 > LEASE_ID_MAX)
			return false;
		if (is_plain(*p))
			id[n++] = *p;
		else
			n += (size_t)sprintf(id + n, "_%02x", (unsigned char)*p);
	}
	id[n] = '\0';
	return n > 6;
}

static bool
random_id(char *id)
{
	unsigned char b[16];
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return false;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);	/* a UUID of version 4 */
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	size_t n = (size_t)sprintf(id, "local-");
	for (int i = 0; i < 16; i++) {
		const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
		n += (size_t)sprintf(id + n, "%s%02x", dash, b[i]);
	}
	return true;
}

/* ---- the root --------------------------------------------------------- */

/* mkdir -p. What is above the root is as open as the umask has it; the root is
 * nobody else's. */
static int
make_root(const char *root)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s", root);
	for (char *p = path + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	return mkdir(root, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

int
lease_check_root(const char *root, bool create, struct rpc_error *reterr)
{
	struct stat st;
	if (create && make_root(root) < 0)
		return io_error(reterr, "make the folder", root);
	if (lstat(root, &st) < 0) {
		if (!create && (errno == ENOENT || errno == ENOTDIR))
			return 0;
		return io_error(reterr, "use the folder", root);
	}
	const char *wrong = !S_ISDIR(st.st_mode) ? "it is not a folder"
			  : st.st_uid != geteuid() ? "it belongs to another user"
			  : (st.st_mode & 022) ? "others may write to it" : NULL;
	if (wrong)
		return rpc_error_set(reterr, RPC_WORKER_ERROR, "cannot use root '%s': %s", root,
				     wrong);
	return 1;
}

struct lease_roots
lease_roots(const struct config *config, const json_t *metadata)
{
	const char *made_in = json_string_value(json_object_get(metadata, "root"));
	if (!made_in || made_in[0] != '/' || strlen(made_in) >= PATH_MAX / 2 ||
	    strcmp(made_in, config->root) == 0)
		made_in = NULL;
	return (struct lease_roots){ { made_in, config->root } };
}

/* ---- the record ------------------------------------------------------- */

/* A command can reach this file, too: it may be huge by now, or a FIFO on which
 * an open(2) waits for ever. Returns NULL when it is not a record. */
static json_t *
read_record(const char *root, const char *id)
{
	char path[PATH_MAX], text[RECORD_MAX];
	struct stat st;
	ssize_t n = -1;
	if (!join(path, root, id, "/lease.json"))
		return NULL;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
}

void
lease_time(char text[LEASE_TIME_SIZE])
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(text, LEASE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, LEASE_TIME_SIZE - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* Written beside its place and renamed: a record is whole, or not there. */
static int
write_record(const struct call *call, const char *root, const char *id)
{
	char path[PATH_MAX], fresh[PATH_MAX], created[LEASE_TIME_SIZE];
	int ret = -1;
	lease_time(created);
	json_t *record = json_pack("{s:s, s:s*, s:s*, s:O*, s:O*}", "createdAt", created,
				   "companyId", call->company, "invocationId", call->invocation,
				   "environmentId", json_object_get(call->params, "environmentId"),
				   "runId", json_object_get(call->params, "runId"));
	if (!record)
		errno = ENOMEM;
	else if (json_dumpb(record, NULL, 0, 0) > RECORD_MAX)
		errno = EMSGSIZE;
	else if (join(path, root, id, "/lease.json") &&
		 join(fresh, root, id, "/lease.json.new") &&
		 json_dump_file(record, fresh, 0) == 0)
		ret = rename(fresh, path);
	json_decref(record);
	return ret;
}

/* ---- leases ----------------------------------------------------------- */

int
lease_find(const struct call *call, const char *id, struct lease_roots roots,
	   struct lease *ret, struct rpc_error *reterr)
{
	char path[PATH_MAX];
	int code = 0;
	json_t *record = NULL;
	if (!lease_is_id(id))
		return 0;
	for (size_t i = 0; i < 2 && !record; i++) {
		const char *root = roots.root[i];
		code = root ? lease_check_root(root, false, reterr) : 0;
		if (code < 0)
			return code;
		if (code == 0 || !(record = read_record(root, id)))
			continue;
		snprintf(ret->id, sizeof(ret->id), "%s", id);
		snprintf(ret->root, sizeof(ret->root), "%s", root);
	}
	if (!record)
		return 0;
	const char *owner = json_string_value(json_object_get(record, "companyId"));
	const char *created = json_string_value(json_object_get(record, "createdAt"));
	snprintf(ret->created, sizeof(ret->created), "%s", created ? created : "");
	code = join(path, ret->root, id, "/workspace") && realpath(path, ret->cwd) ? 1 : 0;
	/* A lease of one company is given to no other, and to nobody without one. */
	if (owner && *owner && strcmp(owner, call->company ? call->company : "") != 0)
		code = rpc_error_set(reterr, RPC_WORKER_ERROR,
				     "Lease \"%s\" belongs to another company.", id);
	json_decref(record);
	return code;
}

int
lease_acquire(const struct call *call, const struct config *config, struct lease *ret,
	      struct rpc_error *reterr)
{
	char path[PATH_MAX], id[LEASE_ID_MAX + 1];
	const struct lease_roots roots = lease_roots(config, NULL);
	if (!(call->invocation ? id_of_invocation(call->invocation, id) : random_id(id)))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS,
				     "no lease id can be made from the invocation id");
	int found = lease_find(call, id, roots, ret, reterr);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (lease_check_root(config->root, true, reterr) < 0)
		return -1;
	/* In this order, so that a lease of which only half was made is none. */
	if (!join(path, config->root, id, "") || (mkdir(path, 0700) < 0 && errno != EEXIST) ||
	    !join(path, config->root, id, "/workspace") ||
	    (mkdir(path, 0700) < 0 && errno != EEXIST) || write_record(call, config->root, id) < 0)
		return io_error(reterr, "make the folder", path);
	found = lease_find(call, id, roots, ret, reterr);
	if (found == 0)
		rpc_error_set(reterr, RPC_WORKER_ERROR, "Lease \"%s\" vanished.", id);
	return found == 1 ? 0 : -1;
}

int
lease_of_call(const struct call *call, const struct config *config, struct lease *ret,
	      struct rpc_error *reterr)
{
	const json_t *lease = json_object_get(call->params, "lease");
	const char *id = json_string_value(json_object_get(lease, "providerLeaseId"));
	const json_t *metadata = json_object_get(lease, "metadata");
	if (!id)
		return rpc_error_set(reterr, RPC_INVALID_PARAMS,
				     "lease.providerLeaseId must be a string");
	int found = lease_find(call, id, lease_roots(config, metadata), ret, reterr);
	if (found == 0)
		rpc_error_set(reterr, RPC_WORKER_ERROR, "Lease \"%s\" does not exist.", id);
	return found == 1 ? 0 : -1;
}

json_t *
lease_to_json(const struct lease *lease, bool resumed)
{
	return json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:b}}", "providerLeaseId", lease->id,
			 "metadata", "provider", "local", "root", lease->root, "remoteCwd",
			 lease->cwd, "createdAt", lease->created, "resumedLease", resumed);
}
