/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fixture.h"

/* The branches of EnvironmentCommand.operation. */
static avro_schema_t
branches(avro_value_t *record)
{
	const struct schema *s = schemas_find(fixture_schemas(), "EnvironmentCommand");

	assert_int_equal(schema_value_new(s, record, NULL), 0);
	return avro_schema_record_field_get(avro_value_get_schema(record), "operation");
}

static bool
kind_fits(enum field_kind kind, avro_schema_t type)
{
	switch (kind) {
	case FIELD_STRINGS:
		return is_avro_array(type) && is_avro_string(avro_schema_array_items(type));
	case FIELD_BOOL:
		return is_avro_boolean(type);
	case FIELD_INT:
		return is_avro_int32(type) || is_avro_int64(type);
	default:
		return is_avro_string(type);
	}
}

static void
same_field(const char *name, const struct operation_field *f, avro_schema_t record, int i)
{
	avro_schema_t type = avro_schema_record_field_get_by_index(record, i);
	bool nullable = is_avro_union(type);

	CHECK(name, f->name != NULL);
	CHECK(name, strcmp(f->name, avro_schema_record_field_name(record, i)) == 0);
	CHECK(name, nullable == !f->required);
	if (nullable) {
		CHECK(name, is_avro_null(avro_schema_union_branch(type, 0)));
		type = avro_schema_union_branch(type, 1);
	}
	CHECK(name, kind_fits(f->kind, type));
	CHECK(name, !f->send_null || nullable);
	CHECK(name, !f->skip_false || f->kind == FIELD_BOOL);
}

static void
test_same_as_schema(void **state)
{
	avro_value_t record;
	avro_schema_t all = branches(&record);

	(void)state;
	assert_int_equal(avro_schema_union_size(all), OPERATION_COUNT);
	for (int i = 0; i < OPERATION_COUNT; i++) {
		const struct operation *op = operation_by_id((enum operation_id)i);
		avro_schema_t branch = avro_schema_union_branch(all, i);
		int n = (int)avro_schema_record_size(branch);

		CHECK(op->name, op->id == (enum operation_id)i);
		CHECK(op->name, strcmp(op->name, avro_schema_name(branch)) == 0);
		CHECK(op->name, n <= OPERATION_FIELDS_MAX);
		for (int k = 0; k < n; k++)
			same_field(op->name, &op->fields[k], branch, k);
		CHECK(op->name, !op->fields[n].name);
	}
	avro_value_decref(&record);
}

/* docs/operations.md, "Time limits" and the two tables. */
static const struct row {
	const char *name;
	enum operation_limit limit;
	enum topic result;
	bool issue_null, once, lease;
} rows[] = {
	{ "ValidateConfig",	LIMIT_DEFAULT,	TOPIC_CONFIG_RESULTS, false, false, false },
	{ "Probe",		LIMIT_PROBE,	TOPIC_PROBE_RESULTS, false, false, false },
	{ "AcquireLease",	LIMIT_LEASE,	TOPIC_LEASE_RESULTS, true, false, true },
	{ "ResumeLease",	LIMIT_DEFAULT,	TOPIC_LEASE_RESULTS, true, false, false },
	{ "ReleaseLease",	LIMIT_LEASE,	TOPIC_LEASE_RESULTS, true, false, false },
	{ "DestroyLease",	LIMIT_LEASE,	TOPIC_LEASE_RESULTS, true, false, false },
	{ "RealizeWorkspace",	LIMIT_LEASE,	TOPIC_WORKSPACE_RESULTS, false, false, false },
	{ "Execute",		LIMIT_OWN,	TOPIC_EXECUTION_RESULTS, false, true, false },
	{ "ListDrivers",	LIMIT_NONE,	TOPIC_DRIVER_RESULTS, false, false, false },
	{ "SyncIn",		LIMIT_LEASE,	TOPIC_WORKSPACE_RESULTS, false, false, false },
	{ "SyncOut",		LIMIT_LEASE,	TOPIC_WORKSPACE_RESULTS, false, false, false },
	{ "RunnerIngressEndpoint", LIMIT_LEASE, TOPIC_WORKSPACE_RESULTS, false, false, false },
	{ "StartInteractiveSetup", LIMIT_SETUP, TOPIC_SETUP_RESULTS, false, false, true },
	{ "GetInteractiveSetup", LIMIT_SETUP, TOPIC_SETUP_RESULTS, false, false, false },
	{ "CancelInteractiveSetup", LIMIT_SETUP, TOPIC_SETUP_RESULTS, false, false, false },
	{ "CaptureTemplate",	LIMIT_OWN,	TOPIC_SETUP_RESULTS, false, true, false },
	{ "DeleteTemplate",	LIMIT_SETUP,	TOPIC_SETUP_RESULTS, false, false, false },
};

static void
test_rows(void **state)
{
	const struct row *row;
	char rpc[64];

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(*rows), OPERATION_COUNT);
	EACH(row, rows) {
		const struct operation *op = operation_by_name(span_of(row->name));
		const char *first;
		bool lease;

		CHECK(row->name, op != NULL);
		first = op->fields[0].name ? op->fields[0].name : "";
		lease = strcmp(first, "lease") == 0 || strcmp(first, "providerLeaseId") == 0;
		CHECK(row->name, op->limit == row->limit);
		CHECK(row->name, op->result == row->result);
		CHECK(row->name, op->send_issue_null == row->issue_null);
		CHECK(row->name, op->once == row->once);
		CHECK(row->name, !!op->end_rpc == row->lease);
		CHECK(row->name, op->lease_key == lease);
		snprintf(rpc, sizeof(rpc), "environment%s", row->name);
		if (op->limit == LIMIT_NONE)
			CHECK(row->name, !op->rpc);
		else
			CHECK(row->name, op->rpc && strcmp(op->rpc, rpc) == 0);
	}
}

static void
test_unknown_name(void **state)
{
	(void)state;
	assert_null(operation_by_name(SPAN_LIT("execute")));
	assert_null(operation_by_name(SPAN_LIT("Execut")));
	assert_null(operation_by_name(SPAN_LIT("CancelExecution")));
	assert_null(operation_by_name(SPAN_NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_schema),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_unknown_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
