/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: what a record of our topics says about itself, whatever its kind:
 * its command, environment and lease, and how it ended; and how it is shown.
 *
 * Owns the decoded value. Knows nothing of where records come from.
 */
#ifndef ENVDRIVER_CLIENT_RECORD_H
#define ENVDRIVER_CLIENT_RECORD_H

#include <avro.h>
#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/client/reader.h"

struct cli;
struct err;
struct schema;
struct schemas;

/* Spans are borrowed from the record; ptr NULL where it says nothing. */
struct record {
	const struct reader_record *raw;	/* borrowed */
	const struct schema *schema;		/* held; NULL: it cannot be read, see `why` */
	avro_value_t value;
	struct span command_id, operation, company_id, environment_id, plugin_key;
	struct span lease_id;
	struct span plugin_id;	/* of the plugin of an event, or that served the command */
	struct span event;	/* the type of a plugin's event */
	struct span status;	/* of the outcome, or DEAD_LETTER */
	/* The plugin answered, and its answer is no: a probe that is not ok, a
	 * lease that is lost. */
	bool says_no;
	/* What people should read in place of SUCCEEDED, when there is more to
	 * say: "not ok", "lease lost", "exit 3", "SIGKILL", "missing"; else empty. */
	struct buf verdict;
	struct span code;	/* of the error, or the dead letter's reason */
	struct span token;	/* callToken */
	struct span credential_key;
	struct buf lease, summary;
	struct buf why;
};

/* Decodes a record, which is borrowed until record_release. Negative only when
 * out of memory, or when the schema registry does not answer
 * (ERR_UNAVAILABLE): then there is nothing to release. May block for that. */
int record_open(const struct schemas *schemas, const struct reader_record *raw,
		struct record *ret, struct err *reterr);
void record_release(struct record *r);

/* Appends it as plain JSON, without a line break. A record that cannot be read
 * becomes an object with "unreadable" and its bytes. `envelope` adds topic,
 * partition, offset, timestamp, key and record. */
int record_write(const struct record *r, bool envelope, struct buf *out, struct err *reterr);

/* Shows records one by one: JSON lines, or rows of a table. NULL when out of
 * memory; the others accept NULL. */
struct record_list;
/* ERR_INVALID: -o names a column that is not there. */
int record_list_check(const struct cli *cli, struct err *reterr);
struct record_list *record_list_new(struct cli *cli, bool envelope);
void record_list_add(struct record_list *l, const struct record *r);
void record_list_end(struct record_list *l);

#endif
