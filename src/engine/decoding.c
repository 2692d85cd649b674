/* SPDX-License-Identifier: Apache-2.0 */
#include "decoding.h"

#include <stdio.h>
#include <stdlib.h>

#include "core.h"
#include "envdriver/base/config.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/command/command.h"
#include "envdriver/registry/instance.h"
#include "envdriver/result/deadletter.h"
#include "scheduler.h"

enum {
	LETTER_BYTES = (2 << 20) - 8192,
	LETTER_SMALLER = 8,
};

struct decoding {
	struct command_decoder *decoder;
	bool warned_key;		/* a publisher's key was wrong, logged once */
};

int
decoding_new(struct engine *eng, struct err *reterr)
{
	struct decoding *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem(reterr);
	eng->decoding = d;
	d->decoder = command_decoder_new(
		eng->schemas, (size_t)config_int(eng->config, "command.max.bytes"), reterr);
	return d->decoder ? 0 : reterr->code;
}

void
decoding_free(struct engine *eng)
{
	if (eng->decoding)
		command_decoder_free(eng->decoding->decoder);
	free(eng->decoding);
}

/* The last one of that name; ptr NULL when there is none. */
static struct span
find_header(const struct entry *e, const char *name)
{
	struct span found = SPAN_NULL;

	for (size_t i = 0; i < e->source.n_headers; i++)
		if (span_is(e->headers[i].name, name))
			found = e->headers[i].value;
	return found;
}

static int
build_letter(struct engine *eng, struct entry *e, const struct reject *why,
	     const struct first_record *first)
{
	/* The topic may take less than it should. */
	size_t max = LETTER_BYTES / (e->commit.refused ? LETTER_SMALLER : 1);
	int ret;

	events_reset(&e->events);
	ret = deadletter_build(eng->schemas, instance_id(eng->instance), max, &e->source, why,
			       first, &e->events);
	if (ret < 0)
		core_nomem(eng);
	return ret;
}

/* docs/engine.md section 9: a key that is not the ordering key may put one key into
 * two partitions. */
static void
warn_of_key(struct engine *eng, const struct entry *e)
{
	struct span want = e->cmd->ordering_key.ptr ? e->cmd->ordering_key : e->cmd->id;

	if (eng->decoding->warned_key || span_eq(e->source.key, want))
		return;
	eng->decoding->warned_key = true;
	log_warn(
		"a publisher (issuedBy '%.*s') uses a message key that is neither the ordering key "
		"nor, without one, the command id: commands of one ordering key may lie in two "
		"partitions",
		SPAN_FMT(e->cmd->issued_by));
}

/* Kept for a smaller letter: a registry may say something else by then. */
static bool
keep_reason(struct entry *e, const struct reject *why)
{
	e->reject = malloc(sizeof(*why));
	if (e->reject)
		*e->reject = *why;
	return e->reject;
}

/* Whether the record was written by somebody who knows command.token; true
 * without that key. */
static bool
is_signed(const struct engine *eng, const struct entry *e, struct reject *why)
{
	const char *token = config_str(eng->config, "command.token");
	char wanted[DIGEST_HEX_SIZE];
	struct span found;

	if (!token)
		return true;
	found = find_header(e, COMMAND_SIGNATURE);
	if (!digest_hmac_hex(span_of(token), e->source.value, wanted))
		return false;	/* REJECT_NOTHING: out of memory */
	if (found.ptr && digest_hex_is(wanted, found))
		return true;
	why->reason = REJECT_INVALID;
	snprintf(why->field, sizeof(why->field), "%s", COMMAND_SIGNATURE);
	snprintf(why->message, sizeof(why->message), "The record's header %s %s: this worker takes "
		 "only commands that are signed with its command.token.", COMMAND_SIGNATURE,
		 found.ptr ? "does not fit" : "is missing");
	return false;
}

bool
decoding_read(struct engine *eng, struct entry *e)
{
	struct reject why = { .reason = REJECT_NOTHING };

	if (is_signed(eng, e, &why))
		e->cmd = command_decode(eng->decoding->decoder, e->source.value,
					find_header(e, "traceparent"), &why);
	if (e->cmd) {
		warn_of_key(eng, e);
		if (!scheduler_add(e->part->scheduler, e, e->cmd->ordering_key))
			core_nomem(eng);
		return true;
	}
	if (why.reason == REJECT_WAIT)
		return false;
	if (why.reason == REJECT_NOTHING || !keep_reason(e, &why)) {
		core_nomem(eng);
		return true;
	}
	log_warn("record at %s:%d:%lld becomes a dead letter: %s", e->source.topic,
		 (int)e->source.partition, (long long)e->source.offset, why.message);
	if (build_letter(eng, e, &why, NULL) == 0)
		core_step(eng, e, ON_REJECTED);
	return true;
}

static int
build_duplicate(struct engine *eng, struct entry *e)
{
	struct reject why = { .reason = REJECT_DUPLICATE };

	snprintf(why.message, sizeof(why.message),
		 "Command id \"%.*s\" was already used by the record at %s, partition %d, offset "
		 "%lld.",
		 (int)e->cmd->id.len, e->cmd->id.ptr, e->first.topic, (int)e->first.partition,
		 (long long)e->first.offset);
	snprintf(why.command_id, sizeof(why.command_id), "%s", e->cmd->id.ptr);
	snprintf(why.company_id, sizeof(why.company_id), "%s", e->cmd->company_id.ptr);
	snprintf(why.environment_id, sizeof(why.environment_id), "%s",
		 e->cmd->environment_id.ptr);
	snprintf(why.operation, sizeof(why.operation), "%s", e->cmd->op->name);
	log_warn("%s", why.message);
	return build_letter(eng, e, &why, &e->first);
}

void
decoding_duplicate(struct engine *eng, struct entry *e)
{
	core_release_slot(eng, e);
	e->claim.ours = false;	/* it is the first one's: not ours to finish */
	if (build_duplicate(eng, e) == 0)
		core_publish(eng, e);
}

void
decoding_rebuild_letter(struct engine *eng, struct entry *e)
{
	if (e->cmd)
		build_duplicate(eng, e);
	else
		build_letter(eng, e, e->reject, NULL);
}
