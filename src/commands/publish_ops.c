/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish_ops: the tables of `envdriver publish`: the command, and below it a
 * subcommand for each operation. They stand apart from publish.c, which only
 * runs what they say.
 */
#include <stddef.h>

#include "envdriver/cli/cli.h"
#include "envdriver/client/publish_build.h"
#include "envdriver/commands/commands.h"
#include "publish.h"

#define TEXT(option, key, text) \
	{ .name = option, .value = "TEXT", .field = key, .kind = PUBLISH_TEXT, .help = text }
#define ID(option, key, text) \
	{ .name = option, .value = "ID", .field = key, .kind = PUBLISH_TEXT, .help = text }
#define REQUIRED_ID(option, key, text) \
	{ .name = option, .value = "ID", .field = key, .kind = PUBLISH_TEXT, .help = text, \
	  .required = true }
#define JSON(option, key, text) \
	{ .name = option, .value = "JSON|@FILE", .field = key, .kind = PUBLISH_JSON, .help = text }
#define REQUIRED_JSON(option, key, text) \
	{ .name = option, .value = "JSON|@FILE", .field = key, .kind = PUBLISH_JSON, .help = text, \
	  .required = true }
#define NUMBER(option, key, text) \
	{ .name = option, .value = "N", .field = key, .kind = PUBLISH_INT, .help = text }
#define SWITCH(option, key, text) \
	{ .name = option, .field = key, .kind = PUBLISH_TRUE, .help = text }
#define LEASE \
	{ .name = "lease", .value = "ID|JSON|@FILE", .field = "lease", .kind = PUBLISH_LEASE, \
	  .help = "Lease: the object from a LeaseResult, or only its id", .required = true }
#define LEASE_ID ID("lease", "providerLeaseId", "Provider's id of the lease")
#define LEASE_METADATA JSON("lease-metadata", "leaseMetadata", "Metadata of the lease")
#define SETUP_METADATA JSON("setup-metadata", "setupMetadata", "Metadata of the session")
#define CONNECTION_EXPIRY \
	NUMBER("connection-expires-in-minutes", "connectionExpiresInMinutes", \
	       "Lifetime of the connection, in minutes")
#define CONNECTION_PAYLOAD \
	SWITCH("include-connection-payload", "includeConnectionPayload", \
	       "Hand over the live credential: the result names a key for `credential get`")
#define REASON TEXT("reason", "reason", "Reason")
#define NOW \
	{ .name = "now", .kind = PUBLISH_NOW, \
	  .help = "Do not wait behind other commands of the lease (empty ordering key)" }
#define RERUN \
	{ .name = "rerun-if-interrupted", .kind = PUBLISH_RERUN, \
	  .help = "Allow another call after a crash in the middle" }
#define END { .name = NULL }

static const struct cli_option acquire_options[] = {
	REQUIRED_ID("run-id", "runId", "Run that requests the lease"),
	TEXT("workspace-mode", "workspaceMode", "Mode, e.g. isolated_workspace"),
	TEXT("requested-cwd", "requestedCwd", "Requested working folder"),
	ID("agent-id", "agentId", "Agent"),
	ID("execution-workspace-id", "executionWorkspaceId", "Execution workspace"),
	TEXT("adapter-type", "adapterType", "Type of the adapter"),
	JSON("execution-workspace-settings", "executionWorkspaceSettings",
	     "Settings of the execution workspace"),
	TEXT("requested-expires-at", "requestedExpiresAt",
	     "Requested expiry, ISO 8601, passed to the plugin unchanged"),
	END,
};

static const struct cli_option resume_options[] = {
	REQUIRED_ID("lease", "providerLeaseId", "Provider's id of the lease"),
	LEASE_METADATA,
	END,
};

static const struct cli_option release_options[] = {
	LEASE_ID,
	LEASE_METADATA,
	SWITCH("cancel-active-work", "cancelActiveWork",
	       "End running work; the provider must confirm it with a receipt"),
	NOW,
	END,
};

