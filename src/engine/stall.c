/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * The loop stood still for so long that others may have judged this process
 * (docs/engine.md section 3, CLAIMING): before anything is claimed or called, is the
 * instance record still ours?
 */
#include "engine_impl.h"

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"

/* Whoever thought us dead may have a take-over of the old token under way:
 * from here on it changes nothing. */
static void
renew(struct engine *f, struct entry *e)
{
	struct claims_request *old = claiming_ask(f, e, /* call= */ true);

	if (!old) {
		engine_nomem(f);
		return;
	}
	claims_release(f->claims, old);	/* from here on nothing calls back */
	e->token[0] = '\0';
	claiming_send(f, e);
}

static void
on_verified(void *arg, bool ours)
{
	struct engine *f = arg;
	struct entry *next;

	f->verifying = false;
	if (!ours) {
		/* Redis is down (then it is asked again when it is back), or
		 * the record is not ours (then instance says so and we exit). */
		engine_soon(f, ENGINE_TICK_MS);
		f->verify_failed = true;
		return;
	}
	f->verify_failed = false;
	f->prepared_boot = clock_boot_ms();
	claiming_reassert(f);
	for (struct entry *e = f->verify.head; e; e = next) {
		next = e->queue.next;
		entry_list_remove(e);
		renew(f, e);
	}
	engine_again(f);
}

void
stall_check(struct engine *f)
{
	if (f->verifying)
		return;
	f->verifying = true;
	log_warn("the process stood still for a while, checking that its instance record is "
		 "still its own before anything is claimed");
	instance_verify(f->instance, on_verified, f);
}

void
stall_verify(struct engine *f, struct entry *e)
{
	entry_list_push(&f->verify, e);
	stall_check(f);
}
