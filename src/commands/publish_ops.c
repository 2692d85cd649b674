/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/commands/publish.h"

#include <stddef.h>

#include "envdriver/cli/cli.h"

#define TEXT(option, key, text) \
	{ .name = option, .value = "TEXT", .field = key, .kind = PUBLISH_TEXT, .help = text }
#define ID(option, key, text) \
	{ .name = option, .value = "ID", .field = key, .kind = PUBLISH_TEXT, .help = text }
#define NEEDED_ID(option, key, text) \
	{ .name = option, .value = "ID", .field = key, .kind = PUBLISH_TEXT, .help = text, \
	  .required = true }
#define JSON(option, key, text) \
	{ .name = option, .value = "JSON|@FILE", .field = key, .kind = PUBLISH_JSON, .help = text }
#define NEEDED_JSON(option, key, text) \
	{ .name = option, .value = "JSON|@FILE", .field = key, .kind = PUBLISH_JSON, .help = text, \
	  .required = true }
#define NUMBER(option, key, text) \
	{ .name = option, .value = "N", .field = key, .kind = PUBLISH_INT, .help = text }
#define SWITCH(option, key, text) \
	{ .name = option, .field = key, .kind = PUBLISH_TRUE, .help = text }
#define LEASE \
	{ .name = "lease", .value = "ID|JSON|@FILE", .field = "lease", .kind = PUBLISH_LEASE, \
	  .help = "The lease as a LeaseResult gave it, or its id alone", .required = true }
#define LEASE_ID ID("lease", "providerLeaseId", "The provider's id of the lease")
#define LEASE_METADATA JSON("lease-metadata", "leaseMetadata", "The lease's metadata")
#define NOW \
	{ .name = "now", .kind = PUBLISH_NOW, \
	  .help = "Do not wait behind what runs in the lease (empty ordering key)" }
#define END { .name = NULL }

static const struct cli_option acquire_options[] = {
	NEEDED_ID("run-id", "runId", "Run that asks"),
	TEXT("workspace-mode", "workspaceMode", "e.g. isolated_workspace"),
	TEXT("requested-cwd", "requestedCwd", "Working folder asked for"),
	ID("agent-id", "agentId", "Agent"),
	ID("execution-workspace-id", "executionWorkspaceId", "Execution workspace"),
	TEXT("adapter-type", "adapterType", "Adapter"),
	JSON("execution-workspace-settings", "executionWorkspaceSettings", "Its settings"),
	TEXT("requested-expires-at", "requestedExpiresAt", "ISO 8601, as the plugin gets it"),
	END,
};

static const struct cli_option resume_options[] = {
	NEEDED_ID("lease", "providerLeaseId", "The provider's id of the lease"),
	LEASE_METADATA,
	END,
};

static const struct cli_option release_options[] = {
	LEASE_ID,
	LEASE_METADATA,
	SWITCH("cancel-active-work", "cancelActiveWork",
	       "End what runs; a receipt of the provider is demanded"),
	NOW,
	END,
};

static const struct cli_option destroy_options[] = { LEASE_ID, LEASE_METADATA, NOW, END };

static const struct cli_option realize_options[] = {
	LEASE,
	NEEDED_JSON("workspace", "workspace", "{localPath?, remotePath?, mode?, metadata?}"),
	END,
};

static const struct cli_option exec_options[] = {
	LEASE,
	TEXT("cwd", "cwd", "Working folder"),
	{ .name = "env", .letter = 'e', .value = "NAME=VALUE", .many = true, .field = "env",
	  .kind = PUBLISH_ENV, .help = "Variable" },
	{ .name = "env-secret", .value = "NAME=SECRET-ID", .many = true, .field = "env",
	  .kind = PUBLISH_SECRET, .help = "Variable whose value is a secret" },
	{ .name = "stdin", .value = "TEXT|@FILE", .field = "stdin", .kind = PUBLISH_STDIN,
	  .help = "Text for standard input; @- is this one's" },
	NUMBER("timeout-ms", "timeoutMs", "The command's own limit in ms"),
	SWITCH("bypass-session", "bypassSession", "Outside the lease's session"),
	{ .name = "rerun-if-interrupted", .kind = PUBLISH_RERUN,
	  .help = "May be called again after a crash in the middle" },
	END,
};

static const struct cli_option sync_options[] = {
	LEASE,
	NEEDED_JSON("operations", "operations", "Array of sync operations"),
	END,
};

static const struct cli_option ingress_options[] = {
	LEASE,
	{ .name = "port", .value = "N", .field = "port", .kind = PUBLISH_INT, .help = "1 to 65535",
	  .required = true },
	{ .name = "path", .value = "PATH", .field = "path", .kind = PUBLISH_TEXT,
	  .help = "Starts with '/'", .required = true },
	END,
};

