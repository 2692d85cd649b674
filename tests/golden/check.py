# SPDX-License-Identifier: Apache-2.0
"""Whether what was seen is what was recorded."""

import hashlib
import json
import re
from dataclasses import dataclass, field

import expect
import strict
from plan import FUNCTIONS
from recording import Placeholders, differences, parsed, same_text, short

RECORD = ("consecutiveCrashes", "totalCrashes")
RECORD_TIMES = ("pid", "lastCrashAt", "nextRestartAt")
# What a process of ours is not given and the original's has, empty or not.
NOT_GIVEN = ("NODE_PATH",)
# What a process of ours is given besides.
GIVEN = ("TMPDIR",)


# What a host and a plugin of the release before do not say.
ENVELOPE = re.compile(r',"paperclipInvocation":\{"id":"[^"]*","scope":\{"companyId":"[^"]*"\}\}')
ECHO = re.compile(r',"paperclipInvocationId":"[^"]*"')
LIVE = '"method":"execute.log"'


@dataclass
class Expected:
    """As recorded, in our terms; strict.py may change it."""

    events: list = field(default_factory=list)  # None: through the plugin layer alone
    stdin: list = field(default_factory=list)
    stdout: list = field(default_factory=list)
    stderr: list = field(default_factory=list)
    notices: list = field(default_factory=list)
    status: str | None = None
    record: dict = field(default_factory=dict)
    statuses: list = field(default_factory=list)
    start_error: str | None = None


def expected(recording, plan):
    found = Expected(
        events=[expect.event(c, recording) if c.command else None for c in plan.calls],
        stdin=list(recording.stdin),
        stdout=list(recording.stdout),
        stderr=list(recording.stderr),
    )
    worker(recording, plan, found)
    return found, strict.apply(recording, plan, found)


def worker(recording, plan, found):
    """What the worker's record in Redis and its plugin events must say."""
    result = recording.get("result")
    result = result if isinstance(result, dict) else {}
    diagnostics = result.get("diagnostics", {})
    started = result.get("status") if plan.starts else None
    found.status = recording.get("worker_status") or diagnostics.get("status") or started
    if diagnostics:
        found.record = {k: diagnostics[k] for k in (*RECORD, *RECORD_TIMES)}
    if plan.starts and "supportedMethods" in result:
        found.record["supportedMethods"] = result["supportedMethods"]
    found.statuses = [s["status"] for s in result.get("seen", [])]
    if "start_error" in recording:
        found.start_error = recording.get("start_error")["message"]
    crashes = 0
    for event in recording.get("worker_events", []):
        if event["type"] == "plugin.worker.crashed":
            crashes += 1
            found.notices.append(
                {
                    "type": "WORKER_CRASHED",
                    "exitCode": event["code"],
                    "signal": event["signal"],
                    "willRestart": event["willRestart"],
                }
            )
        elif event["type"] == "plugin.worker.restarted":
            found.notices.append({"type": "WORKER_RESTARTED"})
    # An exit that is no crash was asked for. Through the plugin layer alone nothing is published.
    if plan.calls and not any(c.command for c in plan.calls):
        return
    for end in recording.get("worker_exits", [])[crashes:]:
        found.notices.append(
            {"type": "WORKER_STOPPED", "exitCode": end["code"], "signal": end["signal"]}
        )


# --- comparing ---


def check(recording, plan, wanted, seen):
    """Lines of text; none when all is as it must be."""
    commands = [c.command["commandId"] for c in plan.calls if c.command]
    holders = Placeholders(recording, seen.names, commands)
    wrong = []
    if not plan.looks:
        if recording.is_older:
            seen.stdin = [as_older(ENVELOPE.sub("", line)) for line in seen.stdin]
            wanted.stdin = [as_older(line) for line in wanted.stdin]
            seen.stdout = [as_older(ECHO.sub("", li)) for li in seen.stdout if LIVE not in li]
            wanted.stdout = [as_older(line) for line in wanted.stdout]
            wanted.record.pop("supportedMethods", None)
        wrong += sent(recording, wanted, [holders.text(line) for line in seen.stdin])
        wrong += said("stdout", wanted.stdout, [holders.text(line) for line in seen.stdout])
        wrong += said("stderr", wanted.stderr, [holders.text(line) for line in seen.stderr])
    for i, (call, event, result) in enumerate(zip(plan.calls, wanted.events, seen.results)):
        where = "event" if len(plan.calls) == 1 else f"event of call {i + 1}"
        wrong += one_end(plan, call, event, holders.value(result), where)
    wrong += worker_state(recording, wanted, seen, holders)
    if plan.provider:
        wrong += driver(recording, holders.value(seen.driver))
    for event in wanted.events:
        if isinstance(event, dict) and event.get("finalLogRecords"):
            wrong += whole_output(event, by_stream(seen.whole))
    if recording.keeps_live:
        wrong += differences(by_stream(recording.live), by_stream(seen.live), "live output")
    if None not in wanted.events:
        wrong += logged(recording, seen)
    return wrong


