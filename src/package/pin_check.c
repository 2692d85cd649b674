/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/package/pin_check.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/package/package.h"

struct pin_check {
	uv_work_t work;
	void (*fn)(void *arg, const struct err *err);	/* NULL: cancelled */
	void *arg;
	char *dir, *pin;
	/* The thread's until it is done. */
	struct err err;
	int code;
};

static void
free_check(struct pin_check *c)
{
	free(c->dir);
	free(c->pin);
	free(c);
}

static void
run_pin_check(uv_work_t *work)
{
	struct pin_check *c = work->data;
	char digest[PACKAGE_DIGEST_SIZE];

	c->code = package_digest(c->dir, digest, &c->err);
	if (c->code == 0 && strcmp(digest, c->pin) != 0)
		c->code = err_set(&c->err, ERR_DENIED, "the package is pinned to %.80s, and its "
				  "files are %s now: put them back, or take them as they are "
				  "(`envdriver plugin reload ID --pin`, or --no-pin)", c->pin,
				  digest);
}

static void
on_pin_check_done(uv_work_t *work, int status)
{
	struct pin_check *c = work->data;

	(void)status;
	if (c->fn)
		c->fn(c->arg, c->code < 0 ? &c->err : NULL);
	free_check(c);
}

struct pin_check *
pin_check_new(uv_loop_t *loop, const char *dir, const char *pin,
	      void (*fn)(void *arg, const struct err *err), void *arg, struct err *reterr)
{
	struct pin_check *c = calloc(1, sizeof(*c));

	if (!c) {
		err_nomem(reterr);
		return NULL;
	}
	c->fn = fn;
	c->arg = arg;
	c->work.data = c;
	c->dir = strdup(dir);
	c->pin = strdup(pin);
	if (!c->dir || !c->pin ||
	    uv_queue_work(loop, &c->work, run_pin_check, on_pin_check_done) < 0) {
		err_nomem(reterr);
		free_check(c);
		return NULL;
	}
	return c;
}

void
pin_check_cancel(struct pin_check *c)
{
	if (c)
		c->fn = NULL;
}