static const struct cli_option start_setup_options[] = {
	NEEDED_ID("session-id", "sessionId", "Session"),
	TEXT("source-template-ref", "sourceTemplateRef", "Template to begin with"),
	TEXT("source-template-kind", "sourceTemplateKind", "Its kind"),
	NUMBER("connection-expires-in-minutes", "connectionExpiresInMinutes", "Of the connection"),
	TEXT("expires-at", "expiresAt", "ISO 8601"),
	SWITCH("include-connection-payload", "includeConnectionPayload",
	       "Hand the live credential over (never in an event)"),
	END,
};

static const struct cli_option get_setup_options[] = {
	LEASE_ID,
	JSON("setup-metadata", "setupMetadata", "The session's metadata"),
	SWITCH("include-connection-payload", "includeConnectionPayload",
	       "Hand the live credential over (never in an event)"),
	NUMBER("connection-expires-in-minutes", "connectionExpiresInMinutes", "Of the connection"),
	END,
};

static const struct cli_option cancel_setup_options[] = {
	LEASE_ID,
	JSON("setup-metadata", "setupMetadata", "The session's metadata"),
	TEXT("reason", "reason", "Why"),
	END,
};

static const struct cli_option capture_options[] = {
	LEASE_ID,
	JSON("setup-metadata", "setupMetadata", "The session's metadata"),
	TEXT("source-template-ref", "sourceTemplateRef", "Template it began with"),
	TEXT("previous-template-ref", "previousTemplateRef", "Template that it replaces"),
	TEXT("template-label", "templateLabel", "Label"),
	NUMBER("timeout-ms", "timeoutMs", "Time limit in ms"),
	END,
};

static const struct cli_option delete_options[] = {
	{ .name = "template-ref", .value = "REF", .field = "templateRef", .kind = PUBLISH_TEXT,
	  .help = "The template", .required = true },
	TEXT("template-kind", "templateKind", "Its kind"),
	JSON("metadata", "metadata", "Metadata"),
	TEXT("reason", "reason", "Why"),
	END,
};

/* One row an operation: record, then the subcommand's table. */
#define OPERATIONS(M) \
	M(validate, "ValidateConfig", NULL, "Check a driver's config with its plugin") \
	M(probe, "Probe", NULL, "Ask whether an environment can be used") \
	M(acquire, "AcquireLease", acquire_options, "Create or reuse a sandbox or session") \
	M(resume, "ResumeLease", resume_options, "Take a lease up again") \
	M(release, "ReleaseLease", release_options, "Give a lease back") \
	M(destroy, "DestroyLease", destroy_options, "Destroy what a lease stands for") \
	M(realize, "RealizeWorkspace", realize_options, "Make the working folder ready") \
	M(list_drivers, "ListDrivers", NULL, "List the sandbox providers that can be used") \
	M(sync_in, "SyncIn", sync_options, "Copy files into a lease") \
	M(sync_out, "SyncOut", sync_options, "Copy files out of a lease") \
	M(runner_ingress, "RunnerIngressEndpoint", ingress_options, \
	  "Ask for the http_client socket into a lease") \
	M(start_setup, "StartInteractiveSetup", start_setup_options, \
	  "Open a set-up session for a person") \
	M(get_setup, "GetInteractiveSetup", get_setup_options, "Ask how a set-up session stands") \
	M(cancel_setup, "CancelInteractiveSetup", cancel_setup_options, "End a set-up session") \
	M(capture_template, "CaptureTemplate", capture_options, \
	  "Keep a set-up session's state as a template") \
	M(delete_template, "DeleteTemplate", delete_options, "Delete a template")

/* The names as they are typed. */
#define NAME_validate "validate"
#define NAME_probe "probe"
#define NAME_acquire "acquire"
#define NAME_resume "resume"
#define NAME_release "release"
#define NAME_destroy "destroy"
#define NAME_realize "realize"
#define NAME_list_drivers "list-drivers"
#define NAME_sync_in "sync-in"
#define NAME_sync_out "sync-out"
#define NAME_runner_ingress "runner-ingress"
#define NAME_start_setup "start-setup"
#define NAME_get_setup "get-setup"
#define NAME_cancel_setup "cancel-setup"
#define NAME_capture_template "capture-template"
#define NAME_delete_template "delete-template"

#define COMMAND(id, record, table, text) \
	static const struct cli_command id##_command = { \
		.name = NAME_##id, .summary = text, .options = table, .run = publish_one, \
	};
OPERATIONS(COMMAND)

static const struct cli_command exec_sub = {
	.name = "exec",
	.summary = "Run one command in a lease (`envdriver exec` also shows its output)",
	.args = "COMMAND [ARG...]",
	.min_args = 1,
	.max_args = -1,
	.passes_on = true,
	.options = exec_options,
	.run = publish_one,
};

#define POINTER(id, record, table, text) &id##_command,
const struct cli_command *const publish_subs[] = { OPERATIONS(POINTER) &exec_sub, NULL };

const char *
publish_operation(const struct cli_command *sub)
{
#define RECORD(id, record, table, text) record,
	static const char *const records[] = { OPERATIONS(RECORD) "Execute" };

	for (size_t i = 0; publish_subs[i]; i++)
		if (publish_subs[i] == sub)
			return records[i];
	return NULL;
}
