# SPDX-License-Identifier: Apache-2.0
"""What envdriver must publish for what a function of the original returned or threw.

The result of a function becomes the fields of our event, an error its outcome, as the document of
the operations says. The plugin's own answer is asked only where the original throws away what we
keep: the warnings of an accepted config, the receipt of a destroyed lease.
"""

import hashlib
import re

from harness import avro
from harness.commands import RESULT_OF, lease_id

from plan import PLUGIN_ID, PLUGIN_KEY, TIMED_OUT, whole
from recording import ANY

UNKNOWN = "not recorded"  # in place of an event: how the call ended was not kept

# (code, http status, retryable, may have run)
NOT_READY = ("DRIVER_NOT_READY", None, False, False)
NOT_DECLARED = ("DRIVER_NOT_DECLARED", None, False, False)
NO_WORKER = ("NO_RUNNING_WORKER", None, True, False)
NO_PROVIDER = ("PROVIDER_NOT_AVAILABLE", 422, True, False)
REJECTED = ("CONFIG_REJECTED", 422, False, True)
REFUSED = ("CONFIG_REJECTED", 422, False, False)
BAD_RESPONSE = ("BAD_RESPONSE", None, False, True)
NOT_IMPLEMENTED = ("METHOD_NOT_IMPLEMENTED", None, False, False)
DIED = ("WORKER_UNAVAILABLE", None, True, True)
TIMEOUT = ("TIMEOUT", None, True, True)

NOT_CHOSEN = (
    "DRIVER_NOT_READY",
    "DRIVER_NOT_DECLARED",
    "NO_RUNNING_WORKER",
    "PROVIDER_NOT_AVAILABLE",
)

# Errors that the host makes itself, by their text.
BY_TEXT = (
    (r"^Plugin environment driver .* is not ready\.$", NOT_READY),
    (r"^Plugin .* does not declare environment driver .*\.$", NOT_DECLARED),
    (r"^Plugin environment driver .* has no running worker\.$", NO_WORKER),
    (r"^No worker registered for plugin ", NO_WORKER),
    (r'^Cannot call ".*" — worker for ', NO_WORKER),
    (r"^Sandbox provider .* is not installed or its plugin worker is not running\.$", NO_PROVIDER),
    (r"^Secret binding at .* pins version ", REFUSED),
    (r"^Unexpected response format for ", BAD_RESPONSE),
)


def error_of(kind, message, rpc_code=None, details=None):
    code, http_status, retryable, may_have_run = kind
    return {
        "code": code,
        "rpcCode": rpc_code,
        "httpStatus": http_status,
        "message": message,
        "retryable": retryable,
        "mayHaveRun": may_have_run,
        "details": details or {},
    }


def event(call, recording):
    """The event's plain form without `trace`; of `command` what can be known."""
    outcome = call.outcome
    if outcome is None:
        return UNKNOWN
    if "error" in outcome:
        error = failure(outcome["error"], call, recording)
        found = {**own_fields(call), "outcome": {"status": "FAILED", "error": error}}
        if error["code"] == "CONFIG_REJECTED":
            found |= {"ok": False, "warnings": error["details"].get("warnings", [])}
    else:
        found = {**own_fields(call), "outcome": {"status": "SUCCEEDED", "error": None}}
        shape = RESULTS.get(call.operation)
        found |= shape(outcome["result"], call, recording) if shape else {}
    found["command"] = reference(call, found, recording)
    return found


def own_fields(call):
    """The fields of the call's result record, with their defaults."""
    schema = avro.schema_json(RESULT_OF[call.operation])
    return {
        f["name"]: f["default"]
        for f in schema["fields"]
        if f["name"] not in ("command", "outcome", "trace")
    }


