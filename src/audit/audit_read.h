/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_read: from a record to what the ledger wants to know of it.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_AUDIT_AUDIT_READ_H
#define ENVDRIVER_AUDIT_AUDIT_READ_H

#include "envdriver/client/reader.h"

struct err;
struct ledger;
struct schemas;

struct audit_read {
	const struct schemas *schemas;
	struct reader *reader;		/* of the records; asked where the log is */
	struct ledger *ledger;
};

/* Each takes one record into the ledger. Negative when out of memory, or when
 * Kafka or the schema registry could not be asked. May block for that. */
int audit_read_command(const struct audit_read *a, const struct reader_record *raw,
		       struct err *reterr);
int audit_read_event(const struct audit_read *a, const struct reader_record *raw,
		     struct err *reterr);

#endif