static const struct cli_option destroy_options[] = { LEASE_ID, LEASE_METADATA, NOW, END };

static const struct cli_option realize_options[] = {
	LEASE,
	REQUIRED_JSON("workspace", "workspace", "{localPath?, remotePath?, mode?, metadata?}"),
	END,
};

static const struct cli_option exec_options[] = {
	LEASE,
	TEXT("cwd", "cwd", "Working folder"),
	{ .name = "env", .letter = 'e', .value = "NAME=VALUE", .many = true, .field = "env",
	  .kind = PUBLISH_ENV, .help = "Environment variable" },
	{ .name = "env-secret", .value = "NAME=SECRET-ID", .many = true, .field = "env",
	  .kind = PUBLISH_SECRET, .help = "Environment variable whose value is a secret" },
	{ .name = "stdin", .value = "TEXT|@FILE", .field = "stdin", .kind = PUBLISH_STDIN,
	  .help = "Text for standard input; @-: the standard input of this command" },
	NUMBER("timeout-ms", "timeoutMs", "Time limit of the command, in ms"),
	SWITCH("bypass-session", "bypassSession", "Run outside the lease's session"),
	RERUN,
	END,
};

static const struct cli_option sync_options[] = {
	LEASE,
	REQUIRED_JSON("operations", "operations",
		      "[{operationId, files: [{sourcePath, targetPath, kind, mode?, exclude?, "
		      "followSymlinks?, access?, writablePath?}], postUploadCommands?: "
		      "[{command, cwd?, timeoutMs?}]}]"),
	RERUN,
	END,
};

static const struct cli_option ingress_options[] = {
	LEASE,
	{ .name = "port", .value = "N", .field = "port", .kind = PUBLISH_INT,
	  .help = "Port, 1 to 65535", .required = true },
	{ .name = "path", .value = "PATH", .field = "path", .kind = PUBLISH_TEXT,
	  .help = "Path, starting with '/'", .required = true },
	END,
};

static const struct cli_option start_setup_options[] = {
	REQUIRED_ID("session-id", "sessionId", "Session"),
	TEXT("source-template-ref", "sourceTemplateRef", "Template to start from"),
	TEXT("source-template-kind", "sourceTemplateKind", "Kind of that template"),
	CONNECTION_EXPIRY,
	TEXT("expires-at", "expiresAt", "Expiry of the session, ISO 8601"),
	CONNECTION_PAYLOAD,
	END,
};

static const struct cli_option get_setup_options[] = {
	LEASE_ID,
	SETUP_METADATA,
	CONNECTION_PAYLOAD,
	CONNECTION_EXPIRY,
	END,
};

static const struct cli_option cancel_setup_options[] = { LEASE_ID, SETUP_METADATA, REASON, END };

static const struct cli_option capture_options[] = {
	LEASE_ID,
	SETUP_METADATA,
	TEXT("source-template-ref", "sourceTemplateRef", "Template that the session started from"),
	TEXT("previous-template-ref", "previousTemplateRef", "Template to be replaced"),
	TEXT("template-label", "templateLabel", "Label of the template"),
	NUMBER("timeout-ms", "timeoutMs", "Time limit, in ms"),
	RERUN,
	END,
};

static const struct cli_option delete_options[] = {
	{ .name = "template-ref", .value = "REF", .field = "templateRef", .kind = PUBLISH_TEXT,
	  .help = "Template", .required = true },
	TEXT("template-kind", "templateKind", "Kind of the template"),
	JSON("metadata", "metadata", "Metadata of the template"),
	REASON,
	END,
};

static const struct cli_command exec_sub = {
	.name = "exec",
	.key = "Execute",
	.summary = "Run one command in a lease (`envdriver exec` also shows its output)",
	.args = "COMMAND [ARG...]",
	.min_args = 1,
	.max_args = -1,
	.passes_on = true,
	.options = exec_options,
	.run = publish_one,
};