def reference(call, found, recording):
    given = call.command
    target = given["target"] or {}
    error = found["outcome"]["error"]
    chosen = error is None or error["code"] not in NOT_CHOSEN
    if call.operation == "ListDrivers" or provider_missing(found):
        chosen = False
    pinned = target.get("pluginId") or None
    lease = lease_id(given) or ((found.get("lease") or {}).get("providerLeaseId"))
    if call.operation == "StartInteractiveSetup" and error is None:
        lease = call.outcome["result"].get("providerLeaseId")
    return {
        "commandId": given["commandId"],
        "operation": call.operation,
        "companyId": given["companyId"],
        "environmentId": given["environmentId"],
        "issueId": given.get("issueId"),
        "pluginId": (pinned or PLUGIN_ID) if chosen else None,
        "pluginKey": PLUGIN_KEY if chosen else target.get("pluginKey"),
        "driverKey": target.get("driverKey") or target.get("provider"),
        "providerLeaseId": lease or None,
    }


def provider_missing(found):
    return found.get("driver") == "sandbox" and "pluginKey" not in found["details"]


# --- errors ---


def failure(error, call, recording):
    message, code = error["message"], error.get("code")
    if error["name"] == "JsonRpcCallError":
        return rpc_failure(message, code, error, call, recording)
    if error.get("status") == 422 and "details" in error:
        return error_of(REJECTED, message, details=error["details"])
    for pattern, kind in BY_TEXT:
        if re.search(pattern, message):
            return error_of(kind, message)
    return error_of(("?", None, None, None), message)


def rpc_failure(message, code, error, call, recording):
    """A code of the host's own may come from the plugin too: then it has answered so."""
    answer = recording.answer_of(call.request) if call.request else None
    if answer is None or "error" not in answer:
        if code == -32003 and TIMED_OUT.match(message):
            return error_of(TIMEOUT, message, code)
        if code == -32000:
            return error_of(DIED, message, code)
    if code in (-32004, -32601):
        return error_of(NOT_IMPLEMENTED, message, code)
    integer = isinstance(code, int)
    details = {k: error[k] for k in ("code", "data") if k in error}
    if integer:
        details.pop("code")
    retryable = integer and (code == 429 or 500 <= code <= 599)
    kind = ("PLUGIN_ERROR", None, retryable, True)
    return error_of(kind, message, code if integer else None, details)


# --- results ---


def answered(call, recording):
    """The plugin's own result, {} when there is none or it is no object."""
    answer = recording.answer_of(call.request) if call.request else None
    result = (answer or {}).get("result")
    return result if isinstance(result, dict) else {}


def probe(result, call, recording):
    if "driver" in result:
        return {"ok": result.get("ok", False), **{k: result[k] for k in PROBE}}
    # The worker manager gives the plugin's answer as it is.
    ok = result.get("ok", False)
    target = call.command["target"]
    subject = f'Plugin environment driver "{target["pluginKey"]}:{target["driverKey"]}"'
    summary = result.get("summary")
    if summary is None:
        summary = f"{subject} probe {'passed' if ok else 'failed'}."
    details = {
        "pluginKey": target["pluginKey"],
        "driverKey": target["driverKey"],
        "diagnostics": result.get("diagnostics") or [],
        "metadata": result.get("metadata") or {},
    }
    return {"ok": ok, "driver": "plugin", "summary": summary, "details": details}


PROBE = ("driver", "summary", "details")


def by_key(result, call, recording):
    """A probe of the provider shows who was found."""
    provider = call.command["target"]["provider"]
    if result is None:
        subject = f'Sandbox provider "{provider}"'
        text = f"{subject} is not installed or its plugin worker is not running."
        details = {"provider": provider}
        return {"ok": False, "driver": "sandbox", "summary": text, "details": details}
    found = {
        "provider": provider,
        "pluginKey": PLUGIN_KEY,
        "diagnostics": [],
        "metadata": {"provider": "fixture", "image": "fixture:latest"},
    }
    text = "Fixture is ready for image fixture:latest."
    return {"ok": True, "driver": "sandbox", "summary": text, "details": found}


def any_probe(result, call, recording):
    if recording.function == "resolvePluginEnvironmentDriverByKey":
        return by_key(result, call, recording)
    return probe(result, call, recording)


