/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/operation.h"

#include <assert.h>
#include <string.h>

/* Kinds of field that occur again and again. */
#define TEXT(field) { .name = (field), .kind = FIELD_STRING }
#define ID(field) { .name = (field), .kind = FIELD_ID }
#define OBJECT(field) { .name = (field), .kind = FIELD_OBJECT }
#define LEASE { .name = "lease", .kind = FIELD_LEASE, .required = true }
#define LEASE_ID_OR_NULL { .name = "providerLeaseId", .kind = FIELD_ID, .send_null = true }
#define TIMEOUT_MS { .name = "timeoutMs", .kind = FIELD_INT, .min = 1, .max = INT64_MAX }
#define MINUTES(field) { .name = (field), .kind = FIELD_INT, .min = 1, .max = INT32_MAX }
#define SYNC { .name = "operations", .kind = FIELD_SYNC, .required = true }

/* The fields of each stand in the order of EnvironmentCommand.avsc, which is
 * the order in which they are sent. */
static const struct operation table[OPERATION_COUNT] = {
	[OPERATION_VALIDATE_CONFIG] = {
		.id = OPERATION_VALIDATE_CONFIG,
		.name = "ValidateConfig",
		.rpc = "environmentValidateConfig",
		.result = TOPIC_CONFIG_RESULTS,
		.limit = LIMIT_DEFAULT,
	},
	[OPERATION_PROBE] = {
		.id = OPERATION_PROBE,
		.name = "Probe",
		.rpc = "environmentProbe",
		.result = TOPIC_PROBE_RESULTS,
		.limit = LIMIT_PROBE,
	},
	[OPERATION_ACQUIRE_LEASE] = {
		.id = OPERATION_ACQUIRE_LEASE,
		.name = "AcquireLease",
		.rpc = "environmentAcquireLease",
		.result = TOPIC_LEASE_RESULTS,
		.limit = LIMIT_LEASE,
		.send_issue_null = true,
		.end_rpc = "environmentDestroyLease",
		.fields = {
			{ .name = "runId", .kind = FIELD_ID, .required = true },
			TEXT("workspaceMode"),
			TEXT("requestedCwd"),
			ID("agentId"),
			ID("executionWorkspaceId"),
			TEXT("adapterType"),
			OBJECT("executionWorkspaceSettings"),
			TEXT("requestedExpiresAt"),
		},
	},
	[OPERATION_RESUME_LEASE] = {
		.id = OPERATION_RESUME_LEASE,
		.name = "ResumeLease",
		.rpc = "environmentResumeLease",
		.result = TOPIC_LEASE_RESULTS,
		.limit = LIMIT_DEFAULT,
		.send_issue_null = true,
		.lease_key = true,
		.fields = {
			{ .name = "providerLeaseId", .kind = FIELD_ID, .required = true,
			  .filled = true },
			OBJECT("leaseMetadata"),
		},
	},
	[OPERATION_RELEASE_LEASE] = {
		.id = OPERATION_RELEASE_LEASE,
		.name = "ReleaseLease",
		.rpc = "environmentReleaseLease",
		.result = TOPIC_LEASE_RESULTS,
		.limit = LIMIT_LEASE,
		.send_issue_null = true,
		.lease_key = true,
		.fields = {
			LEASE_ID_OR_NULL,
			OBJECT("leaseMetadata"),
			{ .name = "cancelActiveWork", .kind = FIELD_BOOL, .skip_false = true },
		},
	},
	[OPERATION_DESTROY_LEASE] = {
		.id = OPERATION_DESTROY_LEASE,
		.name = "DestroyLease",
		.rpc = "environmentDestroyLease",
		.result = TOPIC_LEASE_RESULTS,
		.limit = LIMIT_LEASE,
		.send_issue_null = true,
		.lease_key = true,
		.fields = {
			LEASE_ID_OR_NULL,
			OBJECT("leaseMetadata"),
		},
	},
	[OPERATION_REALIZE_WORKSPACE] = {
		.id = OPERATION_REALIZE_WORKSPACE,
		.name = "RealizeWorkspace",
		.rpc = "environmentRealizeWorkspace",
		.result = TOPIC_WORKSPACE_RESULTS,
		.limit = LIMIT_LEASE,
		.lease_key = true,
		.fields = {
			LEASE,
			{ .name = "workspace", .kind = FIELD_OBJECT, .required = true },
		},
	},
	[OPERATION_EXECUTE] = {
		.id = OPERATION_EXECUTE,
		.name = "Execute",
		.rpc = "environmentExecute",
		.result = TOPIC_EXECUTION_RESULTS,
		.limit = LIMIT_OWN,
		.once = true,
		.lease_key = true,
		.fields = {
			LEASE,
			{ .name = "command", .kind = FIELD_STRING, .required = true },
			{ .name = "args", .kind = FIELD_STRINGS },
			TEXT("cwd"),
			{ .name = "env", .kind = FIELD_ENV },
			TEXT("stdin"),
			TIMEOUT_MS,
			{ .name = "bypassSession", .kind = FIELD_BOOL },
		},
	},
	[OPERATION_LIST_DRIVERS] = {
		.id = OPERATION_LIST_DRIVERS,
		.name = "ListDrivers",
		.result = TOPIC_DRIVER_RESULTS,
		.limit = LIMIT_NONE,
	},
	[OPERATION_SYNC_IN] = {
		.id = OPERATION_SYNC_IN,
		.name = "SyncIn",
		.rpc = "environmentSyncIn",
		.result = TOPIC_WORKSPACE_RESULTS,
		.limit = LIMIT_LEASE,
		.lease_key = true,
		.fields = {
			LEASE,
			SYNC,
		},
	},
	[OPERATION_SYNC_OUT] = {
		.id = OPERATION_SYNC_OUT,
		.name = "SyncOut",
		.rpc = "environmentSyncOut",
		.result = TOPIC_WORKSPACE_RESULTS,
		.limit = LIMIT_LEASE,
		.lease_key = true,
		.fields = {
			LEASE,
			SYNC,
		},
	},
	[OPERATION_RUNNER_INGRESS_ENDPOINT] = {
		.id = OPERATION_RUNNER_INGRESS_ENDPOINT,
		.name = "RunnerIngressEndpoint",
		.rpc = "environmentRunnerIngressEndpoint",
		.result = TOPIC_WORKSPACE_RESULTS,
		.limit = LIMIT_LEASE,
		.lease_key = true,
		.fields = {
			LEASE,
			{ .name = "port", .kind = FIELD_INT, .required = true, .min = 1,
			  .max = 65535 },
			{ .name = "path", .kind = FIELD_PATH, .required = true },
		},
	},
	[OPERATION_START_INTERACTIVE_SETUP] = {
		.id = OPERATION_START_INTERACTIVE_SETUP,
		.name = "StartInteractiveSetup",
		.rpc = "environmentStartInteractiveSetup",
		.result = TOPIC_SETUP_RESULTS,
		.limit = LIMIT_SETUP,
		.end_rpc = "environmentCancelInteractiveSetup",
		.fields = {
			{ .name = "sessionId", .kind = FIELD_ID, .required = true,
			  .filled = true },
			TEXT("sourceTemplateRef"),
			TEXT("sourceTemplateKind"),
			MINUTES("connectionExpiresInMinutes"),
			TEXT("expiresAt"),
			{ .name = "includeConnectionPayload", .kind = FIELD_BOOL,
			  .required = true, .keep = true },
		},
	},
	[OPERATION_GET_INTERACTIVE_SETUP] = {
		.id = OPERATION_GET_INTERACTIVE_SETUP,
		.name = "GetInteractiveSetup",
		.rpc = "environmentGetInteractiveSetup",
		.result = TOPIC_SETUP_RESULTS,
		.limit = LIMIT_SETUP,
		.lease_key = true,
		.fields = {
			LEASE_ID_OR_NULL,
			OBJECT("setupMetadata"),
			{ .name = "includeConnectionPayload", .kind = FIELD_BOOL,
			  .required = true },
			MINUTES("connectionExpiresInMinutes"),
		},
	},
	[OPERATION_CANCEL_INTERACTIVE_SETUP] = {
		.id = OPERATION_CANCEL_INTERACTIVE_SETUP,
		.name = "CancelInteractiveSetup",
		.rpc = "environmentCancelInteractiveSetup",
		.result = TOPIC_SETUP_RESULTS,
		.limit = LIMIT_SETUP,
		.lease_key = true,
		.fields = {
			LEASE_ID_OR_NULL,
			OBJECT("setupMetadata"),
			TEXT("reason"),
		},
	},
	[OPERATION_CAPTURE_TEMPLATE] = {
		.id = OPERATION_CAPTURE_TEMPLATE,
		.name = "CaptureTemplate",
		.rpc = "environmentCaptureTemplate",
		.result = TOPIC_SETUP_RESULTS,
		.limit = LIMIT_OWN,
		.once = true,
		.lease_key = true,
		.fields = {
			LEASE_ID_OR_NULL,
			OBJECT("setupMetadata"),
			TEXT("sourceTemplateRef"),
			TEXT("previousTemplateRef"),
			TEXT("templateLabel"),
			TIMEOUT_MS,
		},
	},
	[OPERATION_DELETE_TEMPLATE] = {
		.id = OPERATION_DELETE_TEMPLATE,
		.name = "DeleteTemplate",
		.rpc = "environmentDeleteTemplate",
		.result = TOPIC_SETUP_RESULTS,
		.limit = LIMIT_SETUP,
		.fields = {
			{ .name = "templateRef", .kind = FIELD_STRING, .required = true,
			  .filled = true },
			TEXT("templateKind"),
			OBJECT("metadata"),
			TEXT("reason"),
		},
	},
};

const struct operation *
operation_by_id(enum operation_id id)
{
	assert((unsigned)id < OPERATION_COUNT);
	return &table[id];
}

const struct operation *
operation_by_name(struct span name)
{
	size_t i;

	for (i = 0; i < OPERATION_COUNT; i++)
		if (span_is(name, table[i].name))
			return &table[i];
	return NULL;
}