def one_end(plan, call, event, result, where):
    if event == expect.UNKNOWN:
        return []
    if event is None:
        return direct(call, result)
    trace = result.pop("trace", None)
    if result.get("credentialKey"):  # each lane has a prefix of its own
        result["credentialKey"] = "envdriver:" + result["credentialKey"].partition(":")[2]
    wrong = differences(event, result, where)
    if not plan.looks:
        called = call.request is not None
        if (trace["attempt"] > 0) != called:
            wrong.append(f"{where}: trace.attempt is {trace['attempt']}, a call was made: {called}")
        envelope = (call.request or {}).get("paperclipInvocation")
        if envelope and trace["invocationId"] != envelope["id"]:
            wrong.append(f"{where}: trace.invocationId is not the one that was sent")
    return wrong


def direct(call, result):
    """A call through the plugin layer alone: as its caller has it."""
    if "result" in call.outcome:
        return differences(call.outcome, result, "answer")
    recorded = call.outcome["error"]
    ours = dict(result.get("error") or {})
    end = ours.pop("end", None)
    if end in ("timed out", "died"):
        ours["code"] = {"timed out": -32003, "died": -32000}[end]
    return differences({k: v for k, v in recorded.items() if k != "name"}, ours, "error")


def sent(recording, wanted, ours):
    """Byte for byte what the original's functions and its worker manager itself send; what the
    recorder typed in as the parameters of a call, as parsed JSON, without nulls."""
    typed = recording.function not in FUNCTIONS
    wrong = count("stdin", wanted.stdin, ours)
    for i, (a, b) in enumerate(zip(wanted.stdin, ours)):
        message = parsed(a)
        if typed and message and message.get("method", "").startswith("environment"):
            mine = parsed(b)
            wrong += differences(without_nulls(message), without_nulls(mine), f"stdin[{i}]")
        elif not same_text(a, b):
            wrong.append(f"stdin[{i}] is {short(b)}; recorded: {short(a)}")
    return wrong


def as_older(line):
    """Without what the two releases say otherwise: the hand-shake, an issueId of null, the
    provider's name in its config."""
    if '"initialize"' in line or '"supportedMethods"' in line:
        return "a line of the hand-shake"
    return re.sub(r'"issueId":null,|"provider":"fixture-sandbox",?', "", line)


def without_nulls(value):
    """Nor what a command has a default for, and whoever typed may have left out."""
    if isinstance(value, dict):
        found = {k: without_nulls(v) for k, v in value.items() if v is not None}
        if found.get("includeConnectionPayload") is False:
            del found["includeConnectionPayload"]
        return found
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def said(name, wanted, ours):
    wrong = count(name, wanted, ours)
    for i, (a, b) in enumerate(zip(wanted, ours)):
        if not same_text(a, b):
            wrong.append(f"{name}[{i}] is {short(b)}; recorded: {short(a)}")
    return wrong


def count(name, wanted, ours):
    if len(wanted) == len(ours):
        return []
    more = ours[len(wanted) :] or wanted[len(ours) :]
    which = "more" if len(ours) > len(wanted) else "missing"
    return [f"{name} has {len(ours)} lines, recorded: {len(wanted)}; {which}: {short(more)}"]


