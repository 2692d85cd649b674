/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/command/command.h"
#include "envdriver/secret/secret_refs.h"

/* docs/engine.md section 3, one row a line. */
static const struct entry_row table[] = {
	{ ENTRY_READ, ON_REJECTED, DO_DEAD_LETTER, ENTRY_READY },
	{ ENTRY_READ, ON_RUN, DO_CLAIM, ENTRY_CLAIMING },
	{ ENTRY_READ, ON_RUN_NO_CALL, DO_CLAIM_NO_CALL, ENTRY_CLAIMING },
	{ ENTRY_READ, ON_REVOKED, DO_DROP, ENTRY_GONE },

	{ ENTRY_CLAIMING, ON_NEW_CALL, DO_CALL, ENTRY_CALLING },
	{ ENTRY_CLAIMING, ON_STOOD_STILL, DO_VERIFY_AND_CLAIM, ENTRY_CLAIMING },
	{ ENTRY_CLAIMING, ON_NEW_NO_CALL, DO_PUBLISH, ENTRY_READY },
	{ ENTRY_CLAIMING, ON_DUPLICATE, DO_DUPLICATE, ENTRY_READY },
	{ ENTRY_CLAIMING, ON_CLAIM_DONE, DO_SKIP, ENTRY_DONE },
	{ ENTRY_CLAIMING, ON_CLAIM_INTERRUPTED, DO_INTERRUPTED, ENTRY_READY },
	{ ENTRY_CLAIMING, ON_CLAIM_ANSWERED, DO_FETCH, ENTRY_CLAIMING },
	{ ENTRY_CLAIMING, ON_ANSWER_FETCHED, DO_PUBLISH, ENTRY_READY },
	{ ENTRY_CLAIMING, ON_ANSWER_MISSING, DO_ASK_AGAIN, ENTRY_READ },
	{ ENTRY_CLAIMING, ON_ANSWER_LOST, DO_TAKE_OVER, ENTRY_CLAIMING },
	{ ENTRY_CLAIMING, ON_CALLING_LEFT, DO_ATTACH, ENTRY_CALLING },
	{ ENTRY_CLAIMING, ON_CALLING_ELSEWHERE, DO_WATCH, ENTRY_WAITING },
	{ ENTRY_CLAIMING, ON_TAKEN_RERUN, DO_ASK_AGAIN, ENTRY_READ },
	{ ENTRY_CLAIMING, ON_TAKEN_INTERRUPTED, DO_INTERRUPTED, ENTRY_READY },
	{ ENTRY_CLAIMING, ON_TAKE_REFUSED, DO_ASK_AGAIN, ENTRY_READ },
	{ ENTRY_CLAIMING, ON_REVOKED, DO_RELEASE, ENTRY_GONE },

	{ ENTRY_CALLING, ON_ENDED, DO_PUBLISH, ENTRY_READY },
	{ ENTRY_CALLING, ON_ENDED_RECORD, DO_RECORD, ENTRY_CALLING },
	{ ENTRY_CALLING, ON_RECORDED, DO_PUBLISH, ENTRY_READY },
	{ ENTRY_CALLING, ON_RECORD_REFUSED, DO_ORPHAN_AND_ASK, ENTRY_READ },
	{ ENTRY_CALLING, ON_REVOKED, DO_LEAVE, ENTRY_LEFT },
	/* The answer is on its way to Redis: that is the hand-over. */
	{ ENTRY_CALLING, ON_REVOKED_RECORDING, DO_LEAVE, ENTRY_HANDING },

	{ ENTRY_WAITING, ON_CLAIM_CHANGED, DO_ASK_AGAIN, ENTRY_READ },
	{ ENTRY_WAITING, ON_HOLDER_DEAD, DO_TAKE_OVER, ENTRY_CLAIMING },
	{ ENTRY_WAITING, ON_REVOKED, DO_DROP, ENTRY_GONE },

	{ ENTRY_READY, ON_SEALED, DO_NOTHING, ENTRY_SEALED },
	{ ENTRY_READY, ON_REVOKED, DO_HAND_OVER, ENTRY_HANDING },
	{ ENTRY_READY, ON_REVOKED_FOREIGN, DO_DROP, ENTRY_GONE },

	{ ENTRY_SEALED, ON_COMMITTED, DO_FINISH, ENTRY_DONE },
	{ ENTRY_SEALED, ON_ABORTED, DO_PUBLISH, ENTRY_READY },
	{ ENTRY_SEALED, ON_REVOKED, DO_HAND_OVER, ENTRY_HANDING },
	{ ENTRY_SEALED, ON_REVOKED_FOREIGN, DO_DROP, ENTRY_GONE },

	{ ENTRY_LEFT, ON_ENDED, DO_HAND_OVER, ENTRY_HANDING },
	{ ENTRY_LEFT, ON_ENDED_RECORD, DO_HAND_OVER, ENTRY_HANDING },
	{ ENTRY_LEFT, ON_GIVE_UP, DO_TAKE_OWN, ENTRY_GONE },

	{ ENTRY_HANDING, ON_HANDED, DO_DROP, ENTRY_GONE },
	{ ENTRY_HANDING, ON_HAND_REFUSED, DO_ORPHAN_AND_DROP, ENTRY_GONE },
	{ ENTRY_HANDING, ON_COMMITTED, DO_FINISH_GONE, ENTRY_GONE },
	{ ENTRY_HANDING, ON_ABORTED, DO_HAND_ON, ENTRY_HANDING },
	{ ENTRY_HANDING, ON_GIVE_UP, DO_TAKE_OWN, ENTRY_GONE },

	/* Dropped while the transaction thread still held it. */
	{ ENTRY_GONE, ON_COMMITTED, DO_FINISH_GONE, ENTRY_GONE },
	{ ENTRY_GONE, ON_ABORTED, DO_DROP, ENTRY_GONE },
};

