# SPDX-License-Identifier: Apache-2.0
"""Where envdriver differs from the recordings on purpose: the one table.

A row says what it applies to, why, and what is expected in place of what was recorded. It goes by
what a recording holds and not by its name, so that a case nobody has seen yet is judged alike; the
cases known to fall under it stand beside it. Each difference is one that the documents state.
"""

import expect
from recording import ANY

# --- answers that are no good ---


def first_answer(call, recording):
    return recording.answer_of(call.request) if call.request else None


NULL_IS_FINE = ("ResumeLease", "ReleaseLease", "DestroyLease")
TYPES = {
    "ok": ("boolean",),
    "operations": ("array",),
    "kind": ("string",),
    "websocketUrl": ("string",),
    "status": ("string",),
    "templateRef": ("string",),
    "deleted": ("boolean",),
    "cwd": ("string",),
    "providerLeaseId": ("string", "null"),
    "exitCode": ("number", "null"),
    "signal": ("string", "null"),
    "timedOut": ("boolean",),
    "stdout": ("string",),
    "stderr": ("string",),
}
FIELDS = {
    "ValidateConfig": ("ok",),
    "Probe": ("ok",),
    "AcquireLease": ("providerLeaseId",),
    "ResumeLease": ("providerLeaseId",),
    "RealizeWorkspace": ("cwd",),
    "Execute": ("exitCode", "signal", "timedOut", "stdout", "stderr"),
    "SyncIn": ("operations",),
    "SyncOut": ("operations",),
    "RunnerIngressEndpoint": ("kind", "websocketUrl"),
    "StartInteractiveSetup": ("providerLeaseId", "status"),
    "GetInteractiveSetup": ("providerLeaseId", "status"),
    "CancelInteractiveSetup": ("status",),
    "CaptureTemplate": ("templateRef",),
    "DeleteTemplate": ("deleted",),
}
NEEDED = ("status", "templateRef", "kind", "websocketUrl")


def kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def bad_response(recording, plan, wanted):
    changed = False
    for i, call in enumerate(plan.calls):
        answer = first_answer(call, recording) if call.command else None
        if not answer or "result" not in answer or "error" in answer:
            continue
        why = wrong_in(call.operation, answer["result"])
        if why and ("result" in call.outcome or type_error(call)):
            key = expect.PLUGIN_KEY
            text = f'Plugin "{key}" answered {call.request["method"]} with {why}.'
            fail(wanted, i, call, expect.error_of(expect.BAD_RESPONSE, text), recording)
            changed = True
    return changed


def wrong_in(operation, result):
    if result is None:
        return "result: expected object, got null" if operation not in NULL_IS_FINE else None
    if not isinstance(result, dict):
        return f"result: expected object, got {kind(result)}" if operation in FIELDS else None
    for name in FIELDS.get(operation, ()):
        if name in result and kind(result[name]) not in TYPES[name]:
            return f"result.{name}: expected {TYPES[name][0]}, got {kind(result[name])}"
        if name in NEEDED and name not in result:
            return f"result.{name}: expected {TYPES[name][0]}, got nothing"
    return None


def type_error(call):
    """The original stumbled over the answer itself."""
    return call.outcome.get("error", {}).get("name") == "TypeError"


def fail(wanted, i, call, error, recording):
    event = {**expect.own_fields(call), "outcome": {"status": "FAILED", "error": error}}
    event["command"] = expect.reference(call, event, recording)
    wanted.events[i] = event


# --- text that Avro cannot carry ---


def surrogates(recording, plan, wanted):
    changed = False

    def replaced(value):
        nonlocal changed
        if isinstance(value, str):
            fixed = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
            changed = changed or fixed != value
            return fixed
        if isinstance(value, dict):
            return {k: replaced(v) for k, v in value.items()}
        return [replaced(v) for v in value] if isinstance(value, list) else value

    wanted.events = [replaced(event) for event in wanted.events]
    return changed


# --- workers ---


def start_retried(recording, plan, wanted):
    if not plan.starts or "start_error" not in recording:
        return False
    wanted.status = "backoff"
    if not any(n["type"] == "WORKER_CRASHED" for n in wanted.notices):
        [end] = recording.get("worker_exits")
        wanted.notices = [
            {
                "type": "WORKER_CRASHED",
                "exitCode": end["code"],
                "signal": end["signal"],
                "willRestart": True,
            }
        ]
    return True


def crashes_count(recording, plan, wanted):
    """A worker that comes up again is not as good as new at once."""
    record = wanted.record
    if record.get("consecutiveCrashes") != 0 or not record.get("totalCrashes"):
        return False
    record["consecutiveCrashes"] = record["totalCrashes"]
    return True


# --- what envdriver does besides ---


def limit_is_named(recording, plan, wanted):
    changed = False
    for event in wanted.events:
        error = event.get("outcome", {}).get("error") if isinstance(event, dict) else None
        if error and error["code"] == "TIMEOUT":
            error["details"] = {k: ANY for k in ("limit", "setBy", "setMs", "limitMs")}
            changed = True
    return changed


def own_tmpdir(recording, plan, wanted):
    """check.py compares without it; here it is only said."""
    return bool(recording.get("forks")) or "<tmp-1>" in recording.text


def older_host(recording, plan, wanted):
    """check.py compares without it."""
    return recording.is_older


# (what, why, cases known to fall under it)
TABLE = (
    (
        bad_response,
        "An answer that the operation cannot use is BAD_RESPONSE, with the place; the original "
        "stumbles over null and takes any `ok` that JavaScript finds true.",
        ("probe.result_null", "execute.result_null", "validate.ok_truthy_string_is_ok"),
    ),
    (
        surrogates,
        "A lone surrogate is no text in UTF-8: U+FFFD stands for it, with a warning in the trace.",
        ("execute.stdout_lone_surrogate",),
    ),
    (
        start_retried,
        "A start that failed is tried again with back-off, and the record says so; the original "
        "says `crashed`, and gives up a worker whose hand-shake hangs.",
        ("start.exits_during_init", "start.init_hangs_15s"),
    ),
    (
        crashes_count,
        "A worker that was started again has its crashes behind it only after ten minutes.",
        ("lifecycle.crash_then_auto_restart",),
    ),
    (
        limit_is_named,
        "A TIMEOUT says in its details which limit it was, and where that is set.",
        (
            "execute.rpc_timeout",
            "execute.late_reply_after_rpc_timeout",
            "framing.oversized_line_dropped",
        ),
    ),
    (
        older_host,
        "Recorded with the release before (2026.427.0): there are no invocations, so no output is "
        "live.",
        (),
    ),
    (
        own_tmpdir,
        "A plugin has a folder for temporary files of its own (TMPDIR).",
        ("start.handshake", "acquire.ok", "resume.ok"),
    ),
)


def apply(recording, plan, wanted):
    """Changes what is wanted; returns why, None where nothing differs."""
    reasons = []
    for row, why, known in TABLE:
        if row(recording, plan, wanted):
            reasons.append(why)
        elif recording.name in known:
            raise AssertionError(f"strict.py has it under {row.__name__}, which does not apply")
    return " ".join(reasons) or None
