/* SPDX-License-Identifier: Apache-2.0 */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/secret/secret_source.h"

enum { FILE_MAX = SECRET_MAX + sizeof("\r\n") - 1, TRIES_MAX = 100 };

/* Opens `name` below the folder `at`. */
static int
open_beneath(int at, const char *name, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd, tries = 0;

	/* EAGAIN: something was renamed meanwhile. */
	do
		fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN && ++tries < TRIES_MAX);
	/* Not there, or kept from us by a filter that does not know it. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(at, name, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd;
}

static int
say_errno(const char *what, struct err *reterr)
{
	int error = errno, ret;

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOTFOUND;
	case ENOMEM:
		return err_nomem(reterr);
	case EXDEV:
	case ELOOP:
		return err_set(reterr, ERR_DENIED, "%s is a link that leads out of where it may "
			       "lie", what);
	case EACCES:
	case EPERM:
		return err_set(reterr, ERR_DENIED, "%s may not be read by this worker (%s)", what,
			       strerror(error));
	default:
		ret = err_set(reterr, ERR_IO, "%s cannot be read: %s", what, strerror(error));
		if (reterr)
			reterr->retriable = true;
		return ret;
	}
}

/* The folder is open at `fd`, or could not be opened. */
static int
check_folder(int fd, const char *what, struct err *reterr)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return say_errno(what, reterr);
	if (st.st_mode & S_IWOTH)
		return err_set(reterr, ERR_DENIED, "%s can be written by others; chmod o-w", what);
	return 0;
}

static int
check_file(int fd, struct err *reterr)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return say_errno("its file", reterr);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, ERR_INVALID, "its file is not a regular file");
	if (st.st_mode & S_IWOTH)
		return err_set(reterr, ERR_DENIED, "its file can be written by others; chmod o-w");
	if (st.st_size > FILE_MAX)
		return err_set(reterr, ERR_INVALID, "its file has more than %d bytes", SECRET_MAX);
	return 0;
}

static int
read_secret(int fd, struct buf *out, struct err *reterr)
{
	size_t from = out->len;
	ssize_t n;

	/* One byte more than fits shows that there is more. */
	if (!buf_reserve(out, FILE_MAX + 1))
		return err_nomem(reterr);
	while (out->len - from <= FILE_MAX) {
		n = read(fd, out->data + out->len, FILE_MAX + 1 - (out->len - from));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return say_errno("its file", reterr);
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	out->data[out->len] = '\0';
	return 0;
}

int
secret_file_read(const char *dir, const char *folder, const char *name, struct buf *out,
		 struct err *reterr)
{
	int top, sub = -1, fd = -1, ret;

	top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret = check_folder(top, "the folder", reterr);
	if (ret < 0)
		goto out;
	if (folder) {
		sub = open_beneath(top, folder, O_PATH | O_DIRECTORY);
		ret = check_folder(sub, "the company's folder", reterr);
		if (ret < 0)
			goto out;
	}
	/* A FIFO must not hold us up. */
	fd = open_beneath(folder ? sub : top, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	ret = check_file(fd, reterr);
	if (ret == 0)
		ret = read_secret(fd, out, reterr);
out:
	if (fd >= 0)
		close(fd);
	if (sub >= 0)
		close(sub);
	if (top >= 0)
		close(top);
	return ret;
}
