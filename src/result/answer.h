/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer: what a plugin answered, as the fields of a result.
 *
 * Owns its texts; JSON values are borrowed from the plugin's reply or from the
 * command. A value: knows nothing of RPC, Avro, Kafka or time. answer_read fills
 * it, result writes it.
 */
#ifndef ENVDRIVER_RESULT_ANSWER_H
#define ENVDRIVER_RESULT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/outcome.h"

/* Texts, one after another, each with its length before it. */
struct answer_list {
	struct buf bytes;
	size_t count;
};
void answer_list_add(struct answer_list *l, struct span text);
/* `*cursor` starts at 0. False at the end. */
bool answer_list_next(const struct answer_list *l, size_t *cursor, struct span *ret);

enum answer_slot {
	ANSWER_SUMMARY,
	ANSWER_DETAILS,
	ANSWER_LEASE_ID,
	ANSWER_EXPIRES_AT,
	ANSWER_RECEIPT_STATE,	/* set: the receipt counts */
	ANSWER_CWD,
	ANSWER_URL,
	ANSWER_GENERATION,
	ANSWER_STATUS,
	ANSWER_CONNECTION,	/* JSON: the summary of a connection */
	ANSWER_TEMPLATE_REF,
	ANSWER_TEMPLATE_KIND,
	ANSWER_CREDENTIAL,	/* JSON: a live credential, which no event may hold */
	ANSWER_SIGNAL,
	ANSWER_STDOUT,
	ANSWER_STDERR,
	ANSWER_STDOUT_RAW,	/* set: bytes that are not UTF-8, which the text stands for */
	ANSWER_STDERR_RAW,
	ANSWER_SLOTS
};

struct answer {
	struct outcome outcome;
	struct answer_list warnings;	/* for trace.warnings */
	struct answer_list config_warnings;
	struct answer_list header_names;
	bool has[ANSWER_SLOTS];
	struct buf texts[ANSWER_SLOTS];
	struct buf masked_metadata;	/* what `metadata` points into, when a mask changed it */
	struct span metadata;		/* JSON; ptr NULL: missing or null, here and below */
	struct span config;		/* JSON */
	struct jtext synced;		/* an array that was checked; kind MISSING: none */
	int64_t credential_until;	/* wall ms, as the plugin says; 0: it does not */
	bool ok;			/* probe: what it found */
	bool has_lease;
	bool lease_lost;
	bool has_exit_code;
	int32_t exit_code;
	bool timed_out;
	bool credential_unasked;	/* it is only to be masked */
	bool has_deleted;
	bool deleted;
};

/* All fields at their defaults, no memory. */
void answer_init(struct answer *a);
void answer_release(struct answer *a);
/* Empties it; small memory is kept for the next answer. */
void answer_reset(struct answer *a);
/* An allocation failed: what it holds is unusable. */
bool answer_failed(const struct answer *a);
/* Puts the result's own fields back to their defaults; the outcome and the
 * warnings of the trace stay. */
void answer_clear_fields(struct answer *a);

/* Borrowed until the answer changes; ptr NULL when it was not set. */
struct span answer_text(const struct answer *a, enum answer_slot slot);
void answer_warn(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether there is a value: neither missing nor null. */
bool answer_given(struct jtext value);
/* The raw text of a value that is given, else ptr NULL. */
struct span answer_json(struct jtext value);
/* Appends a member to a JSON object in the making, which the caller closes. */
void answer_add_member(struct buf *out, const char *name, struct jtext value);

#endif
