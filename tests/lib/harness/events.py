# SPDX-License-Identifier: Apache-2.0
"""Events as a worker would publish them, for tests without one: (topic, record name, record, key).

`plain` is the command, `source` its (topic, partition, offset). Topics.publish_events writes them.
"""

import hashlib
import time
import uuid

from .commands import lease_id


def reference(plain, **more):
    target = plain["target"] or {}
    return {
        "commandId": plain["commandId"],
        "operation": plain["operation"]["type"],
        "companyId": plain["companyId"],
        "environmentId": plain["environmentId"],
        "issueId": None,
        "pluginId": "plugin-1",
        "pluginKey": target.get("pluginKey"),
        "driverKey": target.get("driverKey", target.get("provider")),
        "providerLeaseId": lease_id(plain),
        **more,
    }


def trace(source, token="i.1"):
    now = int(time.time() * 1000)
    return {
        "sourceTopic": source[0],
        "sourcePartition": source[1],
        "sourceOffset": source[2],
        "attempt": 1,
        "invocationId": str(uuid.uuid4()),
        "callToken": token,
        "instanceId": "w1",
        "receivedAt": now,
        "startedAt": now,
        "finishedAt": now,
        "traceparent": None,
        "warnings": [],
    }


def outcome(status="SUCCEEDED", code=None, text=""):
    error = code and {
        "code": code,
        "rpcCode": None,
        "httpStatus": None,
        "message": text,
        "retryable": False,
        "mayHaveRun": False,
        "details": "{}",
    }
    return {"status": status, "error": error}


def probe_result(plain, source, ended=None, ok=True, token="i.1"):
    record = {
        "command": reference(plain),
        "outcome": ended or outcome(),
        "trace": trace(source, token),
        "ok": None if ended else ok,
        "driver": None if ended else "plugin",
        "summary": None if ended else "fine",
        "details": None if ended else "{}",
    }
    return "probe-results", "ProbeResult", record, plain["environmentId"]


def execution_result(plain, source, ended=None, token="i.1", **fields):
    record = {
        "command": reference(plain),
        "outcome": ended or outcome(),
        "trace": trace(source, token),
        "exitCode": None,
        "signal": None,
        "timedOut": False,
        "stdout": "",
        "stderr": "",
        "stdoutBytes": len(fields.get("stdout", "").encode()),
        "stderrBytes": len(fields.get("stderr", "").encode()),
        "stdoutTruncated": False,
        "stderrTruncated": False,
        "stdoutSha256": None,
        "stderrSha256": None,
        "finalLogRecords": 0,
        "metadata": None,
        "stdoutRaw": None,
        "stderrRaw": None,
        **fields,
    }
    return "execution-results", "ExecutionResult", record, lease_id(plain)


def log(plain, offset, text, stream="STDOUT", origin="LIVE", token="i.1", sequence=0, last=False):
    record = {
        "command": reference(plain),
        "origin": origin,
        "stream": stream,
        "attempt": 1,
        "callToken": token,
        "sequence": sequence,
        "byteOffset": offset,
        "text": text,
        "last": last,
        "instanceId": "w1",
        "recordedAt": int(time.time() * 1000),
        "raw": None,
    }
    return "execution-logs", "ExecutionLog", record, plain["commandId"]


def lease_result(plain, source, lease="lease-9", token="i.1", **fields):
    record = {
        "command": reference(plain, providerLeaseId=lease),
        "outcome": outcome(),
        "trace": trace(source, token),
        "lease": {"providerLeaseId": lease, "metadata": '{"region": "north"}', "expiresAt": None},
        "leaseLost": False,
        "receipt": None,
        **fields,
    }
    return "lease-results", "LeaseResult", record, lease


def large_output(plain, source, pieces, token="i.1"):
    """An execution's result whose standard output stands in FINAL pieces: these, then it."""
    whole, at, logs = "".join(pieces), 0, []
    for sequence, text in enumerate(pieces):
        last = sequence == len(pieces) - 1
        logs.append(log(plain, at, text, "STDOUT", "FINAL", token, sequence, last))
        at += len(text.encode())
    result = execution_result(
        plain,
        source,
        token=token,
        exitCode=0,
        stdout=pieces[0][:10],
        stdoutBytes=len(whole.encode()),
        stdoutTruncated=True,
        stdoutSha256=hashlib.sha256(whole.encode()).hexdigest(),
        finalLogRecords=len(pieces),
    )
    return [*logs, result]


def dead_letter(record, reason, first=None, command_id=None):
    """Of a Record of the command topic; `first` is a Record, too."""
    now = int(time.time() * 1000)
    letter = {
        "reason": reason,
        "message": "why",
        "field": None,
        "commandId": command_id or record.command_id,
        "companyId": None,
        "environmentId": None,
        "operation": None,
        "sourceTopic": record.topic,
        "sourcePartition": record.partition,
        "sourceOffset": record.offset,
        "sourceTimestamp": now,
        "firstTopic": first and first.topic,
        "firstPartition": first and first.partition,
        "firstOffset": first and first.offset,
        "key": record.key,
        "value": record.value,
        "headers": [],
        "valueBytes": -1 if record.value is None else len(record.value),
        "valueSha256": record.value and hashlib.sha256(record.value).hexdigest(),
        "valueTruncated": False,
        "redriveCount": 0,
        "instanceId": "w1",
        "deadLetteredAt": now,
    }
    return "dead-letters", "DeadLetter", letter, record.key
