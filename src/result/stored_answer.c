/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/result/stored_answer.h"

#include <avro.h>
#include <string.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/kafka/event.h"

static int
differs(struct err *reterr, const char *what)
{
	return err_set(reterr, ERR_INVALID, "it is of another %s", what);
}

static int
check_command(const struct stored_answer *of, const avro_value_t *record, struct err *reterr)
{
	avro_value_t command;

	if (!avro_field_open(record, "command", /* ret_branch= */ NULL, &command) ||
	    !span_eq(avro_field_get_span(&command, "commandId"), of->command->id) ||
	    !span_eq(avro_field_get_span(&command, "companyId"), of->command->company_id))
		return differs(reterr, "command");
	return 0;
}

/* A result that no call made has no token. */
static int
check_token(const struct stored_answer *of, struct span token, struct err *reterr)
{
	return !token.len || span_eq(token, of->token) ? 0 : differs(reterr, "call");
}

static int
check_piece(const struct stored_answer *of, const avro_value_t *record, struct err *reterr)
{
	const char *origin = avro_field_get_enum(record, "origin");

	if (!origin || strcmp(origin, "FINAL") != 0)
		return err_set(reterr, ERR_INVALID, "a piece of output is not final");
	return check_token(of, avro_field_get_span(record, "callToken"), reterr);
}

static int
check_trace(const struct stored_answer *of, const avro_value_t *record, struct err *reterr)
{
	int64_t partition = -1, offset = -1;
	avro_value_t trace;

	if (!avro_field_open(record, "trace", /* ret_branch= */ NULL, &trace) ||
	    !avro_field_get_int(&trace, "sourcePartition", &partition) ||
	    !avro_field_get_int(&trace, "sourceOffset", &offset) ||
	    !span_eq(avro_field_get_span(&trace, "sourceTopic"), of->topic) ||
	    partition != of->partition || offset != of->offset)
		return differs(reterr, "record");
	return check_token(of, avro_field_get_span(&trace, "callToken"), reterr);
}

/* What the header `status` says must be what the record says: it decides
 * what becomes of the lease. */
static int
check_status(const struct event *ev, const avro_value_t *record, struct err *reterr)
{
	struct event_header h;
	const char *status = NULL;
	avro_value_t outcome;
	size_t cursor = 0;

	if (avro_field_open(record, "outcome", /* ret_branch= */ NULL, &outcome))
		status = avro_field_get_enum(&outcome, "status");
	while (event_header_next(ev, &cursor, &h))
		if (span_is(h.name, "status"))
			return status && span_is(h.value, status) ? 0 : differs(reterr, "status");
	return err_set(reterr, ERR_INVALID, "it has no status");
}

static int
check_record(const struct stored_answer *of, const struct event *ev, bool last,
	     const avro_value_t *record, struct err *reterr)
{
	int ret = check_command(of, record, reterr);

	if (ret < 0)
		return ret;
	if (!last)
		return check_piece(of, record, reterr);
	ret = check_trace(of, record, reterr);
	return ret < 0 ? ret : check_status(ev, record, reterr);
}

static int
check_event(const struct stored_answer *of, const struct schemas *schemas, const struct event *ev,
	    bool last, struct err *reterr)
{
	enum topic topic = last ? of->command->op->result : TOPIC_EXECUTION_LOGS;
	const struct schema *writer;
	avro_value_t record;
	struct span datum;
	int ret;

	if (ev->topic != topic)
		return err_set(reterr, ERR_INVALID, "it is for topic '%s' in place of '%s'",
			       topic_name(ev->topic), topic_name(topic));
	ret = schemas_unframe(schemas, ev->value, &writer, &datum, reterr);
	if (ret < 0)
		return ret;
	if (strcmp(schema_name(writer), topic_record(topic)) != 0)
		return err_set(reterr, ERR_INVALID, "it holds a %s in place of a %s",
			       schema_name(writer), topic_record(topic));
	ret = schema_value_new(writer, &record, reterr);
	if (ret < 0)
		return ret;
	ret = schema_read(writer, datum, &record, reterr);
	if (ret == 0)
		ret = check_record(of, ev, last, &record, reterr);
	avro_value_decref(&record);
	return ret;
}

int
stored_answer_check(const struct stored_answer *of, const struct schemas *schemas,
		    const struct events *events, struct err *reterr)
{
	struct event ev;
	size_t cursor = 0, n = 0;
	int ret = 0;

	if (events->count == 0)
		return err_set(reterr, ERR_INVALID, "it holds no event");
	while (ret == 0 && events_next(events, &cursor, &ev))
		ret = check_event(of, schemas, &ev, ++n == events->count, reterr);
	return ret;
}
