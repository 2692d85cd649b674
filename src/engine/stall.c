/* SPDX-License-Identifier: Apache-2.0 */
#include "stall.h"

#include <stdint.h>
#include <stdlib.h>

#include "claiming.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/command/command.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"

/* A heartbeat may be a heartbeat old when the stall begins. */
_Static_assert((int)INSTANCE_WATCH_MS >=
		       (int)ENGINE_STOOD_STILL_MS + 2 * (int)INSTANCE_HEARTBEAT_MS,
	       "a stall that costs the name is noticed");

struct stall {
	int64_t waited_boot;		/* when the loop last went to wait, CLOCK_BOOTTIME ms */
	bool verifying;			/* the own instance record is being read */
	bool failed;			/* to be read again */
};

bool
stall_new(struct engine *eng)
{
	eng->stall = calloc(1, sizeof(*eng->stall));
	if (eng->stall)
		stall_waiting(eng);
	return eng->stall;
}

void
stall_free(struct engine *eng)
{
	free(eng->stall);
}

void
stall_waiting(struct engine *eng)
{
	eng->stall->waited_boot = clock_boot_ms();
}

/* Another worker may be taking over the old token; a new token makes that
 * harmless. */
static void
claim_anew(struct engine *eng, struct entry *e)
{
	struct claims_request *old = claiming_ask(eng, e, /* call= */ true);

	if (!old) {
		core_nomem(eng);
		return;
	}
	claims_release(eng->claims, old);	/* from here on nothing calls back */
	e->claim.token[0] = '\0';
	claiming_send(eng, e);
}

static void
on_record_verified(void *arg, bool ours)
{
	struct engine *eng = arg;
	struct stall *st = eng->stall;
	struct entry *next;

	st->verifying = false;
	st->failed = !ours;
	if (!ours) {
		/* Redis is down (then it is asked again when it is back), or
		 * the record is not ours (then instance says so and we exit). */
		core_soon(eng, ENGINE_TICK_MS);
		return;
	}
	stall_waiting(eng);
	claiming_reassert(eng);
	for (struct entry *e = entry_list_first(&eng->lists.verify); e; e = next) {
		next = entry_list_next(e);
		entry_list_remove(e);
		claim_anew(eng, e);
	}
	core_again(eng);
}

static void
verify_record(struct engine *eng)
{
	if (eng->stall->verifying)
		return;
	eng->stall->verifying = true;
	log_warn("the process stood still for a while; checking that its instance record is "
		 "still its own before anything is claimed");
	instance_verify(eng->instance, on_record_verified, eng);
}

bool
stall_in_doubt(struct engine *eng)
{
	if (eng->stall->verifying || eng->stall->failed)
		return true;
	if (clock_boot_ms() - eng->stall->waited_boot < ENGINE_STOOD_STILL_MS)
		return false;
	verify_record(eng);
	return true;
}

void
stall_verify(struct engine *eng, struct entry *e)
{
	entry_list_push(&eng->lists.verify, e);
	verify_record(eng);
}

void
stall_tick(struct engine *eng)
{
	if (eng->stall->failed && redis_up(eng->redis))
		verify_record(eng);
}