enum { N_ROWS = sizeof(table) / sizeof(table[0]) };

static const char *const state_names[] = {
	[ENTRY_READ] = "READ",
	[ENTRY_CLAIMING] = "CLAIMING",
	[ENTRY_CALLING] = "CALLING",
	[ENTRY_WAITING] = "WAITING",
	[ENTRY_READY] = "READY",
	[ENTRY_SEALED] = "SEALED",
	[ENTRY_DONE] = "DONE",
	[ENTRY_LEFT] = "LEFT",
	[ENTRY_HANDING] = "HANDING",
	[ENTRY_GONE] = "GONE",
};

static const char *const event_names[] = {
	[ON_REJECTED] = "rejected",
	[ON_RUN] = "run",
	[ON_RUN_NO_CALL] = "run without a call",
	[ON_NEW_CALL] = "claim NEW",
	[ON_NEW_NO_CALL] = "claim NEW, no call",
	[ON_STOOD_STILL] = "stood still",
	[ON_DUPLICATE] = "claim DUPLICATE",
	[ON_CLAIM_DONE] = "claim DONE",
	[ON_CLAIM_INTERRUPTED] = "claim INTERRUPTED",
	[ON_CLAIM_ANSWERED] = "claim ANSWERED",
	[ON_ANSWER_FETCHED] = "answer fetched",
	[ON_ANSWER_MISSING] = "answer missing",
	[ON_ANSWER_LOST] = "answer lost",
	[ON_CALLING_LEFT] = "claim CALLING, left here",
	[ON_CALLING_ELSEWHERE] = "claim CALLING elsewhere",
	[ON_HOLDER_DEAD] = "holder dead",
	[ON_TAKEN_RERUN] = "taken over to run",
	[ON_TAKEN_INTERRUPTED] = "taken over as interrupted",
	[ON_TAKE_REFUSED] = "take-over refused",
	[ON_CLAIM_CHANGED] = "claim changed",
	[ON_ENDED] = "call ended",
	[ON_ENDED_RECORD] = "call ended with a lease",
	[ON_RECORDED] = "answer recorded",
	[ON_RECORD_REFUSED] = "answer refused",
	[ON_SEALED] = "sealed",
	[ON_COMMITTED] = "committed",
	[ON_ABORTED] = "aborted",
	[ON_REVOKED] = "revoked",
	[ON_REVOKED_FOREIGN] = "revoked, not our answer",
	[ON_REVOKED_RECORDING] = "revoked while recording",
	[ON_HANDED] = "handed over",
	[ON_HAND_REFUSED] = "hand-over refused",
	[ON_GIVE_UP] = "given up",
};