def worker_state(recording, wanted, seen, holders):
    wrong = []
    record = holders.value(seen.record)
    if wanted.status and record.get("status") != wanted.status:
        wrong.append(f"record.status is {record.get('status')}; recorded: {wanted.status}")
    for name, value in wanted.record.items():
        if name in RECORD_TIMES:
            if (name in record) != (value is not None):
                wrong.append(f"record.{name} is {record.get(name)}; recorded: {value}")
        elif name == "supportedMethods":
            wrong += differences(value, json.loads(record.get(name, "null")), f"record.{name}")
        elif record.get(name) != str(value):
            wrong.append(f"record.{name} is {record.get(name)}; recorded: {value}")
    if wanted.statuses and wanted.statuses != trimmed(seen.statuses, wanted.statuses):
        wrong.append(f"statuses were {seen.statuses}; recorded: {wanted.statuses}")
    wrong += noticed(wanted.notices, seen.notices)
    if wanted.start_error:
        wrong += start_failed(wanted.start_error, seen, holders)
    if "forks" in recording:
        wrong += started(recording, holders.value(seen.starts))
    return wrong


def trimmed(statuses, wanted):
    """From the first one wanted on: the recorder began to look after the crash."""
    first = statuses.index(wanted[0]) if wanted[0] in statuses else len(statuses)
    return statuses[first : first + len(wanted)]


ENDS = ("WORKER_CRASHED", "WORKER_RESTARTED", "WORKER_STOPPED", "WORKER_GAVE_UP")


def noticed(wanted, notices):
    ours = [n for n in notices if n["type"] in ENDS][: len(wanted)]
    shown = [{k: n[k] for k in w} for w, n in zip(wanted, ours)]
    if len(shown) < len(wanted) or shown != wanted:
        types = [{k: v for k, v in n.items() if v is not None} for n in notices]
        return [f"plugin events are {short(types)}; wanted: {wanted}"]
    return []


def start_failed(message, seen, holders):
    """The text is in the plugin event of the crash, and in the log."""
    reason = message.partition(": ")[2]
    texts = [holders.text(n["message"] or "") for n in seen.notices]
    if any(reason in text for text in texts):
        return []
    return [f"no plugin event says {reason!r}: {texts}"]


def started(recording, starts):
    forks = recording.get("forks")
    wrong = count("processes", forks, starts)
    for i, (fork, start) in enumerate(zip(forks, starts)):
        argv = start["argv"]
        if not argv[-1].endswith("/worker.mjs") or argv[0].rpartition("/")[2] != "node":
            wrong.append(f"process {i} is {argv}")
        if argv[1:-1] != fork["execArgv"]:
            wrong.append(f"process {i} has arguments {argv}; recorded: {fork['execArgv']}")
        env = {k: v for k, v in fork["env"].items() if k not in NOT_GIVEN}
        start["env"] = {k: v for k, v in start["env"].items() if k not in GIVEN}
        ours = {**start["env"], "PATH": env["PATH"]} if start["env"].get("PATH") else start["env"]
        wrong += differences(env, ours, f"process {i}.env")
    return wrong


def driver(recording, ours):
    """`envdriver drivers --provider` prints pluginId, pluginKey, driverKey and driver."""
    result = recording.get("result")
    if result is None or ours is None:
        return differences(result, ours, "drivers")
    plugin = result.get("plugin", result)
    recorded = {
        "pluginId": plugin.get("id", plugin.get("pluginId")),
        "pluginKey": plugin["pluginKey"],
    }
    if "driver" in result:
        recorded["driverKey"] = result["driver"]["driverKey"]
        recorded["driver"] = result["driver"]
    else:
        recorded["driverKey"] = result["driverKey"]
    return differences(recorded, {k: ours.get(k) for k in recorded}, "drivers")


def by_stream(pieces):
    found = {"stdout": "", "stderr": ""}
    for stream, text in pieces:
        found[stream] += text
    return found


def whole_output(event, texts):
    """What does not fit into the result follows as log records."""
    return [
        f"the {stream} of the log records is not the one of the result"
        for stream, text in texts.items()
        if event[f"{stream}Truncated"]
        and hashlib.sha256(text.encode()).hexdigest() != event[f"{stream}Sha256"]
    ]


LEVELS = ("debug", "info", "warn", "error")


def logged(recording, seen):
    """What the plugin logs during a call is in the worker's log, at its level."""
    wrong = []
    for line in recording.stdout:
        message = parsed(line)
        if not message or message.get("method") != "log":
            continue
        params = message["params"]
        level = params["level"] if params.get("level") in LEVELS else "info"
        pattern = rf"\b{level}\b.*{re.escape(params['message'])}"
        if not re.search(pattern, seen.log, re.IGNORECASE):
            wrong.append(f"the log has no {level} line with {params['message']!r}")
    return wrong