def validate(result, call, recording):
    config = result.get("driverConfig", result.get("normalizedConfig"))
    warnings = answered(call, recording).get("warnings") or []
    return {"ok": True, "config": config, "warnings": warnings}


def lease(result, call, recording):
    if result is None:
        return {"leaseLost": call.operation == "ResumeLease"}
    found = {
        "providerLeaseId": result.get("providerLeaseId") or None,
        "metadata": result.get("metadata"),
        "expiresAt": result.get("expiresAt"),
    }
    lost = call.operation == "ResumeLease" and found["providerLeaseId"] is None
    return {"lease": found, "leaseLost": lost}


def lease_end(result, call, recording):
    given = answered(call, recording)
    ours = given.get("providerLeaseId") == lease_id(call.command)
    counts = ours and given.get("state") in ("stopped", "destroyed")
    receipt = {k: given[k] for k in ("providerLeaseId", "state")} if counts else None
    return {"receipt": receipt}


def realize(result, call, recording):
    return {k: (result or {}).get(k) for k in ("cwd", "metadata")}


def execute(result, call, recording):
    found = {k: result[k] for k in EXECUTION if k in (result or {})}
    for stream in ("stdout", "stderr"):
        text = whole(found.get(stream, "")).encode("utf-8", "surrogatepass")
        found[f"{stream}Bytes"] = len(text)
        if len(text) > INLINE_LIMIT:
            found[stream] = text[:INLINE_LIMIT].decode("utf-8", "ignore")
            found[f"{stream}Truncated"] = True
            found[f"{stream}Sha256"] = hashlib.sha256(text).hexdigest()
            found["finalLogRecords"] = ANY
    return found


INLINE_LIMIT = 256 * 1024  # execution.inline.limit
EXECUTION = ("exitCode", "signal", "timedOut", "stdout", "stderr", "metadata")
DRIVER = ("pluginId", "pluginKey", "driverKey", "displayName", "description", "configSchema")


def drivers(result, call, recording):
    return {
        "drivers": [
            {
                **{k: one.get(k) for k in DRIVER},
                "capabilities": {k: v for k, v in one.items() if k not in DRIVER},
            }
            for one in result
        ]
    }


def sync(result, call, recording):
    return {"operations": (result or {}).get("operations")}


def credential_key(call):
    """Where what no event may hold waits for whoever asked."""
    return f"envdriver:credential:{call.command['commandId']}"


def ingress(result, call, recording):
    headers = result["secretHeaders"]
    found = {k: result[k] for k in ("kind", "websocketUrl", "generation")}
    found["secretHeaderNames"] = [h["name"] for h in headers]
    return {"ingress": found, "credentialKey": credential_key(call) if headers else None}


SETUP = ("status", "connectionSummary", "expiresAt", "metadata")
TEMPLATE = ("templateRef", "templateKind", "deleted", "metadata")


def setup(result, call, recording):
    """The payload of a connection is in no event; its key only when it was asked for."""
    asked = call.command["operation"].get("includeConnectionPayload", False)
    key = credential_key(call) if asked and result.get("connectionPayload") else None
    return {**{k: result.get(k) for k in SETUP}, "credentialKey": key}


def template(result, call, recording):
    return {k: result.get(k) for k in TEMPLATE}


RESULTS = {
    "Probe": any_probe,
    "ValidateConfig": validate,
    "AcquireLease": lease,
    "ResumeLease": lease,
    "ReleaseLease": lease_end,
    "DestroyLease": lease_end,
    "RealizeWorkspace": realize,
    "Execute": execute,
    "ListDrivers": drivers,
    "SyncIn": sync,
    "SyncOut": sync,
    "RunnerIngressEndpoint": ingress,
    "StartInteractiveSetup": setup,
    "GetInteractiveSetup": setup,
    "CancelInteractiveSetup": setup,
    "CaptureTemplate": template,
    "DeleteTemplate": template,
}