const struct entry_row *
entry_row(enum entry_state state, enum entry_event event)
{
	/* Fifty rows that fit a few cache lines; the common ones come early. */
	for (size_t i = 0; i < N_ROWS; i++)
		if (table[i].state == state && table[i].event == event)
			return &table[i];
	return NULL;
}

const struct entry_row *
entry_table(size_t i)
{
	return i < N_ROWS ? &table[i] : NULL;
}

const char *
entry_state_name(enum entry_state s)
{
	return state_names[s];
}

const char *
entry_event_name(enum entry_event e)
{
	return event_names[e];
}

struct entry *
entry_new(void)
{
	return calloc(1, sizeof(struct entry));
}

void
entry_release_raw(struct entry *e)
{
	buf_release(&e->raw);
	free(e->headers);
	e->headers = NULL;
	e->source.key = SPAN_NULL;
	e->source.value = SPAN_NULL;
	e->source.headers = NULL;
	e->source.n_headers = 0;
}

void
entry_wipe_credential(struct entry *e)
{
	buf_release(&e->call.credential);
}

void
entry_free(struct entry *e)
{
	if (!e)
		return;
	assert(!e->in && !e->commit.in_batch && !e->call.pending && !e->claim.request);
	entry_release_raw(e);
	command_free(e->cmd);
	free(e->reject);
	events_release(&e->events);
	buf_release(&e->lease_id);
	buf_release(&e->call.params);
	entry_wipe_credential(e);
	secret_refs_free(e->call.secrets);
	free(e->holder.token);
	free(e->holder.instance);
	free(e->holder.incarnation);
	free((char *)e->first.topic);
	free(e);
}

static char *
span_text(struct span s)
{
	return strndup(s.ptr ? s.ptr : "", s.len);
}

bool
entry_set_holder(struct entry *e, struct span token, struct span instance,
		 struct span incarnation, int attempt)
{
	struct entry_holder *h = &e->holder;

	free(h->token);
	free(h->instance);
	free(h->incarnation);
	h->token = span_text(token);
	h->instance = span_text(instance);
	h->incarnation = span_text(incarnation);
	h->attempt = attempt;
	return h->token && h->instance && h->incarnation;
}

bool
entry_set_first(struct entry *e, struct span topic, int32_t partition, int64_t offset)
{
	free((char *)e->first.topic);
	e->first = (struct first_record){ span_text(topic), partition, offset };
	return e->first.topic;
}

void
entry_list_init(struct entry_list *l)
{
	TAILQ_INIT(&l->entries);
	l->n = 0;
}

void
entry_list_push(struct entry_list *l, struct entry *e)
{
	assert(!e->in);
	TAILQ_INSERT_TAIL(&l->entries, e, queue);
	l->n++;
	e->in = l;
}

void
entry_list_push_front(struct entry_list *l, struct entry *e)
{
	assert(!e->in);
	TAILQ_INSERT_HEAD(&l->entries, e, queue);
	l->n++;
	e->in = l;
}

void
entry_list_remove(struct entry *e)
{
	if (!e->in)
		return;
	TAILQ_REMOVE(&e->in->entries, e, queue);
	e->in->n--;
	e->in = NULL;
}

struct entry *
entry_list_pop(struct entry_list *l)
{
	struct entry *e = entry_list_first(l);

	if (e)
		entry_list_remove(e);
	return e;
}