/* A subcommand and the record of its operation. */
#define OPERATION(sub, record, table, text) \
	&(const struct cli_command){ \
		.name = sub, .key = record, .summary = text, .options = table, .run = publish_one, \
	}

static const struct cli_command *const subs[] = {
	OPERATION("validate", "ValidateConfig", NULL, "Check a driver's config with its plugin"),
	OPERATION("probe", "Probe", NULL, "Check whether an environment is usable"),
	OPERATION("acquire", "AcquireLease", acquire_options,
		  "Create or reuse a sandbox or session"),
	OPERATION("resume", "ResumeLease", resume_options, "Resume a lease"),
	OPERATION("release", "ReleaseLease", release_options, "Release a lease"),
	OPERATION("destroy", "DestroyLease", destroy_options, "Destroy a lease and its resources"),
	OPERATION("realize", "RealizeWorkspace", realize_options, "Prepare the working folder"),
	OPERATION("list-drivers", "ListDrivers", NULL, "List the usable sandbox providers"),
	OPERATION("sync-in", "SyncIn", sync_options,
		  "Copy files of the worker's host into a lease"),
	OPERATION("sync-out", "SyncOut", sync_options,
		  "Copy files of a lease to the worker's host"),
	OPERATION("runner-ingress", "RunnerIngressEndpoint", ingress_options,
		  "Get the web socket endpoint of a lease"),
	OPERATION("start-setup", "StartInteractiveSetup", start_setup_options,
		  "Open a set-up session for a person"),
	OPERATION("get-setup", "GetInteractiveSetup", get_setup_options,
		  "Get the state of a set-up session"),
	OPERATION("cancel-setup", "CancelInteractiveSetup", cancel_setup_options,
		  "End a set-up session"),
	OPERATION("capture-template", "CaptureTemplate", capture_options,
		  "Save the state of a set-up session as a template"),
	OPERATION("delete-template", "DeleteTemplate", delete_options, "Delete a template"),
	&exec_sub,
	NULL,
};

static const struct cli_option options[] = {
	{ .name = "file", .letter = 'f', .value = "FILE|-",
	  .help = "Commands in plain JSON, one per line; a regular file is checked first as a "
		  "whole" },
	{ .name = "new-ids", .help = "Give each command of --file a new commandId and issuedAt" },
	{ .name = "wait",
	  .help = "Wait for the result and print it; exit 1 unless SUCCEEDED, and for a probe that "
		  "is not ok or a lease that is lost" },
	{ .name = "timeout", .value = "DURATION",
	  .help = "Longest wait for the result (default: 5min); then exit 75" },
	PUBLISH_OPTIONS,
	{ .name = NULL },
};

const struct cli_command publish_command = {
	.name = "publish",
	.stage = "Use",
	.summary = "Publish commands",
	.options = options,
	.subs = subs,
	.max_args = 0,
	.text = "Checks the command as a worker would, then writes it to the command topic.\n"
		"JSON values may come from a file: --config @config.json. Commands must not\n"
		"contain secrets: everyone with access to the topics can read them.\n"
		"Lines of --file may also have the envelope of `envdriver replay --envelope`.\n"
		"With --wait, --file ends with a summary on standard error. Interrupted, it names\n"
		"what is published and has no result yet; that is processed all the same.\n\n"
		"    envdriver publish probe --target acme.sandbox:docker --environment env-1 "
		"--wait\n"
		"    envdriver publish acquire --provider local --run-id r1 --environment "
		"env-1 --wait\n"
		"    envdriver publish destroy --provider local --lease L --now\n"
		"    envdriver publish --file commands.jsonl --wait\n"
		"    envdriver replay --topics commands | envdriver publish --file - --new-ids\n",
	.run = publish_main,
};
