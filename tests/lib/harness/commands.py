# SPDX-License-Identifier: Apache-2.0
"""Commands in plain JSON form, one example of each of the seventeen operations.

    command("Probe")
    command("Execute", {"command": "sh", "args": ["-c", "exit 3"]}, orderingKey="k")
"""

import json
import time
import uuid

LEASE = {"providerLeaseId": "lease-1", "metadata": {"region": "north"}}
SYNC = [{"operationId": "op-1", "files": []}]

# Only what has no default.
MINIMAL = {
    "ValidateConfig": {},
    "Probe": {},
    "AcquireLease": {"runId": "run-1"},
    "ResumeLease": {"providerLeaseId": "lease-1"},
    "ReleaseLease": {},
    "DestroyLease": {},
    "RealizeWorkspace": {"lease": LEASE, "workspace": {"mode": "isolated_workspace"}},
    "Execute": {"lease": LEASE, "command": "true"},
    "ListDrivers": {},
    "SyncIn": {"lease": LEASE, "operations": SYNC},
    "SyncOut": {"lease": LEASE, "operations": SYNC},
    "RunnerIngressEndpoint": {"lease": LEASE, "port": 8080, "path": "/run"},
    "StartInteractiveSetup": {"sessionId": "session-1"},
    "GetInteractiveSetup": {},
    "CancelInteractiveSetup": {},
    "CaptureTemplate": {},
    "DeleteTemplate": {"templateRef": "template-1"},
}

# The rest, so that MINIMAL | MORE sets every field.
MORE = {
    "ValidateConfig": {},
    "Probe": {},
    "AcquireLease": {
        "workspaceMode": "isolated_workspace",
        "requestedCwd": "/workspace",
        "agentId": "agent-1",
        "executionWorkspaceId": "workspace-1",
        "adapterType": "adapter",
        "executionWorkspaceSettings": {"depth": 1},
        "requestedExpiresAt": "2030-01-01T00:00:00Z",
    },
    "ResumeLease": {"leaseMetadata": {"region": "north"}},
    "ReleaseLease": {
        "providerLeaseId": "lease-1",
        "leaseMetadata": {"region": "north"},
        "cancelActiveWork": True,
    },
    "DestroyLease": {"providerLeaseId": "lease-1", "leaseMetadata": {"region": "north"}},
    "RealizeWorkspace": {},
    "Execute": {
        "args": ["a", ""],
        "cwd": "/tmp",
        "env": {"NAME": "value"},
        "stdin": "text\n",
        "timeoutMs": 5000,
        "bypassSession": False,
    },
    "ListDrivers": {},
    "SyncIn": {},
    "SyncOut": {},
    "RunnerIngressEndpoint": {},
    "StartInteractiveSetup": {
        "sourceTemplateRef": "template-1",
        "sourceTemplateKind": "snapshot",
        "connectionExpiresInMinutes": 5,
        "expiresAt": "2030-01-01T00:00:00Z",
        "includeConnectionPayload": True,
    },
    "GetInteractiveSetup": {
        "providerLeaseId": "lease-1",
        "setupMetadata": {"step": 1},
        "includeConnectionPayload": True,
        "connectionExpiresInMinutes": 5,
    },
    "CancelInteractiveSetup": {
        "providerLeaseId": "lease-1",
        "setupMetadata": {"step": 1},
        "reason": "failed",
    },
    "CaptureTemplate": {
        "providerLeaseId": "lease-1",
        "setupMetadata": {"step": 1},
        "sourceTemplateRef": "template-1",
        "previousTemplateRef": "template-0",
        "templateLabel": "label",
        "timeoutMs": 60000,
    },
    "DeleteTemplate": {"templateKind": "snapshot", "metadata": {"a": 1}, "reason": "old"},
}

RESULT_OF = {
    "ValidateConfig": "ConfigResult",
    "Probe": "ProbeResult",
    "AcquireLease": "LeaseResult",
    "ResumeLease": "LeaseResult",
    "ReleaseLease": "LeaseResult",
    "DestroyLease": "LeaseResult",
    "RealizeWorkspace": "WorkspaceResult",
    "Execute": "ExecutionResult",
    "ListDrivers": "DriverListResult",
    "SyncIn": "WorkspaceResult",
    "SyncOut": "WorkspaceResult",
    "RunnerIngressEndpoint": "WorkspaceResult",
    "StartInteractiveSetup": "SetupResult",
    "GetInteractiveSetup": "SetupResult",
    "CancelInteractiveSetup": "SetupResult",
    "CaptureTemplate": "SetupResult",
    "DeleteTemplate": "SetupResult",
}


def plugin_driver(driver="fixture-env", plugin="fixture.envdriver", plugin_id=None):
    return {
        "type": "PluginDriver",
        "pluginKey": plugin,
        "driverKey": driver,
        "pluginId": plugin_id,
    }


def sandbox_provider(provider="fixture-sandbox", plugin_id=None):
    return {"type": "SandboxProvider", "provider": provider, "pluginId": plugin_id}


DEFAULT_TARGET = plugin_driver()


def command(operation, fields=None, *, target=DEFAULT_TARGET, **top):
    """`fields` are added to the operation's minimal ones; `top` are the command's own. A
    commandId is made when none is given."""
    return {
        "commandId": str(uuid.uuid4()),
        "issuedAt": int(time.time() * 1000),
        "companyId": "company-1",
        "environmentId": "environment-1",
        "target": None if operation == "ListDrivers" else target,
        "config": {},
        "operation": {"type": operation, **MINIMAL[operation], **(fields or {})},
        **top,
    }


def lease_id(plain):
    """The lease that a command names, or None."""
    operation = plain["operation"]
    if "lease" not in operation:
        return operation.get("providerLeaseId")
    lease = operation["lease"]
    try:
        lease = json.loads(lease) if isinstance(lease, str) else lease
        return lease.get("providerLeaseId")
    except (ValueError, AttributeError):
        return None


def ordering_key(plain):
    """None: this command is in no order with others."""
    given = plain.get("orderingKey")
    if given is None:
        return lease_id(plain)
    return given or None


def message_key(plain):
    return ordering_key(plain) or plain["commandId"]
